//! How a store is opened, and whether that can be done.

use crate::{
    address::{self, Address},
    error::Error,
    postgres, sqlite,
    store::{Opened, Store},
};
use sqlx::Connection;

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
        postgres::connect(&address::options(url)?).await?.close().await.ok();
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
}
