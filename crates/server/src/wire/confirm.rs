//! Confirmation of changes: a multi-round call in the newest revision, an elicitation in older ones, or the argument
//! `confirm` for clients that support neither. A confirmation never exceeds what the operator allows.
//!
//! If the user can be asked, the argument is ignored: the model writes it.

use super::declines::{self, Declines};
use crate::{
    caller::Caller,
    error::{Error, Kind},
    random,
};
use mcp::rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, ClientCapabilities, ClientResult, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
        ElicitationSchema, InputRequest, InputRequests, InputRequiredResult, RequestStateCodec, SealOptions, ServerRequest,
    },
    service::{Peer, PeerRequestOptions, ServiceError},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// Time limit for answering a question.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);
/// The name of the question.
pub(super) const QUESTION: &str = "confirm";
/// Maximum number of used answers remembered per caller, to detect replays.
const MAX_USED: usize = 1_000;
/// Maximum number of callers remembered before those with only expired answers are removed.
const MAX_CALLERS: usize = 1_000;
const NONCE: usize = 16;

/// Outcome of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The user wants the change.
    Confirmed,
    /// The user declined.
    Declined,
    /// The question was closed without a decision, or not answered in time.
    Dismissed,
    /// The client failed to ask the user.
    Failed,
    /// The call was cancelled, or the server is stopping.
    Gone,
}

impl Verdict {
    /// Parses an answer to the question.
    pub(super) fn of(action: Option<&str>, content: Option<&Value>) -> Self {
        let confirms = content.and_then(|content| content.get(QUESTION)).and_then(Value::as_bool);
        match (action, confirms) {
            (Some("accept"), Some(true)) => Self::Confirmed,
            (Some("accept"), Some(false)) | (Some("decline"), _) => Self::Declined,
            _ => Self::Dismissed,
        }
    }

    /// Parses an answer in the format of the newest revision.
    pub(super) fn of_input(answer: Option<&Value>) -> Self {
        answer.map_or(Self::Dismissed, |answer| Self::of(answer.get("action").and_then(Value::as_str), answer.get("content")))
    }
}

/// A call that may need confirmation.
pub(super) struct Question {
    pub(super) declines: Arc<Declines>,
    pub(super) principal: Arc<str>,
    /// Digest of the change.
    pub(super) content: String,
    /// The argument `confirm` of the call.
    pub(super) argument: bool,
}

impl Question {
    /// Refuses a change that the user declined recently.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.declines.left(&self.principal, &self.content, Instant::now()) {
            Some(left) => Err(declines::before(left)),
            None => Ok(()),
        }
    }

    /// Permits the change, or returns the error of the call. `asked` is the error that requested confirmation.
    pub(super) fn decide(&self, verdict: Verdict, asked: Error) -> Result<(), Error> {
        match verdict {
            Verdict::Confirmed => {
                self.declines.forget(&self.principal, &self.content);
                Ok(())
            }
            Verdict::Declined => {
                self.declines.note(&self.principal, &self.content, Instant::now());
                Err(declines::now())
            }
            Verdict::Dismissed => Err(dismissed()),
            Verdict::Failed => {
                self.check()?;
                if self.argument { Ok(()) } else { Err(asked) }
            }
            Verdict::Gone => Err(Error::new(Kind::Cancelled, "the call was cancelled before it was confirmed: nothing has been done")),
        }
    }
}

/// The error for a question that was dismissed or not answered.
pub(super) fn dismissed() -> Error {
    Error::new(Kind::Refused, "the change was not confirmed: the question was dismissed or not answered, and nothing has been done")
        .hint("Do not repeat it unless the user asks for it.")
}

/// Used answers of one caller, with the time of use.
type Answers = HashMap<Vec<u8>, Instant>;

/// Seals the state that a client carries from one round to the next.
#[derive(Default)]
pub(crate) struct Seals {
    codec: OnceLock<RequestStateCodec>,
    used: Mutex<HashMap<Arc<str>, Answers>>,
}

impl Seals {
    /// The confirmation question, bound to the caller, the tool and its arguments.
    pub(crate) fn question(
        &self,
        error: &Error,
        request: &CallToolRequestParams,
        caller: &Caller,
    ) -> Result<InputRequiredResult, ErrorData> {
        let nonce = random::bytes::<NONCE>().map_err(|err| internal(&err))?;
        let bound = binding(request, caller);
        let sealed = self.codec()?.seal_with(&nonce, &SealOptions::new().associated_data(&bound).ttl(PATIENCE));
        let mut questions = InputRequests::new();
        questions.insert(QUESTION.to_owned(), input(error)?);
        let mut result = InputRequiredResult::from_input_requests(questions);
        result.request_state = Some(sealed);
        Ok(result)
    }

