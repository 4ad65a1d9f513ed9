//! A `PostgreSQL` server.

use crate::{
    address,
    error::Error,
    schema,
    store::{Kind, Opened, Store},
};
use sqlx::{
    AnyConnection, Connection,
    any::{AnyConnectOptions, AnyPoolOptions},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Enough for the calls that run at a time; each costs the server a process.
const CONNECTIONS: u32 = 8;
/// How long a call waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long a connection is kept that nobody needs.
const IDLE: Duration = Duration::from_mins(1);
/// The server gives up a statement, and a transaction whose client has stopped, before the client's callers would.
const LIMITS: &str = "SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'";

/// Connects once, or says why that cannot be done, at once where the server refuses.
pub(crate) async fn connect(options: &AnyConnectOptions) -> Result<AnyConnection, Error> {
    match timeout(ACQUIRE, AnyConnection::connect_with(options)).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(Error::Unavailable("connection timed out".into())),
    }
}

/// Connects to `url`, and brings its tables up to date.
pub(crate) async fn open(url: &str) -> Result<Opened, Error> {
    let options = address::options(url)?;
    // A pool waits as long for a server that refuses as for a free connection, and then tells of neither.
    let mut first = connect(&options).await?;
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE)
        .after_connect(|conn, _| Box::pin(async move { sqlx::raw_sql(LIMITS).execute(conn).await.map(drop) }))
        .connect_lazy_with(options.clone());
    sqlx::raw_sql(LIMITS).execute(&mut first).await?;
    schema::migrate(&mut first, Kind::Postgres).await?;
    first.close().await.ok();
    // One pool: the server has every commit on its disk before it answers.
    let store = Store { kind: Kind::Postgres, durable: pool.clone(), pool, place: None, server: Some(Arc::new(options)) };
    Ok(Opened { store, quarantined: None, rescued: None })
}
