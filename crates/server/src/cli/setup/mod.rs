//! `setup`: the entry of this server in a client's configuration.

mod client;

use super::{cannot_run, command, say, tell};
use crate::output::shell_word as word;
use clap::{ArgMatches, ValueHint, parser::ValueSource};
pub(super) use client::{Client, file, key};
use git::Roots;
use serde_json::{Map, Value, json};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The server's name in client configurations.
pub(super) const NAME: &str = "git";
/// The name of this program, and of the reference server's package, which `uvx` and similar tools run.
pub(super) const OWN: &str = "mcp-server-git";

pub(super) fn run(client: Client, write: bool, given: &ArgMatches) -> ExitCode {
    let done = Entry::new(client, given).and_then(|entry| if write { entry.write() } else { entry.print() });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => cannot_run(&err),
    }
}

/// The server's entry in a client's configuration.
struct Entry {
    client: Client,
    file: PathBuf,
    /// The options of this run. They override those in the entry.
    given: Options,
}

/// Server options: repositories, and all others with their values.
#[derive(Clone, Default, PartialEq, Eq)]
struct Options {
    repositories: Vec<String>,
    others: Vec<(String, Option<String>)>,
}

impl Options {
    /// The general options given on a command line.
    fn of(matches: &ArgMatches) -> Self {
        let mut options = Self::default();
        for arg in command().get_arguments().filter(|arg| arg.is_global_set()) {
            let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let is_path = !matches!(arg.get_value_hint(), ValueHint::Unknown | ValueHint::Other);
            let values = matches.get_raw(id).into_iter().flatten().map(|value| {
                let is_local_path =
                    is_path && (arg.get_value_hint() != ValueHint::CommandName || Path::new(value).components().count() > 1);
                let absolute = is_local_path && !value.to_string_lossy().starts_with("${");
                let path = absolute.then(|| std::path::absolute(value).ok()).flatten();
                path.map_or_else(|| value.to_string_lossy().into_owned(), |path| path.display().to_string())
            });
            if id == "repository" {
                options.repositories = values.collect();
            } else {
                let takes_values = arg.get_action().takes_values();
                options.others.push((format!("--{long}"), takes_values.then(|| values.collect::<Vec<_>>().join(","))));
            }
        }
        options
    }

    /// The options of an entry. `None` if this version cannot parse them, or if they include a sub-command.
    fn parsed(args: &[String]) -> Option<Self> {
        let words = [OWN.to_owned()].into_iter().chain(args.iter().cloned());
        let matches = command().try_get_matches_from(words).ok()?;
        matches.subcommand().is_none().then(|| Self::of(&matches))
    }

    /// Merges these options over `kept`.
    fn over(&self, kept: &Self) -> Self {
        let further = self.repositories.iter().filter(|path| !kept.repositories.contains(path));
        let is_open = |name: &String| self.others.iter().all(|(given, _)| given != name);
        Self {
            repositories: kept.repositories.iter().chain(further).cloned().collect(),
            others: self.others.iter().chain(kept.others.iter().filter(|(name, _)| is_open(name))).cloned().collect(),
        }
    }

    fn args(&self) -> Vec<String> {
        let repositories = self.repositories.iter().flat_map(|path| ["-r".to_owned(), path.clone()]);
        repositories.chain(self.others.iter().flat_map(|(name, value)| [Some(name.clone()), value.clone()]).flatten()).collect()
    }
}

impl Entry {
    fn new(client: Client, given: &ArgMatches) -> io::Result<Self> {
        let mut given = Options::of(given);
        for path in &mut given.repositories {
            *path = canonical(Path::new(path))?;
        }
        if given.repositories.is_empty() && client.project().is_some() {
            canonical(&env::current_dir()?)?;
        }
        let file = file(client)?;
        // Preserves symbolic links.
        let file = fs::canonicalize(&file).unwrap_or(file);
        Ok(Self { client, file, given })
    }

    fn is_toml(&self) -> bool {
        self.client == Client::Codex
    }

    /// A path as written to the file: relative to the project in a shared file.
    fn path(&self, path: &str) -> String {
        let here = env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
        match (self.client.project(), Path::new(path).strip_prefix(here)) {
            (Some(project), Ok(below)) if below.as_os_str().is_empty() => project.to_owned(),
            (Some(project), Ok(below)) => format!("{project}/{}", below.display()),
            _ => path.to_owned(),
        }
    }

    /// The program and its arguments.
    fn command(&self, options: &Options) -> io::Result<(String, Vec<String>)> {
        let mut shown = options.clone();
        let Some(project) = self.client.project() else {
            if shown.repositories.is_empty() {
                // A global client may start its servers in any directory.
                shown.repositories.push(canonical(&env::current_dir()?)?);
            }
            return Ok((env::current_exe()?.display().to_string(), shown.args()));
        };
        for path in &mut shown.repositories {
            *path = self.path(path);
        }
        for value in shown.others.iter_mut().filter_map(|(_, value)| value.as_mut()) {
            *value = self.path(value);
        }
        if shown.repositories == [project] {
            // The client starts the server there.
            shown.repositories.clear();
        }
        Ok((OWN.to_owned(), shown.args()))
    }

