//! The authenticated caller and its scopes.

use crate::{
    error::{Error, Kind},
    named::named,
    tool::effect::{Effect, Scope},
};
use std::sync::Arc;

named! {
    /// A right of a caller: a scope of its token.
    pub words Right {
        /// Reads repositories.
        Read = "read",
        /// Changes repositories.
        Write = "write",
        /// Reaches remotes.
        Network = "network",
        /// Administers the server itself.
        Admin = "admin",
    }
}

impl Right {
    /// The right called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.name() == name)
    }
}

/// The principal that makes a call, and its rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name, as the owner of sessions, handles and tasks.
    pub principal: Arc<str>,
    /// What the principal may do.
    pub rights: Vec<Right>,
}

impl Caller {
    /// The principal of callers without a token.
    pub(crate) const LOCAL: &'static str = "local";

    /// The principal of a ticket, and of the changes that the admin API makes.
    pub(crate) const OPERATOR: &'static str = "operator";

    /// The local user, or a caller without a token if that is allowed.
    pub fn local() -> Self {
        Self { principal: Arc::from(Self::LOCAL), rights: Right::ALL.to_vec() }
    }

    /// The rights that a call needs.
    pub(crate) fn needed(effect: Effect, scope: Scope) -> impl Iterator<Item = Right> {
        let main = if effect == Effect::Read { Right::Read } else { Right::Write };
        std::iter::once(main).chain(scope.is_remote().then_some(Right::Network))
    }

    /// Rejects a call that the principal has no right to make.
    pub(crate) fn check(&self, effect: Effect, scope: Scope) -> Result<(), Error> {
        match Self::needed(effect, scope).find(|right| !self.rights.contains(right)) {
            None => Ok(()),
            Some(missing) => Err(Error::new(Kind::Denied, format!("the token does not have the scope `{}`", missing.name()))
                .hint("The operator decides which scopes a token has.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_needs_the_rights_to_what_it_does() {
        let reader = Caller { principal: Arc::from("r"), rights: vec![Right::Read] };
        assert!(reader.check(Effect::Read, Scope::Worktree).is_ok());
        for (effect, scope) in [(Effect::Write, Scope::Worktree), (Effect::Destroy, Scope::Shared), (Effect::Read, Scope::Remote)] {
            assert!(reader.check(effect, scope).is_err_and(|err| err.kind == Kind::Denied), "{effect:?} {scope:?}");
        }
        assert_eq!(Right::named("write"), Some(Right::Write));
        assert_eq!((Right::named("everything"), Right::named("billing:write")), (None, None));
    }
}
