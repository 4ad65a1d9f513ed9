//! How `serve` is reached, and by whom.

use super::{ConfigError, Flags, first, words};
use crate::caller::{Caller, Right};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

/// The port of `serve`, unless told otherwise.
pub(crate) const DEFAULT_PORT: u16 = 8080;

/// How `serve` is reached, and by whom.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The port.
    pub port: u16,
    /// The address; both loopback addresses when absent.
    pub host: Option<IpAddr>,
    /// A Unix socket in place of a port.
    pub socket: Option<PathBuf>,
    /// Names, besides those of the loopback, under which the server is asked for.
    pub allowed_hosts: Vec<String>,
    /// Origins, besides those of the loopback, whose pages may ask.
    pub allowed_origins: Vec<String>,
    /// Requests a second for each principal; no limit when 0.
    pub rate: u32,
    /// Those who may come in; everybody when empty.
    pub tokens: Vec<NamedToken>,
    /// Tokens of an authorization server that are taken, too.
    pub jwt: Option<JwtIssuer>,
    /// Where clients get tokens.
    pub authorization_servers: Vec<String>,
    /// The name of this server for clients and authorization servers.
    pub resource: Option<String>,
    /// Sessions of the older revisions, and those of `WebSocket`s, at a time.
    pub max_sessions: usize,
    /// How long a session may be silent.
    pub idle_sessions: Duration,
    /// How often a silent WebSocket is asked whether it lives.
    pub heartbeat: Duration,
    /// How many of these questions may stay unanswered.
    pub missed: u32,
}

/// A token by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedToken {
    /// Whom it stands for.
    pub name: String,
    /// The SHA-256 of it, in hexadecimal.
    #[serde(deserialize_with = "hash")]
    #[schemars(with = "String")]
    pub sha256: [u8; 32],
    /// What it allows.
    pub scopes: Vec<Right>,
}

/// An authorization server whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtIssuer {
    /// Who has to have made them.
    pub issuer: String,
    /// Whom they have to be meant for.
    pub audience: String,
    /// Where its keys are: a URL, or a file.
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

/// What the file says of it.
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
        // Names that the companions of the guide use win where both are given.
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

    /// True where nobody comes in without a token.
    pub(crate) fn wants_tokens(&self) -> bool {
        !self.tokens.is_empty() || self.jwt.is_some()
    }

    /// Refuses to let strangers in.
    fn check(&self) -> Result<(), ConfigError> {
        let is_local = self.host.is_none_or(|host| host.is_loopback());
        if let Some(token) = self.tokens.iter().find(|token| !is_principal(&token.name)) {
            return Err(ConfigError::Serving(format!("a token cannot be called `{}`: {PRINCIPALS}", token.name)));
        }
        let mut names: Vec<&str> = self.tokens.iter().map(|token| token.name.as_str()).collect();
        names.sort_unstable();
        if let Some(name) = names.iter().zip(names.iter().skip(1)).find_map(|(one, next)| (one == next).then_some(one)) {
            return Err(ConfigError::Serving(format!("two tokens are called `{name}`")));
        }
        if self.rate > 0 && !self.wants_tokens() {
            return Err(ConfigError::Serving(
                "`http.rate` is for each token, and there is none: add `[[auth.tokens]]` or `[auth.jwt]`".to_owned(),
            ));
        }
        if is_local || self.wants_tokens() {
            return Ok(());
        }
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Err(ConfigError::Serving(format!(
            "{host} can be reached from other machines, and everybody would be let in. Add `[[auth.tokens]]` to the configuration \
             (`mcp-server-git token NAME` makes one), or leave the host out and use a tunnel."
        )))
    }
}

/// What a principal may be called.
pub(crate) const PRINCIPALS: &str = "a name has 1 to 64 letters, digits, and `-`, `.`, `_`, `@`, and is not `local`";

/// True for names that no other kind of principal has.
pub(crate) fn is_principal(name: &str) -> bool {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte));
    is_plain && (1..=64).contains(&name.len()) && name != Caller::LOCAL
}

/// A variable that is a value of its own.
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
    whole.ok_or_else(|| serde::de::Error::custom("`sha256` is 64 hexadecimal digits: `mcp-server-git token NAME` prints them"))
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
    fn strangers_are_let_in_from_this_machine_alone() -> Result<(), ConfigError> {
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
