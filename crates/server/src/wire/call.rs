//! Handles `tools/call`: asks for confirmation, writes to the client's log, and turns long calls into tasks.

#![expect(deprecated, reason = "clients of the revisions up to 2025-11-25 have roots, and a log")]

use super::{
    confirm::{self, Question},
    connection::{Connection, Shared, implementation, is_stateless, record_unknown},
    declines,
    method::unknown_tool,
    progress, tasks,
};
use crate::{
    error::{Error, ErrorClass, Kind},
    output::{self, Budget, Reply},
    pipeline::{Call, Origin},
    telemetry::{metrics::transport, parent},
    tool::{Effect, Entry, Reporter},
};
use mcp::rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, LoggingLevel, LoggingMessageNotificationParam},
    service::RequestContext,
};
use mcp::{
    WARNINGS,
    sessions::{Fault, Kind as Carrier},
};
use serde_json::{Map, Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Grace period for sending the response before the session closes.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Handles `tools/call`.
pub(super) async fn call(
    shared: &Arc<Shared>,
    connection: &Connection,
    mut request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let received = Instant::now();
    let Some(tool) = shared.services.find(&request.name) else {
        record_unknown(&shared.services, &context, "unknown_tool");
        let why = unknown_tool(&request.name, shared.services.listed().iter().copied());
        return Err(ErrorData::invalid_params(why, None));
    };
    if shared.intake.is_draining() {
        let budget = Budget::of_call(shared.services.bounds().max_output_tokens, request.arguments.as_ref());
        return Ok(into_result(Err(Error::draining()), budget).into());
    }
    let span = tracing::info_span!("tools/call", tool = tool.name);
    let mut warnings = context.meta.get(WARNINGS).and_then(Value::as_array).cloned().unwrap_or_default();
    if let (Some(types), Some(args)) = (&shared.lenient, &mut request.arguments) {
        warnings.extend(types.coerce(tool, args).into_iter().map(Value::from));
    }
    let budget = Budget::of_call(shared.services.bounds().max_output_tokens, request.arguments.as_ref());
    let calling = Calling { shared, connection, tool, context, received, budget };
    let modern = calling.is_stateless();
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

/// The outcome of a call, or the response that creates its task.
type Ran = Result<Result<Reply, Error>, CallToolResponse>;

struct Calling<'a> {
    shared: &'a Arc<Shared>,
    connection: &'a Connection,
    tool: &'static Entry,
    context: RequestContext<RoleServer>,
    received: Instant,
    /// Token budget of the result, including error results.
    budget: Budget,
}

impl Calling<'_> {
    fn is_stateless(&self) -> bool {
        is_stateless(&self.context)
    }

    async fn answer(self, request: CallToolRequestParams) -> Result<CallToolResponse, ErrorData> {
        let answer = self.shared.seals.answer(&request, &self.connection.caller);
        if answer.is_err() {
            self.record_forgery().await;
        }
        let answer = answer?;
        if self.tool.effect == Effect::Read {
            return self.end(self.run(&request, None).await).await;
        }
        if let Some(verdict) = answer {
            return match self.question(&request).await.decide(verdict, confirm::dismissed()) {
                Ok(()) => self.end(self.run(&request, Some(true)).await).await,
                Err(error) => Ok(self.finished(Err(error)).await?.into()),
            };
        }
        let counts = !self.can_ask() || self.shared.services.of_tools.policy.model_confirms;
        let confirmed = counts && is_confirmed(&request) && self.question(&request).await.check().is_ok();
        let error = match self.run(&request, Some(confirmed)).await {
            Ok(Err(error)) if error.asks && !confirmed => error,
            ran => return self.end(ran).await,
        };
        let question = self.question(&request).await;
        let error = match question.check() {
            Ok(()) if self.can_ask() => error,
            Ok(()) => return Ok(self.finished(Err(error)).await?.into()),
            Err(declined) => return Ok(self.finished(Err(declined)).await?.into()),
        };
        if self.is_stateless() {
            return Ok(self.shared.seals.question(&error, &request, &self.connection.caller)?.into());
        }
        let verdict = confirm::ask(&self.context.peer, &error, self.gone()).await?;
        match question.decide(verdict, error) {
            Ok(()) => self.end(self.run(&request, Some(true)).await).await,
            Err(error) => Ok(self.finished(Err(error)).await?.into()),
        }
    }

    /// Whether the user can be asked to confirm a change.
    fn can_ask(&self) -> bool {
        confirm::can_ask(self.context.client_capabilities().as_ref())
    }

    /// The confirmation question for this call.
    async fn question(&self, request: &CallToolRequestParams) -> Question {
        let (pipeline, principal) = (&self.shared.pipeline, &self.connection.caller.principal);
        let mut args = request.arguments.clone().unwrap_or_default();
        let client_roots = self.connection.client_roots().await.unwrap_or_default();
        let place = pipeline.services().named(&mut args, principal, client_roots).await;
        Question {
            declines: Arc::clone(&self.shared.declines),
            principal: Arc::clone(principal),
            content: declines::content(self.tool, args, place.as_deref()),
            argument: is_confirmed(request),
        }
    }

    /// Origin of the call, for the log.
    fn origin(&self) -> Origin {
        Origin {
            session: self.connection.session.clone(),
            request: Some(self.context.id.to_string()),
            parent: self.context.meta.get("traceparent").and_then(Value::as_str).and_then(parent::parse),
            transport: transport(mcp::carried_by(&self.context.extensions)),
        }
    }

    /// Returns when the call is cancelled or the server stops.
    async fn gone(&self) {
        tokio::select! {
            () = self.context.ct.cancelled() => {}
            () = self.shared.services.stop.cancelled() => {}
        }
    }

    /// Records a forged or replayed state. The first may be a mistake, a repeat is a breach.
    async fn record_forgery(&self) {
        let (services, connection) = (&self.shared.services, self.connection);
        if services.is_breach(&connection.caller.principal, connection.session.as_deref(), "states were forged or replayed").await {
            services.errors.record(ErrorClass::SecurityBreach, "forged_state");
            self.end_session(Fault::SecurityBreach);
        }
    }

    /// Ends the call's session once the response is sent. A stdio session is never ended: it is the whole server.
    fn end_session(&self, fault: Fault) {
        let extensions = &self.context.extensions;
        let carrier = mcp::carrier(extensions).filter(|_| mcp::carried_by(extensions) != Carrier::Stdio);
        let Some(id) = carrier.map(str::to_owned) else { return };
        let sessions = Arc::clone(&self.shared.sessions);
        tokio::spawn(async move {
            tokio::time::sleep(LAST_WORDS).await;
            sessions.close_failed(&id, fault);
        });
    }

    /// The response of a completed call or of a new task.
    async fn end(&self, ran: Ran) -> Result<CallToolResponse, ErrorData> {
        match ran {
            Ok(outcome) => Ok(self.finished(outcome).await?.into()),
            Err(task) => Ok(task),
        }
    }

    /// Runs the call to completion, or turns it into a task. `confirmed` overrides the argument `confirm`.
    async fn run(&self, request: &CallToolRequestParams, confirmed: Option<bool>) -> Ran {
        // The user's thinking time does not count against the call.
        let received = if confirmed == Some(true) { Instant::now() } else { self.received };
        let (pipeline, connection) = (Arc::clone(&self.shared.pipeline), self.connection);
        let client_roots = match connection.client_roots().await {
            Ok(client_roots) => client_roots,
            Err(error) => return Ok(Err(error)),
        };
        let takes_long = self.tool.scope.is_remote() || self.tool.long;
        // Clients of older revisions do not support tasks, even if they declare them.
        let knows_tasks = self.is_stateless() && self.context.client_capabilities().is_some_and(|client| client.supports_tasks());
        let may_be_task = takes_long && knows_tasks && self.shared.tasks.has_room(&connection.caller);
        let token = self.context.meta.get_progress_token().filter(|_| takes_long);
        let notify = token.map(|token| progress::reporter(self.context.peer.clone(), token));
        let (newest, progress) = watch::channel(None);
        let reporter: Option<Reporter> = match (notify, may_be_task) {
            (notify, false) => notify,
            (notify, true) => Some(Arc::new(move |progress: git::Progress| {
                if let Some(notify) = &notify {
                    notify(progress.clone());
                }
                newest.send(Some(progress)).ok();
            })),
        };
        let cancel = if may_be_task { CancellationToken::new() } else { self.context.ct.clone() };
        let (tool, caller, cancelled) = (self.tool, connection.caller.clone(), cancel.clone());
        let origin = self.origin();
        let call = move |args, received| Call { tool, args, caller, cancelled, received, client_roots, on_progress: reporter, origin };
        let args = arguments(request, confirmed);
        if !may_be_task {
            return Ok(pipeline.call(call(args, received)).await);
        }
        let (again, running) = (call.clone(), Arc::clone(&pipeline));
        let mut work = tokio::spawn(async move { running.call(call(args, received)).await }.in_current_span());
        tokio::select! {
            done = &mut work => return Ok(done.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the call failed inside the server")))),
            () = self.context.ct.cancelled() => {
                cancel.cancel();
                return Ok(work.await.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the call failed inside the server"))));
            }
            () = tokio::time::sleep(tasks::PATIENCE) => {}
        }
        let unconfirmed = match confirmed {
            Some(false) if self.can_ask() => {
                let args = arguments(request, Some(true));
                let (stop, pipeline, span) = (pipeline.services().stop.clone(), Arc::clone(&pipeline), tracing::Span::current());
                let again = move || tokio::spawn(async move { pipeline.call(again(args, Instant::now())).await }.instrument(span));
                Some(tasks::Unconfirmed { question: self.question(request).await, stop, again: Box::new(again) })
            }
            _ => None,
        };
        // The task counts as a running call until its result is stored.
        let budget = self.budget;
        let finish = move |outcome| into_result(outcome, budget);
        let running = tasks::Running { work, cancel, progress, unconfirmed, counted: pipeline.services().calls.token() };
        Err(self.shared.tasks.adopt(running, &connection.caller, self.tool.name, finish).await.into())
    }

    /// Builds the result, and logs it to the client if wanted. A call that ended because its client disconnected gets
    /// no response: a late line would be mistaken for the response that the client waits for.
    async fn finished(&self, outcome: Result<Reply, Error>) -> Result<CallToolResult, ErrorData> {
        if outcome.as_ref().is_err_and(|error| error.kind.is_cancellation()) && mcp::has_hung_up(&self.context.extensions) {
            return Err(ErrorData::new(mcp::UNANSWERED, "the client is gone", None));
        }
        if outcome.as_ref().is_err_and(|error| error.class() == ErrorClass::SecurityBreach) {
            self.end_session(Fault::SecurityBreach);
        }
        let level = if outcome.is_ok() { LoggingLevel::Info } else { LoggingLevel::Warning };
        let wanted = if self.is_stateless() { self.context.meta.log_level() } else { self.connection.level() };
        if wanted.is_some_and(|wanted| level as u8 >= wanted as u8) {
            let duration_ms = u64::try_from(self.received.elapsed().as_millis()).unwrap_or(u64::MAX);
            let mut data = json!({"tool": self.tool.name, "duration_ms": duration_ms, "outcome": "done"});
            if let Err(error) = &outcome {
                data["outcome"] = json!(error.code());
            }
            let mut message = LoggingMessageNotificationParam::new(level, data);
            message.logger = Some(env!("CARGO_PKG_NAME").to_owned());
            // A cancelled call has no reader for its log message.
            tokio::select! {
                _ = self.context.peer.notify_logging_message(message) => {}
                () = self.context.ct.cancelled() => {}
            }
        }
        Ok(into_result(outcome, self.budget))
    }
}

fn is_confirmed(request: &CallToolRequestParams) -> bool {
    request.arguments.as_ref().and_then(|args| args.get("confirm")) == Some(&Value::Bool(true))
}

/// The arguments of the call, with the effective `confirm`. A non-boolean `confirm` is left for the tool to reject.
fn arguments(request: &CallToolRequestParams, confirmed: Option<bool>) -> Map<String, Value> {
    let mut args = request.arguments.clone().unwrap_or_default();
    match confirmed {
        Some(true) => drop(args.insert("confirm".to_owned(), Value::Bool(true))),
        Some(false) if args.get("confirm").is_some_and(Value::is_boolean) => drop(args.remove("confirm")),
        _ => {}
    }
    args
}

fn into_result(outcome: Result<Reply, Error>, budget: Budget) -> CallToolResult {
    let error = match outcome {
        Ok(reply) => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(reply.text)]);
            result.structured_content = reply.structured;
            return result;
        }
        Err(error) => error,
    };
    let mut result = CallToolResult::error(vec![ContentBlock::text(output::failure(&error, budget))]);
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
