//! The log, on standard error: its form is fixed at the start, what it holds can be changed while the server runs.

use super::levels;
use crate::config::{Config, LogFormat};
use std::sync::{Mutex, OnceLock, PoisonError};
use tracing_subscriber::{EnvFilter, Layer, Registry, filter::ParseError, layer::SubscriberExt, reload, util::SubscriberInitExt};

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();
/// The directives in force.
static DIRECTIVES: Mutex<String> = Mutex::new(String::new());

/// Begins the log. Panics are logged with their place and a backtrace. A second beginning, as in tests, changes nothing.
pub fn init_log(config: &Config) {
    let filter = levels::filter(&config.log.level).unwrap_or_else(|_| EnvFilter::new("warn"));
    let (filter, handle) = reload::Layer::new(filter);
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let layer = match config.log.format {
        LogFormat::Text => format.boxed(),
        LogFormat::Json => format.json().flatten_event(true).boxed(),
    };
    if tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok() {
        FILTER.set(handle).ok();
        config.log.level.clone_into(&mut DIRECTIVES.lock().unwrap_or_else(PoisonError::into_inner));
    }
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::force_capture();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, %backtrace, "a thread panicked: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
}

/// Changes what is logged, and gives the directives that were in force before.
///
/// # Errors
///
/// Where a directive is none; nothing changes then.
pub(crate) fn set_level(directives: &str) -> Result<String, ParseError> {
    let filter = levels::filter(directives)?;
    if let Some(handle) = FILTER.get() {
        handle.reload(filter).ok();
    }
    let mut known = DIRECTIVES.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::replace(&mut *known, directives.to_owned()))
}

/// The directives in force.
pub(crate) fn level() -> String {
    DIRECTIVES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
