//! The calls that notes name.

use super::{Budget, escape};
use serde_json::{Map, Value};

/// The longest call that repeats all arguments of the one it follows.
const MAX_CALL: usize = 700;
/// The longest value in a call that is too long to be spelled out.
const MAX_VALUE: usize = 150;
/// The arguments that say where a call works; no call has both.
const PLACES: [&str; 2] = ["repo_path", "workspace"];

/// The call that a result answers, so that notes can name the next one exactly.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    tool: &'static str,
    args: Map<String, Value>,
    /// The longest call that is spelled out.
    most: usize,
}

impl Echo {
    /// Of a call of `tool` with `args`, whose result has this budget.
    pub(crate) fn new(tool: &'static str, mut args: Map<String, Value>, budget: Budget) -> Self {
        args.retain(|_, value| says_something(value));
        Self { tool, args, most: budget.call() }
    }

    /// The tool that was called.
    pub(crate) fn tool(&self) -> &'static str {
        self.tool
    }

    /// The same call with other arguments; `Null` takes one out.
    pub(crate) fn again(&self, changes: &[(&str, Value)]) -> String {
        let mut args = self.args.clone();
        for (name, value) in changes {
            match value {
                value if says_something(value) => args.insert((*name).to_owned(), value.clone()),
                _ => args.remove(*name),
            };
        }
        let call = format!("{} {}", self.tool, json(&args));
        if call.len() <= self.most.min(MAX_CALL) {
            return call;
        }
        let without: Vec<String> =
            changes.iter().filter(|(_, value)| !says_something(value)).map(|(name, _)| format!("`{name}`")).collect();
        let changes = spelled(changes);
        if changes.is_empty() {
            return format!("the same call without {}", without.join(", "));
        }
        let call = format!("the same call with {}", json(&changes));
        let call = if call.len() <= self.most { call } else { unspelled("the same call with", changes) };
        if without.is_empty() { call } else { format!("{call}, without {}", without.join(", ")) }
    }

    /// Another tool's call in the same repository, and in the same working tree of it.
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

    /// As [`Echo::again`], with the argument `name` naming as many of `items` as can be spelled out, and how many those are.
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

/// True for a value that an argument has a use for.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

fn spelled(args: &[(&str, Value)]) -> Map<String, Value> {
    args.iter().filter(|(_, value)| says_something(value)).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// A call with the arguments that are short, and the names of the others.
fn unspelled(call: &str, args: Map<String, Value>) -> String {
    let (short, long): (Map<_, _>, Map<_, _>) = args.into_iter().partition(|(_, value)| value.to_string().len() <= MAX_VALUE);
    let names: Vec<String> = long.keys().map(|name| format!("`{name}`")).collect();
    format!("{call} {} and {}, too long to be spelled out here", json(&short), names.join(", "))
}

/// JSON in which nothing acts or hides.
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
    fn a_call_is_as_long_as_its_budget_allows() {
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
        assert!(
            echo.other("git_y", &[("rev", json!(long)), ("n", json!(1))]).ends_with("{\"n\":1} and `rev`, too long to be spelled out here")
        );
    }

    #[test]
    fn of_a_list_as_much_is_named_as_can_be() {
        let items: Vec<String> = (0..1000).map(|n| format!("dir/file{n:04}")).collect();
        let (call, count) = echo(&json!({}), 8000).some(&[("list", json!(true))], "files", &items);
        assert!(call.starts_with("git_x {") && call.len() <= MAX_CALL && (20..60).contains(&count), "{call}");
        let (call, count) = echo(&json!({}), 8000).some(&[], "files", &items[..2]);
        assert_eq!((call.as_str(), count), ("git_x {\"files\":[\"dir/file0000\",\"dir/file0001\"]}", 2));
    }
}
