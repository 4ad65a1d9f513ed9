//! Arguments that choose: what a tool does, and how.

use crate::error::{Error, Kind};

/// Declares the actions of a tool, the default one first, and which of them only read:
/// `actions!(List, Add, Remove; reads List)`.
macro_rules! actions {
    ($default:ident, $($other:ident),+; reads $($read:ident),+) => {
        #[derive(Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        enum Action {
            #[default]
            $default,
            $($other,)+
        }

        impl Action {
            fn only_reads(self) -> bool {
                matches!(self, $(Self::$read)|+)
            }
        }
    };
}
pub(crate) use actions;

/// Declares an argument that stands for an enum of git, the default first:
/// `choices!(Mode for ResetMode: Mixed, Soft, Hard)`.
macro_rules! choices {
    ($name:ident for $of:ty: $default:ident, $($other:ident),+) => {
        #[derive(Clone, Copy, Default, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "lowercase")]
        enum $name {
            #[default]
            $default,
            $($other,)+
        }

        impl From<$name> for $of {
            fn from(chosen: $name) -> Self {
                match chosen {
                    $name::$default => Self::$default,
                    $($name::$other => Self::$other,)+
                }
            }
        }
    };
}
pub(crate) use choices;

/// An argument that the action needs.
pub(crate) fn needed<T>(argument: Option<T>, name: &str) -> Result<T, Error> {
    argument.ok_or_else(|| Error::new(Kind::BadInput, format!("`{name}` is missing")).loggable())
}
