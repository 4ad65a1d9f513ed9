//! Settings of `serve`: its address, authentication and sessions.

use super::{ConfigError, Flags, first, words};
use crate::caller::{Caller, Right};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

/// The default port of `serve`.
pub(crate) const DEFAULT_PORT: u16 = 8080;

/// Settings of `serve`.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The port.
    pub port: u16,
    /// The address; both loopback addresses if absent.
    pub host: Option<IpAddr>,
    /// A Unix socket instead of a port.
    pub socket: Option<PathBuf>,
    /// Names accepted in the Host header, besides loopback names.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may send requests, besides loopback origins.
    pub allowed_origins: Vec<String>,
    /// Requests per second and principal; 0 is no limit.
    pub rate: u32,
    /// Accepted tokens. With none, and no `jwt`, every client is accepted.
    pub tokens: Vec<NamedToken>,
    /// Authorization server whose tokens are accepted, too.
    pub jwt: Option<JwtIssuer>,
    /// Where clients get tokens.
    pub authorization_servers: Vec<String>,
    /// The name of this server for clients and authorization servers.
    pub resource: Option<String>,
    /// Maximum number of sessions of older revisions and of `WebSocket`s.
    pub max_sessions: usize,
    /// Idle timeout of a session.
    pub idle_sessions: Duration,
    /// Interval between pings of a silent WebSocket.
    pub heartbeat: Duration,
    /// Number of unanswered pings allowed.
    pub missed: u32,
}

/// A token, by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedToken {
    /// The principal.
    pub name: String,
    /// Its SHA-256, in hexadecimal.
    #[serde(deserialize_with = "hash")]
    #[schemars(with = "String")]
    pub sha256: [u8; 32],
    /// Its scopes.
    pub scopes: Vec<Right>,
}

