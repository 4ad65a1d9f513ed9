//! Display of the configuration: each key with its value and origin, and the schema of the file.

use super::{Config, Flags, REFERENCE, Source, file::schema_of_file, reference::variables};
use serde_json::{Value, json};

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
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        REFERENCE.iter().map(|(key, names, default, _)| self.one(key, names, default, &variable)).collect()
    }

    fn one(&self, key: &'static str, names: &'static str, default: &str, variable: &dyn Fn(&str) -> Option<String>) -> Shown {
        let Source { flags, file, table } = &self.origin;
        let shown = |value: String, origin: String| Shown { key, value: self.harmless(key, value), origin };
        if key == "read_only" && self.selection.read_only {
            // Any source can enable it.
            let by_variable = || {
                variables(names).find(|name| {
                    variable(name).is_some_and(|value| !["0", "false", "no", "off"].contains(&value.to_ascii_lowercase().as_str()))
                })
            };
            let origin = if flags.read_only { Some("--read-only") } else { by_variable() };
            let origin = origin.map(str::to_owned).or_else(|| file.as_ref().map(|file| file.display().to_string()));
            return shown("true".to_owned(), origin.unwrap_or_default());
        }
        if let Some((flag, value)) = flag(flags, key) {
            return shown(value, flag.to_owned());
        }
        if let Some((name, value)) = variables(names).find_map(|name| Some((name, variable(name)?))) {
            return shown(value, name.to_owned());
        }
        let in_file = key.split('.').try_fold(&toml::Value::Table(table.clone()), |value, part| value.get(part)).map(plain);
        match (in_file, file) {
            (Some(value), Some(file)) => shown(value, file.display().to_string()),
            _ => shown(default.to_owned(), "default".to_owned()),
        }
    }

    /// The value without secrets.
    fn harmless(&self, key: &str, value: String) -> String {
        match key {
            "store.url" => self.resilience.store.to_string(),
            "auth.tokens" => self.serving.tokens.iter().map(|token| token.name.as_str()).collect::<Vec<_>>().join(", "),
            "auth.jwt" => self.serving.jwt.as_ref().map_or(value, |jwt| jwt.issuer.clone()),
            _ => value,
        }
    }
}

/// The flag that sets a key, and its value.
fn flag(flags: &Flags, key: &str) -> Option<(&'static str, String)> {
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let value_of = |value: Option<&dyn std::fmt::Debug>| value.map(|value| format!("{value:?}").to_lowercase());
    let many = |all: &[String]| (!all.is_empty()).then(|| all.join(", "));
    let (flag, value) = match key {
        "repositories" => ("--repository", many(&flags.repositories.iter().map(|path| path.display().to_string()).collect::<Vec<_>>())),
        "port" => ("--port", flags.port.map(|port| port.to_string())),
        "http.host" => ("--host", flags.host.map(|host| host.to_string())),
        "http.socket" => ("--socket", path(&flags.socket)),
        "admin.socket" => ("--admin-socket", path(&flags.admin_socket)),
        "toolsets" => ("--toolsets", many(&flags.toolsets.iter().map(|set| format!("{set:?}").to_lowercase()).collect::<Vec<_>>())),
        "tools" => ("--tools", many(&flags.tools)),
        "exclude_tools" => ("--exclude-tools", many(&flags.exclude_tools)),
        "read_only" => ("--read-only", flags.read_only.then(|| "true".to_owned())),
        "trust" => ("--trust", value_of(flags.trust.as_ref().map(|trust| trust as _))),
        "sandbox" => ("--sandbox", value_of(flags.sandbox.as_ref().map(|sandbox| sandbox as _))),
        "git" => ("--git", path(&flags.git)),
        "state_dir" => ("--state-dir", path(&flags.state_dir)),
        "log.level" => ("--log-level", flags.log_level.clone()),
        "log.format" => ("--log-format", value_of(flags.log_format.as_ref().map(|format| format as _))),
        "limits.max_output_tokens" => ("--max-output-tokens", flags.max_output_tokens.map(|tokens| tokens.to_string())),
        _ => return None,
    };
    value.map(|value| (flag, value))
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Variables that the program sets for itself, and one of `doctor`.
const INTERNAL: [&str; 2] = [crate::lifecycle::control::VARIABLE, "MCP_GIT_DOCTOR_TOKEN"];

/// The known variables.
pub(crate) fn known_variables() -> impl Iterator<Item = &'static str> {
    REFERENCE.iter().flat_map(|(_, names, ..)| variables(names)).chain(INTERNAL)
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

/// The JSON schema of the file, with the meaning of each key.
pub(crate) fn schema() -> Value {
    let mut schema: Value = schema_of_file();
    for (key, variable, default, meaning) in REFERENCE {
        let described = if variable.is_empty() { (*meaning).to_owned() } else { format!("{meaning} Variable: {variable}.") };
        describe(&mut schema, key, &described, default);
    }
    schema["title"] = json!("The configuration of mcp-server-git");
    schema
}

/// Sets the description of a key in the schema.
fn describe(schema: &mut Value, key: &str, meaning: &str, default: &str) {
    let mut path = "/properties".to_owned();
    for part in key.split('.') {
        let Some(found) = schema.pointer(&format!("{path}/{part}")) else { return };
        path = match found["$ref"].as_str() {
            Some(reference) if !key.ends_with(part) => format!("{}/properties", reference.trim_start_matches('#')),
            _ if key.ends_with(part) => format!("{path}/{part}"),
            _ => format!("{path}/{part}/properties"),
        };
    }
    if let Some(found) = schema.pointer_mut(&path) {
        let default = if default.is_empty() { String::new() } else { format!(" Default: {default}.") };
        found["description"] = json!(format!("{meaning}{default}"));
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
        let named = ["cache.NAME.enabled", "circuits.NAME"];
        for (key, _, _, meaning) in
            REFERENCE.iter().filter(|(key, ..)| !named.iter().any(|one| key.starts_with(one.split('.').next().unwrap_or_default())))
        {
            let start: String = meaning.chars().filter(|c| *c != '"').take(30).collect();
            assert!(text.replace("\\\"", "").contains(&start), "{key}");
        }
    }
}
