//! `setup`: how a client is pointed at this server.

use super::{cannot_run, say, tell};
use serde_json::{Map, Value, json};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The clients whose configuration is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Client {
    ClaudeCode,
    ClaudeDesktop,
    Vscode,
    Cursor,
    Zed,
    Codex,
    Gemini,
}

/// The name under which the server is entered.
pub(super) const NAME: &str = "git";

pub(super) fn run(client: Client, write: bool, repositories: &[PathBuf]) -> ExitCode {
    let entry = match Entry::new(client, repositories) {
        Ok(entry) => entry,
        Err(err) => return cannot_run(&err),
    };
    if !write {
        say(&format!("# {}\n{}", entry.file.display(), entry.fresh()));
        tell(&format!("Add this to {}, or run the same command with --write.", entry.file.display()));
        return ExitCode::SUCCESS;
    }
    match entry.merge() {
        Ok(Some(backup)) => say(&format!("{} is updated; the file as it was is kept as {}", entry.file.display(), backup.display())),
        Ok(None) => say(&format!("{} is written", entry.file.display())),
        Err(err) => return cannot_run(&format!("{}: {err}", entry.file.display())),
    }
    ExitCode::SUCCESS
}

/// The server's entry in a client's configuration.
struct Entry {
    client: Client,
    file: PathBuf,
    command: String,
    args: Vec<String>,
}

impl Entry {
    fn new(client: Client, repositories: &[PathBuf]) -> io::Result<Self> {
        let command = env::current_exe()?.display().to_string();
        let mut args = Vec::new();
        for repository in repositories {
            args.extend(["-r".to_owned(), fs::canonicalize(repository)?.display().to_string()]);
        }
        if args.is_empty() && !is_per_project(client) {
            // A client that serves all projects starts its servers anywhere.
            args.extend(["-r".to_owned(), env::current_dir()?.display().to_string()]);
        }
        Ok(Self { client, file: file(client)?, command, args })
    }

    fn key(&self) -> &'static str {
        key(self.client)
    }

    fn value(&self) -> Value {
        let mut value = json!({"command": self.command, "args": self.args});
        match self.client {
            Client::Vscode | Client::ClaudeCode => value["type"] = json!("stdio"),
            Client::Zed => value["source"] = json!("custom"),
            _ => {}
        }
        value
    }

    /// The configuration with this entry alone.
    fn fresh(&self) -> String {
        if self.client == Client::Codex {
            return self.toml_into(toml_edit::DocumentMut::new()).to_string();
        }
        pretty(&json!({self.key(): {NAME: self.value()}}))
    }

    /// Puts the entry into the file and gives the backup, if there was a file.
    fn merge(&self) -> io::Result<Option<PathBuf>> {
        let before = match fs::read_to_string(&self.file) {
            Ok(text) => Some(text),
            Err(err) if err.kind() == io::ErrorKind::NotFound => None,
            Err(err) => return Err(err),
        };
        let merged = match before.as_deref().filter(|text| !text.trim().is_empty()) {
            None => self.fresh(),
            Some(text) if self.client == Client::Codex => self.toml_into(text.parse().map_err(invalid)?).to_string(),
            Some(text) => self.json_into(text)?,
        };
        let backup = before.map(|_| self.back_up()).transpose()?;
        if let Some(parent) = self.file.parent() {
            fs::create_dir_all(parent)?;
        }
        // Written beside and renamed, so that a full disk leaves the old file.
        let beside = self.file.with_extension("mcp-server-git.tmp");
        fs::write(&beside, merged)?;
        if let Ok(meta) = fs::metadata(&self.file) {
            fs::set_permissions(&beside, meta.permissions())?;
        }
        fs::rename(&beside, &self.file)?;
        Ok(backup)
    }

    fn json_into(&self, text: &str) -> io::Result<String> {
        let mut root: Map<String, Value> = serde_json::from_str(text).map_err(|err| {
            invalid(format!("it is not plain JSON ({err}), perhaps because of comments. Add the entry by hand:\n{}", self.fresh()))
        })?;
        let servers = root.entry(self.key()).or_insert_with(|| json!({}));
        match servers.as_object_mut() {
            Some(servers) => servers.insert(NAME.to_owned(), self.value()),
            None => return Err(invalid(format!("`{}` is not an object", self.key()))),
        };
        Ok(pretty(&Value::Object(root)))
    }

    fn toml_into(&self, mut document: toml_edit::DocumentMut) -> toml_edit::DocumentMut {
        let args: toml_edit::Array = self.args.iter().map(String::as_str).collect();
        let servers = document.entry("mcp_servers").or_insert_with(toml_edit::table);
        if let Some(servers) = servers.as_table_mut() {
            servers.set_implicit(true);
        }
        let mut table = toml_edit::Table::new();
        table["command"] = toml_edit::value(self.command.as_str());
        table["args"] = toml_edit::value(args);
        servers[NAME] = toml_edit::Item::Table(table);
        document
    }

    fn back_up(&self) -> io::Result<PathBuf> {
        let name = |n: u32| {
            let number = if n == 0 { String::new() } else { n.to_string() };
            PathBuf::from(format!("{}.bak{number}", self.file.display()))
        };
        let backup = (0..1000).map(name).find(|path| !path.exists()).ok_or_else(|| invalid("there are too many backups already"))?;
        fs::copy(&self.file, &backup)?;
        Ok(backup)
    }
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn is_per_project(client: Client) -> bool {
    matches!(client, Client::ClaudeCode | Client::Vscode)
}

/// Below which key of its configuration the client lists servers.
pub(super) fn key(client: Client) -> &'static str {
    match client {
        Client::Vscode => "servers",
        Client::Zed => "context_servers",
        Client::Codex => "mcp_servers",
        _ => "mcpServers",
    }
}

/// Where the client keeps its configuration.
pub(super) fn file(client: Client) -> io::Result<PathBuf> {
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
