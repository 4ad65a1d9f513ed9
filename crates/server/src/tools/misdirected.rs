//! Calls to suggest if a transfer has no destination, or its branch or tag is missing.

use crate::{error::Error, tool::Context};
use git::{Misdirected, Place, Unpushed};
use serde_json::json;

/// Maximum number of calls suggested instead of the failed one.
const CALLS: usize = 3;

/// Hint for a hook whose own git may not use a protocol: a transfer is limited by the environment, which hooks inherit.
const BARRED: &str = "During a transfer, git in a hook may use only the protocols that are enabled for remotes: git inherits \
    GIT_ALLOW_PROTOCOL. Ask the operator to enable the other one, or to unset that variable in the hook. Then repeat the call.";

/// The error with suggested calls. `branch` is the branch to push.
pub(super) fn explained(cx: &Context<'_>, err: git::Error, branch: Option<&str>) -> Error {
    let hint = match &err {
        git::Error::Misdirected(err) => hint(cx, err, branch),
        git::Error::Halted(halt) if halt.said.contains("' not allowed") && halt.said.contains("transport '") => Some(BARRED.to_owned()),
        _ => None,
    };
    let error = Error::from(err);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn hint(cx: &Context<'_>, err: &Misdirected, branch: Option<&str>) -> Option<String> {
    let pushes = cx.echo.tool() == "git_push";
    Some(match err {
        Misdirected::Undecided { names, .. } if pushes && names.is_empty() => {
            format!("Name the branch: {}.", cx.echo.again(&[("branch", json!(branch?))]))
        }
        Misdirected::Undecided { names, .. } => {
            let (argument, own) = if pushes { ("to", branch) } else { ("branch", None) };
            let mut all: Vec<&str> = names.iter().map(String::as_str).take(CALLS).collect();
            all.extend(own.filter(|own| !names.iter().any(|name| name == own)));
            let calls: Vec<String> = all.iter().map(|name| cx.echo.again(&[(argument, json!(name))])).collect();
            format!("Name the intended branch with `{argument}`: {}.", calls.join(" or "))
        }
        Misdirected::FollowsLocal { upstream, .. } if !pushes => format!(
            "{} merges it, and {} rebases the branch onto it.",
            cx.echo.other("git_merge", &[("source_branch", json!(upstream))]),
            cx.echo.other("git_rebase", &[("target_branch", json!(upstream))]),
        ),
        Misdirected::FollowsLocal { .. } => {
            let remotes = cx.repo.remotes(cx.cancel).ok()?;
            let calls: Vec<String> = remotes.iter().take(CALLS).map(|remote| cx.echo.again(&[("remote", json!(remote.name))])).collect();
            if calls.is_empty() {
                return Some("There is no remote: git_remote_add adds one.".to_owned());
            }
            format!("Name the intended remote: {}.", calls.join(" or "))
        }
        Misdirected::NotThere { place, .. } => {
            format!("{} lists its branches and tags.", cx.echo.other("git_ls_remote", &[("remote", json!(place.as_str()))]))
        }
        Misdirected::TagThere { name, place } => {
            let fetch = cx.echo.other("git_fetch", &[("remote", named(place)), ("tags", json!(true))]);
            let then = if cx.echo.tool() == "git_pull" {
                format!(" Then {} merges it.", cx.echo.other("git_merge", &[("source_branch", json!(name))]))
            } else {
                String::new()
            };
            format!("{fetch} fetches its tags.{then}")
        }
        Misdirected::NeverFetched { branch, place } => {
            let fetch = cx.echo.other("git_fetch", &[("remote", named(place)), ("branch", json!(branch))]);
            format!("{fetch} fetches it. Then inspect it, and repeat the call if it may be lost.")
        }
        Misdirected::SubmodulesFirst { modules, .. } => {
            let place = |module: &Unpushed| json!(module.place.to_string_lossy());
            let calls: Vec<String> =
                modules.iter().take(CALLS).map(|module| cx.echo.other("git_push", &[("repo_path", place(module))])).collect();
            format!(
                "Push each first: {}. A commit on no branch needs one: git_create_branch there. Then repeat the call.",
                calls.join(", ")
            )
        }
        Misdirected::OnlySubmodules { .. } => {
            "Push each submodule with `repo_path`: its folder. To push this repository, too, ask the operator to set \
             `push.recurseSubmodules` to `check` or `no`."
                .to_owned()
        }
        // Errors of other tools, or without a call to name.
        Misdirected::Mirror(_) | Misdirected::SeveralRemotes { .. } | Misdirected::NothingFetched => return None,
    })
}

/// The remote as an argument; `null` for a URL, which comes from the configuration.
fn named(place: &Place) -> serde_json::Value {
    match place {
        Place::Remote(name) => json!(name.as_str()),
        Place::Url(_) => serde_json::Value::Null,
    }
}
