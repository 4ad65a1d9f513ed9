//! Token authentication with stored hashes, and the request rate of each principal.

use super::jwt::Jwt;
use crate::identity::Identity;
use axum::http::{HeaderMap, header};
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use parking_lot::{Mutex, RwLock};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

/// Maximum number of rate limiters before idle ones are removed.
const MAX_LIMITERS: usize = 10_000;

/// Maximum length of a token.
const MAX_TOKEN: usize = 16 << 10;

/// A token created by the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The principal.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// The granted scopes.
    pub scopes: Vec<String>,
}

/// The configured tokens.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// Creates a set of tokens.
    pub fn new(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }

    /// The SHA-256 of a token.
    pub fn hash(token: &str) -> [u8; 32] {
        Sha256::digest(token.as_bytes()).into()
    }

    /// The identity of `token`. Runs in constant time.
    fn identify(&self, token: &str) -> Option<Identity> {
        let hash = Self::hash(token);
        let mut found = None;
        for known in &self.0 {
            let difference = known.sha256.iter().zip(hash).fold(0, |all, (a, b)| all | (a ^ b));
            if std::hint::black_box(difference) == 0 {
                found = Some(known);
            }
        }
        found.map(|token| Identity { principal: Arc::from(token.name.as_str()), scopes: token.scopes.clone(), until: None })
    }
}

/// Authenticates requests.
pub struct Authority {
    tokens: RwLock<Tokens>,
    jwt: Option<Jwt>,
    /// The authorization servers for clients, per RFC 9728.
    pub(super) servers: Vec<String>,
    /// The resource identifier for clients and authorization servers.
    pub(super) resource: Option<String>,
    rate: Option<NonZeroU32>,
    limiters: Mutex<HashMap<Arc<str>, Arc<DefaultDirectRateLimiter>>>,
}

impl Authority {
    /// Accepts `tokens`, and tokens that `jwt` validates, each principal with at most `rate` requests per second.
    pub fn new(tokens: Tokens, jwt: Option<Jwt>, servers: Vec<String>, resource: Option<String>, rate: Option<NonZeroU32>) -> Self {
        Self { tokens: RwLock::new(tokens), jwt, servers, resource, rate, limiters: Mutex::default() }
    }

    /// Replaces the tokens, and returns the names of revoked ones: removed, or with fewer scopes.
    pub fn set_tokens(&self, tokens: Vec<Token>) -> Vec<String> {
        let tokens = Tokens::new(tokens);
        let mut known = self.tokens.write();
        let allows = |one: &Token, token: &Token| token.scopes.iter().all(|scope| one.scopes.contains(scope));
        let is_gone =
            |token: &&Token| !tokens.0.iter().any(|one| one.sha256 == token.sha256 && one.name == token.name && allows(one, token));
        let gone = known.0.iter().filter(is_gone).map(|token| token.name.clone()).collect();
        *known = tokens;
        gone
    }

    /// The identity of a bearer token.
    pub(super) async fn identify(&self, token: &str) -> Option<Identity> {
        let own = self.tokens.read().identify(token);
        match (own, &self.jwt) {
            (None, Some(jwt)) => jwt.identify(token).await,
            (found, _) => found,
        }
    }

    /// How long the principal has to wait before its next request.
    pub(super) fn wait(&self, principal: &Arc<str>) -> Option<Duration> {
        let rate = self.rate?;
        let limiter = {
            let mut limiters = self.limiters.lock();
            // An authorization server may name many principals.
            if limiters.len() >= MAX_LIMITERS {
                limiters.retain(|_, limiter| limiter.check().is_err());
            }
            let made = || {
                Arc::new(RateLimiter::direct(Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1)))))
            };
            Arc::clone(limiters.entry(Arc::clone(principal)).or_insert_with(made))
        };
        limiter.check().err().map(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
    }
}

/// The only bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = value.to_str().ok().filter(|value| value.len() <= MAX_TOKEN)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let token = |name: &str, text: &str| Token { name: name.to_owned(), sha256: Tokens::hash(text), scopes: vec!["read".to_owned()] };
        let tokens = Tokens::new(vec![token("a", "first"), token("b", "second")]);
        assert_eq!(tokens.identify("second").map(|found| found.principal.to_string()), Some("b".to_owned()));
        assert_eq!(tokens.identify("third"), None);
        assert_eq!(tokens.identify(""), None);
    }

    #[test]
    fn each_principal_has_its_own_rate() {
        let authority = Authority::new(Tokens::default(), None, Vec::new(), None, NonZeroU32::new(1));
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        assert_eq!((authority.wait(&a), authority.wait(&a)), (None, None));
        assert!(authority.wait(&a).is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(authority.wait(&b), None);
    }
}
