//! The revisions of the protocol: what each has and lacks. The one place that names them.

/// A revision of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// The first.
    V2024_11_05,
    /// Streamable HTTP, and tool annotations.
    V2025_03_26,
    /// Elicitation, structured results, and the header with the revision.
    V2025_06_18,
    /// Tasks.
    V2025_11_25,
    /// Requests that stand alone: no handshake, no session, no requests from server to client.
    V2026_07_28,
}

impl Revision {
    /// All, oldest first.
    pub const ALL: [Self; 5] = [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];
    /// The newest.
    pub const NEWEST: Self = Self::V2026_07_28;
    /// The newest with a handshake.
    pub const WITH_HANDSHAKE: Self = Self::V2025_11_25;
    /// Methods that [`Self::is_stateless`] revisions no longer have.
    pub const REMOVED: [&str; 5] = ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];

    /// Its name: the date.
    pub fn name(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The revision of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.name() == name)
    }

    /// The newest revision that is not after `date`: what applies to a client of a revision that is unknown here.
    pub fn at(date: &str) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|revision| revision.name() <= date)
    }

    /// Whether requests stand alone: without handshake, session, ping, roots, and requests from server to client.
    pub fn is_stateless(self) -> bool {
        self >= Self::V2026_07_28
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::model::ProtocolVersion;

    #[test]
    fn revisions_are_those_of_the_sdk_in_order() {
        let known: Vec<&str> = ProtocolVersion::KNOWN_VERSIONS.iter().map(ProtocolVersion::as_str).collect();
        assert_eq!(Revision::ALL.map(Revision::name).to_vec(), known);
        assert!(Revision::ALL.is_sorted() && Revision::ALL.last() == Some(&Revision::NEWEST));
        assert_eq!(Revision::ALL.map(|revision| Revision::named(revision.name())), Revision::ALL.map(Some));
        assert_eq!((Revision::at("2024-01-01"), Revision::at("2025-12-01")), (None, Some(Revision::V2025_11_25)));
        assert!(Revision::at("2027-01-01").is_some_and(Revision::is_stateless) && !Revision::WITH_HANDSHAKE.is_stateless());
    }
}
