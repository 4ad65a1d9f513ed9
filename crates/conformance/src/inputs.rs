//! Input requests in their wire format: sent during a call, or returned instead of a result.

use serde_json::{Value, json};

/// Asks the user to fill in a form; all of `properties` are required.
pub(crate) fn form(message: &str, properties: &Value) -> Value {
    let required: Vec<&String> = properties.as_object().map(|properties| properties.keys().collect()).unwrap_or_default();
    let schema = json!({"type": "object", "properties": properties, "required": required});
    json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}})
}

/// Asks the user for one line of text, called `name`.
pub(crate) fn question(message: &str, name: &str) -> Value {
    let mut properties = serde_json::Map::new();
    properties.insert(name.to_owned(), json!({"type": "string"}));
    form(message, &Value::Object(properties))
}

/// Asks the user to agree.
pub(crate) fn confirmation(message: &str) -> Value {
    form(message, &json!({"ok": {"type": "boolean"}}))
}

/// Asks the client's model.
pub(crate) fn sampling(prompt: &str) -> Value {
    let messages = json!([{"role": "user", "content": {"type": "text", "text": prompt}}]);
    json!({"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": 100}})
}

/// Asks for the client's roots.
pub(crate) fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}
