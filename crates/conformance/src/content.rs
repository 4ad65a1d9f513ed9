//! Tools that return each kind of content immediately.

use mcp::rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

/// A red PNG of one pixel, in base64.
pub(crate) const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC";
/// One sample of silence as WAV, in base64.
const WAV: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQEAAACAAA==";

pub(crate) fn image() -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::image(PNG, "image/png")])
}

pub(crate) fn audio() -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::audio(WAV, "audio/wav")])
}

pub(crate) fn resource() -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::embedded_text("test://embedded-resource", "This is an embedded resource content.")])
}

pub(crate) fn mixed() -> CallToolResult {
    let data = ResourceContents::text(r#"{"test":"data","value":123}"#, "test://mixed-content-resource").with_mime_type("application/json");
    CallToolResult::success(vec![
        ContentBlock::text("Multiple content types test:"),
        ContentBlock::image(PNG, "image/png"),
        ContentBlock::resource(data),
    ])
}
