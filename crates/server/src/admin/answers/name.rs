//! Values of closed lists. Each is written as its name, which only its own type knows.

use crate::{error::ErrorClass, lifecycle::phase::Phase};
use guard::{CircuitState, Class};
use mcp::sessions::Kind;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt};

/// A closed list of values with names.
pub(crate) trait Named: Copy + 'static {
    /// What a value is.
    const WHAT: &'static str;

    /// Every value.
    fn all() -> Vec<Self>;

    /// The value's name.
    fn name(self) -> &'static str;
}

macro_rules! named {
    ($($list:ty, $what:literal, $name:ident;)+) => {$(
        impl Named for $list {
            const WHAT: &'static str = $what;

            fn all() -> Vec<Self> {
                Self::ALL.to_vec()
            }

            fn name(self) -> &'static str {
                <$list>::$name(self)
            }
        }
    )+};
}

named! {
    CircuitState, "circuit state", as_str;
    Class, "class of calls", name;
    ErrorClass, "error class", name;
    Kind, "transport", name;
    Phase, "life-cycle phase", name;
}

/// A value that is written as its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name<T>(pub(crate) T);

impl<T: Named> fmt::Display for Name<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.name())
    }
}

impl<T: Named> Serialize for Name<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de, T: Named> Deserialize<'de> for Name<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = T::all().into_iter().find(|value| value.name() == name);
        found.map(Self).ok_or_else(|| D::Error::custom(format_args!("unknown {} `{name}`", T::WHAT)))
    }
}

impl<T: Named> JsonSchema for Name<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::WHAT.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": T::all().into_iter().map(T::name).collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sessions::State, *};
    use serde_json::{Value, json};

    /// The names of a list, each written and read again.
    fn names<T: Named + PartialEq + fmt::Debug>() -> Result<Value, serde_json::Error> {
        let schema = schemars::schema_for!(Name<T>).to_value();
        let written = T::all().into_iter().map(Name).map(serde_json::to_value).collect::<Result<Value, _>>()?;
        let read: Vec<Name<T>> = serde_json::from_value(written.clone())?;
        assert_eq!(read, T::all().into_iter().map(Name).collect::<Vec<_>>());
        assert_eq!((&schema["type"], &schema["enum"]), (&json!("string"), &written));
        let unknown = serde_json::from_value::<Name<T>>(json!("new")).map_err(|err| err.to_string());
        assert_eq!(unknown, Err(format!("unknown {} `new`", T::WHAT)));
        Ok(written)
    }

    #[test]
    fn values_are_read_as_they_are_written() -> Result<(), serde_json::Error> {
        assert_eq!(names::<CircuitState>()?, json!(["closed", "open", "half_open"]));
        assert_eq!(names::<Class>()?, json!(["read", "change", "network"]));
        assert_eq!(names::<ErrorClass>()?.as_array().map(Vec::len), Some(9));
        assert_eq!(names::<Kind>()?, json!(["stdio", "http", "websocket"]));
        assert_eq!(names::<Phase>()?, json!(["starting", "ready", "draining", "leaving"]));
        assert_eq!(names::<State>()?, json!(["created", "active", "paused", "error", "closing", "closed", "kept"]));
        Ok(())
    }
}
