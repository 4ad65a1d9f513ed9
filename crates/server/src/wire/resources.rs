//! Resources: repository content that a client attaches to a conversation without a tool call.

use super::{
    connection::Connection,
    uri::{self, Uri, What},
};
use crate::{
    error::{Error, Kind},
    output::{self, Budget, Field, Writer},
    percent,
    pipeline::{Call, Origin, Pipeline, RepositoryRead},
    tool::{Effect, Scope},
};
use git::{RelPath, Rev};
use mcp::rmcp::{
    ErrorData,
    model::{
        CacheScope, ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
    },
};
use serde_json::{Value, json};
use std::{ops::ControlFlow, path::PathBuf, time::Instant};
use tokio_util::sync::CancellationToken;

/// Number of resources per page.
const PAGE: usize = 60;
/// The largest file readable as a resource, in bytes.
const MAX_BLOB: u64 = 256 << 10;
/// Maximum size of its text after escaping, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// Cache lifetimes of mutable and of immutable content, in milliseconds.
const TTL: u64 = 1_000;
const TTL_FIXED: u64 = 86_400_000;
/// Cache lifetime of the lists.
const TTL_LIST: u64 = 10_000;

/// Resource templates: URI template, name, description, MIME type.
pub(super) const TEMPLATES: [(&str, &str, &str, &str); 7] = [
    ("git://{repo}/status", "status", "Branch, staged, changed and untracked paths.", "text/plain"),
    ("git://{repo}/commit/{rev}", "commit", "A commit with its patch.", "text/plain"),
    ("git://{repo}/diff/{range}", "diff", "Changes between two revisions: `a..b`, or `a...b` since their merge base.", "text/x-diff"),
    ("git://{repo}/tree/{rev}/{+path}", "tree", "A directory listing at a revision.", "text/plain"),
    ("git://{repo}/blob/{rev}/{+path}", "blob", "A file at a revision.", "text/plain"),
    ("git://{repo}/conflict/{+path}", "conflict", "An unmerged path: base, ours and theirs.", "text/plain"),
    ("git://{repo}/remote/{remote}", "remote", "A remote's URLs.", "text/plain"),
];

pub(super) fn templates() -> ListResourceTemplatesResult {
    let template =
        |(uri, name, about, kind): (&str, &str, &str, &str)| ResourceTemplate::new(uri, name).with_description(about).with_mime_type(kind);
    let resource_templates = TEMPLATES.into_iter().map(template).collect();
    ListResourceTemplatesResult { resource_templates, ..Default::default() }.with_ttl_ms(TTL_FIXED).with_cache_scope(CacheScope::Public)
}

/// One page of resources: each repository's status, its HEAD commit and its root directory.
pub(super) async fn list(pipeline: &Pipeline, connection: &Connection, cursor: Option<&str>) -> Result<ListResourcesResult, ErrorData> {
    let start: usize = match cursor {
        None => 0,
        Some(cursor) => cursor.parse().map_err(|_| ErrorData::invalid_params("invalid `cursor`: begin without it", None))?,
    };
    connection.caller.check(Effect::Read, Scope::Worktree).map_err(|error| refusal(&error, ""))?;
    let client_roots = connection.client_roots().await.map_err(|error| refusal(&error, ""))?;
    let served = pipeline.services().served(client_roots).await;
    let all = served.iter().flat_map(|(name, _)| {
        let repo = percent::encode(name);
        [
            (format!("git://{repo}/status"), format!("{name}: status"), "Branch, staged, changed and untracked paths."),
            (format!("git://{repo}/commit/HEAD"), format!("{name}: HEAD"), "The checked-out commit."),
            (format!("git://{repo}/tree/HEAD/"), format!("{name}: files"), "Root directory."),
        ]
    });
    let page: Vec<Resource> = all
        .skip(start)
        .take(PAGE)
        .map(|(uri, name, about)| Resource::new(uri, name).with_description(about).with_mime_type("text/plain"))
        .collect();
    let next = start.saturating_add(page.len());
    let next_cursor = (next < served.len() * 3 && !page.is_empty()).then(|| next.to_string());
    Ok(ListResourcesResult { resources: page, next_cursor, ..Default::default() }
        .with_ttl_ms(TTL_LIST)
        .with_cache_scope(CacheScope::Private))
}

