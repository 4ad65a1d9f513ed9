//! Merges flags over environment over file, into one validated configuration. Keys are declared in sections: see `key.rs`.

mod breakpoint;
mod error;
mod file;
mod flags;
mod key;
mod limits;
mod network;
mod observing;
mod policy;
mod resilience;
mod serving;
mod shown;
mod trust;

pub use breakpoint::Breakpoint;
pub use error::ConfigError;
pub use file::{File, Source, keys};
pub use flags::Flags;
pub use key::{Key, Seconds};
pub use limits::Limits;
pub use network::{Network, Protocol};
pub use observing::{
    Cache, CacheName, Collectors, Cpu, Debug, HeapProfile, Log, LogFormat, Memory, Metrics, OtlpEndpoint, Perf, Profile, Telemetry,
};
pub use policy::PolicySettings;
pub use resilience::{Admin, Circuits, Errors, Restart, Store, Validation};
pub use serving::{Auth, Heartbeat, Http, JwtIssuer, NamedToken, Sessions};
pub(crate) use serving::{PRINCIPALS, is_principal};
pub use shown::reference;
pub(crate) use shown::{Shown, known_variables, own_variables, schema, unknown_variables, unread};
pub use trust::{Hooks, Sandbox, Signing, Trust};

use crate::{
    config_path,
    policy::Policy,
    selection::{Selection, is_tool},
    telemetry::levels,
};
use file::state_dir;
use git::Roots;
use std::{env, path::PathBuf};
use store::Address;

/// The server's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Allowed directories; empty for the repository of the current directory.
    pub repositories: Vec<PathBuf>,
    /// The port of `serve`.
    pub port: u16,
    /// How `serve` is reached.
    pub http: Http,
    /// Who may use `serve`.
    pub auth: Auth,
    /// Sessions and workspaces.
    pub sessions: Sessions,
    /// Heartbeats of sessions.
    pub heartbeat: Heartbeat,
    /// Leases of changes.
    pub store: Store,
    /// Database of sessions, operations and statistics.
    pub database: Address,
    /// Circuit breakers.
    pub circuits: Circuits,
    /// Error statistics.
    pub errors: Errors,
    /// Validation of messages.
    pub validation: Validation,
    /// The admin channel.
    pub admin: Admin,
    /// Restarts.
    pub restart: Restart,
    /// The enabled tools.
    pub selection: Selection,
    /// Whose hooks and filters may run.
    pub trust: git::Trust,
    /// Which repositories' git processes are sandboxed.
    pub sandbox: git::Sandbox,
    /// Whether hooks run at all.
    pub hooks: bool,
    /// Whether commits are signed.
    pub signing: git::Signing,
    /// The policy for changes.
    pub policy: Policy,
    /// Which remotes may be reached.
    pub network: git::Network,
    /// The git program; the one on `PATH` if absent.
    pub git: Option<PathBuf>,
    /// Directory for locks and the change journal.
    pub state_dir: PathBuf,
    /// The log.
    pub log: Log,
    /// Slow calls.
    pub perf: Perf,
    /// Breakpoints.
    pub debug: Debug,
    /// Memory monitoring.
    pub memory: Memory,
    /// CPU monitoring.
    pub cpu: Cpu,
    /// Profiles.
    pub profile: Profile,
    /// Caches.
    pub cache: Cache,
    /// Metrics.
    pub metrics: Metrics,
    /// Collectors of traces and metrics.
    pub collectors: Collectors,
    /// Limits of calls and results.
    pub limits: Limits,
    /// Its sources.
    pub origin: Source,
}

