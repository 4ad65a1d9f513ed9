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

/// Enough for the concurrent calls; each costs the server a process.
const CONNECTIONS: u32 = 8;
/// How long a call waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_mins(1);
/// The server aborts a statement, and a transaction whose client has stopped, before callers time out.
const LIMITS: &str = "SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'";

/// Connects once, or returns why not; fails at once if the server refuses.
pub(crate) async fn connect(options: &AnyConnectOptions) -> Result<AnyConnection, Error> {
    match timeout(ACQUIRE, AnyConnection::connect_with(options)).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(Error::Unavailable("connection timed out".into())),
    }
}

/// Connects to `url` and migrates its tables.
pub(crate) async fn open(url: &str) -> Result<Opened, Error> {
    let options = address::options(url)?;
    // A pool waits as long for a server that refuses as for a free connection, and reports neither.
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
    // One pool: the server makes every commit durable before it answers.
    let store = Store { kind: Kind::Postgres, durable: pool.clone(), pool, place: None, server: Some(Arc::new(options)) };
    Ok(Opened { store, quarantined: None, rescued: None })
}
