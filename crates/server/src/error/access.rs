//! Hints for access errors at a remote.

use super::Kind;

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

/// What an HTTP status means for a call.
pub(super) fn http(status: u16) -> (Kind, Option<String>) {
    match status {
        300..=399 => (
            Kind::Refused,
            Some("Redirects are not followed. If that URL is right, point the remote to it with git_remote_set_url.".to_owned()),
        ),
        401 | 403 | 407 => (Kind::Denied, Some(CREDENTIALS.to_owned())),
        404 | 410 => (Kind::NotFound, Some(format!("Repository not found, or these credentials cannot access it. {CREDENTIALS}"))),
        429 => (Kind::RateLimited, Some("The remote limits the rate of requests. Try again later.".to_owned())),
        500.. => (Kind::Unavailable, Some("The remote failed. Try again later.".to_owned())),
        _ => (Kind::Refused, None),
    }
}
