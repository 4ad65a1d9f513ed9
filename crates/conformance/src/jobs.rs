//! Tools that become tasks if the client supports tasks.

use crate::{
    call::{Answer, Call, complain, internal, say, typed},
    inputs, rounds,
};
use mcp::rmcp::{
    ErrorData,
    model::{ClientCapabilities, CreateTaskResult},
    task_manager::{TaskContext, TaskExit, TaskFuture, TaskOptions},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Duration of a failing job.
const EFFORT: Duration = Duration::from_secs(1);

fn supports_tasks(call: &Call<'_>) -> bool {
    call.context.client_capabilities().is_some_and(|declared| declared.supports_tasks())
}

/// Starts a task, for tools that require one.
fn start(call: &Call<'_>, job: impl FnOnce(TaskContext) -> TaskFuture) -> Answer {
    if !supports_tasks(call) {
        return Err(ErrorData::missing_required_client_capability(ClientCapabilities::builder().enable_tasks().build()));
    }
    let task = call.fixture.shared.tasks.spawn(TaskOptions::default(), job);
    Ok(CreateTaskResult::new(task).into())
}

pub(crate) fn greet(call: &Call<'_>) -> Answer {
    Ok(say(format!("Hello, {}!", call.text("name")?)).into())
}

pub(crate) async fn compute(call: &Call<'_>) -> Answer {
    let seconds = call.argument("seconds").and_then(Value::as_f64).unwrap_or_default();
    let wait = Duration::try_from_secs_f64(seconds).map_err(|err| ErrorData::invalid_params(err.to_string(), None))?;
    let label = call.argument("label").and_then(Value::as_str).unwrap_or("nothing").to_owned();
    let result = say(format!("Computed {label}"));
    if !supports_tasks(call) {
        tokio::time::sleep(wait).await;
        return Ok(result.into());
    }
    start(call, move |task| {
        Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(wait) => Ok(result),
                () = task.cancelled() => Err(TaskExit::Cancelled),
            }
        })
    })
}

/// Fails as a tool does: the task completes with an error result.
pub(crate) fn fail(call: &Call<'_>) -> Answer {
    start(call, |_| {
        Box::pin(async {
            tokio::time::sleep(EFFORT).await;
            Ok(complain("The job failed"))
        })
    })
}

/// Fails as a server does: the task itself fails.
pub(crate) fn crash(call: &Call<'_>) -> Answer {
    start(call, |_| Box::pin(async { Err(internal("the job could not run").into()) }))
}

pub(crate) fn delete(call: &Call<'_>) -> Answer {
    let name = call.text("filename")?.to_owned();
    start(call, |task| {
        Box::pin(async move {
            let form = inputs::form(&format!("Delete {name}?"), &json!({"confirm": {"type": "boolean"}}));
            let answer = task.request_input("confirm", typed(form)?).await?;
            let agreed = answer.pointer("/content/confirm").and_then(Value::as_bool).unwrap_or_default();
            Ok(say(if agreed { format!("Deleted {name}") } else { format!("Kept {name}") }))
        })
    })
}

pub(crate) fn questions(call: &Call<'_>) -> Answer {
    start(call, |task| {
        Box::pin(async move {
            let name = task.request_input("name", typed(inputs::question("What is your name?", "name"))?);
            let confirmation = task.request_input("confirmation", typed(inputs::confirmation("Is it really?"))?);
            let (name, _) = tokio::try_join!(name, confirmation)?;
            Ok(say(format!("Received both answers, including {name}")))
        })
    })
}

/// Asks first, then becomes a task.
pub(crate) fn asked(call: &Call<'_>) -> Answer {
    let Some(name) = call.input("user_name").and_then(|answer| answer.pointer("/content/name")?.as_str()) else {
        let question = inputs::question("What is your name?", "name");
        return Ok(rounds::need(&call.context, [("user_name", question)], None)?.into());
    };
    let result = say(format!("Done for {name}"));
    start(call, |_| Box::pin(async { Ok(result) }))
}
