//! Arguments of the wrong type that can only be meant in one way: what models and older clients send.

use super::schema::types;
use crate::{tool::Entry, tools};
use serde_json::{Map, Number, Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// The types of the arguments of each tool, as its schema has them: made once for all connections of the process.
#[derive(Default)]
pub(crate) struct Types {
    known: Mutex<HashMap<&'static str, Named>>,
    is_off: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
}

type Named = Arc<HashMap<String, String>>;

/// Those of this process.
pub(crate) fn schemas() -> &'static Types {
    static TYPES: LazyLock<Types> = LazyLock::new(Types::default);
    &TYPES
}

impl Types {
    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, Named>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, tool: &'static Entry) -> Named {
        if self.is_off.load(Ordering::Relaxed) {
            return Arc::new(types(tool));
        }
        if let Some(types) = self.lock().get(tool.name) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Arc::clone(types);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let made = Arc::new(types(tool));
        Arc::clone(self.lock().entry(tool.name).or_insert(made))
    }

    /// What is kept.
    pub(crate) fn cache(&self) -> git::CacheFigures {
        let limit = if self.is_off.load(Ordering::Relaxed) { 0 } else { tools::ALL.len() };
        let [hits, misses] = [&self.hits, &self.misses].map(|count| count.load(Ordering::Relaxed));
        git::CacheFigures { entries: self.lock().len(), limit, hits, misses }
    }

    /// Drops what is kept, and says how much that was.
    pub(crate) fn clear(&self) -> usize {
        std::mem::take(&mut *self.lock()).len()
    }

    /// Keeps nothing from now on.
    pub(crate) fn switch_off(&self) {
        self.is_off.store(true, Ordering::Relaxed);
        self.clear();
    }

    /// Turns arguments into the types that they are meant to have, and says which.
    pub(super) fn coerce(&self, tool: &'static Entry, args: &mut Map<String, Value>) -> Vec<String> {
        let types = self.of(tool);
        let mut said = Vec::new();
        for (name, value) in args {
            let Some(wanted) = types.get(name) else { continue };
            if let Some(meant) = meant(value, wanted) {
                said.push(format!("/params/arguments/{name} was coerced to {wanted}"));
                *value = meant;
            }
        }
        said
    }
}

/// What a value of another type can only mean.
fn meant(value: &Value, wanted: &str) -> Option<Value> {
    match (wanted, value) {
        ("integer", Value::String(text)) => text.trim().parse::<i64>().ok().map(Value::from),
        ("integer", Value::Number(number)) if !number.is_i64() && !number.is_u64() => whole(number),
        ("boolean", Value::String(text)) => match text.trim() {
            "true" => Some(json!(true)),
            "false" => Some(json!(false)),
            _ => None,
        },
        // An abbreviated commit may consist of digits alone.
        ("string", Value::Number(number)) => Some(json!(number.to_string())),
        ("array", Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Array(items)) => Some(Value::Array(items)),
            _ => Some(json!([text])),
        },
        _ => None,
    }
}

fn whole(number: &Number) -> Option<Value> {
    number.to_string().strip_suffix(".0")?.parse::<i64>().ok().map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_clear_is_turned_into_something_else() {
        for (wanted, given, expect) in [
            ("integer", json!("5"), Some(json!(5))),
            ("integer", json!(5.0), Some(json!(5))),
            ("integer", json!("five"), None),
            ("integer", json!(5), None),
            ("boolean", json!("true"), Some(json!(true))),
            ("boolean", json!("yes"), None),
            ("boolean", json!(1), None),
            ("string", json!(1_234_567), Some(json!("1234567"))),
            ("string", json!(true), None),
            ("array", json!("a.txt"), Some(json!(["a.txt"]))),
            ("array", json!("[\"a\", \"b\"]"), Some(json!(["a", "b"]))),
            ("array", json!(null), None),
        ] {
            assert_eq!(meant(&given, wanted), expect, "{wanted} {given}");
        }
    }
}
