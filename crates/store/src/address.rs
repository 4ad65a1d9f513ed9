//! Where the database is.

use crate::error::Error;
use sqlx::any::AnyConnectOptions;
use std::{fmt, path::PathBuf};

/// What may stand behind the `?` of a `PostgreSQL` address. The driver logs the value of what it does not know, and a
/// misspelt `password` must not get there.
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

/// Where the database is. Shown without user, password or parameters.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// A file of `SQLite`.
    File(PathBuf),
    /// A `PostgreSQL` server, `postgres://user:password@host/database`.
    Url(String),
}

impl Address {
    /// Reads `sqlite:<path>`, whose path is taken as it stands, or `postgres:` and `postgresql:` addresses.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] for any other scheme, for a parameter that is not known, and for what is no address at all.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path == ":memory:" || path.contains(['?', '\0']) {
                return Err(Error::Address("`sqlite:` wants the path of a file, without parameters"));
            }
            return Ok(Self::File(path.into()));
        }
        if !(text.starts_with("postgres:") || text.starts_with("postgresql:")) {
            return Err(Error::Address("the address of a database begins with `sqlite:`, `postgres:` or `postgresql:`"));
        }
        // The message names neither the parameter nor its value: where a password holds a `?`, its end is read as one.
        let known = |key: &str| PARAMETERS.contains(&key) || key.starts_with("options[");
        if options(text)?.database_url.query_pairs().all(|(key, _)| known(&key)) {
            Ok(Self::Url(text.to_owned()))
        } else {
            Err(Error::Address("the address of the database has a parameter that is not known"))
        }
    }
}

/// What the driver makes of `url`.
pub(crate) fn options(url: &str) -> Result<AnyConnectOptions, Error> {
    url.parse().map_err(|_| Error::Address("the address of the database is malformed"))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", path.display()),
            // Only the host: in an address with an unescaped password, its parts may be found in any other place.
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
    fn files_and_servers_are_told_apart() {
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
