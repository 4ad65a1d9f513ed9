//! Breakpoints: which calls to hold before they start.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which calls to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(from = "String", into = "String")]
pub enum Breakpoint {
    /// None.
    #[default]
    Off,
    /// All.
    All,
    /// Calls of these tools.
    Tools(Vec<String>),
}

impl std::str::FromStr for Breakpoint {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = || text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Ok(match text.trim().to_ascii_lowercase().as_str() {
            "" | "0" | "false" | "no" | "off" => Self::Off,
            "1" | "true" | "yes" | "on" | "*" => Self::All,
            _ => Self::Tools(words()),
        })
    }
}

impl From<String> for Breakpoint {
    fn from(text: String) -> Self {
        text.parse().unwrap_or_default()
    }
}

impl From<Breakpoint> for String {
    fn from(breakpoint: Breakpoint) -> Self {
        match breakpoint {
            Breakpoint::Off => Self::new(),
            Breakpoint::All => "*".to_owned(),
            Breakpoint::Tools(names) => names.join(","),
        }
    }
}

impl Breakpoint {
    pub(crate) fn holds(&self, tool: &str) -> bool {
        match self {
            Self::Off => false,
            Self::All => true,
            Self::Tools(tools) => tools.iter().any(|one| one == tool),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breakpoint_matches_all_calls_or_named_tools() {
        let holds = |text: &str| text.parse::<Breakpoint>().map(|point| ["git_log", "git_commit"].map(|tool| point.holds(tool)));
        for (text, expect) in [
            ("", [false, false]),
            ("0", [false, false]),
            ("1", [true, true]),
            ("TRUE", [true, true]),
            ("*", [true, true]),
            ("git_commit", [false, true]),
            ("git_push, git_log", [true, false]),
        ] {
            assert_eq!(holds(text), Ok(expect), "{text}");
        }
    }
}
