//! Results whose largest part was serialized once: the list of tools is the same for each client, and long.

use rmcp::{
    RoleServer,
    model::{JsonRpcMessage, ListToolsResult, MetaObject, ServerResult},
    service::TxJsonRpcMessage,
};
use serde_json::Value;

/// Where a result in this process carries its prepared part. It is never sent.
const PART: &str = "prepared";
/// The place of the prepared part, as it is serialized. JSON text cannot contain it inside of a string.
const PLACE: &[u8] = b"\"tools\":[]";

/// A result with this list of tools, a JSON array. Only a [`crate::Connection`] can send it.
pub fn with_tools(tools: &str) -> ListToolsResult {
    let mut meta = MetaObject::default();
    meta.0.insert(PART.to_owned(), Value::from(tools));
    ListToolsResult { meta: Some(meta), ..ListToolsResult::default() }
}

/// Serializes a message, with the prepared part in its place.
pub(crate) fn serialize(message: &mut TxJsonRpcMessage<RoleServer>) -> serde_json::Result<Vec<u8>> {
    let Some(Value::String(part)) = take(message) else { return serde_json::to_vec(message) };
    let text = serde_json::to_vec(message)?;
    let at = text.windows(PLACE.len()).position(|window| window == PLACE);
    let at = at.map_or(text.len(), |at| at + PLACE.len() - b"[]".len());
    let (head, tail) = text.split_at_checked(at).unwrap_or((&text, b""));
    let mut bytes = Vec::with_capacity(text.len() + part.len() + 1);
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(part.as_bytes());
    bytes.extend_from_slice(tail.strip_prefix(b"[]").unwrap_or(tail));
    Ok(bytes)
}

fn take(message: &mut TxJsonRpcMessage<RoleServer>) -> Option<Value> {
    let JsonRpcMessage::Response(response) = message else { return None };
    let ServerResult::ListToolsResult(result) = &mut response.result else { return None };
    let part = result.meta.as_mut()?.0.remove(PART);
    result.meta.take_if(|meta| meta.0.is_empty());
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::model::{NumberOrString, Tool};
    use std::sync::Arc;

    #[test]
    fn the_prepared_list_is_the_same_to_the_byte() -> serde_json::Result<()> {
        let tools = vec![Tool::new("a", "\"tools\":[] in a text", Arc::default()), Tool::new("b", "ä\n", Arc::default())];
        for id in [NumberOrString::Number(7), NumberOrString::String("\"tools\":[]".into())] {
            let response =
                |result: ListToolsResult| JsonRpcMessage::response(ServerResult::ListToolsResult(result.with_ttl_ms(5)), id.clone());
            let whole = response(ListToolsResult { tools: tools.clone(), ..ListToolsResult::default() });
            let mut prepared = response(with_tools(&serde_json::to_string(&tools)?));
            assert_eq!(String::from_utf8_lossy(&serialize(&mut prepared)?), serde_json::to_string(&whole)?);
        }
        Ok(())
    }
}
