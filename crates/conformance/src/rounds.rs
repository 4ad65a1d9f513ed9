//! Tools that return an input request instead of a result, and are called again with the answer.

use crate::{
    call::{Answer, Call, declares, internal, require, say, typed},
    inputs,
};
use mcp::rmcp::{
    ErrorData, RoleServer,
    model::{InputRequest, InputRequests, InputRequiredResult, SealOptions},
    service::RequestContext,
};
use serde_json::Value;

/// Requests `wanted`, along with opaque `state` to be returned unaltered.
///
/// # Errors
///
/// If the client has not declared the capability to answer.
pub(crate) fn need<const N: usize>(
    context: &RequestContext<RoleServer>,
    wanted: [(&str, Value); N],
    state: Option<String>,
) -> Result<InputRequiredResult, ErrorData> {
    let mut requests = InputRequests::new();
    for (key, request) in wanted {
        // The first part of a method name is its capability.
        let capability = request["method"].as_str().and_then(|method| method.split('/').next()).unwrap_or_default();
        require(context, capability)?;
        requests.insert(key.to_owned(), typed::<InputRequest>(request)?);
    }
    Ok(InputRequiredResult::new(Some(requests), state))
}

// State is bound to its tool's name: it is invalid for any other tool.

/// The step sealed in this call's state.
fn state(call: &Call<'_>) -> Result<Option<String>, ErrorData> {
    let Some(sealed) = &call.request.request_state else { return Ok(None) };
    let step = call.fixture.shared.codec.open_json_with(sealed, call.request.name.as_bytes());
    step.map(Some).map_err(|_| ErrorData::invalid_params("`requestState` was not issued by this tool", None))
}

/// `step`, sealed so that the client can store it but not alter it.
fn sealed(call: &Call<'_>, step: &str) -> Result<Option<String>, ErrorData> {
    let binding = SealOptions::new().associated_data(call.request.name.as_bytes());
    call.fixture.shared.codec.seal_json_with(&step, &binding).map(Some).map_err(internal)
}

pub(crate) fn elicitation(call: &Call<'_>) -> Answer {
    if let Some(name) = call.input("user_name").and_then(|answer| answer.pointer("/content/name")?.as_str()) {
        return Ok(say(format!("Hello, {name}!")).into());
    }
    Ok(need(&call.context, [("user_name", inputs::question("What is your name?", "name"))], None)?.into())
}

pub(crate) fn sampling(call: &Call<'_>) -> Answer {
    if let Some(text) = call.input("capital_question").and_then(|answer| answer.pointer("/content/text")?.as_str()) {
        return Ok(say(text).into());
    }
    Ok(need(&call.context, [("capital_question", inputs::sampling("What is the capital of France?"))], None)?.into())
}

pub(crate) fn roots(call: &Call<'_>) -> Answer {
    if let Some(roots) = call.input("client_roots").and_then(|answer| answer.get("roots")) {
        return Ok(say(format!("The roots are {roots}")).into());
    }
    Ok(need(&call.context, [("client_roots", inputs::roots())], None)?.into())
}

/// Serves two scenarios: the state comes back unchanged, or altered.
pub(crate) fn confirmed(call: &Call<'_>) -> Answer {
    if state(call)?.as_deref() == Some("asked") && call.input("confirm").is_some() {
        return Ok(say("state-ok").into());
    }
    let confirmation = inputs::confirmation("Please confirm");
    Ok(need(&call.context, [("confirm", confirmation)], sealed(call, "asked")?)?.into())
}

pub(crate) fn several(call: &Call<'_>) -> Answer {
    let keys = ["user_name", "greeting", "client_roots"];
    if state(call)?.as_deref() == Some("asked") && keys.iter().all(|key| call.input(key).is_some()) {
        return Ok(say("Received all three answers.").into());
    }
    let [name, greeting, roots] = keys;
    let wanted = [
        (name, inputs::question("What is your name?", "name")),
        (greeting, inputs::sampling("Generate a greeting")),
        (roots, inputs::roots()),
    ];
    Ok(need(&call.context, wanted, sealed(call, "asked")?)?.into())
}

pub(crate) fn steps(call: &Call<'_>) -> Answer {
    match state(call)?.as_deref() {
        Some("name") if call.input("step1").is_some() => {
            let question = inputs::question("Step 2: What is your favorite color?", "color");
            Ok(need(&call.context, [("step2", question)], sealed(call, "color")?)?.into())
        }
        Some("color") if call.input("step2").is_some() => Ok(say("Both steps are complete.").into()),
        _ => {
            let question = inputs::question("Step 1: What is your name?", "name");
            Ok(need(&call.context, [("step1", question)], sealed(call, "name")?)?.into())
        }
    }
}

/// Asks with the first capability the client has.
pub(crate) fn declared(call: &Call<'_>) -> Answer {
    if call.input("greeting").is_some() {
        return Ok(say("Received the answer.").into());
    }
    let greeting = if declares(&call.context, "sampling") {
        inputs::sampling("Generate a greeting")
    } else {
        inputs::question("How do you greet?", "greeting")
    };
    Ok(need(&call.context, [("greeting", greeting)], None)?.into())
}
