//! Asking whether a change is meant: over several rounds in the newest revision, with a question to the client before it,
//! and by an argument where a client can do neither. An answer never says more than what the operator allows.

use crate::{caller::Caller, error::Error};
use mcp::rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, ClientCapabilities, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema,
        InputRequest, InputRequests, InputRequiredResult, RequestStateCodec, SealOptions,
    },
    service::Peer,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

/// How long a question may stay unanswered.
const PATIENCE: Duration = Duration::from_mins(5);
/// The name of the question.
const QUESTION: &str = "confirm";
/// Answers of one caller that are remembered, so that none counts twice.
const MAX_USED: usize = 1_000;
/// Callers whose answers are remembered, before those are forgotten whose answers are worth nothing any more.
const MAX_CALLERS: usize = 1_000;
const NONCE: usize = 16;

/// The answers of one caller, with when they came.
type Answers = HashMap<Vec<u8>, Instant>;

/// Seals what a client carries from one round to the next.
#[derive(Default)]
pub(crate) struct Seals {
    codec: OnceLock<RequestStateCodec>,
    used: Mutex<HashMap<Arc<str>, Answers>>,
}

impl Seals {
    /// The question whether the call is meant, bound to the caller, the tool and its arguments.
    pub(crate) fn question(
        &self,
        error: &Error,
        request: &CallToolRequestParams,
        caller: &Caller,
    ) -> Result<InputRequiredResult, ErrorData> {
        let nonce = random::<NONCE>().map_err(|err| internal(&err))?;
        let bound = binding(request, caller);
        let sealed = self.codec()?.seal_with(&nonce, &SealOptions::new().associated_data(&bound).ttl(PATIENCE));
        let mut questions = InputRequests::new();
        questions.insert(QUESTION.to_owned(), InputRequest::Elicitation(ElicitRequest::new(form(error)?)));
        let mut result = InputRequiredResult::from_input_requests(questions);
        result.request_state = Some(sealed);
        Ok(result)
    }

    /// What was answered, where the call carries an answer to a question of ours about exactly this call.
    pub(crate) fn answer(&self, request: &CallToolRequestParams, caller: &Caller) -> Result<Option<bool>, ErrorData> {
        let Some(sealed) = &request.request_state else { return Ok(None) };
        let refused =
            |why: &str| ErrorData::invalid_params(format!("`requestState` is refused: {why}. Make the call again without it."), None);
        let nonce = self.codec()?.open_with(sealed, &binding(request, caller)).map_err(|err| refused(&err.to_string()))?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if used.len() >= MAX_CALLERS {
            used.retain(|_, own| own.values().any(|since| now.duration_since(*since) < PATIENCE));
        }
        let used = used.entry(Arc::clone(&caller.principal)).or_default();
        if used.len() >= MAX_USED {
            used.retain(|_, since| now.duration_since(*since) < PATIENCE);
        }
        if used.len() >= MAX_USED {
            return Err(refused("too many questions are open"));
        }
        if used.insert(nonce, now).is_some() {
            return Err(refused("it was used before"));
        }
        let answer = request.input_responses.as_ref().and_then(|answers| answers.get(QUESTION));
        Ok(Some(answer.is_some_and(|answer| says_yes(answer.get("action").and_then(Value::as_str), answer.get("content")))))
    }

    fn codec(&self) -> Result<&RequestStateCodec, ErrorData> {
        if let Some(codec) = self.codec.get() {
            return Ok(codec);
        }
        let key = random::<32>().map_err(|err| internal(&err))?;
        let codec = RequestStateCodec::try_new(key).map_err(|err| internal(&err))?;
        Ok(self.codec.get_or_init(|| codec))
    }
}

/// True where a client can put a question to its user.
pub(crate) fn can_ask(client: Option<&ClientCapabilities>) -> bool {
    client.and_then(|client| client.elicitation.as_ref()).is_some_and(|asks| asks.form.is_some() || asks.url.is_none())
}

/// Asks the client of an older revision, and says whether the answer was yes.
pub(crate) async fn ask(peer: &Peer<RoleServer>, error: &Error) -> Result<bool, ErrorData> {
    match peer.create_elicitation_with_timeout(form(error)?, Some(PATIENCE)).await {
        Ok(ElicitResult { action, content, .. }) => {
            let action = if action == ElicitationAction::Accept { "accept" } else { "decline" };
            Ok(says_yes(Some(action), content.as_ref()))
        }
        Err(err) => {
            tracing::debug!(%err, "the client did not answer the question");
            Ok(false)
        }
    }
}

fn says_yes(action: Option<&str>, content: Option<&Value>) -> bool {
    action == Some("accept") && content.and_then(|content| content.get(QUESTION)) == Some(&Value::Bool(true))
}

fn form(error: &Error) -> Result<ElicitRequestParams, ErrorData> {
    let schema = json!({
        "type": "object",
        "properties": {QUESTION: {"type": "boolean", "title": "Go on", "description": "Make the change all the same."}},
        "required": [QUESTION],
    });
    let requested_schema = serde_json::from_value::<ElicitationSchema>(schema).map_err(|err| internal(&err))?;
    let message = format!("{}. Go on?", crate::output::message(&error.message));
    Ok(ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema })
}

/// What an answer is good for: this caller, this tool, these arguments.
fn binding(request: &CallToolRequestParams, caller: &Caller) -> Vec<u8> {
    let args = request.arguments.clone().unwrap_or_default();
    json!([&*caller.principal, request.name, args]).to_string().into_bytes()
}

fn random<const N: usize>() -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn internal(err: &dyn std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(format!("a question could not be made: {err}"), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

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
        assert_eq!(seals.answer(&answered(&json!({"remove": true}), &state, true), &caller)?, Some(true));
        assert!(seals.answer(&answered(&json!({"remove": true}), &state, true), &caller).is_err(), "replayed");
        let again = seals.question(&error, &call(&json!({})), &caller)?.request_state;
        assert_eq!(seals.answer(&answered(&json!({}), &again, false), &caller)?, Some(false));
        Ok(())
    }
}
