//! The log: to standard error, optionally to files, and the last records in memory. Its format is fixed at startup; its
//! filter can be changed at runtime.

use super::{
    levels,
    ring::{Recorder, Ring},
};
use crate::config::{Config, Log, LogFormat};
use parking_lot::Mutex;
use std::sync::{LazyLock, OnceLock};
use tracing::{Level, Metadata};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, ParseError, filter_fn},
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

/// Filters of the outputs, and of the records in memory.
static FILTERS: OnceLock<[reload::Handle<EnvFilter, Registry>; 2]> = OnceLock::new();
/// The directives in force.
static DIRECTIVES: Mutex<String> = Mutex::new(String::new());
static RING: LazyLock<Ring> = LazyLock::new(Ring::default);

/// Spans are created only for the outputs: each costs more than a record. `enabled!` passes metadata of neither kind.
fn is_no_span(meta: &Metadata<'_>) -> bool {
    !meta.is_span()
}

/// Initializes the log of this process. Panics are logged with location and backtrace. Repeated calls, as in tests, have no
/// effect.
pub fn init_log(config: &Config) {
    init(&config.log);
}

/// Initializes the log of this process at level `debug`, on standard error, and returns a handle that changes its levels.
/// If [`init_log`] has run, only the levels change; a subscriber that another crate has set stays as it is.
#[doc(alias = "setup_debug_logging")]
pub fn init_debug() -> LogHandle {
    let log = Log { level: "debug".to_owned(), ..Log::default() };
    init(&log);
    // An earlier log has other levels. `debug` is a valid directive.
    set_level(&log.level).ok();
    LogHandle(())
}

/// Changes the levels of the log of this process.
#[derive(Clone, Copy, Debug)]
pub struct LogHandle(());

/// A level or target that cannot be used; the levels are as before.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// It is neither a component, such as `session`, nor a module.
    #[error("there is no component `{0}`")]
    Unknown(String),
    /// It is no directive.
    #[error(transparent)]
    Invalid(#[from] ParseError),
}

impl LogHandle {
    /// Sets the level of one component, such as `session`, or of a module, such as `mcp_server_git::wire`.
    ///
    /// # Errors
    ///
    /// [`LevelError`] if the target is unknown.
    #[doc(alias = "setLevel")]
    pub fn set(self, target: &str, level: Level) -> Result<(), LevelError> {
        let own = format!("{target}=");
        let directives = self.level();
        let others = directives.split(',').filter(|directive| !directive.trim().starts_with(&own));
        let changed = others.chain([format!("{own}{level}").as_str()]).collect::<Vec<_>>().join(",");
        self.set_all(&changed)
    }

    /// Replaces all levels by directives such as `warn,session=debug`.
    ///
    /// # Errors
    ///
    /// [`LevelError`] if a directive is invalid, or its target unknown.
    pub fn set_all(self, directives: &str) -> Result<(), LevelError> {
        if let Some(name) = levels::unknown(directives) {
            return Err(LevelError::Unknown(name.to_owned()));
        }
        set_level(directives)?;
        Ok(())
    }

    /// The directives in force.
    pub fn level(self) -> String {
        level()
    }
}

fn init(log: &Log) {
    let [written, kept] = filters(&log.level).unwrap_or_else(|_| [EnvFilter::new("warn"), EnvFilter::new("info")]);
    let ((written, written_handle), (kept, kept_handle)) = (reload::Layer::new(written), reload::Layer::new(kept));
    let layers = vec![outputs(log).with_filter(written).boxed(), Recorder(&RING).with_filter(kept.and(filter_fn(is_no_span))).boxed()];
    if tracing_subscriber::registry().with(layers).try_init().is_ok() {
        FILTERS.set([written_handle, kept_handle]).ok();
        log.level.clone_into(&mut DIRECTIVES.lock());
    }
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::force_capture();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, %backtrace, "a thread panicked: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
}

/// The outputs of the log.
fn outputs<S>(log: &Log) -> Vec<Box<dyn Layer<S> + Send + Sync>>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let mut outputs = vec![match log.format {
        LogFormat::Text => format.boxed(),
        LogFormat::Json => format.json().flatten_event(true).boxed(),
    }];
    match log.file.as_ref().map(|file| file_of(file, log.keep)) {
        Some(Ok(file)) => {
            outputs.push(
                tracing_subscriber::fmt::layer()
                    .with_writer(std::sync::Mutex::new(file))
                    .with_ansi(false)
                    .json()
                    .flatten_event(true)
                    .boxed(),
            );
        }
        // There is no log yet to report this in.
        Some(Err(why)) => crate::terminal::tell(&format!("mcp-server-git: cannot open the log file: {why}")),
        None => {}
    }
    outputs
}

/// A daily log file, of which the last `keep` are retained.
fn file_of(path: &std::path::Path, keep: usize) -> Result<RollingFileAppender, String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("the path has no file name")?;
    std::fs::create_dir_all(folder).map_err(|err| format!("{}: {err}", folder.display()))?;
    let appender = RollingFileAppender::builder().rotation(Rotation::DAILY).filename_prefix(name).max_log_files(keep);
    appender.build(folder).map_err(|err| std::error::Error::source(&err).map_or_else(|| err.to_string(), |cause| format!("{err}: {cause}")))
}

/// Filters of the outputs and of the records in memory, which include at least call results.
fn filters(directives: &str) -> Result<[EnvFilter; 2], ParseError> {
    Ok([levels::filter(directives)?, levels::filter(&levels::with_info(directives))?])
}

/// Changes the filter and returns the previous directives.
///
/// # Errors
///
/// If a directive is invalid; nothing changes then.
pub(crate) fn set_level(directives: &str) -> Result<String, ParseError> {
    let filters = filters(directives)?;
    for (handle, filter) in FILTERS.get().into_iter().flatten().zip(filters) {
        handle.reload(filter).ok();
    }
    let mut known = DIRECTIVES.lock();
    Ok(std::mem::replace(&mut *known, directives.to_owned()))
}

/// The directives in force.
pub(crate) fn level() -> String {
    DIRECTIVES.lock().clone()
}

/// The last records.
pub(crate) fn records() -> &'static Ring {
    &RING
}
