//! The address of the database.

use crate::error::Error;
use sqlx::any::AnyConnectOptions;
use std::{fmt, path::PathBuf};

/// Parameters allowed after the `?` of a `PostgreSQL` address. The driver logs the values of unknown ones, and a misspelt
/// `password` must not be logged.
const PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// The address of a database. Displayed without user, password or parameters.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// An `SQLite` file.
    File(PathBuf),
    /// A `PostgreSQL` server, `postgres://user:password@host/database`.
    Url(String),
}

impl Address {
    /// Parses `sqlite:<path>`, whose path is taken literally, and `postgres:` and `postgresql:` addresses.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] for any other scheme, an unknown parameter, or a malformed address.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path == ":memory:" || path.contains(['?', '\0']) {
                return Err(Error::Address("`sqlite:` takes the path of a file, without parameters"));
            }
            return Ok(Self::File(path.into()));
        }
        if !(text.starts_with("postgres:") || text.starts_with("postgresql:")) {
            return Err(Error::Address("the address of a database starts with `sqlite:`, `postgres:` or `postgresql:`"));
        }
        // The message quotes no parameter: a password containing a `?` would be parsed as one.
        let known = |key: &str| PARAMETERS.contains(&key) || key.starts_with("options[");
        if options(text)?.database_url.query_pairs().all(|(key, _)| known(&key)) {
            Ok(Self::Url(text.to_owned()))
        } else {
            Err(Error::Address("the address of the database has an unknown parameter"))
        }
    }
}

/// Parses `url` with the driver.
pub(crate) fn options(url: &str) -> Result<AnyConnectOptions, Error> {
    url.parse().map_err(|_| Error::Address("the address of the database is malformed"))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            // Only the host: parts of an unescaped password may end up in any other component.
            Self::Url(url) => {
                let options = options(url).ok();
                let host = options.as_ref().and_then(|options| options.database_url.host_str());
                write!(f, "postgres://{}", host.unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_servers_are_distinguished() {
        for (text, path) in
            [("sqlite:a b%20.db", "a b%20.db"), ("sqlite://a.db", "a.db"), ("sqlite:///a/b", "/a/b"), ("sqlite:/a/b", "/a/b")]
        {
            assert!(matches!(Address::parse(text), Ok(Address::File(found)) if found.to_str() == Some(path)), "{text}");
        }
        for text in ["postgres://h/d", "postgresql://u:p@h:1/d?sslmode=require", "postgres:///d?host=/run&options[search_path]=s"] {
            assert!(matches!(Address::parse(text), Ok(Address::Url(found)) if found == text), "{text}");
        }
        for text in
            ["", "mysql://h/d", "sqlite:", "sqlite::memory:", "sqlite:a?mode=rwc", "postgres://h:port/d", "postgres://h/d?pasword=x"]
        {
            assert!(matches!(Address::parse(text), Err(Error::Address(_))), "{text}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for url in [
            "postgres://user:hunter2@host/d",
            "postgres://user:hunter2?hunter2@host/d",
            "postgres://user:1?hunter2@host/d",
            "postgres://user:1/hunter2@host/d",
            "postgres://host/d?password=hunter2",
            "postgres://host/d?hunter2=hunter2",
        ] {
            let shown = format!("{0} {0:?} {1:?}", Address::Url(url.to_owned()), Address::parse(url));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(Address::Url("postgres://user:hunter2@host/d".to_owned()).to_string(), "postgres://host");
    }
}
