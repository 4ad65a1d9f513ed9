//! Settings of `serve`: its address, authentication and sessions.

use super::{
    ConfigError,
    key::{Seconds, section, tables},
};
use crate::caller::{Caller, Right};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

/// A token, by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtIssuer {
    /// Required issuer (`iss`).
    pub issuer: String,
    /// Required audience (`aud`).
    pub audience: String,
    /// Its JWKS: a URL or a file.
    pub jwks: String,
}

tables!(NamedToken, JwtIssuer);

section! {
    /// How `serve` is reached.
    #[serde(deny_unknown_fields)]
    Http in "http." {
        /// The address of `serve`. One other than loopback needs `auth.tokens`; put a proxy with TLS in front of it.
        host: Option<IpAddr> = None => .variables(&["MCP_GIT_HOST"]).flag("--host").default_is("loopback");
        /// A Unix socket instead of address and port, for the owner only.
        socket: Option<PathBuf> = None => .variables(&["MCP_GIT_SOCKET"]).flag("--socket");
        /// Names accepted in the Host header, besides loopback names.
        allowed_hosts: Vec<String> = Vec::new() => .variables(&["MCP_GIT_ALLOWED_HOSTS"]);
        /// Origins such as `https://app.example` whose pages may send requests (CORS), besides loopback origins.
        allowed_origins: Vec<String> = Vec::new() => .variables(&["MCP_GIT_ALLOWED_ORIGINS"]);
        /// Requests per second and token, with bursts of twice as many; 0 is no limit.
        rate: u32 = 0 => .variables(&["MCP_GIT_RATE"]);
    }
}

section! {
    /// Who may use `serve`.
    #[serde(deny_unknown_fields)]
    Auth in "auth." {
        /// Tables with `name`, `sha256` and `scopes` (`read`, `write`, `network`, `admin`): who may use `serve`. Without any, every
        /// user of this machine may. `mcp-server-git token NAME` creates one.
        tokens: Vec<NamedToken> = Vec::new() => .reloads();
        /// A table with `issuer`, `audience` and `jwks` (a URL or a file): accepts tokens signed by this authorization server for this
        /// audience, until they expire; `scope` or `scp` holds their scopes.
        jwt: Option<JwtIssuer> = None;
        /// Where clients get tokens, for the metadata of this resource (RFC 9728).
        authorization_servers: Vec<String> = Vec::new();
        /// The name of this resource in that metadata.
        resource: Option<String> = None => .default_is("the requested URL");
    }
}

section! {
    /// Sessions of older revisions and of WebSockets, and workspaces.
    #[serde(deny_unknown_fields)]
    Sessions in "sessions." {
        /// Concurrent sessions of revisions before 2026-07-28, and WebSockets.
        max: usize = 1000, within(usize: 1..=100_000) => .variables(&["MCP_GIT_MAX_CONCURRENT_SESSIONS", "MCP_GIT_SESSIONS_MAX"]).reloads();
        /// Seconds until an idle session expires. Calls and streams keep it active.
        idle: Seconds = Seconds(3600), within(u64: 1..=604_800) => .variables(&["MCP_GIT_SESSION_TIMEOUT", "MCP_GIT_SESSIONS_IDLE"]).reloads();
        /// Sessions evicted at once when the session limit is reached: the longest idle of the principal with the most sessions; at
        /// most a tenth of `sessions.max`. Sessions with work in flight are never evicted.
        evict_batch: usize = 100, within(usize: 1..=10_000) => .variables(&["MCP_GIT_SESSIONS_EVICT_BATCH"]).reloads();
        /// Seconds between sweeps for expired sessions.
        sweep_interval: Seconds = Seconds(300), within(u64: 1..=86_400) => .variables(&["MCP_GIT_SESSIONS_SWEEP"]);
        /// Idle sessions above which the log and `sessions list` warn.
        idle_warn: usize = 100, within(usize: 0..=1_000_000) => .variables(&["MCP_GIT_SESSIONS_IDLE_WARN"]).reloads();
        /// Seconds until an unused workspace is closed, its branch kept; one with edits or untracked files stays.
        workspace_ttl: Seconds = Seconds(604_800), within(u64: 1..=31_536_000) => .variables(&["MCP_GIT_WORKSPACE_TTL"]);
    }
}