/// The path of the repository in a URI.
pub(super) async fn locate(pipeline: &Pipeline, connection: &Connection, uri: &Uri) -> Result<Option<PathBuf>, Error> {
    if uri.repository.starts_with('/') {
        return Ok(Some(PathBuf::from(&uri.repository)));
    }
    let served = pipeline.services().served(connection.client_roots().await?).await;
    Ok(served.into_iter().find(|(name, _)| *name == uri.repository).map(|(_, path)| path))
}

pub(super) async fn read(
    pipeline: &Pipeline,
    connection: &Connection,
    text: &str,
    cancelled: CancellationToken,
) -> Result<ReadResourceResult, ErrorData> {
    let start = &text[..text.floor_char_boundary(uri::MAX_URI)];
    let unknown = || ErrorData::resource_not_found("there is no such resource", Some(json!({"uri": start})));
    let uri = Uri::parse(text).ok_or_else(unknown)?;
    let found = locate(pipeline, connection, &uri).await.map_err(|error| refusal(&error, text))?;
    let path = found.ok_or_else(unknown)?;
    let contents = match &uri.what {
        What::Blob { rev, path: file } => blob(pipeline, connection, &path, (rev, file), text, cancelled).await,
        What::Remote { name } => remote(pipeline, connection, &path, name, text, cancelled).await,
        what => {
            let (tool, args) = tool(what);
            let kind = if tool == "git_diff" { "text/x-diff" } else { "text/plain" };
            shown(pipeline, connection, &path, (tool, args), cancelled)
                .await
                .map(|shown| ResourceContents::text(shown, text).with_mime_type(kind))
        }
    };
    let contents = contents.map_err(|error| refusal(&error, text))?;
    let ttl = if uri.is_fixed() { TTL_FIXED } else { TTL };
    Ok(ReadResourceResult::new(vec![contents]).with_ttl_ms(ttl).with_cache_scope(CacheScope::Private))
}

/// The tool that reads a URI's content.
fn tool(what: &What) -> (&'static str, Value) {
    match what {
        What::Commit { rev } => ("git_show", json!({"revision": rev})),
        What::Diff { range } => ("git_diff", json!({"target": range})),
        What::Tree { rev, path } => ("git_show", json!({"revision": format!("{rev}:{}", path.trim_end_matches('/'))})),
        What::Conflict { path } => ("git_conflicts", json!({"paths": [path]})),
        What::Status | What::Blob { .. } | What::Remote { .. } => ("git_status", json!({})),
    }
}

/// The text of a tool's result.
pub(super) async fn shown(
    pipeline: &Pipeline,
    connection: &Connection,
    path: &std::path::Path,
    (name, args): (&str, Value),
    cancelled: CancellationToken,
) -> Result<String, Error> {
    let tool =
        pipeline.services().find(name).ok_or_else(|| Error::new(Kind::Denied, format!("tool `{name}` is disabled by the operator")))?;
    let Value::Object(mut args) = args else { return Err(Error::new(Kind::Internal, "arguments are an object")) };
    args.insert("repo_path".to_owned(), Value::from(path.to_string_lossy()));
    let caller = connection.caller.clone();
    let (received, client_roots) = (Instant::now(), connection.client_roots().await?);
    let origin = Origin { session: connection.session.clone(), ..Origin::default() };
    let call = Call { tool, args, caller, cancelled, received, client_roots, on_progress: None, origin };
    Ok(pipeline.call(call).await?.text)
}

