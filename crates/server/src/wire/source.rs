//! Where the values of an argument come from, for its completion.

/// Where the values of an argument come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nowhere: it is free text.
    Free,
    /// These.
    Values(&'static [&'static str]),
    /// The repositories that are served.
    Repositories,
    /// Branches, tags and HEAD.
    Revisions,
    /// Tags alone.
    Tags,
    /// The folder that has been typed so far, in a revision.
    Paths,
    /// Paths in conflict.
    Conflicts,
    /// Remotes.
    Remotes,
    /// Groups of tools.
    Toolsets,
}
