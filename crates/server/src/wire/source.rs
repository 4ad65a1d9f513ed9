//! Sources of argument completions.

/// The source of an argument's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// None: free text.
    Free,
    /// A fixed list.
    Values(&'static [&'static str]),
    /// The served repositories.
    Repositories,
    /// Branches, tags and HEAD.
    Revisions,
    /// Tags only.
    Tags,
    /// Entries of the typed directory, in a revision.
    Paths,
    /// Paths in conflict.
    Conflicts,
    /// Remotes.
    Remotes,
    /// Toolsets.
    Toolsets,
}
