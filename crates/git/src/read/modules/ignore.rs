//! Limits for inspecting submodules, and the changes to ignore in them.

use std::cell::Cell;

/// Maximum number of submodules inspected per read, including nested ones.
const MAX_MODULES: usize = 100;
/// Maximum nesting depth inspected.
const MAX_DEPTH: usize = 3;
/// The remaining budget of a read for inspecting submodules.
pub(crate) struct Reach {
    pub(super) depth: usize,
    pub(super) left: Cell<usize>,
}

impl Reach {
    pub(crate) fn new() -> Self {
        Self { depth: MAX_DEPTH, left: Cell::new(MAX_MODULES) }
    }

    /// The limits inside a submodule.
    pub(super) fn deeper(&self) -> Self {
        Self { depth: self.depth - 1, left: Cell::new(self.left.get()) }
    }
}

/// Changes of submodules to ignore (`submodule.NAME.ignore`); each value includes the ones before it.
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
