//! The schema and its migrations.

use crate::{error::Error, store::Kind};
use sqlx::{AnyConnection, Connection, Row};

/// The migrations. A released one never changes: it has been applied already.
///
/// Only TEXT and BIGINT, which both databases store unchanged.
const VERSIONS: &[&[&str]] = &[&[
    "CREATE TABLE mcpgit_sessions (
        id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, principal TEXT NOT NULL, client TEXT NOT NULL, protocol TEXT NOT NULL,
        state TEXT NOT NULL, created_ms BIGINT NOT NULL, last_seen_ms BIGINT NOT NULL, last_heartbeat_ms BIGINT NOT NULL,
        missed BIGINT NOT NULL, revision BIGINT NOT NULL, log_level TEXT NOT NULL, subscriptions TEXT NOT NULL, node TEXT NOT NULL,
        data TEXT NOT NULL)",
    "CREATE INDEX mcpgit_sessions_by_age ON mcpgit_sessions (last_seen_ms)",
    "CREATE TABLE mcpgit_workspaces (
        handle TEXT NOT NULL PRIMARY KEY, principal TEXT NOT NULL, repository TEXT NOT NULL, worktree TEXT NOT NULL,
        branch TEXT NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL)",
    "CREATE INDEX mcpgit_workspaces_by_end ON mcpgit_workspaces (expires_ms)",
    "CREATE TABLE mcpgit_operations (
        id TEXT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL, repository TEXT NOT NULL, worktree TEXT NOT NULL,
        principal TEXT NOT NULL, tool TEXT NOT NULL, key TEXT, digest TEXT NOT NULL, state TEXT NOT NULL, is_task BIGINT NOT NULL,
        node TEXT NOT NULL, pid BIGINT NOT NULL, pid_start BIGINT NOT NULL, started_ms BIGINT NOT NULL, ended_ms BIGINT,
        saved TEXT, before TEXT NOT NULL, after TEXT, result TEXT)",
    "CREATE INDEX mcpgit_operations_in_order ON mcpgit_operations (seq)",
    "CREATE INDEX mcpgit_operations_of ON mcpgit_operations (repository, started_ms, seq)",
    "CREATE INDEX mcpgit_operations_by_key ON mcpgit_operations (repository, key, principal) WHERE key IS NOT NULL",
    "CREATE INDEX mcpgit_operations_running ON mcpgit_operations (started_ms) WHERE state = 'running'",
    "CREATE INDEX mcpgit_operations_tasks ON mcpgit_operations (ended_ms) WHERE is_task = 1",
    "CREATE TABLE mcpgit_leases (
        key TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, token BIGINT NOT NULL, taken_ms BIGINT NOT NULL,
        expires_ms BIGINT NOT NULL)",
    "CREATE TABLE mcpgit_error_buckets (
        class TEXT NOT NULL, minute BIGINT NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (class, minute))",
    "CREATE INDEX mcpgit_error_buckets_by_minute ON mcpgit_error_buckets (minute)",
]];

/// The advisory lock for nodes that migrate at the same time: the bytes of `mcpgit`.
const MIGRATION_LOCK: i64 = 0x6d63_7067_6974;

/// The latest version this release supports.
fn known() -> i64 {
    VERSIONS.len().cast_signed() as i64
}

/// Rejects a database written by a later release. Writes nothing.
///
/// Returns its version, 0 if new.
pub(crate) async fn version(conn: &mut AnyConnection, kind: Kind) -> Result<i64, Error> {
    let exists = match kind {
        Kind::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'mcpgit_meta'",
        // From the catalogue: a lookup by name may be answered from a cache older than the lock.
        Kind::Postgres => "SELECT COUNT(*) FROM pg_catalog.pg_class WHERE relname = 'mcpgit_meta' AND pg_table_is_visible(oid)",
    };
    if sqlx::query(exists).persistent(false).fetch_one(&mut *conn).await?.try_get::<i64, _>(0)? == 0 {
        return Ok(0);
    }
    let row = sqlx::query("SELECT value FROM mcpgit_meta WHERE name = 'schema'").persistent(false).fetch_optional(conn).await?;
    let found = row.map_or(Ok(0), |row| row.try_get(0))?;
    if found > known() {
        return Err(Error::Newer { found, known: known() });
    }
    Ok(found)
}

/// Applies the missing migrations in one transaction.
pub(crate) async fn migrate(conn: &mut AnyConnection, kind: Kind) -> Result<(), Error> {
    if version(conn, kind).await? == known() {
        return Ok(());
    }
    let mut tx = conn.begin_with(kind.begin()).await?;
    if kind == Kind::Postgres {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).persistent(false).execute(&mut *tx).await?;
    }
    // Checked again: another node may have migrated meanwhile.
    let found = version(&mut tx, kind).await?;
    if found == 0 {
        sqlx::query("CREATE TABLE mcpgit_meta (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL)").execute(&mut *tx).await?;
    }
    for version in VERSIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        for statement in *version {
            sqlx::query(*statement).persistent(false).execute(&mut *tx).await?;
        }
    }
    let set = "INSERT INTO mcpgit_meta (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    sqlx::query(set).bind(known()).persistent(false).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}
