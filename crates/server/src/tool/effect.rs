//! What a tool does, and what it works with.

/// What a tool does to the repository. Annotations, locking, queue and deadline follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads only.
    Read,
    /// Changes the repository, and git can undo it.
    Write,
    /// Can lose work.
    Destroy,
}

/// What a tool works with besides the worktree, and so what a call of it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing else.
    Worktree,
    /// Branches, tags and configuration, which all worktrees share.
    Shared,
    /// A remote. The worktree stays free for other changes.
    Remote,
    /// A remote, and the worktree with it.
    RemoteAndWorktree,
}

impl Scope {
    /// True where a remote is reached.
    pub(crate) fn is_remote(self) -> bool {
        matches!(self, Self::Remote | Self::RemoteAndWorktree)
    }
}
