//! Resources under `test://`.

use crate::content::PNG;
use mcp::rmcp::{
    ErrorData,
    model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate},
};
use serde_json::json;

/// All resources except those of the template.
pub(crate) fn list() -> Vec<Resource> {
    let resource =
        |uri: &str, name: &str, description: &str, mime: &str| Resource::new(uri, name).with_description(description).with_mime_type(mime);
    vec![
        resource("test://static-text", "Static text", "A constant text", "text/plain"),
        resource("test://static-binary", "Static image", "A constant image", "image/png"),
        resource("test://watched-resource", "Watched text", "A text to subscribe to", "text/plain"),
    ]
}

/// The template.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = ResourceTemplate::new("test://template/{id}/data", "Data by id");
    vec![template.with_description("Returns the requested id").with_mime_type("application/json")]
}

/// The content at `uri`.
pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let content = match uri {
        "test://static-text" => ResourceContents::text("This is the content of the static text resource.", uri),
        "test://static-binary" => ResourceContents::blob(PNG, uri).with_mime_type("image/png"),
        "test://watched-resource" => ResourceContents::text("This text can be watched.", uri),
        _ => {
            let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
            let id = id.filter(|id| !id.is_empty() && !id.contains('/'));
            let id = id.ok_or_else(|| ErrorData::resource_not_found("resource not found", Some(json!({"uri": uri}))))?;
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            ResourceContents::text(data.to_string(), uri).with_mime_type("application/json")
        }
    };
    Ok(ReadResourceResult::new(vec![content]))
}