impl Config {
    /// Loads and validates the configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which points at the line or names the variable.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Self::from_parts(flags, &|name| env::var(name).ok()).map_err(|err| match (err, config_path::read()) {
            (err @ (ConfigError::Key { .. } | ConfigError::UnknownTool(_) | ConfigError::Serving(_)), Some(path)) if path.exists() => {
                ConfigError::InFile { path: path.to_owned(), source: Box::new(err) }
            }
            (err, _) => err,
        })
    }

    /// What it takes to reach a running server: where it is, as far as the file is readable, and the log of this process.
    /// Other keys have their defaults, whatever the file and the variables set.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a log level or format that cannot be used.
    pub(crate) fn load_to_reach(flags: &Flags) -> Result<Self, ConfigError> {
        let variable = |name: &str| env::var(name).ok();
        let (file, origin) = Source::read_to_reach(flags, &variable)?;
        Self::checked(file, origin, &variable)
    }

    /// The allowed directories; empty for those around the current one.
    ///
    /// # Errors
    ///
    /// [`git::Error::Io`] if one does not exist, with the file that names it.
    pub(crate) fn roots(&self) -> git::Result<Roots> {
        let file = self.origin.file.as_ref().filter(|_| self.origin.flags.repositories.is_empty());
        match (Roots::new(self.repositories.iter().cloned()), file) {
            (Err(git::Error::Io { doing, source }), Some(file)) => {
                Err(git::Error::Io { doing: format!("{doing}, which {} names", file.display()), source })
            }
            (roots, _) => roots,
        }
    }

    fn from_parts(flags: &Flags, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let (file, origin) = Source::read(flags, variable)?;
        Self::checked(file, origin, variable)
    }

    fn checked(file: File, origin: Source, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        serving::check(&file.http, &file.auth)?;
        file.cache.check()?;
        let state_dir = state_dir(file.state_dir, variable);
        let database = match file.store.url.as_deref().filter(|url| !url.is_empty()) {
            None => Address::File(state_dir.join("store.db")),
            Some(url) => Address::parse(url).map_err(|err| origin.refuse("store.url", err.to_string()))?,
        };
        levels::filter(&file.log.level).map_err(|err| ConfigError::Level {
            from: origin.set_by.get("log.level").copied().unwrap_or("log.level"),
            level: file.log.level.clone(),
            why: err.to_string(),
        })?;
        let (toolsets, tools, exclude, read_only) = (file.toolsets, file.tools, file.exclude_tools, file.read_only);
        let selection = Selection { toolsets, tools, exclude, read_only };
        if let Some(name) = selection.unknown() {
            return Err(ConfigError::UnknownTool(name.to_owned()));
        }
        if let Breakpoint::Tools(names) = &file.debug.breakpoint
            && let Some(name) = names.iter().find(|name| !is_tool(name))
        {
            return Err(origin.refuse("debug.breakpoint", format!("unknown tool `{name}`")));
        }
        Ok(Self {
            repositories: file.repositories,
            port: file.port,
            http: file.http,
            auth: file.auth,
            sessions: file.sessions,
            heartbeat: file.heartbeat,
            store: file.store,
            database,
            circuits: file.circuits,
            errors: file.errors,
            validation: file.validation,
            admin: file.admin,
            restart: file.restart,
            selection,
            trust: file.trust.into(),
            sandbox: file.sandbox.into(),
            hooks: file.policy.hooks == Hooks::Allow,
            signing: file.policy.signing.into(),
            policy: file.policy.policy(),
            network: file.network.rules(),
            git: file.git,
            state_dir,
            log: file.log,
            perf: file.perf,
            debug: file.debug,
            memory: file.memory,
            cpu: file.cpu,
            profile: file.profile,
            cache: file.cache,
            metrics: file.metrics,
            collectors: Collectors::of(&file.telemetry, variable)?,
            limits: file.limits,
            origin,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn load(text: &str, flags: Flags, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().map_err(|source| ConfigError::Unreadable { path: PathBuf::new(), source })?;
        let path = dir.path().join("config.toml");
        fs::write(&path, text).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
        let flags = Flags { config: Some(path), ..flags };
        Config::from_parts(&flags, &|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn flags_win_over_environment_over_file() -> Result<(), ConfigError> {
        let file = "port = 1\n[limits]\nmax_output_tokens = 1\nread_timeout = 5\n[log]\nlevel = \"info\"\n";
        let flags = Flags { max_output_tokens: Some(3), ..Flags::default() };
        let config = load(file, flags, &[("MCP_GIT_MAX_OUTPUT_TOKENS", "2"), ("MCP_GIT_PORT", "2")])?;
        assert_eq!((config.limits.max_output_tokens, config.port), (3, 2));
        assert_eq!((config.limits.read_timeout, config.log.level.as_str()), (Seconds(5), "info"));
        Ok(())
    }

    #[test]
    fn a_mistake_is_pointed_at() {
        for (text, variables, expect) in [
            ("\n\nprot = 1\n", &[][..], "line 3"),
            ("[limits]\nread_timeout = 0\n", &[], "between 1 and 3600"),
            ("port = 70000\n", &[], "line 1"),
            ("", &[("MCP_GIT_PORT", "x")], "MCP_GIT_PORT"),
            ("", &[("MCP_GIT_LOG_FORMAT", "xml")], "MCP_GIT_LOG_FORMAT"),
            ("[circuits]\nfailure_limit = 2\n", &[], "expected struct Circuit"),
            ("[heartbeat]\ninterval = 0\n", &[], "heartbeat.interval"),
            ("", &[("MCP_GIT_HEARTBEAT_INTERVAL", "x")], "MCP_GIT_HEARTBEAT_INTERVAL cannot be used: `x` is not a whole number"),
            ("", &[("MCP_GIT_SESSIONS_MAX", "0")], "MCP_GIT_SESSIONS_MAX"),
            ("", &[("MCP_GIT_PORT", "70000")], "`70000` is too large"),
            ("[store]\nurl = \"mysql://x\"\n", &[], "store.url"),
            ("", &[("MCP_GIT_STORE_URL", "mysql://x")], "MCP_GIT_STORE_URL"),
        ] {
            let message = load(text, Flags::default(), variables).err().map(|err| err.to_string()).unwrap_or_default();
            assert!(message.contains(expect), "{text:?}: {message}");
        }
    }

    #[test]
    fn the_environment_decides_over_the_file_whether_a_model_confirms() -> Result<(), ConfigError> {
        for (file, variable, expect) in
            [(false, None, false), (true, None, true), (true, Some("false"), false), (false, Some("true"), true), (true, Some(""), true)]
        {
            let variables: Vec<_> = variable.into_iter().map(|value| ("MCP_GIT_MODEL_CONFIRMS", value)).collect();
            let config = load(&format!("[policy]\nmodel_confirms = {file}\n"), Flags::default(), &variables)?;
            assert_eq!(config.policy.model_confirms, expect);
        }
        Ok(())
    }

    #[test]
    fn any_source_switches_read_only_on_and_none_off() -> Result<(), ConfigError> {
        for (file, variable, flag, expect) in
            [("true", "false", false, true), ("false", "1", false, true), ("false", "0", true, true), ("false", "off", false, false)]
        {
            let flags = Flags { read_only: flag, ..Flags::default() };
            let config = load(&format!("read_only = {file}\n"), flags, &[("MCP_GIT_READ_ONLY", variable)])?;
            assert_eq!(config.selection.read_only, expect, "{file} {variable} {flag}");
        }
        Ok(())
    }

    #[test]
    fn an_empty_variable_is_unset_unless_the_key_says_otherwise() -> Result<(), ConfigError> {
        let file = "port = 1\n[policy]\nprotected_branches = [\"x\"]\n[debug]\nbreakpoint = \"*\"\n";
        let empty = [("MCP_GIT_PORT", ""), ("MCP_GIT_PROTECTED_BRANCHES", ""), ("MCP_DEBUG_BREAKPOINT", "")];
        let config = load(file, Flags::default(), &empty)?;
        assert_eq!((config.port, config.policy.protected.len(), config.debug.breakpoint), (1, 0, Breakpoint::Off));
        // Of two names the first that is set counts.
        let both = [("MCP_GIT_MAX_CONCURRENT_SESSIONS", "3"), ("MCP_GIT_SESSIONS_MAX", "4")];
        assert_eq!(load("", Flags::default(), &both)?.sessions.max, 3);
        assert_eq!(load("", Flags::default(), &both[1..])?.sessions.max, 4);
        Ok(())
    }
}
