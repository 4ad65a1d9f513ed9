//! Sessions in the store; and what waits for it while it is away.

use super::{Persistence, now_ms};
use mcp::sessions::{Keeper, Kept, Seen};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};
use store::{ErrorBucket, SessionRow, Touch};

/// The most sessions that wait for the store.
const MAX_WAITING: usize = 100_000;

/// What the store has to be told when it is back.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    kept: HashMap<String, Kept>,
    forgotten: HashSet<String>,
}

/// Keeps the sessions of a server.
pub(crate) struct SessionKeeper(pub(crate) Arc<Persistence>);

impl Persistence {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sessions wait to be kept or forgotten.
    pub(crate) fn backlog(&self) -> usize {
        let waiting = self.waiting();
        waiting.kept.len() + waiting.forgotten.len()
    }

    /// Tells the store what it has missed, and when sessions were last heard.
    pub(crate) async fn catch_up(&self, seen: Vec<Seen>) {
        let (kept, forgotten): (Vec<Kept>, Vec<String>) = {
            let waiting = self.waiting();
            (waiting.kept.values().cloned().collect(), waiting.forgotten.iter().cloned().collect())
        };
        let touches: Vec<Touch> = seen.into_iter().map(touch).collect();
        if kept.is_empty() && forgotten.is_empty() && touches.is_empty() {
            return;
        }
        let rows: Vec<SessionRow> = kept.iter().map(|kept| row(kept, &self.node)).collect();
        let gone = forgotten.clone();
        let told = self.run(|store| async move {
            for row in rows {
                store.put_session(&row).await?;
            }
            for id in gone {
                store.delete_session(&id).await?;
            }
            store.touch_sessions(&touches).await
        });
        if told.await.is_ok() {
            let mut waiting = self.waiting();
            for kept in kept {
                waiting.kept.remove(&kept.id);
            }
            for id in forgotten {
                waiting.forgotten.remove(&id);
            }
        }
    }

    /// Adds counts of errors to those of the store.
    pub(crate) async fn add_errors(&self, buckets: Vec<ErrorBucket>) -> bool {
        buckets.is_empty() || self.run(|store| async move { store.add_errors(&buckets).await }).await.is_ok()
    }

    /// Forgets sessions that nobody has used for so long.
    pub(crate) async fn forget_idle(&self, idle: Duration) -> usize {
        let before = now_ms().saturating_sub(i64::try_from(idle.as_millis()).unwrap_or(i64::MAX));
        self.run(|store| async move { store.delete_sessions_idle_since(before).await }).await.map_or(0, |gone| gone.len())
    }
}

#[async_trait::async_trait]
impl Keeper for SessionKeeper {
    async fn keep(&self, session: Kept) {
        let row = row(&session, &self.0.node);
        if let Err(why) = self.0.run(|store| async move { store.put_session(&row).await }).await {
            tracing::warn!(%why, "a session is kept in memory alone");
            let mut waiting = self.0.waiting();
            waiting.forgotten.remove(&session.id);
            if waiting.kept.len() < MAX_WAITING {
                waiting.kept.insert(session.id.clone(), session);
            }
        }
    }

    async fn load(&self, id: &str) -> Option<Kept> {
        {
            let waiting = self.0.waiting();
            if waiting.forgotten.contains(id) {
                return None;
            }
            if let Some(kept) = waiting.kept.get(id) {
                return Some(kept.clone());
            }
        }
        let wanted = id.to_owned();
        let row = self.0.run(|store| async move { store.session(&wanted).await }).await.ok()??;
        Some(Kept {
            id: row.id,
            principal: row.principal,
            client: row.client,
            protocol: row.protocol,
            params: row.data,
            created: UNIX_EPOCH + Duration::from_millis(u64::try_from(row.created_ms).unwrap_or_default()),
        })
    }

    async fn forget(&self, ids: Vec<String>) {
        {
            let mut waiting = self.0.waiting();
            for id in &ids {
                waiting.kept.remove(id);
                if waiting.forgotten.len() < MAX_WAITING {
                    waiting.forgotten.insert(id.clone());
                }
            }
        }
        self.0.catch_up(Vec::new()).await;
    }
}

fn row(kept: &Kept, node: &str) -> SessionRow {
    let created = kept.created.duration_since(UNIX_EPOCH).unwrap_or_default();
    SessionRow {
        id: kept.id.clone(),
        kind: "http".to_owned(),
        principal: kept.principal.clone(),
        client: kept.client.clone(),
        protocol: kept.protocol.clone(),
        state: "active".to_owned(),
        created_ms: i64::try_from(created.as_millis()).unwrap_or_default(),
        last_seen_ms: now_ms(),
        last_heartbeat_ms: now_ms(),
        node: node.to_owned(),
        data: kept.params.clone(),
        ..SessionRow::default()
    }
}

fn touch(seen: Seen) -> Touch {
    let heard = now_ms().saturating_sub(i64::try_from(seen.idle.as_millis()).unwrap_or(i64::MAX));
    Touch {
        id: seen.id,
        state: seen.state.name().to_owned(),
        last_seen_ms: heard,
        last_heartbeat_ms: heard,
        missed: i64::from(seen.missed),
    }
}
