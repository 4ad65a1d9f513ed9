//! The kinds of resources that a server lists while it holds them.

use crate::named::named;

named! {
    /// A kind of resource.
    pub(crate) enum ResourceKind {
        /// A git process.
        Child = "child",
        /// The locks of a change.
        Lock = "lock",
        /// A temporary folder.
        Temporary = "temporary",
        /// A connection over HTTP.
        Connection = "connection",
        /// A subscription.
        Watch = "watch",
    }
}
