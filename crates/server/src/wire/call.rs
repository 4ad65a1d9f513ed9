//! A call of a tool: confirmed where it has to be, logged where that is asked for, a task where it takes long.

#![expect(deprecated, reason = "clients of the revisions up to 2025-11-25 have roots, and a log")]

use super::{
    confirm,
    handler::{Connection, Shared, implementation, is_modern},
    progress, tasks,
};
use crate::{
    class::ErrorClass,
    error::{Error, Kind},
    output::{self, Reply},
    pipeline::Call,
    tool::{Effect, Entry, Reporter},
};
use mcp::WARNINGS;
use mcp::rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, LoggingLevel, LoggingMessageNotificationParam},
    service::RequestContext,
};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Tools that may take long without reaching a remote.
const LONG: [&str; 3] = ["git_blame", "git_maintenance", "git_range_diff"];

/// How long the answer may take to be sent after which a session ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Answers `tools/call`.
pub(super) async fn call(
    shared: &Arc<Shared>,
    connection: &Connection,
    mut request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let received = Instant::now();
    let Some(tool) = shared.pipeline.find(&request.name) else {
        let known: Vec<&str> = shared.pipeline.listed().iter().map(|entry| entry.name).collect();
        let name: String = request.name.chars().take(80).collect();
        return Err(ErrorData::invalid_params(format!("unknown tool `{}`. Tools: {}", output::message(&name), known.join(", ")), None));
    };
    let parent = context.meta.get("traceparent").and_then(Value::as_str).unwrap_or_default().to_owned();
    let span = tracing::info_span!("tools/call", tool = tool.name, traceparent = parent);
    let mut warnings = context.meta.get(WARNINGS).and_then(Value::as_array).cloned().unwrap_or_default();
    if let (Some(types), Some(args)) = (&shared.lenient, &mut request.arguments) {
        warnings.extend(types.coerce(tool, args).into_iter().map(Value::from));
    }
    let calling = Calling { shared, connection, tool, context, received };
    let modern = calling.is_modern();
    let mut response = calling.answer(request).instrument(span).await?;
    if let CallToolResponse::Complete(result) = &mut response {
        let mut add = |name: &str, value: Value| result.meta.get_or_insert_default().0.insert(name.to_owned(), value);
        if modern {
            add("io.modelcontextprotocol/serverInfo", serde_json::to_value(implementation()).unwrap_or_default());
        }
        if !warnings.is_empty() {
            add(WARNINGS, Value::from(warnings));
        }
    }
    Ok(response)
}

struct Calling<'a> {
    shared: &'a Arc<Shared>,
    connection: &'a Connection,
    tool: &'static Entry,
    context: RequestContext<RoleServer>,
    received: Instant,
}

