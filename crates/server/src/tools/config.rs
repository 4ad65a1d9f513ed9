//! `git_config` and `git_maintenance`

use crate::{
    error::{Error, Kind},
    output::{Reply, inline},
    tool::{Context, Effect, Entry, Scope, Tool, Toolset, is_one_of},
};
use git::{Care, WRITABLE};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) const CONFIG: Entry = Entry::of::<Config>().listed_in(Toolset::Config);
pub(super) const MAINTENANCE: Entry = Entry::of::<Maintenance>().listed_in(Toolset::Maintenance);

struct Config;
struct Maintenance;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConfigArgs {
    /// `section.name`. Without it everything is listed.
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
    /// `commit_graph` makes the history of a path fast to find; `gc` packs.
    #[serde(default)]
    action: Action,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    #[default]
    Status,
    CommitGraph,
    Gc,
}

impl Tool for Config {
    type Args = ConfigArgs;
    const NAME: &'static str = "git_config";
    const ABOUT: &'static str = "Shows git's configuration and where each value comes from; a few harmless keys can be written.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn effect(args: &Map<String, Value>) -> Effect {
        let writes = args.get("value").is_some_and(|value| !value.is_null()) || args.get("unset") == Some(&Value::Bool(true));
        if writes { Self::EFFECT } else { Effect::Read }
    }

    fn run(cx: &Context<'_>, args: ConfigArgs) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        if args.value.is_some() || args.unset {
            let Some(key) = &args.key else { return Err(Error::new(Kind::BadInput, "`key` is missing")) };
            if args.value.is_some() && args.unset {
                return Err(Error::new(Kind::BadInput, "either `value` or `unset`"));
            }
            if !WRITABLE.iter().any(|writable| writable.eq_ignore_ascii_case(key)) {
                return Err(Error::new(Kind::Denied, format!("`{key}` is not written by this server"))
                    .hint(format!("These are: {}. The operator sets others with git config.", WRITABLE.join(", "))));
            }
            cx.repo.set_config(key, args.value.as_deref(), cx.cancel)?;
        }
        let settings = cx.repo.config(args.key.as_deref(), cx.cancel)?;
        if settings.is_empty() {
            writer.say("it is not set");
        }
        for (at, setting) in settings.iter().enumerate() {
            let line = format!("{} {}={}\n", setting.scope, setting.key, hidden(&setting.key).unwrap_or_else(|| inline(&setting.value)));
            if !writer.fit(line.as_bytes()) {
                writer.note(format!("{} more; ask for one with `key`", settings.len() - at));
                break;
            }
        }
        Ok(writer.finish())
    }
}

/// What is shown in place of values that hold secrets.
fn hidden(key: &str) -> Option<String> {
    let key = key.to_ascii_lowercase();
    let secret = ["extraheader", "password", "token", "secret", "proxy", "cookiefile", "sslkey", "pass", "pw", "passphrase"]
        .iter()
        .any(|word| key.ends_with(word));
    secret.then(|| "(not shown)".to_owned())
}

impl Tool for Maintenance {
    type Args = MaintenanceArgs;
    const NAME: &'static str = "git_maintenance";
    const ABOUT: &'static str = "What the object store holds, and its care, which never happens by itself.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn effect(args: &Map<String, Value>) -> Effect {
        if is_one_of(args, "action", &["", "status"]) { Effect::Read } else { Self::EFFECT }
    }

    fn run(cx: &Context<'_>, args: MaintenanceArgs) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        let care = match args.action {
            Action::Status => None,
            Action::CommitGraph => Some((Care::CommitGraph, "the commit-graph is written")),
            Action::Gc => Some((Care::Gc, "what was loose is packed")),
        };
        if let Some((care, done)) = care {
            cx.repo.maintain(care, cx.cancel)?;
            writer.say(done);
        }
        writer.fit(&cx.repo.object_counts(cx.cancel)?);
        Ok(writer.finish())
    }
}
