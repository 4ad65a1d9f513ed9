//! Store errors, grouped by what the caller can do about them.

use sqlx::sqlite::SqliteError;
use std::io;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed database operation. No message contains an address or a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unreachable, busy or too slow: it may recover.
    #[error("the database is unavailable")]
    Unavailable(#[source] Source),
    /// The disk or quota of the database is full.
    #[error("no space left for the database")]
    Full(#[source] Source),
    /// The stored data cannot be read.
    #[error("the database is damaged")]
    Corrupt(#[source] Source),
    /// Written by a later release.
    #[error("the database has version {found}; this release supports versions up to {known}")]
    Newer {
        /// Its version.
        found: i64,
        /// The latest version this release supports.
        known: i64,
    },
    /// A row with this id already exists.
    #[error("{0} already exists")]
    Exists(String),
    /// The address is invalid.
    #[error("{0}")]
    Address(&'static str),
    /// The database rejected a statement.
    #[error("the database rejected a statement")]
    Query(#[source] Source),
}

impl Error {
    /// Whether the same call may succeed later, so that the caller can do without the store until then.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Full(_) => true,
            Self::Corrupt(_) | Self::Newer { .. } | Self::Exists(_) | Self::Address(_) | Self::Query(_) => false,
        }
    }

    /// Whether no connection to a server could be made: connection refused or no route. A full server was reached.
    pub fn is_refusal(&self) -> bool {
        let Self::Unavailable(source) = self else { return false };
        matches!(source.downcast_ref::<sqlx::Error>(), Some(sqlx::Error::Io(_)))
    }

    pub(crate) fn io(err: io::Error) -> Self {
        match err.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(err.into()),
            _ => Self::Unavailable(err.into()),
        }
    }

    /// Whether another connection held the lock.
    pub(crate) fn is_busy(&self) -> bool {
        let Self::Unavailable(source) = self else { return false };
        let err = source.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
        err.and_then(|err| err.try_downcast_ref()).is_some_and(|err| matches!(sqlite_code(err), 5 | 6))
    }
}

impl From<sqlx::Error> for Error {
    fn from(err: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &err {
            E::Database(found) => {
                let class = match found.try_downcast_ref::<SqliteError>() {
                    Some(err) => of_sqlite(sqlite_code(err)),
                    None => of_postgres(&found.code().unwrap_or_default()),
                };
                class(err.into())
            }
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed => {
                Self::Unavailable(err.into())
            }
            // Without its source, which quotes the address.
            E::Configuration(_) => Self::Address("the address of the database has an invalid value"),
            _ => Self::Query(err.into()),
        }
    }
}

/// The primary code: the low byte of the extended code.
fn sqlite_code(err: &SqliteError) -> u32 {
    let code = sqlx::error::DatabaseError::code(err).and_then(|code| code.parse::<u32>().ok());
    code.unwrap_or_default() & 0xff
}

/// Codes: <https://www.sqlite.org/rescode.html>.
fn of_sqlite(code: u32) -> fn(Source) -> Error {
    match code {
        // PERM, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, CANTOPEN, PROTOCOL, NOLFS, AUTH.
        3 | 5 | 6 | 7 | 8 | 9 | 10 | 14 | 15 | 22 | 23 => Error::Unavailable,
        // FULL.
        13 => Error::Full,
        // CORRUPT, NOTADB.
        11 | 26 => Error::Corrupt,
        _ => Error::Query,
    }
}

/// States: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn of_postgres(state: &str) -> fn(Source) -> Error {
    match state {
        "53100" => Error::Full,
        "XX001" | "XX002" => Error::Corrupt,
        // No such database; read-only transaction, as on a standby not promoted yet; lock not available.
        "3D000" | "25006" | "55P03" => Error::Unavailable,
        _ => match state.get(..2) {
            // Connection, authorisation, transaction rollback, resources, operator intervention (including timeouts and
            // shutdowns), system errors.
            Some("08" | "28" | "40" | "53" | "57" | "58") => Error::Unavailable,
            _ => Error::Query,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_map_to_errors() {
        let of = |class: fn(Source) -> Error| class("x".into());
        assert!(matches!(of(of_sqlite(13)), Error::Full(_)));
        assert!(matches!(of(of_sqlite(26)), Error::Corrupt(_)));
        assert!(matches!(of(of_sqlite(5)), Error::Unavailable(_)));
        assert!(matches!(of(of_sqlite(1)), Error::Query(_)));
        assert!(matches!(of(of_postgres("57014")), Error::Unavailable(_)));
        assert!(matches!(of(of_postgres("53100")), Error::Full(_)));
        assert!(matches!(of(of_postgres("XX001")), Error::Corrupt(_)));
        assert!(matches!(of(of_postgres("42P01")), Error::Query(_)));
        assert!(matches!(of(of_postgres("")), Error::Query(_)));
    }
}
