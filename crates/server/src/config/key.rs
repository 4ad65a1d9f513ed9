//! The declaration of configuration keys. A key is one line of a [`section!`]: its meaning, type, default, bounds, variables,
//! flag, and whether a reload applies it. The loader, `--help`, `config show`, the schema and the reference follow from it.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt::Display, net::IpAddr, ops::RangeInclusive, path::PathBuf, time::Duration};
use toml::Value;

/// A key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// Its path in the file, such as `limits.read_timeout`.
    pub name: &'static str,
    /// Its meaning.
    pub meaning: &'static str,
    /// Its environment variables. The first one that is set counts.
    pub variables: &'static [&'static str],
    /// Its command-line flag.
    pub flag: Option<&'static str>,
    /// The default in words, if its value is not self-explanatory.
    pub(super) shown_default: Option<&'static str>,
    /// The allowed range, as `LOW..=HIGH`.
    pub bounds: Option<&'static str>,
    /// Whether a reload applies it; otherwise it needs a restart.
    pub reloads: bool,
    /// Whether its variables are read by another component, and only listed here.
    pub(super) is_listed_only: bool,
    /// Whether an empty variable is a value; otherwise it counts as unset.
    pub(super) empty_counts: bool,
    /// The value of a variable's text.
    pub(super) parse: fn(&str) -> Result<Value, String>,
    /// Checks a value of the file, whose type is right.
    pub(super) check: fn(&Value) -> Result<(), String>,
}

impl Key {
    /// A key of this type, without variable, flag and bounds.
    pub(super) const fn of<T: Setting>(name: &'static str, meaning: &'static str) -> Self {
        Self {
            name,
            meaning: meaning.trim_ascii(),
            variables: &[],
            flag: None,
            shown_default: None,
            bounds: None,
            reloads: false,
            is_listed_only: false,
            empty_counts: false,
            parse: |text| T::parse(text).and_then(|value| Value::try_from(value).map_err(|err| err.to_string())),
            check: |_| Ok(()),
        }
    }

    pub(super) const fn within(mut self, bounds: &'static str, check: fn(&Value) -> Result<(), String>) -> Self {
        (self.bounds, self.check) = (Some(bounds), check);
        self
    }

    pub(super) const fn variables(mut self, names: &'static [&'static str]) -> Self {
        self.variables = names;
        self
    }

    pub(super) const fn flag(mut self, name: &'static str) -> Self {
        self.flag = Some(name);
        self
    }

    pub(super) const fn default_is(mut self, text: &'static str) -> Self {
        self.shown_default = Some(text);
        self
    }

    /// Replaces the name: the key stands for a table whose names the operator chooses.
    pub(super) const fn called(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(super) const fn reloads(mut self) -> Self {
        self.reloads = true;
        self
    }

    pub(super) const fn listed_only(mut self) -> Self {
        self.is_listed_only = true;
        self
    }

    pub(super) const fn empty_counts(mut self) -> Self {
        self.empty_counts = true;
        self
    }

    /// The value of the variables, and the name of the one that has it.
    pub(super) fn of_variables(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<(&'static str, Value)>, (&'static str, String)> {
        let counts = |text: &String| self.empty_counts || !text.trim().is_empty();
        let names = self.variables.iter().filter(|_| !self.is_listed_only);
        let given = names.copied().find_map(|name| Some((name, variable(name).filter(counts)?)));
        let Some((name, text)) = given else { return Ok(None) };
        let value = (self.parse)(text.trim()).and_then(|value| (self.check)(&value).map(|()| value));
        value.map(|value| Some((name, value))).map_err(|why| (name, why))
    }
}

/// A type of values. Lists are separated by commas in a variable.
pub(super) trait Setting: DeserializeOwned + Serialize {
    /// Parses a variable's text, which is empty only if the key accepts that.
    fn parse(text: &str) -> Result<Self, String>;
}

macro_rules! from_str {
    ($($type:ty),+) => {
        $(impl Setting for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|err| format!("`{text}`: {err}"))
            }
        })+
    };
}
from_str!(f64, IpAddr, String, PathBuf, super::Breakpoint);

macro_rules! whole_number {
    ($($type:ty),+) => {
        $(impl Setting for $type {
            fn parse(text: &str) -> Result<Self, String> {
                let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().map_err(|_| format!("`{text}` is {}", if is_number { "too large" } else { "not a whole number" }))
            }
        })+
    };
}
whole_number!(u16, u32, u64, usize);