    /// Warns about what does not work on every machine.
    fn warn(&self, args: &[String]) {
        if self.client.project().is_none() {
            return;
        }
        let far: Vec<&str> = args.iter().map(String::as_str).filter(|arg| arg.starts_with('/')).collect();
        if !far.is_empty() {
            tell(&format!("{} is shared by a team, but {} exists only on this machine.", self.file.display(), far.join(", ")));
        }
        if let Some(fix) = onto_path() {
            tell(&format!("The shared entry names `{OWN}`, which is not this program on PATH yet: {fix}"));
        }
    }

    /// The entry, keeping the other fields of the previous one.
    fn value(&self, before: Option<&Value>, (command, args): (String, Vec<String>)) -> Value {
        let mut value = before.cloned().unwrap_or_else(|| json!({}));
        value["command"] = json!(command);
        value["args"] = json!(args);
        match self.client {
            Client::Vscode | Client::ClaudeCode => value["type"] = json!("stdio"),
            Client::Zed => value["source"] = json!("custom"),
            _ => {}
        }
        value
    }

    /// Prints only the entry.
    fn print(&self) -> io::Result<()> {
        let command = self.command(&self.given)?;
        self.warn(&command.1);
        let fresh = if self.is_toml() { toml_into(toml_edit::DocumentMut::new(), command).to_string() } else { self.fresh(command) };
        say(&format!("# {}\n{fresh}", self.file.display()));
        tell(&format!("Add this to {}, or run the same command with --write.", self.file.display()));
        Ok(())
    }

    /// A configuration with only this entry.
    fn fresh(&self, command: (String, Vec<String>)) -> String {
        pretty(&json!({key(self.client): {NAME: self.value(None, command)}}))
    }

    /// Writes the entry to the file, preserving everything else in both.
    fn write(&self) -> io::Result<()> {
        let shown = self.file.display();
        let named = |err: io::Error| io::Error::new(err.kind(), format!("{shown}: {err}"));
        let before = match fs::read_to_string(&self.file) {
            Ok(text) => Some(text),
            Err(err) if err.kind() == io::ErrorKind::NotFound => None,
            Err(err) => return Err(named(err)),
        };
        let merged = self.merged(before.as_deref().unwrap_or_default()).map_err(named)?;
        let Some(merged) = merged else {
            say(&format!("{shown} already has this entry"));
            return Ok(());
        };
        let backup = before.map(|_| self.back_up()).transpose().map_err(named)?;
        self.replace(&merged).map_err(named)?;
        match backup {
            Some(backup) => say(&format!("{shown} is updated; the previous version is {}", backup.display())),
            None => say(&format!("{shown} is written")),
        }
        Ok(())
    }

    /// The file's new text; `None` if nothing changes.
    fn merged(&self, text: &str) -> io::Result<Option<String>> {
        if self.is_toml() {
            let before: toml_edit::DocumentMut = text.parse().map_err(invalid)?;
            let entry = before.get("mcp_servers").and_then(|servers| servers.get(NAME));
            let words = entry.and_then(|entry| {
                let args = entry.get("args").and_then(toml_edit::Item::as_array).into_iter().flatten();
                Some((entry.get("command")?.as_str()?.to_owned(), args.filter_map(|arg| Some(arg.as_str()?.to_owned())).collect()))
            });
            let command = self.command(&self.options(words.as_ref())?.0)?;
            self.warn(&command.1);
            return Ok((words.as_ref() != Some(&command)).then(|| toml_into(before, command).to_string()));
        }
        let mut root = match text.trim() {
            "" => Map::new(),
            text => serde_json::from_str(text).map_err(|err| {
                let fresh = self.command(&self.given).map(|command| self.fresh(command)).unwrap_or_default();
                invalid(format!("it is not plain JSON ({err}), perhaps because of comments. Add the entry by hand:\n{fresh}"))
            })?,
        };
        let servers = root.entry(key(self.client)).or_insert_with(|| json!({}));
        let servers = servers.as_object_mut().ok_or_else(|| invalid(format!("`{}` is not an object", key(self.client))))?;
        let before = servers.get(NAME).cloned();
        let (options, is_ours) = self.options(before.as_ref().and_then(words).as_ref())?;
        let command = self.command(&options)?;
        self.warn(&command.1);
        let after = self.value(before.as_ref().filter(|_| is_ours), command);
        if before.as_ref() == Some(&after) {
            return Ok(None);
        }
        servers.insert(NAME.to_owned(), after);
        Ok(Some(pretty(&Value::Object(root))))
    }

    /// The options to write, given the existing entry's command line, and whether it was this server's.
    fn options(&self, before: Option<&(String, Vec<String>)>) -> io::Result<(Options, bool)> {
        let Some((command, args)) = before else { return Ok((self.given.clone(), false)) };
        let Some(args) = own_args(command, args) else {
            tell(&format!("The entry `{NAME}` started another program, `{command}`; it is replaced."));
            return Ok((self.given.clone(), false));
        };
        let kept = Options::parsed(args).ok_or_else(|| {
            invalid(format!(
                "the entry `{NAME}` has arguments that cannot be kept: {}. Remove those or change the entry by hand",
                args.join(" ")
            ))
        })?;
        let all = self.given.over(&kept);
        let stays: Vec<String> = all.others.iter().filter(|one| !self.given.others.contains(one)).map(|(name, _)| name.clone()).collect();
        if !stays.is_empty() {
            tell(&format!("Kept from the previous entry: {}", stays.join(", ")));
        }
        Ok((all, true))
    }

