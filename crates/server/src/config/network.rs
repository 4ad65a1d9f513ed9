//! Which remotes may be reached.

use super::key::{section, words};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A protocol of remotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP over TLS.
    Https,
    /// SSH.
    Ssh,
    /// HTTP without TLS.
    Http,
    /// The protocol of `git daemon`.
    Git,
    /// Repositories on this machine.
    File,
}
words!(Protocol);

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::Http => "http",
            Self::Git => "git",
            Self::File => "file",
        }
    }
}

/// The protocols that are allowed by default.
const USUAL: [Protocol; 2] = [Protocol::Https, Protocol::Ssh];

section! {
    /// Which remotes may be reached.
    #[serde(deny_unknown_fields)]
    Network in "network." {
        /// Allowed protocols of remotes; `http`, `git` and `file` are insecure and off by default.
        protocols: Vec<Protocol> = USUAL.to_vec() => .variables(&["MCP_GIT_PROTOCOLS"]);
        /// Hosts that may have private addresses, as named in URLs. All others must be on the public internet.
        allow_hosts: Vec<String> = Vec::new() => .variables(&["MCP_GIT_ALLOW_HOSTS"]);
    }
}

impl Network {
    /// The rules for transfers. An empty list of protocols is the default one.
    pub(crate) fn rules(&self) -> git::Network {
        let protocols = if self.protocols.is_empty() { &USUAL[..] } else { &self.protocols };
        git::Network {
            protocols: protocols.iter().map(|protocol| protocol.name().to_owned()).collect(),
            allow_hosts: self.allow_hosts.clone(),
        }
    }
}
