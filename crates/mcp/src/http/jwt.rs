//! JWTs of an authorization server: validates signature, issuer, audience and time with the server's published keys.

use crate::identity::Identity;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, PublicKeyUse},
};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};
use tokio::sync::Notify;

/// Asymmetric algorithms only. With a shared secret, every verifier could also sign.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// How long keys are used before they are fetched again.
const FRESH: Duration = Duration::from_mins(10);
/// Minimum time between fetches for an unknown key.
const PAUSE: Duration = Duration::from_secs(30);
/// Maximum size of a JWKS, in bytes.
const MAX_KEYS: usize = 1 << 20;
/// Timeout of a fetch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Allowed clock skew, in seconds.
const LEEWAY: u64 = 60;

/// Location of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// An `https` or `http` URL.
    Url(String),
    /// A file.
    File(PathBuf),
}

/// Validates tokens.
pub struct Jwt {
    issuer: String,
    audience: String,
    source: KeySource,
    keys: Arc<Keys>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    #[serde(default)]
    scope: Scopes,
    #[serde(default)]
    scp: Scopes,
}

/// Scopes separated by spaces, or as a list.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Scopes {
    Text(String),
    List(Vec<String>),
    #[default]
    None,
}

impl Scopes {
    fn words(self) -> Vec<String> {
        match self {
            Self::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
            Self::List(list) => list,
            Self::None => Vec::new(),
        }
    }
}

impl Jwt {
    /// Accepts tokens of `issuer` for `audience`.
    pub fn new(issuer: String, audience: String, source: KeySource) -> Self {
        Self { issuer, audience, source, keys: Arc::default() }
    }

    /// The identity in a token; `None` if the token is invalid.
    pub(super) async fn identify(&self, token: &str) -> Option<Identity> {
        let header = decode_header(token).ok().filter(|header| ALGORITHMS.contains(&header.alg))?;
        let key = self.key(header.kid.as_deref()).await?;
        let is_for = |algorithm: jsonwebtoken::jwk::KeyAlgorithm| algorithm.to_string() == format!("{:?}", header.alg);
        if key.common.key_algorithm.is_some_and(|algorithm| !is_for(algorithm)) {
            return None;
        }
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        match decode::<Claims>(token, &DecodingKey::from_jwk(&key).ok()?, &validation) {
            Ok(found) => {
                let claims = found.claims;
                // Scopes have the prefix `git:` if the authorization server serves several resources.
                let own = |scope: String| scope.strip_prefix("git:").map_or_else(|| scope.clone(), str::to_owned);
                let scopes = [claims.scope.words(), claims.scp.words()].concat().into_iter().map(own).collect();
                if claims.sub.is_empty() {
                    return None;
                }
                // The prefix separates them from the principals of configured tokens.
                let until = UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp.saturating_add(LEEWAY)));
                Some(Identity { principal: Arc::from(format!("jwt:{}", claims.sub)), scopes, until })
            }
            Err(err) => {
                tracing::info!(%err, "token rejected");
                None
            }
        }
    }

    /// The key with this id, or the only key.
    async fn key(&self, id: Option<&str>) -> Option<Jwk> {
        let (found, is_old) = self.keys.find(id);
        if let Some(key) = found {
            if is_old {
                // Later requests use the new keys.
                self.keys.refresh(&self.source);
            }
            return Some(key);
        }
        if !is_old {
            return None;
        }
        let done = self.keys.done.notified();
        self.keys.refresh(&self.source);
        tokio::time::timeout(TIMEOUT, done).await.ok()?;
        self.keys.find(id).0
    }
}

/// The last fetched keys.
#[derive(Default)]
struct Keys {
    state: Mutex<State>,
    done: Notify,
}

#[derive(Default)]
struct State {
    known: Vec<Jwk>,
    /// Time of the last fetch, successful or not.
    read: Option<Instant>,
    reading: bool,
}

impl Keys {
    fn lock(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A key, and whether a fetch is due.
    fn find(&self, id: Option<&str>) -> (Option<Jwk>, bool) {
        let state = self.lock();
        let found = match (id, state.known.as_slice()) {
            (Some(id), known) => known.iter().find(|key| key.common.key_id.as_deref() == Some(id)).cloned(),
            (None, [one]) => Some(one.clone()),
            (None, _) => None,
        };
        let due = if found.is_some() { FRESH } else { PAUSE };
        let is_old = state.read.is_none_or(|read| read.elapsed() >= due);
        (found, is_old)
    }

    /// Fetches the keys, unless a fetch is running. The fetch continues if its caller is cancelled.
    fn refresh(self: &Arc<Self>, source: &KeySource) {
        if std::mem::replace(&mut self.lock().reading, true) {
            return;
        }
        let (keys, source) = (Arc::clone(self), source.clone());
        tokio::task::spawn_blocking(move || {
            let found = read(&source);
            let mut state = keys.lock();
            (state.reading, state.read) = (false, Some(Instant::now()));
            match found {
                Ok(known) => state.known = known,
                // The previous keys stay in use.
                Err(why) => tracing::warn!(why, "could not fetch the authorization server's JWKS"),
            }
            drop(state);
            keys.done.notify_waiters();
        });
    }
}

fn read(source: &KeySource) -> Result<Vec<Jwk>, String> {
    let text = match source {
        KeySource::File(path) => fs::read_to_string(path).map_err(|err| format!("{}: {err}", path.display()))?,
        KeySource::Url(url) => {
            let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
            let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).max_redirects(0).tls_config(tls).build();
            let mut response = ureq::Agent::new_with_config(config).get(url).call().map_err(|err| err.to_string())?;
            response.body_mut().with_config().limit(MAX_KEYS as u64).read_to_string().map_err(|err| err.to_string())?
        }
    };
    keys_in(&text)
}

/// The signature keys in a JWKS; keys of unknown types are skipped.
fn keys_in(text: &str) -> Result<Vec<Jwk>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_str(text).map_err(|err| format!("invalid JWKS: {err}"))?;
    let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    Ok(keys.filter(|key| key.common.public_key_use != Some(PublicKeyUse::Encryption)).collect())
}
