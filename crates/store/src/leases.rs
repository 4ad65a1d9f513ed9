//! Leases. The token fences a holder that was paused past the expiry of its lease: its late writes are distinguished from
//! those of the next holder.

use crate::{
    error::Error,
    rows::Lease,
    store::{Kind, Store},
};
use sqlx::Row;

/// A statement with the current time between its parts, `$1` being the caller's. `PostgreSQL` uses the server's own: nodes
/// whose clocks differ must agree on when a lease expires.
macro_rules! timed {
    ($kind:expr, $first:literal $(, $rest:literal)+) => {
        match $kind {
            Kind::Sqlite => concat!($first $(, "$1", $rest)+),
            Kind::Postgres => concat!($first $(, "($1 * 0 + (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint)", $rest)+),
        }
    };
}

const RELEASE: &str = "UPDATE mcpgit_leases SET holder = '', expires_ms = 0 WHERE key = $1 AND holder = $2 AND token = $3";

impl Store {
    /// Claims `key` for `ttl_ms`, with a new token. `None` if another holder has it.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn acquire_lease(&self, key: &str, holder: &str, now_ms: i64, ttl_ms: i64) -> Result<Option<Lease>, Error> {
        let acquire = timed!(
            self.kind,
            "INSERT INTO mcpgit_leases (key, holder, token, taken_ms, expires_ms)
             SELECT $2, $3, 1, now_ms, now_ms + $4 FROM (SELECT ",
            " AS now_ms) AS clock WHERE 1 = 1
             ON CONFLICT (key) DO UPDATE SET holder = excluded.holder, token = mcpgit_leases.token + 1,
                 taken_ms = excluded.taken_ms, expires_ms = excluded.expires_ms
             WHERE mcpgit_leases.expires_ms <= excluded.taken_ms OR mcpgit_leases.holder = excluded.holder
             RETURNING token, expires_ms"
        );
        // All rows, though there is at most one: SQLite reports whether the commit worked only after the last.
        let rows = sqlx::query(acquire).bind(now_ms).bind(key).bind(holder).bind(ttl_ms).fetch_all(&self.pool).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (token, expires_ms) = (row.try_get("token")?, row.try_get("expires_ms")?);
        Ok(Some(Lease { key: key.to_owned(), holder: holder.to_owned(), token, expires_ms }))
    }

    /// Extends a lease to `ttl_ms` from now. Returns whether it is still held. An expired lease is not renewed: another node may
    /// have acted on its expiry.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn renew_lease(&self, lease: &Lease, now_ms: i64, ttl_ms: i64) -> Result<bool, Error> {
        let renew = timed!(
            self.kind,
            "UPDATE mcpgit_leases SET expires_ms = $5 + ",
            " WHERE key = $2 AND holder = $3 AND token = $4 AND expires_ms > ",
            ""
        );
        let query = sqlx::query(renew).bind(now_ms).bind(&lease.key).bind(&lease.holder).bind(lease.token).bind(ttl_ms);
        Ok(query.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Releases a lease. Returns whether it was the current one of its key. Its row stays, so that tokens keep growing.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn release_lease(&self, lease: &Lease) -> Result<bool, Error> {
        let query = sqlx::query(RELEASE).bind(&lease.key).bind(&lease.holder).bind(lease.token);
        Ok(query.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Whether a lease is still held.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn holds_lease(&self, lease: &Lease, now_ms: i64) -> Result<bool, Error> {
        let holds =
            timed!(self.kind, "SELECT token FROM mcpgit_leases WHERE key = $2 AND holder = $3 AND token = $4 AND expires_ms > ", "");
        let query = sqlx::query(holds).bind(now_ms).bind(&lease.key).bind(&lease.holder).bind(lease.token);
        Ok(query.fetch_optional(&self.pool).await?.is_some())
    }
}
