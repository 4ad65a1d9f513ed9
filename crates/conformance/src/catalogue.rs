//! All tools: their listing and dispatch.

use crate::{
    call::{Answer, Call, complain, require, say},
    changes::Change,
    content, dialogue, inputs, jobs, rounds,
};
use mcp::rmcp::{
    ErrorData,
    model::{CallToolResult, JsonObject, Tool},
    object,
};
use std::sync::Arc;

/// Tools without arguments. The suite calls the first in the list, without arguments, as a sample tool.
const PLAIN: [(&str, &str); 28] = [
    ("test_simple_text", "Returns text"),
    ("test_image_content", "Returns an image"),
    ("test_audio_content", "Returns audio"),
    ("test_embedded_resource", "Returns a resource"),
    ("test_multiple_content_types", "Returns text, an image and a resource"),
    ("test_error_handling", "Fails"),
    ("test_tool_with_logging", "Logs while it runs"),
    ("test_logging_tool", "Logs while it runs, if the request sets a level"),
    ("test_tool_with_progress", "Reports progress"),
    ("test_reconnection", "Runs for a while"),
    ("test_elicitation_sep1034_defaults", "Asks the user, with defaults"),
    ("test_elicitation_sep1330_enums", "Asks the user, with every kind of choice"),
    ("test_trigger_tool_change", "Announces that the tools have changed"),
    ("test_trigger_prompt_change", "Announces that the prompts have changed"),
    ("test_missing_capability", "Requires the sampling capability"),
    ("test_streaming_elicitation", "Asks the user"),
    ("test_input_required_result_elicitation", "Returns a question to the user"),
    ("test_input_required_result_sampling", "Returns a question to the model"),
    ("test_input_required_result_list_roots", "Returns a request for the roots"),
    ("test_input_required_result_request_state", "Returns a question with state"),
    ("test_input_required_result_tampered_state", "Returns a question with state, and rejects altered state"),
    ("test_input_required_result_multiple_inputs", "Returns three questions at once"),
    ("test_input_required_result_multi_round", "Returns two questions, one after the other"),
    ("test_input_required_result_capabilities", "Returns a question that the client can answer"),
    ("failing_job", "A task whose result is an error"),
    ("protocol_error_job", "A task that fails"),
    ("multi_input", "A task that asks two questions at once"),
    ("test_tool_with_task", "Returns a question, then becomes a task"),
];

/// All tools.
pub(crate) fn tools() -> Vec<Tool> {
    let nothing = Arc::new(object!({"type": "object", "properties": {}}));
    let plain = PLAIN.iter().map(|(name, description)| Tool::new(*name, *description, Arc::clone(&nothing)));
    plain.chain(with_arguments()).collect()
}

fn with_arguments() -> [Tool; 7] {
    let one = |name: &str| object!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
    let compute = object!({"type": "object", "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}}});
    let header =
        object!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}, "required": ["region"]});
    [
        Tool::new("test_sampling", "Asks the client's model", one("prompt")),
        Tool::new("test_elicitation", "Asks the user", one("message")),
        Tool::new("test_parameter_header", "Has an argument mirrored in a header", header),
        Tool::new("json_schema_2020_12_tool", "Has a schema with uncommon keywords", uncommon()),
        Tool::new("greet", "Greets, without a task", one("name")),
        Tool::new("slow_compute", "A slow task", compute),
        Tool::new("confirm_delete", "A task that asks for confirmation", one("filename")),
    ]
}

/// A schema whose keywords must all reach the client.
fn uncommon() -> JsonObject {
    object!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            },
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

/// Runs the called tool.
pub(crate) async fn run(call: &Call<'_>) -> Answer {
    match call.request.name.as_ref() {
        "test_simple_text" => Ok(say("This is a simple text response for testing.").into()),
        "test_image_content" => Ok(content::image().into()),
        "test_audio_content" => Ok(content::audio().into()),
        "test_embedded_resource" => Ok(content::resource().into()),
        "test_multiple_content_types" => Ok(content::mixed().into()),
        "test_error_handling" => Ok(complain("This tool intentionally returns an error for testing").into()),
        "test_tool_with_logging" | "test_logging_tool" => dialogue::logging(call).await,
        "test_tool_with_progress" | "test_reconnection" => dialogue::progress(call).await,
        "test_sampling" => dialogue::sampling(call).await,
        "test_elicitation" => dialogue::elicitation(call).await,
        "test_elicitation_sep1034_defaults" => dialogue::defaults(call).await,
        "test_elicitation_sep1330_enums" => dialogue::choices(call).await,
        "test_trigger_tool_change" => Ok(announce(call, Change::Tools).into()),
        "test_trigger_prompt_change" => Ok(announce(call, Change::Prompts).into()),
        "test_missing_capability" => {
            require(&call.context, "sampling")?;
            Ok(say("The client supports sampling.").into())
        }
        "test_streaming_elicitation" => {
            Ok(rounds::need(&call.context, [("confirm", inputs::confirmation("Please confirm"))], None)?.into())
        }
        "test_input_required_result_elicitation" => rounds::elicitation(call),
        "test_input_required_result_sampling" => rounds::sampling(call),
        "test_input_required_result_list_roots" => rounds::roots(call),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => rounds::confirmed(call),
        "test_input_required_result_multiple_inputs" => rounds::several(call),
        "test_input_required_result_multi_round" => rounds::steps(call),
        "test_input_required_result_capabilities" => rounds::declared(call),
        "test_parameter_header" => Ok(say(call.text("region")?).into()),
        "json_schema_2020_12_tool" => Ok(say("The schema is what matters.").into()),
        "greet" => jobs::greet(call),
        "slow_compute" => jobs::compute(call).await,
        "failing_job" => jobs::fail(call),
        "protocol_error_job" => jobs::crash(call),
        "confirm_delete" => jobs::delete(call),
        "multi_input" => jobs::questions(call),
        "test_tool_with_task" => jobs::asked(call),
        unknown => Err(ErrorData::invalid_params(format!("unknown tool `{unknown}`"), None)),
    }
}

fn announce(call: &Call<'_>, change: Change) -> CallToolResult {
    call.fixture.shared.changes.announce(change);
    say("The change is announced.")
}
