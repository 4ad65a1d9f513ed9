//! `call`: runs one tool from the shell.

use super::{cannot_run, say, tell};
use crate::{
    app::App,
    caller::Caller,
    lifecycle::signals,
    output,
    pipeline::{Call, Origin},
};
use serde_json::{Map, Value};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

pub(super) fn run(app: &App, tool: &str, arguments: &str) -> ExitCode {
    let args: Map<String, Value> = match serde_json::from_str(arguments) {
        Ok(args) => args,
        Err(err) => return cannot_run(&format!("the arguments are not a JSON object: {err}")),
    };
    let Some(entry) = app.services.find(tool) else {
        let known: Vec<&str> = app.services.listed().iter().map(|entry| entry.name).collect();
        return cannot_run(&format!("unknown tool `{tool}`. Tools: {}", known.join(", ")));
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return cannot_run(&err),
    };
    let result = runtime.block_on(async {
        let hung_up = app.stop.clone();
        if let Err(err) = signals::watch(app.stop.clone(), move || hung_up.cancel()) {
            tracing::warn!(%err, "cannot watch signals");
        }
        let call = Call {
            tool: entry,
            args,
            cancelled: app.stop.clone(),
            received: Instant::now(),
            client_roots: None,
            on_progress: None,
            origin: Origin::default(),
            caller: Caller::local(),
        };
        let result = app.pipeline.call(call).await;
        app.services.idle(Duration::from_secs(9)).await;
        result
    });
    // A hung thread would delay the exit.
    runtime.shutdown_background();
    match result {
        Ok(reply) => {
            say(reply.text.strip_suffix('\n').unwrap_or(&reply.text));
            ExitCode::SUCCESS
        }
        Err(err) => {
            tell(&output::message(&err.to_string()));
            ExitCode::from(1)
        }
    }
}