/// An enum with the same words in the file, in a variable and on the command line. An enum of `git`, which knows no
/// configuration, is given with its words: `Trust for git::Trust { Owner, Untrusted }` turns into it.
macro_rules! words {
    ($(#[$($about:tt)+])+ $name:ident for $of:ty { $($(#[$($meaning:tt)+])+ $word:ident,)+ }) => {
        $(#[$($about)+])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema, clap::ValueEnum)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $($(#[$($meaning)+])+ $word,)+
        }

        impl From<$name> for $of {
            fn from(word: $name) -> Self {
                match word {
                    $($name::$word => Self::$word,)+
                }
            }
        }

        $crate::config::key::words!($name);
    };
    ($type:ty) => {
        impl $crate::config::key::Setting for $type {
            fn parse(text: &str) -> Result<Self, String> {
                let word = toml::Value::String(text.to_ascii_lowercase());
                word.try_into().map_err(|_| format!("invalid variant: {text}"))
            }
        }
    };
}
pub(super) use words;

impl Setting for bool {
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "0" | "false" | "no" | "off" => Ok(false),
            "1" | "true" | "yes" | "on" => Ok(true),
            other => Err(format!("`{other}` is neither true nor false")),
        }
    }
}

impl<T: Setting> Setting for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(T::parse).collect()
    }
}

/// A type of values that only the file can set.
macro_rules! tables {
    ($($type:ty),+) => {
        $(impl $crate::config::key::Setting for $type {
            fn parse(_: &str) -> Result<Self, String> {
                Err("only the configuration file can set it".to_owned())
            }
        })+
    };
}
pub(super) use tables;

/// A time in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Seconds(pub u64);

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        Self::from_secs(seconds.0)
    }
}

impl From<Seconds> for u64 {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

impl Setting for Seconds {
    fn parse(text: &str) -> Result<Self, String> {
        u64::parse(text).map(Self)
    }
}

/// Whether a value of the file is in `range`.
pub(super) fn within<T, R>(value: &Value, range: &RangeInclusive<R>) -> Result<(), String>
where
    T: DeserializeOwned + Into<R>,
    R: PartialOrd + Display,
{
    let value: R = value.clone().try_into::<T>().map_err(|err| err.to_string())?.into();
    if range.contains(&value) { Ok(()) } else { Err(format!("{value} is not between {} and {}", range.start(), range.end())) }
}

/// Declares a section of the configuration as a struct, with the keys of its fields:
///
/// ```ignore
/// section! {
///     /// Limits of calls and results.
///     #[serde(deny_unknown_fields)]
///     Limits in "limits." {
///         /// Seconds that a read may take.
///         read_timeout: Seconds = Seconds(60), within(u64: 1..=3600) => .variables(&["MCP_GIT_READ_TIMEOUT"]).reloads();
///     }
/// }
/// ```
///
/// Sections inside of it follow in `with { field: Type }`.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident in $prefix:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr
                    $(, within($raw:ty: $range:expr))?
                    $(, serde($($serde:tt)*))?
                    $(=> $(.$option:ident($($argument:expr),* $(,)?))+)?;
            )*
        }
        $(with { $($inner:ident: $section:ty),* $(,)? })?
    ) => {
        #[derive(Clone, Debug, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
        #[serde(default)]
        $(#[$meta])*
        pub struct $name {
            $(
                $(#[doc = $doc])+
                $(#[serde($($serde)*)])?
                pub $field: $type,
            )*
            $($(
                #[doc = concat!("The section `", stringify!($inner), "`.")]
                pub $inner: $section,
            )*)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* $($($inner: <$section>::default(),)*)? }
            }
        }

        impl $name {
            const KEYS: &'static [$crate::config::key::Key] = &[$(
                $crate::config::key::Key::of::<$type>(concat!($prefix, stringify!($field)), concat!($($doc),+))
                    $(.within(stringify!($range), |value| $crate::config::key::within::<$type, $raw>(value, &($range))))?
                    $($(.$option($($argument),*))+)?,
            )*];

            /// The keys of this section, and of those inside of it.
            pub(super) fn keys() -> Vec<&'static $crate::config::key::Key> {
                #[allow(unused_mut, reason = "most sections have none inside")]
                let mut keys: Vec<_> = Self::KEYS.iter().collect();
                $($(keys.extend(<$section>::keys());)*)?
                keys
            }
        }
    };
}
pub(super) use section;
