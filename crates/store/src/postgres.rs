//! A `PostgreSQL` server.

use crate::{
    address,
    error::Error,
    schema,
    store::{Kind, Opened, Store},
};
use sqlx::any::AnyPoolOptions;
use std::time::Duration;

/// Enough for the calls that run at a time; each costs the server a process.
const CONNECTIONS: u32 = 8;
/// How long a call waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long a connection is kept that nobody needs.
const IDLE: Duration = Duration::from_mins(1);
/// The server gives up a statement, and a transaction whose client has stopped, before the client's callers would.
const LIMITS: &str = "SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'";

/// Connects to `url`, and brings its tables up to date.
pub(crate) async fn open(url: &str) -> Result<Opened, Error> {
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE)
        .after_connect(|conn, _| Box::pin(async move { sqlx::raw_sql(LIMITS).execute(conn).await.map(drop) }))
        .connect_lazy_with(address::options(url)?);
    let migrated = match pool.acquire().await {
        Ok(mut conn) => schema::migrate(&mut conn, Kind::Postgres).await,
        Err(err) => Err(err.into()),
    };
    if let Err(err) = migrated {
        pool.close().await;
        return Err(err);
    }
    // One pool: the server has every commit on its disk before it answers.
    let store = Store { kind: Kind::Postgres, durable: pool.clone(), pool, place: None };
    Ok(Opened { store, quarantined: None, rescued: None })
}
