//! Tools that send messages to the client while they run.

use crate::{
    call::{Answer, Call, internal, is_stateless, say, typed},
    inputs,
};
#[expect(deprecated, reason = "logging belongs to the revision 2025-11-25, which is under test")]
use mcp::rmcp::model::LoggingLevel;
use mcp::rmcp::{
    ErrorData,
    model::{ProgressNotificationParam, ServerNotification, ServerRequest},
};
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Duration};

/// Log levels, the least severe first.
pub(crate) const SEVERITIES: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
/// The level of every message sent here.
const LEVEL: &str = "info";
/// Delay between two messages, so that each is sent separately, as the suite expects.
const STEP: Duration = Duration::from_millis(50);

/// The index of `level` in [`SEVERITIES`].
#[expect(deprecated, reason = "logging belongs to the revision 2025-11-25, which is under test")]
pub(crate) fn severity(level: LoggingLevel) -> usize {
    let name = serde_json::to_value(level).unwrap_or_default();
    SEVERITIES.iter().position(|severity| name == *severity).unwrap_or_default()
}

/// Sends a log message if the client's level admits it.
async fn log(call: &Call<'_>, text: &str) -> Result<(), ErrorData> {
    let wanted = if is_stateless(&call.context) {
        // Without sessions, logging is off unless the request sets a level.
        call.context.meta.log_level().map(severity)
    } else {
        Some(call.fixture.severity.load(Ordering::Relaxed))
    };
    let own = SEVERITIES.iter().position(|severity| *severity == LEVEL);
    if wanted.is_none() || own < wanted {
        return Ok(());
    }
    let message: ServerNotification = typed(json!({"method": "notifications/message", "params": {"level": LEVEL, "data": text}}))?;
    call.context.peer.send_notification(message).await.map_err(internal)
}

/// Sends a request to the client, in revisions that allow it, and awaits the result.
async fn ask(call: &Call<'_>, request: Value) -> Result<Value, ErrorData> {
    let request: ServerRequest = typed(request)?;
    let result = call.context.peer.send_request(request).await.map_err(internal)?;
    serde_json::to_value(result).map_err(internal)
}

pub(crate) async fn logging(call: &Call<'_>) -> Answer {
    log(call, "Tool execution started").await?;
    tokio::time::sleep(STEP).await;
    log(call, "Tool processing data").await?;
    tokio::time::sleep(STEP).await;
    log(call, "Tool execution completed").await?;
    Ok(say("The tool has sent three log messages.").into())
}

pub(crate) async fn progress(call: &Call<'_>) -> Answer {
    for (at, pause) in [(0.0, STEP), (50.0, STEP), (100.0, Duration::ZERO)] {
        if let Some(token) = call.context.meta.get_progress_token() {
            let progress = ProgressNotificationParam::new(token, at).with_total(100.0);
            call.context.peer.notify_progress(progress).await.map_err(internal)?;
        }
        tokio::time::sleep(pause).await;
    }
    Ok(say("The tool has finished.").into())
}

pub(crate) async fn sampling(call: &Call<'_>) -> Answer {
    let result = ask(call, inputs::sampling(call.text("prompt")?)).await?;
    let text = result.pointer("/content/text").and_then(Value::as_str).unwrap_or_default();
    Ok(say(format!("LLM response: {text}")).into())
}

pub(crate) async fn elicitation(call: &Call<'_>) -> Answer {
    let properties = json!({
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    });
    let result = ask(call, inputs::form(call.text("message")?, &properties)).await?;
    Ok(say(format!("User response: {result}")).into())
}

pub(crate) async fn defaults(call: &Call<'_>) -> Answer {
    let properties = json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    });
    elicit(call, "Each field has a default", &properties).await
}

pub(crate) async fn choices(call: &Call<'_>) -> Answer {
    let plain = ["option1", "option2", "option3"];
    let titled = json!([
        {"const": "value1", "title": "First Option"},
        {"const": "value2", "title": "Second Option"},
        {"const": "value3", "title": "Third Option"},
    ]);
    let properties = json!({
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    });
    elicit(call, "Each field is a choice of another kind", &properties).await
}

async fn elicit(call: &Call<'_>, message: &str, properties: &Value) -> Answer {
    let result = ask(call, inputs::form(message, properties)).await?;
    let action = result.get("action").and_then(Value::as_str).unwrap_or_default();
    let content = result.get("content").unwrap_or(&Value::Null);
    Ok(say(format!("Elicitation completed: action={action}, content={content}")).into())
}
