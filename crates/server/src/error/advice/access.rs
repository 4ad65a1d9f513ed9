//! Hints for access errors at a remote.

use super::Advice;
use crate::error::Kind;

/// Hint for credentials.
const CREDENTIALS: &str = "Authentication uses git credential helpers and ssh-agent; the server cannot prompt. If git's \
    `credential.helper` is set, ask the operator to run the same git command once in a terminal to store credentials.";

/// Hint for credentials, given git's message. A key that works in a terminal may come from an agent that this server
/// cannot reach.
pub(super) fn credentials(said: &str) -> String {
    if !said.contains("Permission denied (") {
        return CREDENTIALS.to_owned();
    }
    let agent = agent("The remote accepts no key of the ssh agent. Ask the operator to add the right one with `ssh-add`");
    format!("{agent}, or to name a key without a passphrase as `IdentityFile` in ~/.ssh/config.")
}

/// Hint for the ssh agent; `running` is the hint if there is one.
pub(super) fn agent(running: &str) -> &str {
    match std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()) {
        None => {
            "The server has no ssh agent: SSH_AUTH_SOCK is not in its environment; many clients start servers without it. Ask the operator \
             to add SSH_AUTH_SOCK to `env` of the server's entry in the client's configuration"
        }
        Some(path) if std::path::Path::new(&path).exists() => running,
        Some(_) => {
            "SSH_AUTH_SOCK of the server names a socket that does not exist: the ssh agent has exited or restarted. Ask the operator \
             to restart the server from a session that has an agent"
        }
    }
}

/// What a caller gets for an HTTP status.
pub(super) fn http(status: u16) -> Advice {
    match status {
        300..=399 => {
            Kind::Refused.with("Redirects are not followed. If that URL is right, point the remote to it with git_remote_set_url.")
        }
        401 | 403 | 407 => Kind::Denied.with(CREDENTIALS),
        404 | 410 => Kind::NotFound.with(format!("Repository not found, or these credentials cannot access it. {CREDENTIALS}")),
        429 => Kind::RateLimited.with("The remote limits the rate of requests. Try again later."),
        500.. => Kind::Unavailable.with("The remote failed. Try again later."),
        0..=299 | 400 | 402 | 405..=406 | 408..=409 | 411..=428 | 430..=499 => Kind::Refused.without_hint(),
    }
}

/// Whether the error of a command that reaches a remote may be about access, by the words of git, curl, ssh and common hosts.
pub(super) fn is_of_access(command: &str, said: &str) -> bool {
    const WORDS: [&str; 14] = [
        "uthentication",
        "uthorization",
        "nauthorized",
        "access",
        "ermission",
        "redential",
        "could not read Username",
        "could not read Password",
        "prompts disabled",
        "not allowed",
        "denied",
        "orbidden",
        "Host key verification failed",
        // A host reports private repositories like this.
        "epository not found",
    ];
    ["fetch", "push", "clone", "ls-remote", "submodule"].contains(&command) && WORDS.iter().any(|words| said.contains(words))
}
