//! Hints for changes that stop, and for what they leave.

use super::access::agent;

/// Hint for a missing identity.
pub(super) const IDENTITY: &str = "Ask the operator to run: git config --global user.name NAME; git config --global user.email ADDRESS";

/// Hint for a program that has to work first.
pub(super) const FIX: &str = "Fix what it reports. Then repeat the call.";

/// Hint for a change stopped by something other than a conflict.
pub(super) fn of_a_halt(halt: &git::Halt) -> String {
    match &halt.by {
        None => format!("{IDENTITY}. Then repeat the call."),
        Some(by) if by.hook.is_some() && by.code == Some(-1) => {
            "The hook cannot run: its first line must name a program that exists, and end without a carriage return. Fix \
             that. Then repeat the call."
                .to_owned()
        }
        Some(by) if by.hook.is_some() => FIX.to_owned(),
        Some(by) => match by.signs {
            Some(git::Signer::Ssh) => {
                let agent = agent("A key with a passphrase must be in the ssh agent: ask the operator to add the key with `ssh-add`");
                format!(
                    "Ask the operator to set up signing: `gpg.ssh.program` and `user.signingKey` of git's configuration name program and \
                     key. {agent}, or to name a key without a passphrase as `user.signingKey`. Then repeat the call."
                )
            }
            Some(git::Signer::X509) => {
                "Ask the operator to set up signing: as `gpg.format` is x509, `gpg.x509.program` (by default gpgsm) and `user.signingKey` \
                 of git's configuration name program and certificate, and a passphrase must be in the gpg agent, since the server cannot \
                 prompt. Then repeat the call."
                    .to_owned()
            }
            Some(git::Signer::OpenPgp) | None => {
                "Ask the operator to set up signing: `gpg.program` and `user.signingKey` of git's configuration name program and key, and \
                 a passphrase must be in the gpg agent, since the server cannot prompt. Then repeat the call."
                    .to_owned()
            }
        },
    }
}

/// Hint for conflicts without an operation in progress.
pub(super) fn of_conflicts(stash: Option<usize>) -> String {
    let begin = "git_conflicts shows the conflicts and takes a side; git_add marks an edited file as resolved.";
    let end = "git_abort discards the incoming changes.";
    match stash {
        Some(number) => format!(
            "{begin} There is nothing to continue then: git_stash {{\"action\":\"drop\",\"number\":{number}}} drops the entry once it is \
             no longer needed. {end}"
        ),
        None => format!("{begin} Then git_commit. {end}"),
    }
}

/// Hint for a stash entry that was applied but not dropped.
pub(super) fn of_an_undropped_entry(number: Option<usize>) -> String {
    let drop = number.map_or_else(
        || "`git update-ref -d refs/stash` removes what is left of it".to_owned(),
        |number| format!("git_stash {{\"action\":\"drop\",\"number\":{number}}} drops the entry"),
    );
    format!("The changes are in the files: do not apply them again. Fix what it reports, then {drop}.")
}
