//! Which remotes may be reached.

use super::key::{Setting, section, words};

words! {
    /// A protocol of remotes.
    Protocol for git::Scheme {
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
}

/// The protocols that are allowed by default.
fn usual() -> Vec<Protocol> {
    git::Network::default().names().into_iter().filter_map(|name| Protocol::parse(name).ok()).collect()
}

section! {
    /// Which remotes may be reached.
    #[serde(deny_unknown_fields)]
    Network in "network." {
        /// Allowed protocols of remotes; `http`, `git` and `file` are insecure and off by default.
        protocols: Vec<Protocol> = usual() => .variables(&["MCP_GIT_PROTOCOLS"]);
        /// Hosts that may have private addresses, as named in URLs. All others must be on the public internet.
        allow_hosts: Vec<String> = Vec::new() => .variables(&["MCP_GIT_ALLOW_HOSTS"]);
    }
}

impl Network {
    /// The rules for transfers. An empty list of protocols is the default one.
    pub(crate) fn rules(&self) -> git::Network {
        let protocols = if self.protocols.is_empty() { usual() } else { self.protocols.clone() };
        git::Network { protocols: protocols.into_iter().map(Into::into).collect(), allow_hosts: self.allow_hosts.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_rules_are_those_of_git() {
        let empty = Network { protocols: Vec::new(), ..Network::default() };
        assert_eq!([Network::default().rules(), empty.rules()], [git::Network::default(), git::Network::default()]);
    }
}