section! {
    /// Heartbeats of sessions.
    #[serde(deny_unknown_fields)]
    Heartbeat in "heartbeat." {
        /// Seconds between heartbeats: a WebSocket silent since the last is pinged.
        interval: Seconds = Seconds(30), within(u64: 1..=3600) => .variables(&["MCP_GIT_HEARTBEAT_INTERVAL"]);
        /// Unanswered pings allowed; any message answers them.
        missed: u32 = 3, within(u32: 1..=100) => .variables(&["MCP_GIT_HEARTBEAT_MISSED"]).reloads();
    }
}

impl Auth {
    /// Whether a token is required.
    pub(crate) fn wants_tokens(&self) -> bool {
        !self.tokens.is_empty() || self.jwt.is_some()
    }
}

/// Rejects settings that would admit other machines without authentication.
pub(super) fn check(http: &Http, auth: &Auth) -> Result<(), ConfigError> {
    let is_local = http.host.is_none_or(|host| host.is_loopback());
    if let Some(token) = auth.tokens.iter().find(|token| !is_principal(&token.name)) {
        return Err(ConfigError::Serving(format!("invalid token name `{}`: {PRINCIPALS}", token.name)));
    }
    let mut names: Vec<&str> = auth.tokens.iter().map(|token| token.name.as_str()).collect();
    names.sort_unstable();
    if let Some(name) = names.iter().zip(names.iter().skip(1)).find_map(|(one, next)| (one == next).then_some(one)) {
        return Err(ConfigError::Serving(format!("two tokens have the name `{name}`")));
    }
    if http.rate > 0 && !auth.wants_tokens() {
        return Err(ConfigError::Serving(
            "`http.rate` limits each token, but there is none: add `[[auth.tokens]]` or `[auth.jwt]`".to_owned(),
        ));
    }
    if is_local || auth.wants_tokens() {
        return Ok(());
    }
    let host = http.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Err(ConfigError::Serving(format!(
        "{host} can be reached from other machines, and has no authentication. Add `[[auth.tokens]]` to the configuration \
         (`mcp-server-git token NAME` creates one), or omit the host and use a tunnel."
    )))
}

/// The rule for names of principals.
pub(crate) const PRINCIPALS: &str = "a name has 1 to 64 letters, digits, and `-`, `.`, `_`, `@`, and is not `local`";

/// Whether a token may have this name.
pub(crate) fn is_principal(name: &str) -> bool {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte));
    is_plain && (1..=64).contains(&name.len()) && name != Caller::LOCAL && name != Caller::OPERATOR
}

fn hash<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    let mut bytes = [0; 32];
    let read = hex::decode_to_slice(&text, &mut bytes).map(|()| bytes);
    read.map_err(|_| serde::de::Error::custom("`sha256` must be 64 hexadecimal digits: `mcp-server-git token NAME` prints them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_clients_are_admitted_without_tokens() -> Result<(), std::net::AddrParseError> {
        let token = NamedToken { name: "a".to_owned(), sha256: [0; 32], scopes: vec![Right::Read] };
        let checked = |host: Option<IpAddr>, tokens: &[&NamedToken]| {
            let auth = Auth { tokens: tokens.iter().map(|token| Clone::clone(*token)).collect(), ..Auth::default() };
            check(&Http { host, ..Http::default() }, &auth)
        };
        assert!(checked(None, &[]).is_ok() && checked(Some("::1".parse()?), &[]).is_ok());
        for host in ["0.0.0.0", "::", "192.168.1.1"] {
            let host = Some(host.parse()?);
            assert!(matches!(checked(host, &[]), Err(ConfigError::Serving(_))), "{host:?}");
            assert!(checked(host, &[&token]).is_ok(), "{host:?}");
        }
        assert!(matches!(checked(None, &[&token, &token]), Err(ConfigError::Serving(_))));
        Ok(())
    }
}
