//! `git_config` and `git_maintenance`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Row, word},
    tool::{Context, Effect, Entry, Scope, Tool, Toolset, actions, needed},
};
use git::{Holder, MaintenanceTask, Setting, WRITABLE};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const CONFIG: Entry = Entry::of::<Config>().listed_in(Toolset::Config);
pub(super) const MAINTENANCE: Entry = Entry::of::<Maintenance>().listed_in(Toolset::Maintenance).takes_long();

struct Config;
struct Maintenance;

/// Maximum key length spelled out in a note.
const MAX_KEY: usize = 200;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConfigArgs {
    /// `section.name`. Absent: list everything.
    key: Option<String>,
    /// Write this value into the repository's configuration.
    value: Option<String>,
    /// Remove it from the repository's configuration.
    #[serde(default)]
    unset: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MaintenanceArgs {
    /// `commit_graph` speeds up path history; `gc` packs objects; `remove_locks` removes locks of ended processes.
    #[serde(default)]
    action: Action,
}

actions!(Status, CommitGraph, Gc, RemoveLocks; reads Status);

impl Tool for Config {
    type Args = ConfigArgs;
    const NAME: &'static str = "git_config";
    const ABOUT: &'static str = "Shows git's configuration and where each value comes from; a few harmless keys can be written.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn only_reads(args: &ConfigArgs) -> bool {
        args.value.is_none() && !args.unset
    }

    fn run(cx: &Context<'_>, args: ConfigArgs) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        if args.value.is_some() || args.unset {
            let key = needed(args.key.as_ref(), "key")?;
            if args.value.is_some() && args.unset {
                return Err(Error::new(Kind::BadInput, "`value` cannot be combined with `unset`"));
            }
            if !WRITABLE.iter().any(|writable| writable.eq_ignore_ascii_case(key)) {
                return Err(Error::new(Kind::Denied, format!("`{key}` cannot be written through this server"))
                    .hint(format!("Writable keys: {}. The operator sets others with git config.", WRITABLE.join(", "))));
            }
            cx.repo.set_config(key, args.value.as_deref(), cx.cancel)?;
        }
        let settings = cx.repo.config(args.key.as_deref(), cx.cancel)?;
        if settings.is_empty() {
            writer.say("it is not set");
        }
        let shown = writer.rows(&settings, show, |setting, _| whole(setting));
        if shown < settings.len() {
            writer.note(format!("{} more; select one with `key`", settings.len() - shown));
        }
        Ok(writer.finish())
    }
}

fn show<'r>(setting: &Setting, row: &'r mut Row) -> &'r mut Row {
    row.field(Field::Name, "scope", &setting.scope).put(" ");
    // A key's subsection may be a URL.
    match setting.key.split_once('.').map(|(section, rest)| (section, rest.rsplit_once('.'))) {
        Some((section, Some((middle, name)))) => {
            row.field(Field::Name, "section", section).put(".").field(Field::Url, "key", middle).put(".").field(Field::Name, "name", name)
        }
        _ => row.field(Field::Value, "key", &setting.key),
    };
    row.put("=");
    if is_secret(&setting.key) { row.put("(not shown)") } else { row.field(Field::Value, "value", &setting.value) }
}

/// The command that shows the full value.
fn whole(setting: &Setting) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if setting.key.len() < MAX_KEY && setting.key.bytes().all(is_plain) {
        format!("`git config --get-all {}`", setting.key)
    } else {
        "`git config --list --show-scope -z`".to_owned()
    }
}

/// Whether the key's value is hidden.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["extraheader", "password", "token", "secret", "proxy", "cookiefile", "sslkey", "pass", "pw", "passphrase"]
        .iter()
        .any(|word| key.ends_with(word))
}

/// Removes stale locks, and reports why others are kept.
fn remove_locks(cx: &Context<'_>) -> Result<Reply, Error> {
    let locks = cx.repo.remove_locks(cx.cancel)?;
    let mut writer = cx.writer();
    if locks.is_empty() {
        writer.say("there are no lock files");
    }
    for lock in &locks {
        let path = word(Field::Path, lock.path.as_os_str().as_encoded_bytes(), "`find .git -name '*.lock'`");
        let age = lock.age.as_secs();
        writer.say(&match &lock.holder {
            _ if lock.is_stale() => format!("removed {path}, which was {age} s old"),
            Holder::Process(who) => format!("kept {path}: {who} is using it"),
            Holder::None => format!("kept {path}: it is only {age} s old; repeat the call once it is a minute old"),
            Holder::Unknown => format!("kept {path}: its process cannot be checked from here"),
        });
    }
    Ok(writer.finish())
}

impl Tool for Maintenance {
    type Args = MaintenanceArgs;
    const NAME: &'static str = "git_maintenance";
    const ABOUT: &'static str = "Shows and maintains the object store; nothing runs automatically.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn only_reads(args: &MaintenanceArgs) -> bool {
        args.action.only_reads()
    }

    fn run(cx: &Context<'_>, args: MaintenanceArgs) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        let task = match args.action {
            Action::RemoveLocks => return remove_locks(cx),
            Action::Status => None,
            Action::CommitGraph => Some((MaintenanceTask::CommitGraph, "the commit-graph is written")),
            Action::Gc => Some((MaintenanceTask::Gc, "loose objects are packed")),
        };
        if let Some((task, done)) = task {
            cx.repo.maintain(task, cx.cancel)?;
            writer.say(done);
        }
        writer.pieces(&cx.repo.object_counts(cx.cancel)?);
        Ok(writer.finish())
    }
}
