//! The operator's policy for risky changes: allow, require confirmation, or deny.

use crate::error::{Error, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The rule for a kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Permitted.
    Allow,
    /// Permitted if the user confirms it, or the call has `confirm`: true and that counts.
    Confirm,
    /// Refused, even if confirmed.
    Deny,
}

/// A kind of change that can lose work or surprise others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyAction {
    /// Replaces the commits of a remote branch.
    ForcePush,
    /// Overwrites the index and tracked files.
    HardReset,
    /// Removes untracked files.
    Clean,
    /// Deletes a local or remote branch or tag.
    Delete,
    /// Rewrites commits that a remote has.
    RewritePushed,
}

/// The operator's policy for changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For force pushes.
    pub force_push: Rule,
    /// For `git_reset` with `hard`.
    pub hard_reset: Rule,
    /// For `git_clean`.
    pub clean: Rule,
    /// For deleting branches and tags.
    pub delete: Rule,
    /// For rewriting commits that a remote has.
    pub rewrite_pushed: Rule,
    /// Branches that are never deleted and whose pushed commits are never rewritten; a final `*` matches any suffix.
    pub protected: Vec<String>,
    /// Whether the argument `confirm` counts even if the client can ask its user.
    pub model_confirms: bool,
}

impl Policy {
    /// Permits an action, or returns the reason against it. `what` describes the consequences to the user.
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
            Rule::Confirm => Err(Error::new(Kind::Refused, what.to_owned()).asks()),
            Rule::Deny => {
                Err(Error::new(Kind::Denied, what.to_owned()).hint(format!("The operator forbids it (`policy.{name}` is \"deny\").")))
            }
        }
    }

    /// Refuses an action, described by `what`, on a protected branch.
    pub(crate) fn check_protected(&self, branch: &str, what: &str) -> Result<(), Error> {
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
    use crate::config::PolicySettings;

    #[test]
    fn confirmation_does_not_override_a_denial() {
        let usual = PolicySettings::default().policy();
        let policy = Policy { clean: Rule::Deny, hard_reset: Rule::Allow, protected: vec!["release/*".to_owned()], ..usual };
        assert!(policy.permit(PolicyAction::Clean, true, "x").is_err_and(|err| err.kind == Kind::Denied));
        assert!(policy.permit(PolicyAction::HardReset, false, "x").is_ok());
        assert!(policy.permit(PolicyAction::Delete, false, "x").is_err_and(|err| err.kind == Kind::Refused));
        assert!(policy.permit(PolicyAction::Delete, true, "x").is_ok());
        let check = |branch| policy.check_protected(branch, "x");
        assert!(check("release/1").is_err() && check("releases").is_ok() && check("main").is_ok());
    }
}
