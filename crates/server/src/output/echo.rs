//! Calls suggested in notes.

use super::{Budget, escape};
use serde_json::{Map, Value};

/// Maximum length of a call that repeats all arguments of the previous one.
const MAX_CALL: usize = 700;
/// Maximum length of a value in a call that is too long to spell out.
const MAX_VALUE: usize = 150;
/// The arguments that select the repository; a call has at most one.
const PLACES: [&str; 2] = ["repo_path", "workspace"];

/// The call being answered, so that notes can name the exact next call.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    tool: &'static str,
    args: Map<String, Value>,
    /// Maximum length of a call that is spelled out.
    most: usize,
}

impl Echo {
    /// Creates an echo of a call of `tool` with `args`, whose result has this budget.
    pub(crate) fn new(tool: &'static str, mut args: Map<String, Value>, budget: Budget) -> Self {
        args.retain(|_, value| is_given(value));
        Self { tool, args, most: budget.call() }
    }

    /// The tool that was called.
    pub(crate) fn tool(&self) -> &'static str {
        self.tool
    }

    /// The same call with changed arguments; `Null` removes one.
    pub(crate) fn again(&self, changes: &[(&str, Value)]) -> String {
        let mut args = self.args.clone();
        for (name, value) in changes {
            match value {
                value if is_given(value) => args.insert((*name).to_owned(), value.clone()),
                _ => args.remove(*name),
            };
        }
        let call = format!("{} {}", self.tool, json(&args));
        if call.len() <= self.most.min(MAX_CALL) {
            return call;
        }
        let without: Vec<String> = changes.iter().filter(|(_, value)| !is_given(value)).map(|(name, _)| format!("`{name}`")).collect();
        let changes = spelled(changes);
        if changes.is_empty() {
            return format!("the same call without {}", without.join(", "));
        }
        let call = format!("the same call with {}", json(&changes));
        let call = if call.len() <= self.most { call } else { unspelled("the same call with", changes) };
        if without.is_empty() { call } else { format!("{call}, without {}", without.join(", ")) }
    }

    /// A call of another tool in the same repository and working tree.
    pub(crate) fn other(&self, tool: &str, args: &[(&str, Value)]) -> String {
        let args = spelled(args);
        let mut all = Map::new();
        let place = PLACES.iter().find_map(|name| Some(((*name).to_owned(), self.args.get(*name)?.clone())));
        let same = place.as_ref().map_or("repo_path", |(name, _)| name).to_owned();
        all.extend(place);
        all.extend(args.clone());
        let call = format!("{tool} {}", json(&all));
        if call.len() <= self.most {
            return call;
        }
        let call = format!("{tool} {} with the same `{same}`", json(&args));
        if call.len() <= self.most { call } else { unspelled(tool, args) }
    }

    /// As [`Echo::again`], with as many of `items` as fit in the argument `name`, and their number.
    pub(crate) fn some(&self, changes: &[(&str, Value)], name: &str, items: &[String]) -> (String, usize) {
        let mut room = self.most.min(MAX_CALL).saturating_sub(format!("{}{changes:?}{}", self.tool, json(&self.args)).len());
        let fitting = items.iter().take_while(|item| {
            let len = json(item).len() + 1;
            let fits = len <= room;
            room = room.saturating_sub(len);
            fits
        });
        let count = fitting.count().max(1).min(items.len());
        let changes = [changes, &[(name, Value::from(&items[..count]))]].concat();
        (self.again(&changes), count)
    }
}

/// Whether a value is worth repeating.
fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

fn spelled(args: &[(&str, Value)]) -> Map<String, Value> {
    args.iter().filter(|(_, value)| is_given(value)).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// A call with its short arguments, and the names of the others.
fn unspelled(call: &str, args: Map<String, Value>) -> String {
    let (short, long): (Map<_, _>, Map<_, _>) = args.into_iter().partition(|(_, value)| value.to_string().len() <= MAX_VALUE);
    let names: Vec<String> = long.keys().map(|name| format!("`{name}`")).collect();
    format!("{call} {} and {}, too long to spell out here", json(&short), names.join(", "))
}

/// JSON without control or invisible characters.
fn json(value: &impl serde::Serialize) -> String {
    escape::in_json(&serde_json::to_string(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn echo(args: &Value, tokens: usize) -> Echo {
        Echo::new("git_x", args.as_object().cloned().unwrap_or_default(), Budget::of(tokens))
    }

    #[test]
    fn a_call_stays_within_its_budget() {
        let long = "p".repeat(4000);
        for tokens in [500, 2000, 8000, 0] {
            let most = Budget::of(tokens).call();
            let echo = echo(&json!({"repo_path": long, "paths": [long], "cursor": "old"}), tokens);
            for call in [
                echo.again(&[("cursor", json!("1.2.3"))]),
                echo.again(&[("cursor", json!("1.2.3")), ("paths", json!([long]))]),
                echo.other("git_y", &[("revision", json!("HEAD"))]),
                echo.other("git_y", &[("revision", json!(long))]),
            ] {
                assert!(call.len() <= most.max(MAX_CALL), "{tokens}: {} bytes", call.len());
            }
        }
        let echo = echo(&json!({"repo_path": "/r"}), 500);
        let in_a_workspace = super::tests::echo(&json!({"workspace": "ws_1", "paths": ["x"]}), 500);
        assert_eq!(in_a_workspace.other("git_y", &[("n", json!(1))]), "git_y {\"n\":1,\"workspace\":\"ws_1\"}");
        let of_a_long_handle = super::tests::echo(&json!({"workspace": "w".repeat(35)}), 500);
        let cut = of_a_long_handle.other("git_y", &[("n", json!("x".repeat(of_a_long_handle.most - 50)))]);
        assert!(cut.ends_with(" with the same `workspace`"), "{cut}");
        assert_eq!(echo.other("git_y", &[("revision", json!("a\u{202e}"))]), "git_y {\"repo_path\":\"/r\",\"revision\":\"a\\u202e\"}");
        assert!(echo.other("git_y", &[("rev", json!(long)), ("n", json!(1))]).ends_with("{\"n\":1} and `rev`, too long to spell out here"));
    }

    #[test]
    fn a_call_names_as_many_items_as_fit() {
        let items: Vec<String> = (0..1000).map(|n| format!("dir/file{n:04}")).collect();
        let (call, count) = echo(&json!({}), 8000).some(&[("list", json!(true))], "files", &items);
        assert!(call.starts_with("git_x {") && call.len() <= MAX_CALL && (20..60).contains(&count), "{call}");
        let (call, count) = echo(&json!({}), 8000).some(&[], "files", &items[..2]);
        assert_eq!((call.as_str(), count), ("git_x {\"files\":[\"dir/file0000\",\"dir/file0001\"]}", 2));
    }
}
