//! Supported clients: the location and layout of their configuration.

use std::{
    env, io,
    path::{Path, PathBuf},
};

/// Supported clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Client {
    ClaudeCode,
    ClaudeDesktop,
    Vscode,
    Cursor,
    Zed,
    Codex,
    Gemini,
}

impl Client {
    /// The placeholder for the project's folder, if the configuration is shared in the project.
    pub(crate) fn project(self) -> Option<&'static str> {
        match self {
            Client::ClaudeCode => Some("."),
            Client::Vscode => Some("${workspaceFolder}"),
            _ => None,
        }
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The configuration key under which the client lists servers.
pub(crate) fn key(client: Client) -> &'static str {
    match client {
        Client::Vscode => "servers",
        Client::Zed => "context_servers",
        Client::Codex => "mcp_servers",
        _ => "mcpServers",
    }
}

/// The path of the client's configuration.
pub(crate) fn file(client: Client) -> io::Result<PathBuf> {
    let home = || env::home_dir().ok_or_else(|| invalid("there is no home directory"));
    let config = || -> io::Result<PathBuf> {
        if cfg!(target_os = "macos") {
            return Ok(home()?.join("Library/Application Support"));
        }
        let given = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        given.map_or_else(|| Ok(home()?.join(".config")), Ok)
    };
    let project = env::current_dir()?;
    Ok(match client {
        Client::ClaudeCode => project.join(".mcp.json"),
        Client::Vscode => project.join(".vscode/mcp.json"),
        Client::ClaudeDesktop => config()?.join("Claude/claude_desktop_config.json"),
        Client::Cursor => home()?.join(".cursor/mcp.json"),
        Client::Zed => zed(&home()?, &config()?),
        Client::Codex => {
            env::var_os("CODEX_HOME").map_or_else(|| home().map(|home| home.join(".codex")), |path| Ok(path.into()))?.join("config.toml")
        }
        Client::Gemini => home()?.join(".gemini/settings.json"),
    })
}

fn zed(home: &Path, config: &Path) -> PathBuf {
    if cfg!(target_os = "macos") { home.join(".config/zed/settings.json") } else { config.join("zed/settings.json") }
}
