//! Effects and scopes of tools.

/// A tool's effect on the repository. It determines annotations, locking, queue and deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads only.
    Read,
    /// Changes the repository, and git can undo it.
    Write,
    /// Can lose work.
    Destroy,
}

/// What a tool uses besides the worktree, and so which locks its calls wait for.
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
    /// Whether the tool contacts a remote.
    pub(crate) fn is_remote(self) -> bool {
        matches!(self, Self::Remote | Self::RemoteAndWorktree)
    }
}
