//! Tool definitions for clients: flat schemas (no null unions, references or exotic formats) and explicit annotations.

use crate::tool::{Body, Effect, Entry};
use mcp::rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, sync::Arc};

/// The definition of `entry` in the tool list.
pub(crate) fn definition(entry: &Entry) -> Tool {
    let mut tool = Tool::new(entry.name, entry.about, Arc::new(input(entry)));
    tool.output_schema = entry.output.and_then(|schema| schema().as_object().cloned()).map(Arc::new);
    tool.annotations = Some(annotations(entry));
    tool
}

/// The definitions as JSON, for documents and snapshots.
pub fn tools_as_listed(entries: &[&Entry]) -> Value {
    let tools: Vec<Value> = entries.iter().map(|entry| serde_json::to_value(definition(entry)).unwrap_or_default()).collect();
    Value::Array(tools)
}

fn annotations(entry: &Entry) -> ToolAnnotations {
    let (read_only, destructive, idempotent) = match entry.effect {
        Effect::Read => (true, false, true),
        Effect::Write => (false, false, false),
        Effect::Destroy => (false, true, false),
    };
    ToolAnnotations::new().read_only(read_only).destructive(destructive).idempotent(idempotent).open_world(entry.scope.is_remote())
}

/// Argument types, by argument name.
pub(super) fn types(entry: &Entry) -> HashMap<String, String> {
    let schema = input(entry);
    let properties = schema.get("properties").and_then(Value::as_object);
    let common = [("max_tokens", "integer"), ("confirm", "boolean"), ("idempotency_key", "string"), ("workspace", "string")];
    let common = common.into_iter().map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    let own = properties.into_iter().flatten().filter_map(|(name, property)| Some((name.clone(), property["type"].as_str()?.to_owned())));
    common.chain(own).collect()
}

/// The schema of the arguments. Unknown ones are rejected. Arguments common to many tools are described once, in the
/// instructions: `repo_path`, `paths`, `cursor` and so on, `max_tokens` of every read, `confirm` and `idempotency_key`
/// of every change. Every word of a definition costs tokens.
fn input(entry: &Entry) -> Map<String, Value> {
    let mut schema = (entry.schema)();
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    let own = schema.get_mut("properties").and_then(Value::as_object_mut).map(std::mem::take).unwrap_or_default();
    let mut required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut properties = Map::new();
    let mut path = json!({"type": "string"});
    if matches!(entry.body, Body::Path(_)) {
        path["description"] = json!("Where to create it.");
        required.push(json!("repo_path"));
    }
    properties.insert("repo_path".to_owned(), path);
    for (name, mut property) in own {
        flatten(&mut property, &definitions);
        properties.insert(name, property);
    }
    let mut flat = Map::new();
    flat.insert("type".to_owned(), json!("object"));
    flat.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        flat.insert("required".to_owned(), Value::Array(required));
    }
    flat
}

/// Resolves references and drops keywords that clients do not support or models do not need.
fn flatten(property: &mut Value, definitions: &Value) {
    let Some(object) = property.as_object_mut() else { return };
    for union in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(variants)) = object.remove(union) {
            let real = variants.into_iter().find(|variant| variant.get("type") != Some(&json!("null")));
            merge(object, real);
        }
    }
    if let Some(Value::String(reference)) = object.remove("$ref") {
        let name = reference.rsplit('/').next().unwrap_or_default();
        merge(object, definitions.get(name).cloned());
    }
    for noise in ["format", "title", "$schema", "maximum", "minimum"] {
        object.remove(noise);
    }
    if object.get("default").is_some_and(|default| default.is_null() || [json!(false), json!([]), json!(0)].contains(default)) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| *name != json!("null"));
        if let [single] = types.as_slice() {
            let single = single.clone();
            object.insert("type".to_owned(), single);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(items) = object.get_mut("items") {
        flatten(items, definitions);
    }
}

fn merge(object: &mut Map<String, Value>, from: Option<Value>) {
    if let Some(Value::Object(from)) = from {
        for (key, value) in from {
            object.entry(key).or_insert(value);
        }
    }
}