    /// Writes a temporary file and renames it, so that a full disk leaves the old file intact.
    fn replace(&self, text: &str) -> io::Result<()> {
        if let Some(parent) = self.file.parent() {
            fs::create_dir_all(parent)?;
        }
        let beside = self.file.with_extension("mcp-server-git.tmp");
        fs::write(&beside, text)?;
        if let Ok(meta) = fs::metadata(&self.file) {
            fs::set_permissions(&beside, meta.permissions())?;
        }
        fs::rename(&beside, &self.file)
    }

    fn back_up(&self) -> io::Result<PathBuf> {
        let name = |n: u32| {
            let number = if n == 0 { String::new() } else { n.to_string() };
            PathBuf::from(format!("{}.bak{number}", self.file.display()))
        };
        let backup = (0..1000).map(name).find(|path| !path.exists()).ok_or_else(|| invalid("there are too many backups"))?;
        fs::copy(&self.file, &backup)?;
        Ok(backup)
    }
}

/// The program and the arguments of an entry in JSON. Older versions of Zed have a table as the command.
pub(super) fn words(entry: &Value) -> Option<(String, Vec<String>)> {
    let (command, args) = match &entry["command"] {
        Value::Object(command) => (command.get("path")?.as_str()?, command.get("args")),
        command => (command.as_str()?, entry.get("args")),
    };
    let args = args.and_then(Value::as_array).into_iter().flatten().filter_map(|arg| Some(arg.as_str()?.to_owned()));
    Some((command.to_owned(), args.collect()))
}

/// The server's arguments, if the entry starts this program or the package of the same name.
pub(super) fn own_args<'a>(command: &str, args: &'a [String]) -> Option<&'a [String]> {
    if Path::new(command).file_name().is_some_and(|name| name == OWN) {
        return Some(args);
    }
    args.split_first().filter(|(first, _)| *first == OWN).map(|(_, rest)| rest)
}

/// Whether `setup --write` keeps all arguments of an entry.
pub(super) fn is_kept(command: &str, args: &[String]) -> bool {
    let Some(options) = own_args(command, args).and_then(Options::parsed) else { return false };
    // Without roots the package serves any repository, but this server does not.
    let names_roots = !options.repositories.is_empty() || Path::new(command).file_name().is_some_and(|name| name != OWN);
    names_roots && options.repositories.iter().all(|path| canonical(Path::new(path)).is_ok())
}

/// A fix that puts this program on `PATH`, before any other of its name. `None` if it is there.
pub(super) fn onto_path() -> Option<String> {
    let own = env::current_exe().and_then(fs::canonicalize).ok()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let first = git::on_path(&path, Path::new(OWN));
    if first.as_deref().and_then(|first| fs::canonicalize(first).ok()).as_ref() == Some(&own) {
        return None;
    }
    let is_open = |folder: &PathBuf| rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok();
    // The link must precede the other program.
    let before = first.as_deref().and_then(Path::parent);
    let mut folders = env::split_paths(&path).take_while(|folder| Some(folder.as_path()) != before);
    Some(match folders.find(|folder| folder.is_absolute() && folder.is_dir() && is_open(folder)) {
        Some(folder) => format!("ln -s {} {}", word(&own), word(folder.join(OWN))),
        None => format!("Put the folder of {} first on PATH.", own.display()),
    })
}

/// The canonical path of a repository, or of a folder with repositories.
fn canonical(path: &Path) -> io::Result<String> {
    let named = |err: &dyn std::fmt::Display| invalid(format!("{}: {err}", path.display()));
    let real = fs::canonicalize(path).map_err(|err| named(&err))?;
    let roots = Roots::new([real.clone()]).map_err(|err| named(&err))?;
    if roots.locate(&real).is_err() && Roots::around(&real).named().is_empty() && roots.repositories(1).is_empty() {
        return Err(named(&"not a git repository, and no repository below it"));
    }
    real.into_os_string().into_string().map_err(|_| named(&"a path that is not UTF-8 cannot be written to a configuration"))
}

fn toml_into(mut document: toml_edit::DocumentMut, (command, args): (String, Vec<String>)) -> toml_edit::DocumentMut {
    let args: toml_edit::Array = args.iter().map(String::as_str).collect();
    let servers = document.entry("mcp_servers").or_insert_with(toml_edit::table);
    if let Some(servers) = servers.as_table_mut() {
        servers.set_implicit(true);
    }
    if !servers.get(NAME).is_some_and(toml_edit::Item::is_table_like) {
        servers[NAME] = toml_edit::table();
    }
    servers[NAME]["command"] = toml_edit::value(command);
    servers[NAME]["args"] = toml_edit::value(args);
    document
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
