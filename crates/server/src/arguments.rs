//! Arguments common to all tools, removed before the tool parses the rest.

use crate::{
    error::{Error, Kind},
    output::Budget,
    percent,
};
use serde_json::{Map, Value};

/// Maximum length of an idempotency key.
const MAX_KEY: usize = 200;

/// The path of a `file://` URI.
pub(crate) fn directory(uri: &str) -> Option<std::path::PathBuf> {
    let path = uri.strip_prefix("file://")?;
    // The URI of another host names no local directory.
    let path = path.strip_prefix("localhost").unwrap_or(path);
    if path.starts_with('/') { percent::decode(path).map(Into::into) } else { None }
}

/// Removes a string from the arguments.
pub(crate) fn take_text(args: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Error> {
    match args.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Error::new(Kind::BadInput, format!("invalid arguments: `{name}` must be a string")).loggable()),
    }
}

/// Removes a boolean from the arguments.
pub(crate) fn take_switch(args: &mut Map<String, Value>, name: &str) -> Result<bool, Error> {
    match args.remove(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(value),
        Some(_) => Err(Error::new(Kind::BadInput, format!("invalid arguments: `{name}` must be true or false")).loggable()),
    }
}

/// Removes the key under which a change's result is stored.
pub(crate) fn idempotency_key(args: &mut Map<String, Value>) -> Result<Option<String>, Error> {
    match take_text(args, "idempotency_key")? {
        Some(key) if key.is_empty() || key.len() > MAX_KEY => {
            Err(Error::new(Kind::BadInput, format!("`idempotency_key` must have 1 to {MAX_KEY} bytes")).loggable())
        }
        key => Ok(key),
    }
}

/// The budget of the result: the caller's `max_tokens`, up to the operator's limit.
pub(crate) fn budget(args: &mut Map<String, Value>, own: Budget) -> Result<Budget, Error> {
    match args.remove("max_tokens") {
        None | Some(Value::Null) => Ok(own),
        Some(value) => match value.as_u64().and_then(|tokens| usize::try_from(tokens).ok()) {
            Some(tokens) => Ok(own.lowered_to(tokens)),
            None => Err(Error::new(Kind::BadInput, "invalid arguments: `max_tokens` must be a whole number")),
        },
    }
}
