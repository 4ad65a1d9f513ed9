//! Views for hosts of MCP Apps: documents that show changes, commits and conflicts, and act through tool calls.
//!
//! Only clients that declare the extension are offered them. A view replaces no text, and can do nothing that a tool call
//! of its host could not.

use super::schema;
use crate::{pipeline::Services, tool::Effect};
use base64::{Engine, engine::general_purpose::STANDARD};
use mcp::rmcp::model::{
    CacheScope, ClientCapabilities, MetaObject, ReadResourceResult, Resource, ResourceContents, ServerCapabilities, Tool,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The name of the extension (its version 2026-01-26).
const EXTENSION: &str = "io.modelcontextprotocol/ui";
/// The media type of a view.
const KIND: &str = "text/html;profile=mcp-app";
/// The tool that views call to resolve conflicts line by line.
const PATCHES: &str = "git_apply";

/// Cache lifetime of a view, in milliseconds: it changes only with the program.
const TTL: u64 = 300_000;

/// A view.
struct View {
    uri: &'static str,
    name: &'static str,
    about: &'static str,
    /// The tool whose results it shows.
    tool: &'static str,
    page: &'static str,
    scripts: &'static [&'static str],
}

const STYLE: &str = include_str!("../apps/style.css");
/// What all views share.
const SHARED: [&str; 3] = [include_str!("../apps/bridge.js"), include_str!("../apps/text.js"), include_str!("../apps/dom.js")];
const VIEWS: [View; 3] = [
    View {
        uri: "ui://git/diff",
        name: "Changes",
        about: "Changes by file and hunk, which can be staged and discarded.",
        tool: "git_diff",
        page: include_str!("../apps/diff.html"),
        scripts: &[include_str!("../apps/patch.js"), include_str!("../apps/diff.js")],
    },
    View {
        uri: "ui://git/graph",
        name: "Commits",
        about: "The graph of commits.",
        tool: "git_log",
        page: include_str!("../apps/graph.html"),
        scripts: &[include_str!("../apps/patch.js"), include_str!("../apps/lanes.js"), include_str!("../apps/graph.js")],
    },
    View {
        uri: "ui://git/conflicts",
        name: "Conflicts",
        about: "Conflicts by file, with both sides and an editor.",
        tool: "git_conflicts",
        page: include_str!("../apps/conflicts.html"),
        scripts: &[include_str!("../apps/patch.js"), include_str!("../apps/regions.js"), include_str!("../apps/conflicts.js")],
    },
];

/// Whether a client shows views.
pub(super) fn is_host(client: Option<&ClientCapabilities>) -> bool {
    let settings = client.and_then(|client| client.extensions.as_ref()).and_then(|extensions| extensions.get(EXTENSION));
    settings.and_then(|settings| settings.get("mimeTypes")?.as_array()).is_some_and(|kinds| kinds.iter().any(|kind| kind == KIND))
}

/// Declares the extension.
pub(super) fn declare(capabilities: &mut ServerCapabilities) {
    capabilities.extensions.get_or_insert_default().insert(EXTENSION.to_owned(), Map::new());
}

/// Adds the views to the definitions of tools, and the tool that only views use.
pub(super) fn extend(tools: &mut Vec<Tool>, services: &Services) {
    for tool in tools.iter_mut() {
        if let Some(view) = VIEWS.iter().find(|view| view.tool == tool.name) {
            tool.meta = Some(meta(json!({"resourceUri": view.uri})));
        }
    }
    let is_listed = tools.iter().any(|tool| tool.name == PATCHES);
    let entry = services.find(PATCHES).filter(|entry| !is_listed && services.selection.check(entry, Effect::Write).is_ok());
    if let Some(entry) = entry {
        let mut tool = schema::definition(entry);
        tool.meta = Some(meta(json!({"visibility": ["app"]})));
        tools.push(tool);
    }
}

/// The views as resources.
pub(super) fn listed() -> impl Iterator<Item = Resource> {
    VIEWS.iter().map(|view| Resource::new(view.uri, view.name).with_description(view.about).with_mime_type(KIND))
}

/// The document of a view; `None` if there is no such view.
pub(super) fn read(uri: &str) -> Option<ReadResourceResult> {
    static DOCUMENTS: LazyLock<[String; VIEWS.len()]> =
        LazyLock::new(|| [0, 1, 2].map(|at| VIEWS.get(at).map(document).unwrap_or_default()));
    let at = VIEWS.iter().position(|view| view.uri == uri)?;
    let contents = ResourceContents::text(DOCUMENTS.get(at)?.as_str(), uri).with_mime_type(KIND);
    // No host needs to be reached.
    let contents = contents.with_meta(meta(json!({"csp": {}, "prefersBorder": true})));
    Some(ReadResourceResult::new(vec![contents]).with_ttl_ms(TTL).with_cache_scope(CacheScope::Public))
}

fn meta(ui: Value) -> MetaObject {
    MetaObject(Map::from_iter([("ui".to_owned(), ui)]))
}

/// A view in one document, whose policy allows its own script and style alone, by their hashes.
fn document(view: &View) -> String {
    let script: String = SHARED.iter().chain(view.scripts).flat_map(|script| ["\n", script]).collect();
    let style = format!("\n{STYLE}");
    let policy =
        format!("default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'", hash(&script), hash(&style));
    view.page.replace("{{csp}}", &policy).replace("{{style}}", &style).replace("{{script}}", &script)
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_each_document_allows_exactly_its_script_and_style() {
        for view in &VIEWS {
            let document = document(view);
            let inside = |tag: &str| document.split_once(&format!("<{tag}>")).and_then(|(_, rest)| rest.split_once(&format!("</{tag}>")));
            for tag in ["script", "style"] {
                let (text, rest) = inside(tag).unwrap_or_default();
                assert!(text.len() > 1000 && document.contains(&hash(text)), "{}: {tag}", view.uri);
                assert!(!rest.contains(&format!("<{tag}>")), "{}: a second {tag}", view.uri);
            }
            assert!(
                ["{{csp}}", "{{style}}", "{{script}}", " style=", " onclick="].iter().all(|text| !document.contains(text)),
                "{}",
                view.uri
            );
            // The only address is the name of a format.
            assert!(document.split("http").skip(1).all(|rest| rest.starts_with("-equiv") || rest.starts_with("://www.w3.org/2000/svg")));
        }
    }

    #[test]
    fn only_clients_that_show_views_are_hosts() {
        let client = |value: Value| serde_json::from_value::<ClientCapabilities>(value).ok();
        assert!(is_host(client(json!({"extensions": {EXTENSION: {"mimeTypes": ["text/plain", KIND]}}})).as_ref()));
        for other in [json!({}), json!({"extensions": {EXTENSION: {}}}), json!({"extensions": {EXTENSION: {"mimeTypes": ["text/html"]}}})] {
            assert!(!is_host(client(other).as_ref()));
        }
        assert!(!is_host(None));
    }
}
