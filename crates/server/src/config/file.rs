//! The configuration file: its location, its sections, and the values that variables and flags set over it.

use super::{
    Admin, Auth, Cache, Circuits, ConfigError, Cpu, Debug, Errors, Flags, Heartbeat, Http, Key, Limits, Log, Memory, Metrics, Network,
    Perf, PolicySettings, Profile, Restart, Sandbox, Sessions, Store, Telemetry, Trust, Validation,
    key::{section, words},
};
use crate::{config_path, tool::toolset::Toolset};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

words!(Toolset);

section! {
    /// The keys outside of sections, and the sections.
    #[serde(deny_unknown_fields)]
    File in "" {
        /// Allowed repositories, and directories of repositories. A repository named here may run its hooks and filters.
        repositories: Vec<PathBuf> = Vec::new() => .flag("--repository").default_is("the repository of the current directory");
        /// The port of `serve`; 0 picks a free one.
        port: u16 = 8080 => .variables(&["MCP_GIT_PORT"]).flag("--port");
        /// A list of `default`, `history`, `branches` (and tags), `remotes` (and clone), `worktrees`, `rewrite` (revert, apply, clean, rm,
        /// mv), `bisect`, `submodules`, `sparse`, `notes`, `config`, `maintenance`, or `all`; `reference` for exactly the tools of the
        /// reference server, `legacy` for those of this package's predecessor.
        toolsets: Vec<Toolset> = Vec::new() => .variables(&["MCP_GIT_TOOLSETS"]).flag("--toolsets").default_is("default");
        /// Extra tools by name. Without `toolsets`, only these are listed and callable.
        tools: Vec<String> = Vec::new() => .variables(&["MCP_GIT_TOOLS"]).flag("--tools");
        /// Disabled tools: not listed, not callable.
        exclude_tools: Vec<String> = Vec::new() => .variables(&["MCP_GIT_EXCLUDE_TOOLS"]).flag("--exclude-tools");
        /// Disables every tool that makes changes, whatever else is set.
        read_only: bool = false => .variables(&["MCP_GIT_READ_ONLY"]).flag("--read-only");
        /// `owner`: changes run the hooks and filters of named repositories. `untrusted`: none run; a change that needs one is refused.
        trust: Trust = Trust::Owner => .variables(&["MCP_GIT_TRUST"]).flag("--trust");
        /// Which repositories' git processes run in a Landlock sandbox (Linux 6.12 or newer). `untrusted`: those of repositories that are
        /// not named; without Landlock, changes in them are refused. `always`: those of named ones, too: hooks and filters run, see the
        /// repository and, read-only, the system, and have no network. `off`: none.
        sandbox: Sandbox = Sandbox::Untrusted => .variables(&["MCP_GIT_SANDBOX"]).flag("--sandbox");
        /// The git program.
        git: Option<PathBuf> = None => .flag("--git").default_is("`git` on PATH");
        /// Directory for locks and the change journal, never in a repository. Servers that share repositories must share it.
        state_dir: Option<PathBuf> = None
            => .variables(&["MCP_GIT_STATE_DIR"]).flag("--state-dir").default_is("$XDG_STATE_HOME/mcp-server-git");
    }
    with {
        http: Http, auth: Auth, sessions: Sessions, heartbeat: Heartbeat, store: Store, circuits: Circuits, errors: Errors,
        validation: Validation, admin: Admin, restart: Restart, limits: Limits, policy: PolicySettings, network: Network, log: Log,
        perf: Perf, debug: Debug, memory: Memory, cpu: Cpu, profile: Profile, cache: Cache, metrics: Metrics, telemetry: Telemetry,
    }
}

/// The key that any source can switch on.
const READ_ONLY: &str = "read_only";
/// The keys that name where a running server is.
const PLACE: [&str; 2] = ["state_dir", "admin.socket"];
/// The keys of a sub-command's log.
const OF_LOG: [&str; 2] = ["log.level", "log.format"];

/// The sources of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The command line.
    pub flags: Flags,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The content of the file.
    pub table: Table,
    /// The file's content with the values of variables and flags.
    pub(super) values: Table,
    /// The flag or variable that set a key.
    pub(super) set_by: BTreeMap<&'static str, &'static str>,
}

impl Source {
    /// Reads the file, and sets the values of variables and flags over its own. Flags override variables.
    pub(super) fn read(flags: &Flags, variable: &dyn Fn(&str) -> Option<String>) -> Result<(File, Self), ConfigError> {
        let (file, table) = match find(flags.config.as_deref(), variable)? {
            Some((path, text)) => {
                let table = parsed(&path, &text)?;
                (Some(path), table)
            }
            None => (None, Table::new()),
        };
        Self { flags: flags.clone(), file, values: table.clone(), table, set_by: BTreeMap::new() }.merged(File::keys(), variable)
    }

