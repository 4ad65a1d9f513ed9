//! Log filters: component names in filter directives.

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Component names and their modules.
const COMPONENTS: &[(&str, &[&str])] = &[
    ("session", &["mcp::sessions", "mcp::http::sessions", "mcp_server_git::persistence::keeper"]),
    ("validation", &["mcp::frame", "mcp::validation", "mcp::connection", "validation"]),
    ("error_handling", &["mcp_server_git::telemetry::errors", "mcp_server_git::server"]),
    ("http", &["mcp::http"]),
    ("calls", &["mcp_server_git::pipeline", "mcp_server_git::wire"]),
    ("git", &["git"]),
    ("circuits", &["guard::breaker", "mcp_server_git::circuits"]),
    ("database", &["store", "mcp_server_git::persistence"]),
    (
        "lifecycle",
        &[
            "mcp_server_git::lifecycle",
            "mcp_server_git::server::reload",
            "mcp_server_git::server::restart",
            "mcp_server_git::serving",
            "mcp_server_git::cli",
        ],
    ),
];
/// Alternative prefix of a component name.
const LOGGER: &str = "mcp_server_git.";
/// Crates that log whole messages, invalid arguments or every disconnect. Arguments and content do not belong in a log;
/// the server logs the relevant rest itself.
const QUIET: [&str; 3] = ["rmcp=off", "h2=warn", "hyper=warn"];
/// The crates that log.
const CRATES: [&str; 15] = [
    "mcp_server_git",
    "mcp",
    "git",
    "guard",
    "store",
    "validation",
    "rmcp",
    "hyper",
    "hyper_util",
    "h2",
    "sqlx",
    "ureq",
    "rustls",
    "opentelemetry",
    "opentelemetry_sdk",
];
/// SQL statements are logged at `trace` alone.
const STATEMENTS: &str = "sqlx=warn";

/// Names accepted in directives in place of modules.
pub(crate) fn components() -> impl Iterator<Item = &'static str> {
    COMPONENTS.iter().map(|(name, _)| *name)
}

/// The first name in the directives that is neither a component nor a known crate.
pub(crate) fn unknown(directives: &str) -> Option<&str> {
    let names = directives.split(',').filter_map(|directive| directive.split_once('=')).map(|(name, _)| name.trim());
    let is_known = |name: &str| {
        let (own, root) = (name.strip_prefix(LOGGER).unwrap_or(name), name.split(['[', ':']).next().unwrap_or_default());
        COMPONENTS.iter().any(|(component, _)| *component == own) || CRATES.contains(&root)
    };
    names.into_iter().find(|name| !is_known(name))
}

/// Builds a filter from directives such as `info`, `warn,session=debug` or `mcp_server_git.session=trace`.
///
/// # Errors
///
/// If a directive is invalid.
pub(crate) fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    // Without a general level, the default applies to everything else.
    let base = if general(directives).next().is_some_and(|level| !level.is_empty()) { "" } else { "warn," };
    let mut filter = EnvFilter::builder().parse(format!("{base}{}", translated(directives)))?;
    for quiet in QUIET {
        filter = filter.add_directive(quiet.parse()?);
    }
    if !directives.contains("sqlx") {
        let is_trace = general(directives).any(|level| level.eq_ignore_ascii_case("trace"));
        filter = filter.add_directive(if is_trace { "sqlx=trace" } else { STATEMENTS }.parse()?);
    }
    Ok(filter)
}

/// The general levels. The last one counts.
fn general(directives: &str) -> impl Iterator<Item = &str> {
    directives.split(',').map(str::trim).filter(|directive| !directive.contains('='))
}

/// The same directives, raised to at least `info`.
pub(crate) fn with_info(directives: &str) -> String {
    let is_more = general(directives).last().is_some_and(|level| ["debug", "trace"].iter().any(|more| level.eq_ignore_ascii_case(more)));
    if is_more { directives.to_owned() } else { format!("{directives},info") }
}

/// Replaces components by their modules.
fn translated(directives: &str) -> String {
    let all = directives.split(',').flat_map(|directive| {
        let (name, level) = directive.split_once('=').map_or((directive, None), |(name, level)| (name, Some(level)));
        let name = name.trim();
        let own = name.strip_prefix(LOGGER).unwrap_or(name);
        match (COMPONENTS.iter().find(|(component, _)| *component == own), level) {
            (Some((_, modules)), Some(level)) => modules.iter().map(|module| format!("{module}={level}")).collect(),
            _ => vec![directive.to_owned()],
        }
    });
    all.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_have_long_and_short_names() {
        let session = "mcp::sessions=debug,mcp::http::sessions=debug,mcp_server_git::persistence::keeper=debug";
        assert_eq!(translated("warn,session=debug"), format!("warn,{session}"));
        assert_eq!(translated("mcp_server_git.session=debug"), session);
        assert_eq!(translated("git=trace,mcp_server_git::wire=info"), "git=trace,mcp_server_git::wire=info");
        assert_eq!(unknown("warn,session=debug,mcp_server_git.session=debug,mcp_server_git::wire=info,sqlx=trace"), None);
        assert_eq!(unknown("warn,chapter=debug"), Some("chapter"));
        assert!(filter("session=loud").is_err() && filter("warn,session=debug").is_ok());
        assert!(components().all(|name| filter(&format!("{LOGGER}{name}=debug")).is_ok()));
    }
}
