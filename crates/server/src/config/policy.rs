//! The policy for changes.

use super::{ConfigError, Hooks, Signing, choice, switch, words};
use crate::policy::{Policy, Rule};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FilePolicy {
    force_push: Option<Rule>,
    hard_reset: Option<Rule>,
    clean: Option<Rule>,
    delete: Option<Rule>,
    rewrite_pushed: Option<Rule>,
    model_confirms: bool,
    pub(super) hooks: Option<Hooks>,
    pub(super) signing: Option<Signing>,
    protected_branches: Option<Vec<String>>,
}

/// Merges the environment's policy over that of the file.
pub(super) fn from_parts(file: FilePolicy, variable: &dyn Fn(&'static str) -> Option<String>) -> Result<Policy, ConfigError> {
    let usual = Policy::default();
    let rule = |name, file: Option<Rule>, usual| -> Result<Rule, ConfigError> { Ok(choice(name, variable)?.or(file).unwrap_or(usual)) };
    let protected = variable("MCP_GIT_PROTECTED_BRANCHES").map(|_| words("MCP_GIT_PROTECTED_BRANCHES", variable));
    let model_confirms = match variable("MCP_GIT_MODEL_CONFIRMS") {
        Some(text) if !text.is_empty() => switch("MCP_GIT_MODEL_CONFIRMS", variable)?,
        _ => file.model_confirms,
    };
    Ok(Policy {
        force_push: rule("MCP_GIT_FORCE_PUSH", file.force_push, usual.force_push)?,
        hard_reset: rule("MCP_GIT_HARD_RESET", file.hard_reset, usual.hard_reset)?,
        clean: rule("MCP_GIT_CLEAN", file.clean, usual.clean)?,
        delete: rule("MCP_GIT_DELETE", file.delete, usual.delete)?,
        rewrite_pushed: rule("MCP_GIT_REWRITE_PUSHED", file.rewrite_pushed, usual.rewrite_pushed)?,
        protected: protected.or(file.protected_branches).unwrap_or(usual.protected),
        model_confirms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_over_the_file_whether_a_model_confirms() -> Result<(), ConfigError> {
        for (file, variable, expect) in
            [(false, None, false), (true, None, true), (true, Some("false"), false), (false, Some("true"), true), (true, Some(""), true)]
        {
            let file = FilePolicy { model_confirms: file, ..FilePolicy::default() };
            let variable = |name: &str| variable.filter(|_| name == "MCP_GIT_MODEL_CONFIRMS").map(str::to_owned);
            assert_eq!(from_parts(file, &variable)?.model_confirms, expect);
        }
        Ok(())
    }
}
