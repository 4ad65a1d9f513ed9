//! Argument completions: references, paths, remotes, repositories.

use super::{
    connection::Connection,
    prompts,
    resources::{self, TEMPLATES},
    source::Source,
    uri::{Uri, What},
};
use crate::{
    error::Error,
    output,
    pipeline::{Pipeline, RepositoryRead},
    tool::{Effect, Scope},
};
use git::{Cancel, RelPath, RemoteName, Repo, Rev};
use mcp::rmcp::{
    ErrorData,
    model::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference},
};
use std::{collections::HashMap, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Maximum number of values in a result, as the specification requires.
const MAX_VALUES: usize = 100;
/// The longest value, such as a revision or a path; a longer one would not be accepted as an argument.
const MAX_VALUE: usize = 4096;
/// Maximum total size of the values in a result, in bytes.
const MAX_BYTES: usize = 32 << 10;
/// Maximum length of a client's name echoed in an error, in characters.
const MAX_NAME: usize = 80;

pub(super) async fn complete(
    pipeline: &Pipeline,
    connection: &Connection,
    request: CompleteRequestParams,
    cancelled: CancellationToken,
) -> Result<CompleteResult, ErrorData> {
    let refused = |error: Error| resources::refusal(&error, "");
    let given = request.context.and_then(|context| context.arguments).unwrap_or_default();
    let (name, typed) = (request.argument.name.as_str(), request.argument.value.as_str());
    let (source, repo) = match &request.r#ref {
        Reference::Prompt(prompt) => {
            let source = prompts::source(&prompt.name, name).ok_or_else(|| {
                let [prompt, name] = [prompt.name.as_str(), name].map(named);
                ErrorData::invalid_params(format!("there is no prompt `{prompt}` with an argument `{name}`"), None)
            })?;
            (source, given.get("repo_path").cloned())
        }
        Reference::Resource(template) => {
            if !TEMPLATES.iter().any(|(uri, ..)| *uri == template.uri) {
                return Err(ErrorData::invalid_params("unknown resource template", None));
            }
            let source = match name {
                "repo" => Source::Repositories,
                "rev" | "range" => Source::Revisions,
                "path" if template.uri.contains("conflict") => Source::Conflicts,
                "path" => Source::Paths,
                "remote" => Source::Remotes,
                _ => return Err(ErrorData::invalid_params(format!("the template has no argument `{}`", named(name)), None)),
            };
            let named = match given.get("repo") {
                Some(name) => {
                    let uri = Uri { repository: name.clone(), what: What::Status };
                    let path = resources::locate(pipeline, connection, &uri).await.map_err(refused)?;
                    path.map(|path| path.to_string_lossy().into_owned())
                }
                None => None,
            };
            (source, named)
        }
        _ => return Err(ErrorData::invalid_params("`ref` is neither a prompt nor a resource template", None)),
    };
    let found = match source {
        Source::Free => Vec::new(),
        Source::Values(values) => values.iter().map(ToString::to_string).collect(),
        Source::Toolsets => crate::tool::toolset::Toolset::names(),
        // Callers without read access see no repositories.
        Source::Repositories if connection.caller.check(Effect::Read, Scope::Worktree).is_err() => Vec::new(),
        Source::Repositories => {
            let served = pipeline.services().served(connection.client_roots().await.map_err(refused)?).await;
            let by_path = matches!(request.r#ref, Reference::Prompt(_));
            served.into_iter().map(|(name, path)| if by_path { path.display().to_string() } else { name }).collect()
        }
        _ => {
            let client_roots = connection.client_roots().await.map_err(refused)?;
            let visit = RepositoryRead { path: repo, caller: connection.caller.clone(), cancelled, client_roots };
            let typed = typed.to_owned();
            // Without a repository there are no candidates, which is not an error.
            pipeline.visit(visit, move |repo, cancel| candidates(source, repo, &typed, &given, cancel)).await.unwrap_or_default()
        }
    };
    Ok(CompleteResult::new(fitting(found, name == "range", typed).map_err(|err| ErrorData::internal_error(err, None))?))
}

/// Filters and ranks candidates by the typed text: prefix matches first.
fn fitting(found: Vec<String>, is_range: bool, typed: &str) -> Result<CompletionInfo, String> {
    // In a range, the second revision is completed.
    let (before, typed) = match typed.rfind("..").filter(|_| is_range) {
        Some(at) => typed.split_at(at + 2),
        None => ("", typed),
    };
    let lower = typed.to_lowercase();
    let mut ranked: Vec<(bool, String)> = found
        .into_iter()
        .filter(|value| value.len() <= MAX_VALUE && value.to_lowercase().contains(&lower))
        .map(|value| (!value.starts_with(typed), format!("{before}{value}")))
        .collect();
    ranked.sort();
    ranked.dedup();
    let total = u32::try_from(ranked.len()).unwrap_or(u32::MAX);
    let mut room = MAX_BYTES;
    let fits = |(_, value): &(bool, String)| {
        let fits = value.len() <= room;
        room = room.saturating_sub(value.len());
        fits
    };
    let values: Vec<String> = ranked.into_iter().take(MAX_VALUES).take_while(fits).map(|(_, value)| value).collect();
    let has_more = usize::try_from(total).unwrap_or(usize::MAX) > values.len();
    CompletionInfo::with_pagination(values, Some(total), has_more)
}

/// A client's name, truncated for an error.
fn named(name: &str) -> String {
    output::message(&name.chars().take(MAX_NAME).collect::<String>())
}

fn candidates(
    source: Source,
    repo: &Arc<Repo>,
    typed: &str,
    given: &HashMap<String, String>,
    cancel: &Cancel,
) -> Result<Vec<String>, Error> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match source {
        Source::Revisions | Source::Tags => {
            let refs = repo.movable_refs(cancel)?;
            let short = |name: &str| {
                let tag = name.strip_prefix("refs/tags/");
                let other = ["refs/heads/", "refs/remotes/"].iter().find_map(|prefix| name.strip_prefix(prefix));
                tag.or(other.filter(|_| source == Source::Revisions)).map(str::to_owned)
            };
            let head = (source == Source::Revisions).then(|| "HEAD".to_owned());
            refs.names().filter_map(|name| short(&name)).chain(head).collect()
        }
        Source::Paths => {
            let rev = Rev::new(given.get("rev").map_or("HEAD", String::as_str))?;
            let folder = typed.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
            let path = if folder.is_empty() { RelPath::default() } else { RelPath::new(folder, None)? };
            let id = repo.resolve_path(&rev, &path, cancel)?;
            let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            repo.tree(id, cancel)?.iter().map(|name| format!("{prefix}{}", text(name))).collect()
        }
        Source::Conflicts => repo.unmerged(cancel)?.iter().map(ToString::to_string).collect(),
        // An invalid remote name would be rejected as an argument, and may be a URL with credentials in it.
        Source::Remotes => {
            let names = repo.remotes(cancel)?.into_iter().map(|remote| remote.name);
            names.filter(|name| RemoteName::new(name.as_str()).is_ok()).collect()
        }
        Source::Free | Source::Values(_) | Source::Repositories | Source::Toolsets => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_matches_come_first_and_both_ends_of_a_range_complete() -> Result<(), String> {
        let found = || ["main", "domain", "v1"].map(str::to_owned).to_vec();
        assert_eq!(fitting(found(), false, "main")?.values, ["main", "domain"]);
        assert_eq!(fitting(found(), true, "v1...ma")?.values, ["v1...main", "v1...domain"]);
        let many = fitting((0..300).map(|n| format!("b{n:03}")).collect(), false, "")?;
        assert_eq!((many.values.len(), many.total, many.has_more), (100, Some(300), Some(true)));
        let long = fitting((0..20).map(|n| format!("{n:02}{}", "x".repeat(4000))).chain(["y".repeat(1 << 20)]).collect(), false, "")?;
        assert_eq!((long.values.len(), long.total, long.has_more), (8, Some(20), Some(true)));
        Ok(())
    }
}