async fn blob(
    pipeline: &Pipeline,
    connection: &Connection,
    path: &std::path::Path,
    (rev, file): (&str, &str),
    uri: &str,
    cancelled: CancellationToken,
) -> Result<ResourceContents, Error> {
    let again = json!({"repo_path": path, "revision": format!("{rev}:{file}")});
    let (rev, file) = (Rev::new(rev)?, RelPath::new(file, None)?);
    let visit = RepositoryRead {
        path: Some(path.to_string_lossy().into_owned()),
        caller: connection.caller.clone(),
        cancelled,
        client_roots: connection.client_roots().await?,
    };
    let uri = uri.to_owned();
    pipeline
        .visit(visit, move |repo, cancel| {
            let id = repo.resolve_path(&rev, &file, cancel)?;
            let object = repo.object(id, cancel)?;
            if object.kind != git::ObjectKind::Blob {
                return Err(Error::new(Kind::Refused, "it is a directory: read `tree` instead of `blob`"));
            }
            if object.size > MAX_BLOB {
                let why = format!("the file has {} bytes, over the resource limit of {MAX_BLOB}", object.size);
                return Err(in_pieces(why, &again));
            }
            let mut bytes = Vec::new();
            repo.blob(id, object.size, cancel, &mut |chunk| {
                bytes.extend_from_slice(chunk);
                ControlFlow::Continue(())
            })?;
            contents(&bytes, &uri, &again)
        })
        .await
}

/// A file as text, or as base64 if it is binary.
fn contents(bytes: &[u8], uri: &str, again: &Value) -> Result<ResourceContents, Error> {
    if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() {
        return Ok(ResourceContents::blob(base64(bytes), uri).with_mime_type("application/octet-stream"));
    }
    // Escaped and redacted like the output of every tool.
    let text = output::page(bytes);
    if text.len() > MAX_TEXT {
        return Err(in_pieces(format!("the file is too large after escaping: {} bytes", text.len()), again));
    }
    Ok(ResourceContents::text(text, uri))
}

/// `again` holds the `git_show` arguments that read the file.
fn in_pieces(why: String, again: &Value) -> Error {
    Error::new(Kind::Refused, why).hint(format!("Read it in parts: git_show {again}"))
}

async fn remote(
    pipeline: &Pipeline,
    connection: &Connection,
    path: &std::path::Path,
    name: &str,
    uri: &str,
    cancelled: CancellationToken,
) -> Result<ResourceContents, Error> {
    let name = git::RemoteName::new(name)?;
    let visit = RepositoryRead {
        path: Some(path.to_string_lossy().into_owned()),
        caller: connection.caller.clone(),
        cancelled,
        client_roots: connection.client_roots().await?,
    };
    let remote = pipeline.visit(visit, move |repo, cancel| Ok(repo.remote(&name, cancel)?)).await?;
    let mut writer = Writer::new(Budget::of(pipeline.services().bounds().max_output_tokens));
    let (urls, push_urls) = (remote.urls.iter().map(|url| ("fetch ", url)), remote.push_urls.iter().map(|url| ("push ", url)));
    writer.list(
        urls.chain(push_urls).collect::<Vec<_>>(),
        |(what, url), row| row.put(what).field(Field::Url, "url", url),
        "`git remote --verbose`",
        |rest| format!("{rest} more"),
    );
    Ok(ResourceContents::text(writer.finish().text, uri))
}

pub(super) fn refusal(error: &Error, uri: &str) -> ErrorData {
    let (text, data) = (output::message(&error.to_string()), json!({"uri": uri, "code": error.code()}));
    match error.kind {
        Kind::NotFound | Kind::Foreign | Kind::Breach => ErrorData::resource_not_found(text, Some(data)),
        Kind::BadInput | Kind::Denied | Kind::Refused | Kind::Stale => ErrorData::invalid_params(text, Some(data)),
        Kind::Internal
        | Kind::Cancelled
        | Kind::Busy
        | Kind::RateLimited
        | Kind::CircuitOpen
        | Kind::Unreachable
        | Kind::Unreadable
        | Kind::Unavailable
        | Kind::TimedOut
        | Kind::Stopped
        | Kind::Aborted => ErrorData::internal_error(text, Some(data)),
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}
