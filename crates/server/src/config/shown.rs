//! Display of the configuration: each key with its value and origin, and the schema of the file.

use super::{
    Config, Source,
    file::{File, value_at},
    key::Key,
    keys,
};
use serde_json::{Value, json};
use toml::Table;

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) key: &'static str,
    pub(crate) value: String,
    /// `flag`, the name of a variable, the file, or `default`.
    pub(crate) origin: String,
}

impl Config {
    /// Each key with its value and origin. Tokens are shown by name, databases by host.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let defaults = defaults();
        keys().into_iter().map(|key| self.one(key, &defaults)).collect()
    }

    fn one(&self, key: &'static Key, defaults: &Table) -> Shown {
        let Source { file, table, values, set_by, .. } = &self.origin;
        let is_in_file = value_at(table, key.name).is_some();
        let origin = match (set_by.get(key.name), file) {
            (Some(name), _) => (*name).to_owned(),
            (None, Some(file)) if is_in_file => file.display().to_string(),
            _ => "default".to_owned(),
        };
        let value = value_at(values, key.name).map_or_else(|| default_of(key, defaults), plain);
        Shown { key: key.name, value: self.harmless(key.name, value), origin }
    }

    /// The value without secrets.
    fn harmless(&self, key: &str, value: String) -> String {
        match key {
            "store.url" => self.database.to_string(),
            "auth.tokens" => self.auth.tokens.iter().map(|token| token.name.as_str()).collect::<Vec<_>>().join(", "),
            "auth.jwt" => self.auth.jwt.as_ref().map_or(value, |jwt| jwt.issuer.clone()),
            _ => value,
        }
    }
}

/// The default values, as a file would set them.
fn defaults() -> Table {
    Table::try_from(File::default()).unwrap_or_default()
}

/// The default of a key, in words if its value is not self-explanatory.
fn default_of(key: &Key, defaults: &Table) -> String {
    match key.shown_default {
        Some(words) => words.to_owned(),
        None => value_at(defaults, key.name).map(plain).unwrap_or_default(),
    }
}

/// Every key with its default, for the reference.
pub fn reference() -> Vec<(&'static Key, String)> {
    let defaults = defaults();
    keys().into_iter().map(|key| (key, default_of(key, &defaults))).collect()
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        // As it is written in the file: 80, not 80.0.
        toml::Value::Float(number) => number.to_string(),
        other => other.to_string(),
    }
}

/// Variables that the program sets for itself, and one of `doctor`.
const INTERNAL: [&str; 3] = [crate::lifecycle::control::VARIABLE, "MCP_GIT_DOCTOR_TOKEN", "MCP_GIT_TOKEN"];

/// The known variables.
pub(crate) fn known_variables() -> impl Iterator<Item = &'static str> {
    keys().into_iter().flat_map(|key| key.variables).copied().chain(INTERNAL)
}

/// The environment variables with this program's prefixes.
pub(crate) fn own_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut own: Vec<String> = names.filter(|name| name.starts_with("MCP_GIT_") || name.starts_with("MCP_DEBUG_")).collect();
    own.sort();
    own
}

/// Unknown variables with these prefixes: mostly typing errors.
pub(crate) fn unknown_variables() -> Vec<String> {
    own_variables().into_iter().filter(|name| known_variables().all(|known| known != name)).collect()
}

/// The warning about an unknown variable.
pub(crate) fn unread(name: &str) -> String {
    format!("Unknown environment variable {name}: `mcp-server-git config show --origin` shows the known ones.")
}

/// The JSON schema of the file, with the meaning, the default and the bounds of each key.
pub(crate) fn schema() -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    for (key, default) in reference() {
        let variables = if key.variables.is_empty() { String::new() } else { format!(" Variable: {}.", key.variables.join(" or ")) };
        describe(&mut schema, key, &format!("{}{variables}", key.meaning), &default);
    }
    schema["title"] = json!("The configuration of mcp-server-git");
    schema
}

/// Sets the description and the bounds of a key in the schema.
fn describe(schema: &mut Value, key: &Key, meaning: &str, default: &str) {
    let mut path = "/properties".to_owned();
    for part in key.name.split('.') {
        let Some(found) = schema.pointer(&format!("{path}/{part}")) else { return };
        path = match found["$ref"].as_str() {
            Some(reference) if !key.name.ends_with(part) => format!("{}/properties", reference.trim_start_matches('#')),
            _ if key.name.ends_with(part) => format!("{path}/{part}"),
            _ => format!("{path}/{part}/properties"),
        };
    }
    if let Some(found) = schema.pointer_mut(&path) {
        let default = if default.is_empty() { String::new() } else { format!(" Default: {default}.") };
        found["description"] = json!(format!("{meaning}{default}"));
        let bounds = key.bounds.map(|bounds| bounds.replace('_', "")).unwrap_or_default();
        for (name, bound) in ["minimum", "maximum"].into_iter().zip(bounds.split("..=")) {
            if let Ok(number) = bound.trim().parse::<f64>() {
                // Whole numbers are written as such.
                found[name] = serde_json::from_str(bound.trim()).unwrap_or_else(|_| json!(number));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_describes_each_key() {
        let schema = schema();
        let text = schema.to_string();
        // Tables that are named by the operator have no key of their own.
        for key in keys().into_iter().filter(|key| !key.name.contains("NAME")) {
            let start: String = key.meaning.chars().filter(|c| *c != '"').take(30).collect();
            assert!(text.replace("\\\"", "").contains(&start), "{}", key.name);
        }
        assert_eq!(schema.pointer("/$defs/Limits/properties/read_timeout/maximum"), Some(&json!(3600)));
    }

    #[test]
    fn names_and_variables_of_keys_are_unique_and_defaults_are_within_bounds() {
        let (keys, defaults) = (keys(), defaults());
        for (at, key) in keys.iter().enumerate() {
            let rest = &keys[at + 1..];
            assert!(rest.iter().all(|other| other.name != key.name), "{}", key.name);
            assert!(rest.iter().all(|other| other.variables.iter().all(|name| !key.variables.contains(name))), "{}", key.name);
            assert_eq!(value_at(&defaults, key.name).map_or(Ok(()), |value| (key.check)(value)), Ok(()), "{}", key.name);
        }
    }
}