    /// The verdict, if the call carries a valid answer to a question about exactly this call.
    pub(crate) fn answer(&self, request: &CallToolRequestParams, caller: &Caller) -> Result<Option<Verdict>, ErrorData> {
        let Some(sealed) = &request.request_state else { return Ok(None) };
        let refused = |why: &str| ErrorData::invalid_params(format!("`requestState` rejected: {why}. Repeat the call without it."), None);
        let nonce = self.codec()?.open_with(sealed, &binding(request, caller)).map_err(|err| refused(&err.to_string()))?;
        let mut used = self.used.lock();
        let now = Instant::now();
        if used.len() >= MAX_CALLERS {
            used.retain(|_, own| own.values().any(|since| now.duration_since(*since) < PATIENCE));
        }
        let used = used.entry(Arc::clone(&caller.principal)).or_default();
        if used.len() >= MAX_USED {
            used.retain(|_, since| now.duration_since(*since) < PATIENCE);
        }
        if used.len() >= MAX_USED {
            return Err(refused("too many open questions"));
        }
        if used.insert(nonce, now).is_some() {
            return Err(refused("already used"));
        }
        let answer = request.input_responses.as_ref().and_then(|answers| answers.get(QUESTION));
        Ok(Some(Verdict::of_input(answer)))
    }

    fn codec(&self) -> Result<&RequestStateCodec, ErrorData> {
        if let Some(codec) = self.codec.get() {
            return Ok(codec);
        }
        let key = random::bytes::<32>().map_err(|err| internal(&err))?;
        let codec = RequestStateCodec::try_new(key).map_err(|err| internal(&err))?;
        Ok(self.codec.get_or_init(|| codec))
    }
}

/// Whether the client supports elicitation.
pub(crate) fn can_ask(client: Option<&ClientCapabilities>) -> bool {
    client.and_then(|client| client.elicitation.as_ref()).is_some_and(|asks| asks.form.is_some() || asks.url.is_none())
}

/// Sends an elicitation to a client of an older revision. Withdraws it if `gone` completes first.
pub(super) async fn ask(peer: &Peer<RoleServer>, error: &Error, gone: impl Future<Output = ()>) -> Result<Verdict, ErrorData> {
    let request = ServerRequest::ElicitRequest(ElicitRequest::new(form(error)?));
    let mut question = match peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await {
        Ok(question) => question,
        Err(err) => return Ok(verdict_of(Err(err))),
    };
    let (verdict, why) = tokio::select! {
        answer = &mut question.rx => return Ok(verdict_of(answer.unwrap_or(Err(ServiceError::TransportClosed)))),
        () = tokio::time::sleep(PATIENCE) => (Verdict::Dismissed, "it was not answered in time"),
        () = gone => (Verdict::Gone, "the call was cancelled"),
    };
    question.cancel(Some(why.to_owned())).await.ok();
    Ok(verdict)
}

/// The verdict in an older client's response.
fn verdict_of(answer: Result<ClientResult, ServiceError>) -> Verdict {
    match answer {
        Ok(ClientResult::ElicitResult(ElicitResult { action, content, .. })) => {
            let action = match action {
                ElicitationAction::Accept => Some("accept"),
                ElicitationAction::Decline => Some("decline"),
                _ => None,
            };
            Verdict::of(action, content.as_ref())
        }
        Err(ServiceError::TransportClosed | ServiceError::TransportSend(_) | ServiceError::Cancelled { .. }) => Verdict::Gone,
        Ok(_) => Verdict::Failed,
        Err(err) => {
            tracing::debug!(%err, "the client failed to ask the user");
            Verdict::Failed
        }
    }
}

/// The question in the format of the newest revision.
pub(super) fn input(error: &Error) -> Result<InputRequest, ErrorData> {
    Ok(InputRequest::Elicitation(ElicitRequest::new(form(error)?)))
}

fn form(error: &Error) -> Result<ElicitRequestParams, ErrorData> {
    let schema = json!({
        "type": "object",
        "properties": {QUESTION: {"type": "boolean", "title": "Proceed", "description": "Apply this change anyway."}},
        "required": [QUESTION],
    });
    let requested_schema = serde_json::from_value::<ElicitationSchema>(schema).map_err(|err| internal(&err))?;
    let message = format!("{}. Proceed?", crate::output::message(&error.message));
    Ok(ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema })
}

