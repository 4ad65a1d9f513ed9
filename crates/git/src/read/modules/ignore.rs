//! How far a read looks into submodules, and which of their changes it leaves out.

use std::cell::Cell;

/// The most submodules that one read looks into, with those inside of others.
const MAX_MODULES: usize = 100;
/// The deepest nesting that is looked into.
const MAX_DEPTH: usize = 3;
/// How far a read still looks into submodules.
pub(crate) struct Reach {
    pub(super) depth: usize,
    pub(super) left: Cell<usize>,
}

impl Reach {
    pub(crate) fn new() -> Self {
        Self { depth: MAX_DEPTH, left: Cell::new(MAX_MODULES) }
    }

    /// The limits inside of a submodule.
    pub(super) fn deeper(&self) -> Self {
        Self { depth: self.depth - 1, left: Cell::new(self.left.get()) }
    }
}

/// Changes of submodules that are left out, as `submodule.NAME.ignore` says: each word includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ignore {
    Nothing,
    Untracked,
    Dirty,
    All,
}

impl Ignore {
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::Nothing),
            "untracked" => Some(Self::Untracked),
            "dirty" => Some(Self::Dirty),
            "all" => Some(Self::All),
            _ => None,
        }
    }
}
