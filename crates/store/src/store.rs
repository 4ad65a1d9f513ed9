//! The store, and how it is opened and closed.

use crate::{address::Address, error::Error, postgres, sqlite};
use sqlx::{Any, AnyPool, Transaction};
use std::{fmt, path::PathBuf};

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
    /// For what must have reached the disk before the caller goes on.
    pub(crate) durable: AnyPool,
}

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where a damaged file was put aside. The store is empty then.
    pub quarantined: Option<PathBuf>,
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
    /// Opens the database at `address`, makes it when there is none, and brings it up to date.
    ///
    /// A damaged file is put aside, with its bytes as they are, and a new one made.
    ///
    /// # Errors
    ///
    /// [`Error::Newer`] when a later release has written it, which leaves it untouched; [`Error::Address`];
    /// [`Error::Unavailable`], [`Error::Full`]; [`Error::Query`] when its tables are not those that were made.
    pub async fn open(address: &Address) -> Result<Opened, Error> {
        sqlx::any::install_default_drivers();
        let checked;
        let address = match address {
            Address::File(_) => address,
            Address::Url(url) => {
                checked = Address::parse(url)?;
                &checked
            }
        };
        match address {
            Address::File(path) => sqlite::open(path).await,
            Address::Url(url) => postgres::open(url).await,
        }
    }

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