/// Binds an answer to this caller, tool and arguments.
fn binding(request: &CallToolRequestParams, caller: &Caller) -> Vec<u8> {
    let args = request.arguments.clone().unwrap_or_default();
    json!([&*caller.principal, request.name, args]).to_string().into_bytes()
}

fn internal(err: &dyn std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(format!("could not create the question: {err}"), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp::rmcp::{ServerHandler, ServiceExt, service::NotificationContext};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    fn call(args: &Value) -> CallToolRequestParams {
        CallToolRequestParams::new("git_clean").with_arguments(args.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn an_answer_counts_once_and_only_for_what_was_asked_76() -> Result<(), ErrorData> {
        let (seals, caller) = (Seals::default(), Caller::local());
        let error = Error::new(Kind::Refused, "files would be lost").asks();
        let asked = seals.question(&error, &call(&json!({"remove": true})), &caller)?;
        let answered = |args: &Value, state: &Option<String>, yes: bool| {
            let mut request = call(args);
            request.request_state.clone_from(state);
            let answer = json!({"action": "accept", "content": {"confirm": yes}});
            request.input_responses = Some([(QUESTION.to_owned(), answer)].into());
            request
        };
        let state = asked.request_state;
        // Other arguments, another caller, an edited state.
        assert!(seals.answer(&answered(&json!({"remove": true, "ignored": true}), &state, true), &caller).is_err());
        let other = Caller { principal: Arc::from("other"), ..Caller::local() };
        assert!(seals.answer(&answered(&json!({"remove": true}), &state, true), &other).is_err());
        let edited = state.as_ref().map(|state| format!("{state}A"));
        assert!(seals.answer(&answered(&json!({"remove": true}), &edited, true), &caller).is_err());
        let confirmed = seals.answer(&answered(&json!({"remove": true}), &state, true), &caller)?;
        assert_eq!(confirmed, Some(Verdict::Confirmed));
        assert!(seals.answer(&answered(&json!({"remove": true}), &state, true), &caller).is_err(), "replayed");
        let again = seals.question(&error, &call(&json!({})), &caller)?.request_state;
        assert_eq!(seals.answer(&answered(&json!({}), &again, false), &caller)?, Some(Verdict::Declined));
        Ok(())
    }

    /// Sends a question as soon as its client is initialized.
    struct Asker(tokio::sync::mpsc::UnboundedSender<Verdict>);

    impl ServerHandler for Asker {
        async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
            let asked = Error::new(Kind::Refused, "files would be lost").asks();
            let verdict = ask(&context.peer, &asked, std::future::pending()).await;
            self.0.send(verdict.unwrap_or(Verdict::Gone)).ok();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_without_an_answer_is_no_consent() {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (verdicts, mut verdict) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move { Asker(verdicts).serve(server).await.expect("a handshake").waiting().await });
        let (reads, mut writes) = tokio::io::split(client);
        let mut lines = BufReader::new(reads).lines();
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}, "clientInfo": {"name": "t", "version": "1"}});
        let mut send = async |message: Value| writes.write_all(format!("{message}\n").as_bytes()).await.expect("the server reads");
        send(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).await;
        lines.next_line().await.expect("an answer");
        send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        let question = lines.next_line().await.expect("a question").unwrap_or_default();
        assert!(question.contains("elicitation/create"), "{question}");
        assert_eq!(verdict.recv().await, Some(Verdict::Dismissed));
        let withdrawn = lines.next_line().await.expect("a notification").unwrap_or_default();
        assert!(withdrawn.contains("notifications/cancelled"), "{withdrawn}");
    }

    #[test]
    fn a_decline_is_a_decision_and_a_dismissal_or_a_failure_is_none() {
        let yes = json!({"confirm": true});
        for (action, content, expect) in [
            (Some("accept"), Some(&yes), Verdict::Confirmed),
            (Some("accept"), Some(&json!({"confirm": false})), Verdict::Declined),
            (Some("accept"), Some(&json!({"confirm": "yes"})), Verdict::Dismissed),
            (Some("accept"), None, Verdict::Dismissed),
            (Some("decline"), Some(&yes), Verdict::Declined),
            (Some("cancel"), Some(&yes), Verdict::Dismissed),
            (None, Some(&yes), Verdict::Dismissed),
        ] {
            assert_eq!(Verdict::of(action, content), expect, "{action:?} {content:?}");
        }
        assert_eq!(verdict_of(Err(ServiceError::Timeout { timeout: PATIENCE })), Verdict::Failed);
        assert_eq!(verdict_of(Err(ServiceError::McpError(ErrorData::internal_error("no", None)))), Verdict::Failed);
        assert_eq!(verdict_of(Err(ServiceError::TransportClosed)), Verdict::Gone);
    }
}