    /// What it takes to reach a running server: where it is, as far as the file is readable, and the log of this process.
    pub(super) fn read_to_reach(flags: &Flags, variable: &dyn Fn(&str) -> Option<String>) -> Result<(File, Self), ConfigError> {
        let text = find(flags.config.as_deref(), variable).ok().flatten().map(|(_, text)| text).unwrap_or_default();
        let table: Table = toml::from_str(&text).unwrap_or_default();
        let mut source = Self { flags: flags.clone(), ..Self::default() };
        for name in PLACE {
            if let Some(value) = value_at(&table, name).filter(|value| value.is_str()) {
                source.set(name, value.clone());
            }
        }
        let keys = File::keys().into_iter().filter(|key| PLACE.contains(&key.name) || OF_LOG.contains(&key.name));
        source.merged(keys, variable)
    }

    /// Checks the file's values of the keys, and sets those of variables and flags over them.
    fn merged(
        mut self,
        keys: impl IntoIterator<Item = &'static Key>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(File, Self), ConfigError> {
        for key in keys {
            if let Some(value) = value_at(&self.table, key.name) {
                (key.check)(value).map_err(|why| ConfigError::Key { name: key.name, why })?;
            }
            let by_variable = key.of_variables(variable).map_err(|(name, why)| ConfigError::Variable { name, why })?;
            let by_flag = self.flags.value(key.name).map(|value| (key.flag.unwrap_or_default(), value));
            for (name, value) in by_variable.into_iter().chain(by_flag) {
                if key.name != READ_ONLY || value == Value::Boolean(true) {
                    self.set(key.name, value);
                    self.set_by.insert(key.name, name);
                }
            }
        }
        let merged = self.values.clone().try_into();
        let file = merged.map_err(|err: toml::de::Error| ConfigError::Serving(err.message().to_owned()))?;
        Ok((file, self))
    }

    fn set(&mut self, key: &str, value: Value) {
        let mut table = &mut self.values;
        let (sections, name) = key.rsplit_once('.').map_or((Vec::new(), key), |(sections, name)| (sections.split('.').collect(), name));
        for section in sections {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            // The file was checked: a section is a table.
            let Value::Table(inner) = inner else { return };
            table = inner;
        }
        table.insert(name.to_owned(), value);
    }

    /// Whether this flag or variable set the key.
    pub(crate) fn is_set_by(&self, key: &Key, name: &str) -> bool {
        self.set_by.get(key.name).is_some_and(|by| *by == name)
    }

    /// The error for the value of a key that is well-formed and cannot be used: it names the variable or the key.
    pub(super) fn refuse(&self, name: &'static str, why: String) -> ConfigError {
        match self.set_by.get(name).copied() {
            Some(variable) if !variable.starts_with("--") => ConfigError::Variable { name: variable, why },
            _ => ConfigError::Key { name, why },
        }
    }
}

/// The value at the path of a key.
pub(super) fn value_at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let (sections, name) = key.rsplit_once('.').map_or(("", key), |(sections, name)| (sections, name));
    let inner = sections.split('.').filter(|section| !section.is_empty()).try_fold(table, |table, section| table.get(section)?.as_table());
    inner?.get(name)
}

/// Every key. One with `NAME` stands for tables that the operator names.
pub fn keys() -> Vec<&'static Key> {
    File::keys()
}

fn find(named: Option<&Path>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let Some(path) = named.map(Path::to_owned).or_else(|| default_file(variable)) else { return Ok(None) };
    config_path::set(&path);
    if named.is_none() && !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
    Ok(Some((path, text)))
}

/// The content of the file. Unknown keys and values of another type are errors, which point at the line.
fn parsed(path: &Path, text: &str) -> Result<Table, ConfigError> {
    let invalid = |err: toml::de::Error| ConfigError::Invalid { path: path.to_owned(), message: err.to_string().trim_end().to_owned() };
    toml::from_str::<File>(text).map_err(invalid)?;
    toml::from_str(text).map_err(invalid)
}

/// The named folder, or `$XDG_STATE_HOME/mcp-server-git`; without a home directory, one below the temporary folder.
pub(super) fn state_dir(named: Option<PathBuf>, variable: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let named = named.filter(|path| !path.as_os_str().is_empty());
    if let Some(named) = named {
        return std::path::absolute(&named).unwrap_or(named);
    }
    let base = variable("XDG_STATE_HOME").filter(|path| path.starts_with('/')).map(PathBuf::from);
    let home = || variable("HOME").map(PathBuf::from).filter(|home| home.is_dir());
    match base.or_else(|| home().map(|home| home.join(".local/state"))) {
        Some(base) => base.join("mcp-server-git"),
        None => env::temp_dir().join(format!("mcp-server-git-{}", rustix::process::geteuid().as_raw())),
    }
}

/// `$XDG_CONFIG_HOME/mcp-server-git/config.toml`
pub(super) fn default_file(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let base = variable("XDG_CONFIG_HOME").filter(|path| path.starts_with('/')).map(PathBuf::from);
    let base = base.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(base.join("mcp-server-git/config.toml"))
}
