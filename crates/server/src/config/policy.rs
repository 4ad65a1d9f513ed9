//! The policy for changes.

use super::{
    Hooks, Signing,
    key::{section, words},
};
use crate::policy::{Policy, Rule};

words!(Rule);

section! {
    /// What changes may do.
    #[serde(deny_unknown_fields)]
    PolicySettings in "policy." {
        /// `allow`, `confirm` or `deny` force pushes. They always need a lease.
        force_push: Rule = Rule::Confirm => .variables(&["MCP_GIT_FORCE_PUSH"]);
        /// The same for `git_reset` with `hard`.
        hard_reset: Rule = Rule::Confirm => .variables(&["MCP_GIT_HARD_RESET"]);
        /// The same for `git_clean`.
        clean: Rule = Rule::Confirm => .variables(&["MCP_GIT_CLEAN"]);
        /// The same for deleting unmerged branches, tags, and remote branches.
        delete: Rule = Rule::Confirm => .variables(&["MCP_GIT_DELETE"]);
        /// The same for rewriting pushed commits.
        rewrite_pushed: Rule = Rule::Confirm => .variables(&["MCP_GIT_REWRITE_PUSHED"]);
        /// `true`: a call's argument `confirm` counts for every client. Otherwise it counts only if the client cannot ask its user, or
        /// fails to; else the user is asked.
        model_confirms: bool = false => .variables(&["MCP_GIT_MODEL_CONFIRMS"]);
        /// Branches that are never deleted or force-pushed, and whose pushed commits are never rewritten. A trailing `*` matches any
        /// rest; an empty list protects none.
        protected_branches: Vec<String> = vec!["main".to_owned(), "master".to_owned()]
            => .variables(&["MCP_GIT_PROTECTED_BRANCHES"]).empty_counts();
        /// `deny`: no hook runs, not even in trusted repositories.
        hooks: Hooks = Hooks::Allow => .variables(&["MCP_GIT_HOOKS"]);
        /// `auto`: as git is configured. `never`. `require`: refuses what cannot be signed.
        signing: Signing = Signing::Auto => .variables(&["MCP_GIT_SIGNING"]);
    }
}

impl PolicySettings {
    /// The policy for changes.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            force_push: self.force_push,
            hard_reset: self.hard_reset,
            clean: self.clean,
            delete: self.delete,
            rewrite_pushed: self.rewrite_pushed,
            protected: self.protected_branches.clone(),
            model_confirms: self.model_confirms,
        }
    }
}
