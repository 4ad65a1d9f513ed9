//! What a caller, or the operator, is told to do where a remote does not let them in.

use super::Kind;

/// Where credentials come from.
const CREDENTIALS: &str = "If this is about credentials: they come from git's own credential helpers and the ssh agent, since nothing can be \
    asked here. Where `credential.helper` of git's configuration names one, the operator stores them by running the same git command \
    once in a terminal.";

/// Where credentials come from, given what git has written. A key that works in a terminal may come from an agent that this
/// server does not know of.
pub(super) fn credentials(said: &str) -> String {
    if !said.contains("Permission denied (") {
        return CREDENTIALS.to_owned();
    }
    let agent = agent("No key of the ssh agent is accepted there. The operator adds the right one with `ssh-add`");
    format!("{agent}, or names a key without a passphrase as `IdentityFile` in ~/.ssh/config.")
}

/// What to do about the ssh agent. `there` is that where it is there.
pub(super) fn agent(there: &str) -> &str {
    match std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()) {
        None => {
            "The server has no ssh agent, since SSH_AUTH_SOCK is not in its environment: many clients start servers without it. The operator \
             adds SSH_AUTH_SOCK to `env` of the server's entry in the client's configuration"
        }
        Some(path) if std::path::Path::new(&path).exists() => there,
        Some(_) => {
            "SSH_AUTH_SOCK of the server names a socket that is not there: the ssh agent has ended or begun anew. The operator starts \
             the server again from a session that has one"
        }
    }
}

/// What an HTTP status means for a call.
pub(super) fn http(status: u16) -> (Kind, Option<String>) {
    match status {
        300..=399 => (
            Kind::Refused,
            Some("Redirects are not followed. If that place is right, point the remote there with git_remote_set_url.".to_owned()),
        ),
        401 | 403 | 407 => (Kind::Denied, Some(CREDENTIALS.to_owned())),
        404 | 410 => (Kind::NotFound, Some(format!("There is no such repository, or it does not show itself. {CREDENTIALS}"))),
        429 => (Kind::RateLimited, Some("The remote wants to be asked less often. Try again later.".to_owned())),
        500.. => (Kind::Unavailable, Some("The fault is the remote's. Try again later.".to_owned())),
        _ => (Kind::Refused, None),
    }
}
