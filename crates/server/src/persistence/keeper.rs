//! Sessions in the store, and the writes queued while it is unavailable.

use super::{Failed, Persistence, milliseconds, now_ms};
use mcp::sessions::{Keeper, SessionActivity, SessionRecord};
use parking_lot::MutexGuard;
use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{ErrorBucket, SessionRow, Touch};

/// Maximum number of sessions queued for the store.
const MAX_WAITING: usize = 100_000;

/// Writes queued until the store is back.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    kept: HashMap<String, SessionRecord>,
    /// Sessions to delete; with a time, only if no server has seen them since.
    forgotten: HashMap<String, Option<i64>>,
}

/// The log level and subscriptions of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionPreferences {
    /// The minimum level; empty if unset.
    pub(crate) log_level: String,
    /// URIs of the resources.
    pub(crate) subscriptions: Vec<String>,
}

/// Persists the sessions of a server.
pub(crate) struct SessionKeeper(pub(crate) Arc<Persistence>);

impl Persistence {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    /// Number of queued session writes and deletions.
    pub(crate) fn backlog(&self) -> usize {
        let waiting = self.waiting();
        waiting.kept.len() + waiting.forgotten.len()
    }

    /// Writes queued changes and the sessions' activity to the store.
    pub(crate) async fn catch_up(&self, seen: Vec<SessionActivity>) {
        let (kept, forgotten): (Vec<SessionRecord>, Vec<(String, Option<i64>)>) = {
            let waiting = self.waiting();
            (waiting.kept.values().cloned().collect(), waiting.forgotten.clone().into_iter().collect())
        };
        // One by one: a rejected write must not block the rest.
        for kept in kept {
            let row = row(&kept, &self.node);
            match self.run(|store| async move { store.put_session(&row).await }).await {
                Err(Failed::Unavailable(_)) => return,
                Err(Failed::Refused(why)) => tracing::warn!(why, session_id = kept.id, "a session cannot be persisted"),
                Ok(()) => {}
            }
            self.waiting().kept.remove(&kept.id);
        }
        for (id, unless_seen) in forgotten {
            if !self.delete_session(id, unless_seen).await {
                return;
            }
        }
        let touches: Vec<Touch> = seen.into_iter().map(touch).collect();
        if !touches.is_empty()
            && let Err(why) = self.run(|store| async move { store.touch_sessions(&touches).await }).await
        {
            tracing::debug!(%why, "session activity was not persisted");
        }
    }

    /// Deletes a session from the store. False while the store is unavailable.
    async fn delete_session(&self, id: String, unless_seen: Option<i64>) -> bool {
        let gone = id.clone();
        let deleted = self.run(|store| async move {
            match unless_seen {
                Some(after) => store.delete_session_unless_seen(&gone, after).await,
                None => store.delete_session(&gone).await,
            }
        });
        if let Err(Failed::Unavailable(_)) = deleted.await {
            return false;
        }
        self.waiting().forgotten.remove(&id);
        true
    }

    /// Persists the preferences of a session.
    pub(crate) async fn keep_preferences(&self, id: &str, preferences: &SessionPreferences) {
        let subscriptions = serde_json::to_string(&preferences.subscriptions).unwrap_or_default();
        let kept = self.run(|store| async move { store.set_session_preferences(id, &preferences.log_level, &subscriptions).await });
        if let Err(why) = kept.await {
            tracing::warn!(%why, "session preferences are kept in memory only");
        }
    }

    /// The persisted preferences of a session.
    pub(crate) async fn preferences(&self, id: &str) -> SessionPreferences {
        let found = self.run(|store| async move { store.session(id).await }).await.ok().flatten();
        let preferences = |row: SessionRow| SessionPreferences {
            log_level: row.log_level,
            subscriptions: serde_json::from_str(&row.subscriptions).unwrap_or_default(),
        };
        found.map(preferences).unwrap_or_default()
    }

