//! Tokens of an authorization server: JWTs whose signature, issuer, audience and time are right, by the keys that it publishes.

use crate::identity::Identity;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Algorithms with a public key. Those with a shared secret would let everybody sign who can check.
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
/// How long keys are used before they are asked for again.
const FRESH: Duration = Duration::from_mins(10);
/// How often an unknown key may be looked for.
const PAUSE: Duration = Duration::from_secs(30);
/// The most that a set of keys may have.
const MAX_KEYS: usize = 1 << 20;
/// How long they may take to come.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 60;

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// At an `https` address, or an `http` one.
    Url(String),
    /// In a file.
    File(PathBuf),
}

/// Which tokens are good.
pub struct Jwt {
    issuer: String,
    audience: String,
    source: KeySource,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    known: Vec<Jwk>,
    asked: Option<Instant>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    scope: Scopes,
    #[serde(default)]
    scp: Scopes,
}

/// Words with spaces between them, or a list of them.
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
    /// Takes tokens of `issuer` that are meant for `audience`.
    pub fn new(issuer: String, audience: String, source: KeySource) -> Self {
        Self { issuer, audience, source, keys: Mutex::default() }
    }

    /// Whom a token stands for, where it is good.
    pub(super) async fn identify(&self, token: &str) -> Option<Identity> {
        let header = decode_header(token).ok().filter(|header| ALGORITHMS.contains(&header.alg))?;
        let key = self.key(header.kid.as_deref()).await?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        match decode::<Claims>(token, &DecodingKey::from_jwk(&key).ok()?, &validation) {
            Ok(found) => {
                let claims = found.claims;
                let scopes = [claims.scope.words(), claims.scp.words()].concat();
                // Apart from those that the operator has named.
                Some(Identity { principal: Arc::from(format!("jwt:{}", claims.sub)), scopes })
            }
            Err(err) => {
                tracing::info!(%err, "a token is refused");
                None
            }
        }
    }

    /// The key called `id`, or the only one.
    async fn key(&self, id: Option<&str>) -> Option<Jwk> {
        let mut keys = self.keys.lock().await;
        let age = keys.asked.map(|asked| asked.elapsed());
        let find = |known: &[Jwk]| match (id, known) {
            (Some(id), known) => known.iter().find(|key| key.common.key_id.as_deref() == Some(id)).cloned(),
            (None, [one]) => Some(one.clone()),
            (None, _) => None,
        };
        let found = find(&keys.known);
        let is_due = age.is_none_or(|age| age >= if found.is_some() { FRESH } else { PAUSE });
        if !is_due {
            return found;
        }
        keys.asked = Some(Instant::now());
        let source = self.source.clone();
        match tokio::task::spawn_blocking(move || read(&source)).await {
            Ok(Ok(known)) => keys.known = known,
            // With the keys of before, as long as there are any.
            Ok(Err(why)) => tracing::warn!(why, "the keys of the authorization server cannot be had"),
            Err(err) => tracing::error!(%err, "reading keys failed"),
        }
        find(&keys.known)
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

/// The keys for signatures in a set; those of a kind that is not known are passed over.
fn keys_in(text: &str) -> Result<Vec<Jwk>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = serde_json::from_str(text).map_err(|err| format!("no set of keys: {err}"))?;
    let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    Ok(keys.filter(|key| key.common.public_key_use != Some(PublicKeyUse::Encryption)).collect())
}
