//! Subscriptions: detects changed resources by polling cheap signs of change.

use super::{connection::Connection, resources, roots::Client, uri::Uri, watches::Watched};
use crate::{
    error::Error,
    pipeline::{Pipeline, RepositoryRead, ResourceKind},
};
use git::Stamp;
use mcp::rmcp::{ErrorData, model::ResourceUpdatedNotificationParam};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio_util::sync::CancellationToken;

/// Polling interval.
const PERIOD: Duration = Duration::from_millis(500);
/// Maximum delay of the first check after the acknowledgement.
const RECENT: Duration = Duration::from_secs(5);
/// Maximum number of resources watched per connection.
const MAX_WATCHED: usize = 64;

/// Notifies `client` of changes of the resource from now on.
pub(super) async fn subscribe(pipeline: &Arc<Pipeline>, connection: &Connection, uri: &str, client: Client) -> Result<(), ErrorData> {
    let found = begin(pipeline, connection, uri).await?;
    {
        let mut watched = connection.state.watches.lock();
        if watched.len() >= MAX_WATCHED && !watched.contains_key(uri) {
            return Err(ErrorData::invalid_params(format!("at most {MAX_WATCHED} resources can be watched per connection"), None));
        }
        watched.insert(uri.to_owned(), found);
    }
    let mut looking = connection.state.watches.looking.lock();
    if looking.is_some() {
        return Ok(());
    }
    let ended = pipeline.services().stop.child_token();
    *looking = Some(ended.clone());
    // Holds a weak reference, so that the end of the connection ends the task.
    let (pipeline, state, caller) = (Arc::clone(pipeline), Arc::downgrade(&connection.state), connection.caller.clone());
    let session = connection.session.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! { () = ended.cancelled() => return, () = tokio::time::sleep(PERIOD) => {} }
            let Some(state) = state.upgrade() else { return };
            let connection = Connection { state, caller: caller.clone(), session: session.clone(), client: Some(client.clone()) };
            let mut watched = connection.state.watches.lock().clone();
            let changed = poll(&pipeline, &connection, &mut watched).await;
            for (uri, seen) in &watched {
                if let Some(entry) = connection.state.watches.lock().get_mut(uri) {
                    entry.mark = seen.mark;
                }
            }
            for uri in changed {
                if client.peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(())
}

/// Calls `notify` for each change of `uris`, until the server stops or `notify` returns false.
pub(super) async fn follow<F: Future<Output = bool>>(
    pipeline: &Pipeline,
    connection: &Connection,
    uris: &[String],
    notify: impl Fn(String) -> F,
) -> Result<(), ErrorData> {
    if uris.len() > MAX_WATCHED {
        return Err(ErrorData::invalid_params(format!("at most {MAX_WATCHED} resources can be watched at once"), None));
    }
    let mut watched = BTreeMap::new();
    for uri in uris {
        let mut found = begin(pipeline, connection, uri).await?;
        // The subscription was acknowledged before this first check: report a change in between.
        if found.newest >= SystemTime::now() - RECENT {
            found.mark = None;
        }
        watched.insert(uri.clone(), found);
    }
    loop {
        tokio::select! { () = pipeline.services().stop.cancelled() => return Ok(()), () = tokio::time::sleep(PERIOD) => {} }
        for uri in poll(pipeline, connection, &mut watched).await {
            if !notify(uri).await {
                return Ok(());
            }
        }
    }
}

async fn begin(pipeline: &Pipeline, connection: &Connection, text: &str) -> Result<Watched, ErrorData> {
    let unknown = || ErrorData::resource_not_found("there is no such resource", Some(json!({"uri": text})));
    let uri = Uri::parse(text).ok_or_else(unknown)?;
    let refused = |error: Error| resources::refusal(&error, text);
    let path = resources::locate(pipeline, connection, &uri).await.map_err(refused)?.ok_or_else(unknown)?;
    let client_roots = connection.client_roots().await.map_err(refused)?;
    let stamp = stamp(pipeline, connection, &path, client_roots).await.ok_or_else(unknown)?;
    let listed = pipeline.services().resources.acquire(ResourceKind::Watch.name(), text, None).ok().map(Arc::new);
    Ok(Watched { path, mark: Some(stamp.mark), newest: stamp.newest, _listed: listed })
}

/// Checks each repository once and returns the resources that changed. Does nothing until the client has listed its
/// roots.
async fn poll(pipeline: &Pipeline, connection: &Connection, watched: &mut BTreeMap<String, Watched>) -> Vec<String> {
    let Ok(client_roots) = connection.client_roots_now() else { return Vec::new() };
    let mut stamps: BTreeMap<PathBuf, Option<u64>> = watched.values().map(|entry| (entry.path.clone(), None)).collect();
    for (path, found) in &mut stamps {
        *found = stamp(pipeline, connection, path, client_roots.clone()).await.map(|stamp| stamp.mark);
    }
    let mut changed = Vec::new();
    for (uri, entry) in watched {
        let now = stamps.get(&entry.path).copied().flatten();
        if now != entry.mark {
            entry.mark = now;
            // Content addressed by an object id never changes.
            if Uri::parse(uri).is_some_and(|uri| !uri.is_fixed()) {
                changed.push(uri.clone());
            }
        }
    }
    changed
}

async fn stamp(pipeline: &Pipeline, connection: &Connection, path: &Path, client_roots: Option<Vec<PathBuf>>) -> Option<Stamp> {
    let visit = RepositoryRead {
        path: Some(path.to_string_lossy().into_owned()),
        caller: connection.caller.clone(),
        cancelled: CancellationToken::new(),
        client_roots,
    };
    pipeline.visit(visit, |repo, _| Ok(repo.stamp())).await.ok()
}
