//! Prompts and argument completion.

use crate::{content::PNG, inputs, rounds};
use mcp::rmcp::{
    ErrorData, RoleServer,
    model::{
        CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult,
        Prompt, PromptArgument, PromptMessage, ResourceContents, Role,
    },
    service::RequestContext,
};
use serde_json::Value;

/// Values proposed for every argument.
const PROPOSALS: [&str; 4] = ["paris", "park", "party", "test"];

/// All prompts.
pub(crate) fn list() -> Vec<Prompt> {
    let prompt = |name: &str, description: &str, arguments: &[(&str, &str)]| {
        let arguments = arguments.iter().map(|(name, about)| PromptArgument::new(*name).with_description(*about).with_required(true));
        Prompt::new(name, Some(description), Some(arguments.collect()))
    };
    vec![
        prompt("test_simple_prompt", "A prompt without arguments", &[]),
        prompt(
            "test_prompt_with_arguments",
            "A prompt that repeats its arguments",
            &[("arg1", "First test argument"), ("arg2", "Second test argument")],
        ),
        prompt("test_prompt_with_embedded_resource", "A prompt that embeds a resource", &[("resourceUri", "URI of the resource to embed")]),
        prompt("test_prompt_with_image", "A prompt that embeds an image", &[]),
        prompt("test_input_required_result_prompt", "A prompt that asks back first", &[]),
    ]
}

/// The messages of the requested prompt.
pub(crate) fn get(request: &GetPromptRequestParams, context: &RequestContext<RoleServer>) -> Result<GetPromptResponse, ErrorData> {
    let blocks = match request.name.as_str() {
        "test_simple_prompt" => vec![ContentBlock::text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument(request, "arg1")?, argument(request, "arg2")?);
            vec![ContentBlock::text(format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = ResourceContents::text("Embedded resource content for testing.", argument(request, "resourceUri")?);
            vec![ContentBlock::resource(resource), ContentBlock::text("Please process the embedded resource above.")]
        }
        "test_prompt_with_image" => {
            vec![ContentBlock::image(PNG, "image/png"), ContentBlock::text("Please analyze the image above.")]
        }
        "test_input_required_result_prompt" => {
            let answer = request.input_responses.as_ref().and_then(|answers| answers.get("user_context")?.pointer("/content/context"));
            let Some(answer) = answer.and_then(Value::as_str) else {
                let question = inputs::question("What context should the prompt use?", "context");
                return Ok(rounds::need(context, [("user_context", question)], None)?.into());
            };
            vec![ContentBlock::text(format!("Work in this context: {answer}"))]
        }
        unknown => return Err(ErrorData::invalid_params(format!("unknown prompt `{unknown}`"), None)),
    };
    let messages = blocks.into_iter().map(|block| PromptMessage::new(Role::User, block));
    Ok(GetPromptResult::new(messages.collect()).into())
}

fn argument<'a>(request: &'a GetPromptRequestParams, name: &str) -> Result<&'a str, ErrorData> {
    let value = request.arguments.as_ref().and_then(|arguments| arguments.get(name)?.as_str());
    value.ok_or_else(|| ErrorData::invalid_params(format!("`{name}` must be a string"), None))
}

/// The proposals that start with the current value.
pub(crate) fn complete(request: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let values = PROPOSALS.iter().filter(|value| value.starts_with(&request.argument.value)).map(ToString::to_string);
    let proposals = CompletionInfo::with_all_values(values.collect()).map_err(crate::call::internal)?;
    Ok(CompleteResult::new(proposals))
}