    /// Ids of the sessions in the store, without those to be deleted.
    pub(crate) async fn kept_sessions(&self) -> Result<Vec<String>, Failed> {
        let rows = self.run(|store| async move { store.sessions().await }).await?;
        let waiting = self.waiting();
        Ok(rows.into_iter().map(|row| row.id).filter(|id| !waiting.forgotten.contains_key(id)).collect())
    }

    /// Adds error counts to the store.
    pub(crate) async fn add_errors(&self, buckets: Vec<ErrorBucket>) -> bool {
        buckets.is_empty() || self.run(|store| async move { store.add_errors(&buckets).await }).await.is_ok()
    }

    /// Deletes sessions that have been idle for `idle`.
    pub(crate) async fn forget_idle(&self, idle: Duration) -> Vec<String> {
        let before = now_ms().saturating_sub(milliseconds(idle));
        self.run(|store| async move { store.delete_sessions_idle_since(before).await }).await.unwrap_or_default()
    }
}

#[async_trait::async_trait]
impl Keeper for SessionKeeper {
    async fn keep(&self, session: SessionRecord) {
        let row = row(&session, &self.0.node);
        let Err(why) = self.0.run(|store| async move { store.put_session(&row).await }).await else { return };
        tracing::warn!(%why, "a session is kept in memory only");
        let mut waiting = self.0.waiting();
        if matches!(why, Failed::Unavailable(_)) && waiting.kept.len() < MAX_WAITING && !waiting.forgotten.contains_key(&session.id) {
            waiting.kept.insert(session.id.clone(), session);
        }
    }

    async fn load(&self, id: &str) -> Option<SessionRecord> {
        {
            let waiting = self.0.waiting();
            if waiting.forgotten.contains_key(id) {
                return None;
            }
            if let Some(kept) = waiting.kept.get(id) {
                return Some(kept.clone());
            }
        }
        let wanted = id.to_owned();
        let row = self.0.run(|store| async move { store.session(&wanted).await }).await.ok()??;
        Some(SessionRecord {
            id: row.id,
            principal: row.principal,
            client: row.client,
            protocol: row.protocol,
            params: row.data,
            created: UNIX_EPOCH + Duration::from_millis(u64::try_from(row.created_ms).unwrap_or_default()),
        })
    }

    fn forget(&self, id: &str, unless_since: Option<SystemTime>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let unless_seen = unless_since.map(|time| milliseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default()));
        {
            let mut waiting = self.0.waiting();
            waiting.kept.remove(id);
            if waiting.forgotten.len() < MAX_WAITING {
                waiting.forgotten.insert(id.to_owned(), unless_seen);
            }
        }
        let (persistence, id) = (Arc::clone(&self.0), id.to_owned());
        Box::pin(async move {
            // While the store is unavailable, the deletion stays queued.
            persistence.delete_session(id, unless_seen).await;
        })
    }
}

fn row(kept: &SessionRecord, node: &str) -> SessionRow {
    let created = kept.created.duration_since(UNIX_EPOCH).unwrap_or_default();
    SessionRow {
        id: kept.id.clone(),
        kind: "http".to_owned(),
        principal: kept.principal.clone(),
        client: kept.client.clone(),
        protocol: kept.protocol.clone(),
        state: "active".to_owned(),
        created_ms: milliseconds(created),
        last_seen_ms: now_ms(),
        last_heartbeat_ms: now_ms(),
        node: node.to_owned(),
        data: kept.params.clone(),
        ..SessionRow::default()
    }
}

fn touch(seen: SessionActivity) -> Touch {
    let last_seen = now_ms().saturating_sub(milliseconds(seen.idle));
    Touch {
        id: seen.id,
        state: seen.state.name().to_owned(),
        last_seen_ms: last_seen,
        last_heartbeat_ms: last_seen,
        missed: i64::from(seen.missed),
    }
}
