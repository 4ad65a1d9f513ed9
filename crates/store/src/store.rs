//! The store: a database, whichever it is.

use crate::{error::Error, place::Place};
use sqlx::{Any, AnyPool, Transaction, any::AnyConnectOptions};
use std::{fmt, path::PathBuf, sync::Arc};

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file of this machine.
    Sqlite,
    /// A server, which several nodes may share.
    Postgres,
}

/// A database. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    pub(crate) kind: Kind,
    pub(crate) pool: AnyPool,
    /// For writes that must reach the disk before the caller continues.
    pub(crate) durable: AnyPool,
    /// Which file it is; a server has none.
    pub(crate) place: Option<Arc<Place>>,
    /// Where the server is; a file has none.
    pub(crate) server: Option<Arc<AnyConnectOptions>>,
}

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where a damaged file was put aside. The store is empty then.
    pub quarantined: Option<PathBuf>,
    /// How many rows were copied from the store that it succeeds.
    pub rescued: Option<u64>,
}

impl Kind {
    /// What begins a transaction that writes. `SQLite` takes the lock at once: a transaction that reads first and writes
    /// later fails, and does not wait, when another has written between.
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
        // From a table: SQLite answers `SELECT 1` without a look at the file.
        sqlx::query("SELECT value FROM mcpgit_meta WHERE name = 'schema'").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Whether the database can be written to: another process may hold its lock.
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

    /// Which database it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Closes all connections, once what runs on them has ended. Calls from then on fail with [`Error::Unavailable`].
    pub async fn close(&self) {
        self.durable.close().await;
        self.pool.close().await;
    }

    /// Begins a transaction that writes.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        Ok(self.pool.begin_with(self.kind.begin()).await?)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pools know the address.
        f.debug_struct("Store").field("kind", &self.kind).finish_non_exhaustive()
    }
}
