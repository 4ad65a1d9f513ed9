//! The store, and how it is opened and closed.

use crate::{
    address::Address,
    error::Error,
    postgres,
    sqlite::{self, Place},
};
use sqlx::{Any, AnyPool, Connection, Transaction, any::AnyConnectOptions};
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
    /// For what must have reached the disk before the caller goes on.
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
            Address::File(path) => sqlite::open(path, false).await,
            Address::Url(url) => postgres::open(url).await,
        }
    }

    /// False once the file of an open database was removed, or another file has taken its place. Later writes are lost with
    /// the last connection.
    pub fn is_in_place(&self) -> bool {
        self.place.as_ref().is_none_or(|place| place.is_current())
    }

    /// Opens the database at `address` in place of this one, whose file was removed or replaced, and copies the rows
    /// that open connections of this one still have. Rows that are there already stay as they are.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub async fn succeed(&self, address: &Address) -> Result<Opened, Error> {
        let Address::File(path) = address else { return Self::open(address).await };
        let mut opened = sqlite::open(path, true).await?;
        opened.rescued = self.copy_to(&opened.store).await?;
        Ok(opened)
    }

    /// Whether the server at `address` takes a connection, and why not. Its tables stay as they are; a file is not looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with the reason; [`Error::Address`].
    pub async fn try_to_reach(address: &Address) -> Result<(), Error> {
        let Address::Url(url) = address else { return Ok(()) };
        sqlx::any::install_default_drivers();
        postgres::connect(&crate::address::options(url)?).await?.close().await.ok();
        Ok(())
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

    /// Whether a server takes connections at all. A pool that has none waits for long, and does not say why.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with the reason, at once where the server is refused.
    pub async fn reach(&self) -> Result<(), Error> {
        let Some(server) = &self.server else { return Ok(()) };
        postgres::connect(server).await?.close().await.ok();
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
