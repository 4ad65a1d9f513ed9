//! Sessions.

use crate::{
    error::Error,
    rows::{SessionRow, Touch},
    store::Store,
};
use sqlx::{Row, any::AnyRow};

macro_rules! columns {
    () => {
        "id, kind, principal, client, protocol, state, created_ms, last_seen_ms, last_heartbeat_ms, missed, revision, log_level, subscriptions, node, data"
    };
}

const PUT: &str = concat!(
    "INSERT INTO mcpgit_sessions (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12, $13, $14) ON CONFLICT (id) DO UPDATE SET kind = excluded.kind,
     principal = excluded.principal, client = excluded.client, protocol = excluded.protocol, state = excluded.state,
     created_ms = excluded.created_ms, last_seen_ms = excluded.last_seen_ms, last_heartbeat_ms = excluded.last_heartbeat_ms,
     missed = excluded.missed, revision = mcpgit_sessions.revision + 1, log_level = excluded.log_level,
     subscriptions = excluded.subscriptions, node = excluded.node, data = excluded.data"
);
const GET: &str = concat!("SELECT ", columns!(), " FROM mcpgit_sessions WHERE id = $1");
const ALL: &str = concat!("SELECT ", columns!(), " FROM mcpgit_sessions ORDER BY id");
const TOUCH: &str = "UPDATE mcpgit_sessions SET state = $2, last_seen_ms = $3, last_heartbeat_ms = $4, missed = $5,
     revision = revision + 1 WHERE id = $1 AND last_seen_ms <= $3";
const SET_PREFERENCES: &str = "UPDATE mcpgit_sessions SET log_level = $2, subscriptions = $3, revision = revision + 1 WHERE id = $1";
const DELETE: &str = "DELETE FROM mcpgit_sessions WHERE id = $1";
const DELETE_UNLESS_SEEN: &str = "DELETE FROM mcpgit_sessions WHERE id = $1 AND last_seen_ms <= $2";
const DELETE_IDLE: &str = "DELETE FROM mcpgit_sessions WHERE last_seen_ms < $1 RETURNING id";

impl Store {
    /// Inserts or updates a session.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn put_session(&self, row: &SessionRow) -> Result<(), Error> {
        let query = sqlx::query(PUT).bind(&row.id).bind(&row.kind).bind(&row.principal).bind(&row.client).bind(&row.protocol);
        let query = query.bind(&row.state).bind(row.created_ms).bind(row.last_seen_ms).bind(row.last_heartbeat_ms).bind(row.missed);
        query.bind(&row.log_level).bind(&row.subscriptions).bind(&row.node).bind(&row.data).execute(&self.pool).await?;
        Ok(())
    }

    /// Reads a session.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`]; [`Error::Corrupt`]; [`Error::Query`] if the tables differ from the schema.
    pub async fn session(&self, id: &str) -> Result<Option<SessionRow>, Error> {
        let row = sqlx::query(GET).bind(id).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Reads all sessions, by id.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn sessions(&self) -> Result<Vec<SessionRow>, Error> {
        let rows = sqlx::query(ALL).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Records activity of sessions, in one transaction. A deleted session stays deleted, and later activity recorded by another
    /// node is kept.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn touch_sessions(&self, seen: &[Touch]) -> Result<(), Error> {
        let mut seen: Vec<_> = seen.iter().collect();
        // Sorted, so that two nodes lock rows in the same order and cannot deadlock.
        seen.sort_by(|a, b| a.id.cmp(&b.id));
        let mut tx = self.begin().await?;
        for touch in seen {
            let query = sqlx::query(TOUCH).bind(&touch.id).bind(&touch.state).bind(touch.last_seen_ms);
            query.bind(touch.last_heartbeat_ms).bind(touch.missed).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Stores the log level and subscriptions of a session. Returns whether the session exists.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn set_session_preferences(&self, id: &str, log_level: &str, subscriptions: &str) -> Result<bool, Error> {
        let query = sqlx::query(SET_PREFERENCES).bind(id).bind(log_level).bind(subscriptions);
        Ok(query.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Removes a session. Returns whether it existed.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn delete_session(&self, id: &str) -> Result<bool, Error> {
        Ok(sqlx::query(DELETE).bind(id).execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Removes a session unless it was active after `after_ms`. Returns whether it was removed.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn delete_session_unless_seen(&self, id: &str, after_ms: i64) -> Result<bool, Error> {
        Ok(sqlx::query(DELETE_UNLESS_SEEN).bind(id).bind(after_ms).execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Removes the sessions last active before `before_ms`. Returns their ids, sorted.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn delete_sessions_idle_since(&self, before_ms: i64) -> Result<Vec<String>, Error> {
        let rows = sqlx::query(DELETE_IDLE).bind(before_ms).fetch_all(&self.pool).await?;
        let mut ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<_>, _>>()?;
        ids.sort();
        Ok(ids)
    }
}

fn read(row: &AnyRow) -> Result<SessionRow, sqlx::Error> {
    Ok(SessionRow {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        principal: row.try_get("principal")?,
        client: row.try_get("client")?,
        protocol: row.try_get("protocol")?,
        state: row.try_get("state")?,
        created_ms: row.try_get("created_ms")?,
        last_seen_ms: row.try_get("last_seen_ms")?,
        last_heartbeat_ms: row.try_get("last_heartbeat_ms")?,
        missed: row.try_get("missed")?,
        revision: row.try_get("revision")?,
        log_level: row.try_get("log_level")?,
        subscriptions: row.try_get("subscriptions")?,
        node: row.try_get("node")?,
        data: row.try_get("data")?,
    })
}
