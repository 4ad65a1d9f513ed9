//! What the operator lets changes do: at once, when they are confirmed, or not at all.

use crate::error::{Error, Kind};
use schemars::JsonSchema;
use serde::Deserialize;

/// An answer to a kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// It is done.
    Allow,
    /// It is done when the user confirms it, or the call with `confirm`: true where that counts.
    Confirm,
    /// It is refused, whatever the call says.
    Deny,
}

/// A kind of change that can lose work or surprise others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyAction {
    /// Replaces what a remote branch holds.
    ForcePush,
    /// Overwrites the index and tracked files.
    HardReset,
    /// Removes files that nobody tracks.
    Clean,
    /// Deletes a branch or a tag, here or there.
    Delete,
    /// Rewrites commits that a remote has.
    RewritePushed,
}

/// What the operator lets changes do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For pushes that replace what is there.
    pub force_push: Rule,
    /// For `git_reset` with `hard`.
    pub hard_reset: Rule,
    /// For `git_clean`.
    pub clean: Rule,
    /// For deleting branches and tags.
    pub delete: Rule,
    /// For rewriting commits that a remote has.
    pub rewrite_pushed: Rule,
    /// Branches that are never deleted and whose pushed commits are never rewritten; `*` at the end stands for any rest.
    pub protected: Vec<String>,
    /// Whether the argument `confirm` also counts where the client can ask its user.
    pub model_confirms: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            force_push: Rule::Confirm,
            hard_reset: Rule::Confirm,
            clean: Rule::Confirm,
            delete: Rule::Confirm,
            rewrite_pushed: Rule::Confirm,
            protected: vec!["main".to_owned(), "master".to_owned()],
            model_confirms: false,
        }
    }
}

impl Policy {
    /// Lets a deed pass, or says why not. `what` says what would happen, for the one who has to decide.
    pub(crate) fn permit(&self, action: PolicyAction, confirmed: bool, what: &str) -> Result<(), Error> {
        let (rule, name) = match action {
            PolicyAction::ForcePush => (self.force_push, "force_push"),
            PolicyAction::HardReset => (self.hard_reset, "hard_reset"),
            PolicyAction::Clean => (self.clean, "clean"),
            PolicyAction::Delete => (self.delete, "delete"),
            PolicyAction::RewritePushed => (self.rewrite_pushed, "rewrite_pushed"),
        };
        match rule {
            Rule::Allow => Ok(()),
            Rule::Confirm if confirmed => Ok(()),
            Rule::Confirm => Err(Error::new(Kind::Refused, what).asks()),
            Rule::Deny => {
                Err(Error::new(Kind::Denied, what).hint(format!("The operator does not allow it (`policy.{name}` is \"deny\").")))
            }
        }
    }

    /// Refuses what must not happen to a protected branch.
    pub(crate) fn spare(&self, branch: &str, what: &str) -> Result<(), Error> {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => branch.starts_with(start),
            None => pattern == branch,
        };
        if !self.protected.iter().any(matches) {
            return Ok(());
        }
        Err(Error::new(Kind::Denied, format!("`{branch}` is protected: {what}"))
            .hint("The operator names protected branches with `policy.protected_branches`."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_stands_whatever_the_call_says() {
        let policy = Policy { clean: Rule::Deny, hard_reset: Rule::Allow, protected: vec!["release/*".to_owned()], ..Policy::default() };
        assert!(policy.permit(PolicyAction::Clean, true, "x").is_err_and(|err| err.kind == Kind::Denied));
        assert!(policy.permit(PolicyAction::HardReset, false, "x").is_ok());
        assert!(policy.permit(PolicyAction::Delete, false, "x").is_err_and(|err| err.kind == Kind::Refused));
        assert!(policy.permit(PolicyAction::Delete, true, "x").is_ok());
        assert!(policy.spare("release/1", "x").is_err() && policy.spare("releases", "x").is_ok() && policy.spare("main", "x").is_ok());
    }
}
