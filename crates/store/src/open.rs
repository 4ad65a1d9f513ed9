//! Opening a store, and checking whether it can be opened.

use crate::{
    address::{self, Address},
    error::Error,
    postgres, sqlite,
    store::{Opened, Store},
};
use sqlx::Connection;

impl Store {
    /// Opens the database at `address`, creates it if absent, and migrates it to the current version.
    ///
    /// A damaged file is quarantined unchanged, and a new one created.
    ///
    /// # Errors
    ///
    /// [`Error::Newer`] if written by a later release, which leaves it untouched; [`Error::Address`]; [`Error::Unavailable`],
    /// [`Error::Full`]; [`Error::Query`] if its tables differ from the schema.
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

    /// Whether the open file is still at its path. Once it is removed or replaced, later writes are lost with the last
    /// connection.
    pub fn is_in_place(&self) -> bool {
        self.place.as_ref().is_none_or(|place| place.is_current())
    }

    /// Opens the database at `address` in place of this one, whose file was removed or replaced, and copies the rows that its
    /// open connections can still read. Existing rows are kept.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub async fn reopen(&self, address: &Address) -> Result<Opened, Error> {
        let Address::File(path) = address else { return Self::open(address).await };
        let mut opened = sqlite::open(path, true).await?;
        opened.rescued = self.copy_to(&opened.store).await?;
        Ok(opened)
    }

    /// Checks whether the server at `address` accepts a connection. Touches no table; a file is not checked.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with the reason; [`Error::Address`].
    pub async fn try_to_reach(address: &Address) -> Result<(), Error> {
        let Address::Url(url) = address else { return Ok(()) };
        sqlx::any::install_default_drivers();
        postgres::connect(&address::options(url)?).await?.close().await.ok();
        Ok(())
    }

    /// Checks whether the server accepts connections. An empty pool waits long, and does not report why.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] with the reason, at once if the connection is refused.
    pub async fn reach(&self) -> Result<(), Error> {
        let Some(server) = &self.server else { return Ok(()) };
        postgres::connect(server).await?.close().await.ok();
        Ok(())
    }
}