impl Calling<'_> {
    fn is_modern(&self) -> bool {
        is_modern(&self.context)
    }

    async fn answer(self, mut request: CallToolRequestParams) -> Result<CallToolResponse, ErrorData> {
        let changes = self.tool.effect != Effect::Read;
        let answer = self.shared.seals.answer(&request, &self.connection.caller);
        if answer.is_err() {
            self.suspect().await;
        }
        match answer? {
            Some(true) if changes => confirm_in(&mut request),
            Some(false) => return Ok(declined().into()),
            _ => {}
        }
        let outcome = match self.run(&request).await {
            Ok(outcome) => outcome,
            Err(task) => return Ok(task),
        };
        let error = match outcome {
            Err(error) if error.asks && changes && !is_confirmed(&request) => error,
            outcome => return Ok(self.finished(outcome).await.into()),
        };
        if !confirm::can_ask(self.context.client_capabilities().as_ref()) {
            return Ok(self.finished(Err(error)).await.into());
        }
        if self.is_modern() {
            return Ok(self.shared.seals.question(&error, &request, &self.connection.caller)?.into());
        }
        let said = tokio::select! {
            said = confirm::ask(&self.context.peer, &error) => said?,
            () = self.context.ct.cancelled() => false,
        };
        if !said {
            return Ok(declined().into());
        }
        confirm_in(&mut request);
        match self.run(&request).await {
            Ok(outcome) => Ok(self.finished(outcome).await.into()),
            Err(task) => Ok(task),
        }
    }

    /// A state that is not what was given out: once may be a mistake.
    async fn suspect(&self) {
        let pipeline = &self.shared.pipeline;
        if pipeline.is_breach(&self.connection.caller.principal, "states were forged or replayed").await {
            pipeline.errors.record(ErrorClass::SecurityBreach);
            self.end_session();
        }
    }

    /// Ends the session of the call, once the answer has been sent.
    fn end_session(&self) {
        let Some(id) = mcp::session_id(&self.context.extensions).map(str::to_owned) else { return };
        let sessions = Arc::clone(&self.shared.sessions);
        tokio::spawn(async move {
            tokio::time::sleep(LAST_WORDS).await;
            sessions.close(&id, "a critical error");
        });
    }

    /// Runs the call to its end, or until it is better a task.
    async fn run(&self, request: &CallToolRequestParams) -> Result<Result<Reply, Error>, CallToolResponse> {
        let (pipeline, connection) = (Arc::clone(&self.shared.pipeline), self.connection);
        let narrowed = match connection.narrowed().await {
            Ok(narrowed) => narrowed,
            Err(error) => return Ok(Err(error)),
        };
        let takes_long = self.tool.scope.is_remote() || LONG.contains(&self.tool.name);
        // The older revisions do not know them, whatever a client declares.
        let knows_tasks = self.is_modern() && self.context.client_capabilities().is_some_and(|client| client.supports_tasks());
        let may_be_task = takes_long && knows_tasks && self.shared.tasks.has_room(&connection.caller);
        let token = self.context.meta.get_progress_token().filter(|_| takes_long);
        let told = token.map(|token| progress::reporter(self.context.peer.clone(), token));
        let (newest, progress) = watch::channel(None);
        let reporter: Option<Reporter> = match (told, may_be_task) {
            (told, false) => told,
            (told, true) => Some(Arc::new(move |progress: git::Progress| {
                if let Some(told) = &told {
                    told(progress.clone());
                }
                newest.send(Some(progress)).ok();
            })),
        };
        let cancel = if may_be_task { CancellationToken::new() } else { self.context.ct.clone() };
        let call = Call {
            tool: self.tool,
            args: request.arguments.clone().unwrap_or_default(),
            caller: connection.caller.clone(),
            cancelled: cancel.clone(),
            received: self.received,
            narrowed,
            on_progress: reporter,
        };
        if !may_be_task {
            return Ok(pipeline.call(call).await);
        }
        let mut work = tokio::spawn(async move { pipeline.call(call).await }.in_current_span());
        tokio::select! {
            done = &mut work => return Ok(done.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the call failed inside the server")))),
            () = self.context.ct.cancelled() => {
                cancel.cancel();
                return Ok(work.await.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the call failed inside the server"))));
            }
            () = tokio::time::sleep(tasks::PATIENCE) => {}
        }
        // Until its end is kept, too.
        let running = tasks::Running { work, cancel, progress, counted: self.shared.pipeline.calls.token() };
        Err(self.shared.tasks.adopt(running, &connection.caller, self.tool.name, into_result).await.into())
    }

    /// The result, and a line in the client's log where it wants one.
    async fn finished(&self, outcome: Result<Reply, Error>) -> CallToolResult {
        if outcome.as_ref().is_err_and(|error| error.class().is_critical()) {
            self.end_session();
        }
        let level = if outcome.is_ok() { LoggingLevel::Info } else { LoggingLevel::Warning };
        let wanted = if self.is_modern() { self.context.meta.log_level() } else { self.connection.level() };
        if wanted.is_some_and(|wanted| level as u8 >= wanted as u8) {
            let duration_ms = u64::try_from(self.received.elapsed().as_millis()).unwrap_or(u64::MAX);
            let mut data = json!({"tool": self.tool.name, "duration_ms": duration_ms, "outcome": "done"});
            if let Err(error) = &outcome {
                data["outcome"] = json!(error.code());
            }
            let mut message = LoggingMessageNotificationParam::new(level, data);
            message.logger = Some(env!("CARGO_PKG_NAME").to_owned());
            // Nobody hears it where the call was given up.
            tokio::select! {
                _ = self.context.peer.notify_logging_message(message) => {}
                () = self.context.ct.cancelled() => {}
            }
        }
        into_result(outcome)
    }
}

fn is_confirmed(request: &CallToolRequestParams) -> bool {
    request.arguments.as_ref().and_then(|args| args.get("confirm")) == Some(&Value::Bool(true))
}

fn confirm_in(request: &mut CallToolRequestParams) {
    request.arguments.get_or_insert_default().insert("confirm".to_owned(), Value::Bool(true));
}

fn declined() -> CallToolResult {
    let error = Error::new(Kind::Refused, "the change was not confirmed: nothing has been done")
        .hint("Do not repeat it unless the user asks for it.");
    into_result(Err(error))
}

fn into_result(outcome: Result<Reply, Error>) -> CallToolResult {
    let error = match outcome {
        Ok(reply) => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(reply.text)]);
            result.structured_content = reply.structured;
            return result;
        }
        Err(error) => error,
    };
    let mut result = CallToolResult::error(vec![ContentBlock::text(output::message(&error.to_string()))]);
    if error.is_recoverable() {
        let retry_after = error.wait().map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let mut state = json!({"code": error.code(), "class": error.class().name(), "recoverable": true});
        if let Some(retry_after) = retry_after {
            state["retry_after_ms"] = Value::from(retry_after);
        }
        result.structured_content = Some(state);
    }
    result
}
