//! Copies the rows of a database whose file was removed, through connections that still have it open.

use crate::{error::Error, sqlite::POLL, store::Store};
use sqlx::{Any, AssertSqlSafe, Row, pool::PoolConnection};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How long to wait for a busy connection.
const WAIT: Duration = Duration::from_secs(1);
/// Rows copied per transaction.
const BATCH: usize = 256;

/// A table: its name, its text and number columns, and what to do about a row that already exists.
struct Table {
    name: &'static str,
    text: &'static [&'static str],
    numbers: &'static [&'static str],
    conflict: &'static str,
}

/// Without leases: a file is not shared between machines.
const TABLES: [Table; 4] = [
    Table {
        name: "mcpgit_sessions",
        text: &["id", "kind", "principal", "client", "protocol", "state", "log_level", "subscriptions", "node", "data"],
        numbers: &["created_ms", "last_seen_ms", "last_heartbeat_ms", "missed", "revision"],
        conflict: "NOTHING",
    },
    Table {
        name: "mcpgit_workspaces",
        text: &["handle", "principal", "repository", "worktree", "branch"],
        numbers: &["created_ms", "expires_ms"],
        conflict: "NOTHING",
    },
    Table {
        name: "mcpgit_operations",
        text: &[
            "id",
            "repository",
            "worktree",
            "principal",
            "tool",
            "key",
            "digest",
            "state",
            "node",
            "saved",
            "before",
            "after",
            "result",
        ],
        numbers: &["seq", "is_task", "pid", "pid_start", "started_ms", "ended_ms"],
        // An older copy may have the operation as running.
        conflict: "UPDATE SET state = excluded.state, ended_ms = excluded.ended_ms, saved = excluded.saved, after = excluded.after,
             result = excluded.result WHERE mcpgit_operations.state = 'running' AND excluded.state <> 'running'",
    },
    Table { name: "mcpgit_error_buckets", text: &["class"], numbers: &["minute", "count"], conflict: "NOTHING" },
];

impl Store {
    /// Copies all readable rows to `other`. Returns their number; `None` if no connection has the file open.
    pub(crate) async fn copy_to(&self, other: &Self) -> Result<Option<u64>, Error> {
        let Some(mut from) = self.open_connection().await else { return Ok(None) };
        let mut count = 0;
        for table in &TABLES {
            table.copy(&mut from, other, &mut count).await?;
        }
        Ok(Some(count))
    }

    /// An existing connection: a new one would open another file.
    async fn open_connection(&self) -> Option<PoolConnection<Any>> {
        let deadline = Instant::now() + WAIT;
        loop {
            if let Some(conn) = self.pool.try_acquire().or_else(|| self.durable.try_acquire()) {
                return Some(conn);
            }
            if self.pool.size() + self.durable.size() == 0 || Instant::now() >= deadline {
                return None;
            }
            sleep(POLL).await;
        }
    }
}

impl Table {
    async fn copy(&self, from: &mut PoolConnection<Any>, other: &Store, count: &mut u64) -> Result<(), Error> {
        let columns = [self.text, self.numbers].concat();
        let places: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
        let (name, columns, places) = (self.name, columns.join(", "), places.join(", "));
        // Contains only names from this file.
        let select: Arc<str> =
            Arc::from(format!("SELECT {columns}, rowid AS place FROM {name} WHERE rowid > $1 ORDER BY rowid LIMIT {BATCH}"));
        let insert: Arc<str> = Arc::from(format!("INSERT INTO {name} ({columns}) VALUES ({places}) ON CONFLICT DO {}", self.conflict));
        let mut after = 0_i64;
        loop {
            let rows = sqlx::query(AssertSqlSafe(Arc::clone(&select))).bind(after).fetch_all(&mut **from).await;
            // An unreadable old file must not block the new one.
            let Ok(rows) = rows else { return Ok(()) };
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.try_get("place")?;
            let mut tx = other.durable.begin_with(other.kind.begin()).await?;
            for row in &rows {
                let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&insert)));
                for column in self.text {
                    query = query.bind(row.try_get::<Option<String>, _>(*column)?);
                }
                for column in self.numbers {
                    query = query.bind(row.try_get::<Option<i64>, _>(*column)?);
                }
                *count += query.execute(&mut *tx).await?.rows_affected();
            }
            tx.commit().await?;
        }
    }
}
