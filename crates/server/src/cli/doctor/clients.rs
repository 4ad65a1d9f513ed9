//! Which programs clients start under this program's name.

use super::{
    Finding,
    finding::{self, word},
    machine::on_path,
};
use crate::cli::setup::{Client, NAME, OWN, file, is_kept, key, onto_path, words};
use clap::ValueEnum;
use git::is_executable;
use serde_json::Value;
use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
};

/// Maximum size of a configuration, in bytes. Claude Code's includes its history.
const MAX_CONFIG: u64 = 16 << 20;

/// A configuration of a client.
struct Place {
    client: String,
    file: PathBuf,
    key: &'static str,
    /// Whether `setup --write` writes it.
    is_written: bool,
    /// Whether it belongs to a project and its team shares it.
    is_shared: bool,
}

/// A server that a client starts.
struct Entry {
    name: String,
    command: String,
    args: Vec<String>,
    /// Whether `setup --write` could read the file.
    is_plain: bool,
}

pub(super) fn check() -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut read = Vec::new();
    for place in places() {
        match entries(&place) {
            Ok(Some(entries)) => {
                read.push(place.file.display().to_string());
                findings.extend(entries.iter().filter_map(|entry| judge(&place, entry)));
            }
            Ok(None) => {}
            Err(why) => findings.push(Finding::note(
                format!("the configuration of {}, {}, cannot be read: {why}", place.client, place.file.display()),
                "Correct it, or open it with its client, which may show more.",
            )),
        }
    }
    finding::or_fine(findings, || {
        let fine =
            Finding::fine(format!("no client starts another program by this name ({} read)", finding::count(read.len(), "configuration")));
        read.iter().fold(fine, |fine, file| fine.because(file.clone()))
    })
}

/// The configurations that clients may have.
fn places() -> Vec<Place> {
    let known = Client::value_variants().iter().filter_map(|client| {
        let name = client.to_possible_value()?.get_name().to_owned();
        Some(Place { client: name, file: file(*client).ok()?, key: key(*client), is_written: true, is_shared: client.project().is_some() })
    });
    let others = env::home_dir().into_iter().flat_map(|home| {
        let of = |client: &str, file: &str, key| Place {
            client: client.to_owned(),
            file: home.join(file),
            key,
            is_written: false,
            is_shared: false,
        };
        [
            of("claude-code", ".claude.json", "mcpServers"),
            of("vscode", ".config/Code/User/mcp.json", "servers"),
            of("vscode", "Library/Application Support/Code/User/mcp.json", "servers"),
        ]
    });
    known.chain(others).collect()
}

/// The servers of a configuration that are meant to be this program; `None` if there is no configuration.
fn entries(place: &Place) -> Result<Option<Vec<Entry>>, String> {
    let Ok(meta) = fs::metadata(&place.file) else { return Ok(None) };
    if !meta.is_file() || meta.len() > MAX_CONFIG {
        return Err("it is not a regular file of a reasonable size".to_owned());
    }
    let mut text = String::new();
    fs::File::open(&place.file).and_then(|file| file.take(MAX_CONFIG).read_to_string(&mut text)).map_err(|err| err.to_string())?;
    let is_toml = place.file.extension().is_some_and(|extension| extension == "toml");
    let is_plain = is_toml || serde_json::from_str::<Value>(&text).is_ok();
    let root: Value = if is_toml {
        let table: toml::Table = toml::from_str(&text).map_err(|err| err.message().to_owned())?;
        serde_json::to_value(table).map_err(|err| err.to_string())?
    } else if text.trim().is_empty() {
        return Ok(Some(Vec::new()));
    } else {
        serde_json::from_str(&plain_json(&text)).map_err(|err| err.to_string())?
    };
    // Claude Code also has servers per project.
    let projects = root["projects"].as_object().into_iter().flatten().map(|(_, project)| project);
    let servers = [&root].into_iter().chain(projects).filter_map(|table| table[place.key].as_object()).flatten();
    let found = servers.filter_map(|(name, server)| {
        let (command, args) = words(server)?;
        Some(Entry { name: name.clone(), command, args, is_plain })
    });
    Ok(Some(found.filter(|entry| is_own(&entry.command) || entry.args.iter().any(|arg| arg == OWN)).collect()))
}

fn is_own(command: &str) -> bool {
    Path::new(command).file_name().is_some_and(|name| name == OWN)
}

fn judge(place: &Place, entry: &Entry) -> Option<Finding> {
    let own = env::current_exe().and_then(fs::canonicalize).ok()?;
    let shown = format!("the entry `{}` of {} ({})", entry.name, place.client, place.file.display());
    let fix = || correction(place, entry, &own);
    if !is_own(&entry.command) {
        return Some(Finding::note(format!("{shown} runs the package {OWN} with `{}`, not this program", entry.command), fix()));
    }
    let path = Path::new(&entry.command);
    let found = if path.is_absolute() { Some(path.to_owned()) } else { on_path(&entry.command) };
    let Some(found) = found else {
        return Some(Finding::problem(format!("{shown} names `{}`, which is not on PATH", entry.command), fix()));
    };
    match fs::canonicalize(&found) {
        Err(err) => {
            Some(Finding::problem(format!("{shown} names {}, which cannot be found: {err}", found.display()), fix()).caused_by(&err))
        }
        Ok(_) if !is_executable(&found) => {
            let fix = finding::command_on(&found, |path| format!("chmod +x {path}"));
            Some(Finding::problem(format!("{shown} names {}, which is not executable", found.display()), fix))
        }
        Ok(real) if real != own => Some(Finding::note(format!("{shown} names {}, not this program", found.display()), fix())),
        Ok(_) => None,
    }
}

/// The fix that makes an entry start this program and keeps the rest of it.
fn correction(place: &Place, entry: &Entry, own: &Path) -> String {
    let link = place.is_shared.then(onto_path).flatten();
    if place.is_shared && entry.command == OWN {
        return link.unwrap_or_default();
    }
    if is_kept(&entry.command, &entry.args) && place.is_written && entry.is_plain && entry.name == NAME {
        let set_up = format!("{} setup {} --write", word(own), place.client);
        return link.map_or(set_up.clone(), |link| format!("{set_up}; {link}"));
    }
    let rest = if is_own(&entry.command) { String::new() } else { format!(", and remove from `args` what is for `{}`", entry.command) };
    format!("Change `command` of `{}` in {} to {}{rest}.", entry.name, place.file.display(), own.display())
}

/// JSON without the comments and trailing commas that some clients allow.
fn plain_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => {
                out.push(c);
                out.extend(chars.next());
                continue;
            }
            '"' => in_string = !in_string,
            '/' if !in_string && chars.peek() == Some(&'/') => {
                while chars.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            '/' if !in_string && chars.peek() == Some(&'*') => {
                chars.next();
                let mut last = ' ';
                for c in chars.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
                continue;
            }
            '}' | ']' if !in_string => {
                let kept = out.trim_end();
                if kept.ends_with(',') {
                    out.truncate(kept.len() - 1);
                }
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_read() -> serde_json::Result<()> {
        let text = "// a\n{\"a\": \"x // y /* z */ \\\" \", /* b\n * c */ \"d\": [1, 2, ], // e\n}\n";
        let value: Value = serde_json::from_str(&plain_json(text))?;
        assert_eq!(value, serde_json::json!({"a": "x // y /* z */ \" ", "d": [1, 2]}));
        Ok(())
    }
}
