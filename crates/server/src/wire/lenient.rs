//! Coercion of arguments whose type is wrong but whose meaning is unambiguous, as models and older clients send.

use super::schema::types;
use crate::{tool::Entry, tools};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Map, Number, Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// Argument types of each tool, from its schema: built once per process.
#[derive(Default)]
pub(crate) struct Types {
    known: Mutex<HashMap<&'static str, Named>>,
    is_off: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
}

type Named = Arc<HashMap<String, String>>;

/// The cache of this process.
pub(crate) fn schemas() -> &'static Types {
    static TYPES: LazyLock<Types> = LazyLock::new(Types::default);
    &TYPES
}

impl Types {
    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, Named>> {
        self.known.lock()
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

    /// Figures of the cache.
    pub(crate) fn cache(&self) -> git::CacheFigures {
        let limit = if self.is_off.load(Ordering::Relaxed) { 0 } else { tools::ALL.len() };
        let [hits, misses] = [&self.hits, &self.misses].map(|count| count.load(Ordering::Relaxed));
        git::CacheFigures { entries: self.lock().len(), limit, hits, misses }
    }

    /// Clears the cache and returns the number of entries removed.
    pub(crate) fn clear(&self) -> usize {
        std::mem::take(&mut *self.lock()).len()
    }

    /// Enables or disables the cache. A disabled one holds nothing.
    pub(crate) fn set_enabled(&self, on: bool) {
        self.is_off.store(!on, Ordering::Relaxed);
        if !on {
            self.clear();
        }
    }

    /// Coerces arguments to their types and returns a warning for each.
    pub(super) fn coerce(&self, tool: &'static Entry, args: &mut Map<String, Value>) -> Vec<String> {
        let types = self.of(tool);
        let mut warnings = Vec::new();
        for (name, value) in args {
            let Some(wanted) = types.get(name) else { continue };
            if let Some(meant) = meant(value, wanted) {
                warnings.push(format!("/params/arguments/{name} was coerced to {wanted}"));
                *value = meant;
            }
        }
        warnings
    }
}

/// Coerces a value of another type, if it has only one possible meaning.
fn meant(value: &Value, wanted: &str) -> Option<Value> {
    match (wanted, value) {
        ("integer", Value::String(text)) => text.trim().parse::<i64>().ok().map(Value::from),
        ("integer", Value::Number(number)) if !number.is_i64() && !number.is_u64() => whole(number),
        ("boolean", Value::String(text)) => match text.trim() {
            "true" => Some(json!(true)),
            "false" => Some(json!(false)),
            _ => None,
        },
        // An abbreviated commit id may consist of digits only.
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
    fn only_unambiguous_values_are_coerced() {
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