/// An authorization server whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtIssuer {
    /// Required issuer (`iss`).
    pub issuer: String,
    /// Required audience (`aud`).
    pub audience: String,
    /// Its JWKS: a URL or a file.
    pub jwks: String,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileHttp {
    host: Option<IpAddr>,
    socket: Option<PathBuf>,
    allowed_hosts: Vec<String>,
    allowed_origins: Vec<String>,
    rate: Option<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileAuth {
    tokens: Vec<NamedToken>,
    jwt: Option<JwtIssuer>,
    authorization_servers: Vec<String>,
    resource: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileSessions {
    max: Option<usize>,
    idle: Option<u64>,
    pub(super) evict_batch: Option<usize>,
    pub(super) sweep_interval: Option<u64>,
    pub(super) idle_warn: Option<usize>,
    pub(super) workspace_ttl: Option<u64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileHeartbeat {
    interval: Option<u64>,
    missed: Option<u32>,
}

/// The file's sections for these settings.
pub(super) struct Parts {
    pub(super) port: Option<u16>,
    pub(super) http: FileHttp,
    pub(super) auth: FileAuth,
    pub(super) sessions: FileSessions,
    pub(super) heartbeat: FileHeartbeat,
}

impl Serving {
    pub(super) fn from_parts(flags: &Flags, file: Parts, variable: &dyn Fn(&'static str) -> Option<String>) -> Result<Self, ConfigError> {
        let bounded = |name: &'static str, file: Option<u64>, default: u64, range: std::ops::RangeInclusive<u64>| {
            let value = parsed::<u64>(name, variable)?.or(file).unwrap_or(default);
            if range.contains(&value) {
                return Ok(value);
            }
            Err(ConfigError::Variable { name, why: format!("{value} is not between {} and {}", range.start(), range.end()) })
        };
        // The first name overrides the second.
        let either = |named: &'static str, own: &'static str| if variable(named).is_some() { named } else { own };
        let serving = Self {
            port: flags.port.or(parsed("MCP_GIT_PORT", variable)?).or(file.port).unwrap_or(DEFAULT_PORT),
            host: flags.host.or(parsed("MCP_GIT_HOST", variable)?).or(file.http.host),
            socket: flags
                .socket
                .clone()
                .or_else(|| variable("MCP_GIT_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from))
                .or(file.http.socket),
            allowed_hosts: first([words("MCP_GIT_ALLOWED_HOSTS", variable), file.http.allowed_hosts, Vec::new()]),
            allowed_origins: first([words("MCP_GIT_ALLOWED_ORIGINS", variable), file.http.allowed_origins, Vec::new()]),
            rate: parsed("MCP_GIT_RATE", variable)?.or(file.http.rate).unwrap_or(0),
            tokens: file.auth.tokens,
            jwt: file.auth.jwt,
            authorization_servers: file.auth.authorization_servers,
            resource: file.auth.resource,
            max_sessions: usize::try_from(bounded(
                either("MCP_GIT_MAX_CONCURRENT_SESSIONS", "MCP_GIT_SESSIONS_MAX"),
                file.sessions.max.map(|max| max as u64),
                1000,
                1..=100_000,
            )?)
            .unwrap_or(1000),
            idle_sessions: Duration::from_secs(bounded(
                either("MCP_GIT_SESSION_TIMEOUT", "MCP_GIT_SESSIONS_IDLE"),
                file.sessions.idle,
                3600,
                1..=604_800,
            )?),
            heartbeat: Duration::from_secs(bounded("MCP_GIT_HEARTBEAT_INTERVAL", file.heartbeat.interval, 30, 1..=3600)?),
            missed: u32::try_from(bounded("MCP_GIT_HEARTBEAT_MISSED", file.heartbeat.missed.map(u64::from), 3, 1..=100)?).unwrap_or(3),
        };
        serving.check()?;
        Ok(serving)
    }

    /// Whether a token is required.
    pub(crate) fn wants_tokens(&self) -> bool {
        !self.tokens.is_empty() || self.jwt.is_some()
    }

    /// Rejects settings that would admit other machines without authentication.
    fn check(&self) -> Result<(), ConfigError> {
        let is_local = self.host.is_none_or(|host| host.is_loopback());
        if let Some(token) = self.tokens.iter().find(|token| !is_principal(&token.name)) {
            return Err(ConfigError::Serving(format!("invalid token name `{}`: {PRINCIPALS}", token.name)));
        }
        let mut names: Vec<&str> = self.tokens.iter().map(|token| token.name.as_str()).collect();
        names.sort_unstable();
        if let Some(name) = names.iter().zip(names.iter().skip(1)).find_map(|(one, next)| (one == next).then_some(one)) {
            return Err(ConfigError::Serving(format!("two tokens have the name `{name}`")));
        }
        if self.rate > 0 && !self.wants_tokens() {
            return Err(ConfigError::Serving(
                "`http.rate` limits each token, but there is none: add `[[auth.tokens]]` or `[auth.jwt]`".to_owned(),
            ));
        }
        if is_local || self.wants_tokens() {
            return Ok(());
        }
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Err(ConfigError::Serving(format!(
            "{host} can be reached from other machines, and has no authentication. Add `[[auth.tokens]]` to the configuration \
             (`mcp-server-git token NAME` creates one), or omit the host and use a tunnel."
        )))
    }
}

/// The rule for names of principals.
pub(crate) const PRINCIPALS: &str = "a name has 1 to 64 letters, digits, and `-`, `.`, `_`, `@`, and is not `local`";

/// Whether a token may have this name.
pub(crate) fn is_principal(name: &str) -> bool {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte));
    is_plain && (1..=64).contains(&name.len()) && name != Caller::LOCAL
}

/// Parses a variable that holds a single value.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &'static str,
    variable: &dyn Fn(&'static str) -> Option<String>,
) -> Result<Option<T>, ConfigError> {
    let Some(text) = variable(name).filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|err: T::Err| ConfigError::Variable { name, why: format!("`{text}`: {err}") })
}

fn hash<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    let digit = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..32).map(|n| digit(n * 2)).collect();
    let whole = bytes.filter(|_| text.len() == 64).and_then(|bytes| bytes.try_into().ok());
    whole.ok_or_else(|| serde::de::Error::custom("`sha256` must be 64 hexadecimal digits: `mcp-server-git token NAME` prints them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving(variables: &[(&str, &str)], tokens: Vec<NamedToken>) -> Result<Serving, ConfigError> {
        let auth = FileAuth { tokens, ..FileAuth::default() };
        let file = Parts {
            port: Some(1),
            http: FileHttp::default(),
            auth,
            sessions: FileSessions::default(),
            heartbeat: FileHeartbeat::default(),
        };
        let value = |name: &'static str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Serving::from_parts(&Flags::default(), file, &value)
    }

    #[test]
    fn only_local_clients_are_admitted_without_tokens() -> Result<(), ConfigError> {
        let token = NamedToken { name: "a".to_owned(), sha256: [0; 32], scopes: vec![Right::Read] };
        assert_eq!(serving(&[], Vec::new())?.port, 1);
        assert!(serving(&[("MCP_GIT_HOST", "::1")], Vec::new()).is_ok());
        for host in ["0.0.0.0", "::", "192.168.1.1"] {
            assert!(matches!(serving(&[("MCP_GIT_HOST", host)], Vec::new()), Err(ConfigError::Serving(_))), "{host}");
            assert!(serving(&[("MCP_GIT_HOST", host)], vec![token.clone()]).is_ok(), "{host}");
        }
        assert!(matches!(serving(&[], vec![token.clone(), token]), Err(ConfigError::Serving(_))));
        Ok(())
    }

    #[test]
    fn numbers_out_of_bounds_are_refused() {
        for (name, value) in
            [("MCP_GIT_PORT", "70000"), ("MCP_GIT_SESSIONS_MAX", "0"), ("MCP_GIT_HEARTBEAT_INTERVAL", "x"), ("MCP_GIT_HOST", "localhost")]
        {
            assert!(matches!(serving(&[(name, value)], Vec::new()), Err(ConfigError::Variable { .. })), "{name}");
        }
    }
}
