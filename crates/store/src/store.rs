//! The store: a database of either kind.

use crate::{error::Error, place::Place};
use sqlx::{Any, AnyPool, Transaction, any::AnyConnectOptions};
use std::{fmt, path::PathBuf, sync::Arc};

/// The kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A local file.
    Sqlite,
    /// A server that several nodes may share.
    Postgres,
}

/// A database. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) kind: Kind,
    pub(crate) pool: AnyPool,
    /// The pool for writes that must be durable before the caller continues.
    pub(crate) durable: AnyPool,
    /// The open file; `None` for a server.
    pub(crate) place: Option<Arc<Place>>,
    /// The server's address; `None` for a file.
    pub(crate) server: Option<Arc<AnyConnectOptions>>,
}

/// The result of opening a store.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Path of the quarantined file, if the old one was damaged. The store is then empty.
    pub quarantined: Option<PathBuf>,
    /// Number of rows copied from the removed file.
    pub rescued: Option<u64>,
}

impl Kind {
    /// The statement that begins a write transaction. `SQLite` takes the lock at once: a transaction that reads first and then
    /// writes fails without waiting if another has written in between.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }
}

impl Store {
    /// Whether the database answers.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn ping(&self) -> Result<(), Error> {
        // From a table: SQLite answers `SELECT 1` without reading the file.
        sqlx::query("SELECT value FROM mcpgit_meta WHERE name = 'schema'").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Whether the database accepts writes: another process may hold its lock.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn ping_writing(&self) -> Result<(), Error> {
        self.ping().await?;
        if self.kind == Kind::Sqlite {
            self.begin().await?.rollback().await?;
        }
        Ok(())
    }

    /// The kind of database.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Closes all connections once their statements have ended. Later calls fail with [`Error::Unavailable`].
    pub async fn close(&self) {
        self.durable.close().await;
        self.pool.close().await;
    }

    /// Begins a write transaction.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        Ok(self.pool.begin_with(self.kind.begin()).await?)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pools contain the address.
        f.debug_struct("Store").field("kind", &self.kind).finish_non_exhaustive()
    }
}
