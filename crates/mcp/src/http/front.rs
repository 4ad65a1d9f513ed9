//! Checks before the service: host and origin, tokens, bodies, message format and session ownership.

use super::{
    DRAINING, Options,
    bodies::{Bodies, Unreceived, Why},
    connections::Turn,
    cors,
    origin::{has_own_host, has_own_origin},
    sessions::{Busy, Holding, HttpSessions, Refused},
    shares::{Exceeded, Holder},
    site,
    tokens::bearer,
};
use crate::{
    frame::{Frame, MAX_FRAME, check, is_crowded},
    head::MAX_ID,
    identity::Identity,
    oddity::{Mode, WARNINGS},
    revision::Revision,
    sessions::{Fault, Opening, Refusal},
};
use axum::{
    Extension, Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use rmcp::{
    RoleServer,
    model::{ClientRequest, ErrorCode, ErrorData, GetMeta, JsonRpcMessage, RequestId},
    service::RxJsonRpcMessage,
};
use serde::de::IgnoredAny;
use serde_json::{Map, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The header that names the session of an older revision.
pub(super) const SESSION: &str = "mcp-session-id";
/// Query parameters in which clients send tokens, where they would end up in logs.
const IN_QUERY: [&str; 4] = ["access_token", "token", "api_key", "authorization"];

pub(super) struct Front {
    options: Options,
    sessions: Arc<HttpSessions>,
    bodies: Bodies,
    stop: CancellationToken,
}

impl Front {
    pub(super) fn new(options: Options, sessions: Arc<HttpSessions>, bodies: Bodies, stop: CancellationToken) -> Self {
        Self { options, sessions, bodies, stop }
    }

    pub(super) fn health(&self, probe: super::Probe) -> (bool, serde_json::Value) {
        (self.options.health)(probe)
    }

    /// The identity of the request, or the response that rejects it.
    async fn identify(&self, parts: &mut Parts) -> Result<Option<Identity>, Box<Response>> {
        if let Some(site) = self.options.site.as_ref().filter(|_| site::is_api(&parts.uri))
            && let Some(token) = bearer(&parts.headers)
        {
            if let Some(operator) = (site.tickets)(token) {
                parts.extensions.insert(site::Ticketed);
                return Ok(Some(operator));
            }
            if self.options.authority.is_none() {
                self.refuse(&parts.extensions, Fault::AuthenticationFailed, "invalid_token");
                return Err(Box::new(challenge(&parts.headers, Some("invalid_token"))));
            }
        }
        let Some(authority) = &self.options.authority else { return Ok(None) };
        let query = parts.uri.query().unwrap_or_default();
        let has_token = query
            .split('&')
            .filter_map(|pair| pair.split('=').next())
            .any(|name| IN_QUERY.iter().any(|one| one.eq_ignore_ascii_case(name)));
        if has_token {
            self.refuse(&parts.extensions, Fault::AuthenticationFailed, "token_in_url");
            return Err(Box::new(
                (StatusCode::BAD_REQUEST, "send the token in the Authorization header, never in the URL\n").into_response(),
            ));
        }
        if parts.headers.get_all(header::AUTHORIZATION).iter().count() != 1 {
            self.refuse(&parts.extensions, Fault::AuthenticationFailed, "no_token");
            return Err(Box::new(challenge(&parts.headers, None)));
        }
        let identity = match bearer(&parts.headers) {
            Some(token) => authority.identify(token).await,
            None => None,
        };
        let Some(identity) = identity else {
            self.refuse(&parts.extensions, Fault::AuthenticationFailed, "invalid_token");
            return Err(Box::new(challenge(&parts.headers, Some("invalid_token"))));
        };
        if let Some(wait) = authority.wait(&identity.principal) {
            self.refuse(&parts.extensions, Fault::RateLimitExceeded, "request_rate");
            let seconds = (wait.as_secs() + 1).to_string();
            let data = json!({"code": "rate_limit_exceeded", "recoverable": true, "retry_after_ms": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)});
            let error = ErrorData::new(ErrorCode(-32000), "too many requests: slow down", Some(data));
            let response =
                (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds)], Json(RxError::error(error, None))).into_response();
            return Err(Box::new(response));
        }
        Ok(Some(identity))
    }

    /// Reports a refusal, with the peer's address.
    fn refuse(&self, extensions: &Extensions, fault: Fault, reason: &'static str) {
        let peer = extensions.get::<Arc<Turn>>().map(|turn| turn.peer());
        self.options.sessions.refuse(&Refusal { peer: peer.as_deref(), ..Refusal::new(fault, reason) });
    }

    /// 429 if the client has used up its share, 503 if the server is at capacity.
    fn exceeded(&self, why: Exceeded, what: &str, session: Option<&str>) -> Response {
        let (status, text) = match why {
            Exceeded::Share(most) => {
                self.options.sessions.refuse(&Refusal { session, ..Refusal::new(Fault::RateLimitExceeded, "client_share") });
                (StatusCode::TOO_MANY_REQUESTS, format!("too many {what} for this client (limit {most}): retry later"))
            }
            Exceeded::Whole(most) => {
                self.options.sessions.refuse(&Refusal { session, ..Refusal::new(Fault::Overloaded, "server_limit") });
                (StatusCode::SERVICE_UNAVAILABLE, format!("too many {what} for this server (limit {most}): retry later"))
            }
        };
        overloaded(status, text, None)
    }

    /// The response for a body that could not be received.
    fn unreceived(&self, unreceived: Unreceived, session: Option<&str>) -> Response {
        let (status, text) = match unreceived.why {
            Why::Over(exceeded, what) => return self.exceeded(exceeded, what, session),
            Why::TooLong => return too_large(unreceived.id),
            Why::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body took too long"),
            Why::CutOff => (StatusCode::BAD_REQUEST, "the body is incomplete"),
        };
        refused(status, unreceived.id, &ErrorData::invalid_request(text, None))
    }
}

/// 401, with the location of the authorization metadata.
fn challenge(headers: &HeaderMap, error: Option<&str>) -> Response {
    let error = error.map(|error| format!(", error=\"{error}\"")).unwrap_or_default();
    let error = error.as_str();
    let challenge = format!("Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource\"{error}", base(headers));
    let value = HeaderValue::from_str(&challenge).unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
    let text = match error {
        "" => "a token is required: Authorization: Bearer TOKEN\n",
        _ => "invalid token: it is unknown, expired, or not for this server\n",
    };
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, value)], text).into_response()
}

/// The challenge that names missing scopes.
fn insufficient(headers: &HeaderMap, missing: &str) -> HeaderValue {
    let challenge = format!(
        "Bearer error=\"insufficient_scope\", scope=\"{missing}\", resource_metadata=\"{}/.well-known/oauth-protected-resource\"",
        base(headers)
    );
    HeaderValue::from_str(&challenge).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
}

/// 403, with the missing scope.
fn step_up(headers: &HeaderMap, id: &RequestId, missing: &[&str]) -> Response {
    let value = insufficient(headers, &missing.join(" "));
    let error = ErrorData::new(ErrorCode(-32001), format!("the token does not have the scope `{}`", missing.join("`, `")), None);
    (StatusCode::FORBIDDEN, [(header::WWW_AUTHENTICATE, value)], Json(RxError::error(error, Some(id.clone())))).into_response()
}

type RxError = rmcp::model::ServerJsonRpcMessage;

/// The base URL of this server, as the client addresses it.
fn base(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let scheme =
        headers.get("x-forwarded-proto").and_then(|scheme| scheme.to_str().ok()).filter(|scheme| *scheme == "https").unwrap_or("http");
    format!("{scheme}://{host}")
}

/// The protected resource metadata: RFC 9728.
pub(super) async fn metadata(State(front): State<Arc<Front>>, headers: HeaderMap) -> Response {
    let Some(authority) = &front.options.authority else { return StatusCode::NOT_FOUND.into_response() };
    let resource = authority.resource.clone().unwrap_or_else(|| format!("{}/mcp", base(&headers)));
    Json(json!({
        "resource": resource,
        "authorization_servers": authority.servers,
        "scopes_supported": ["read", "write", "network", "admin"],
        "bearer_methods_supported": ["header"],
    }))
    .into_response()
}

/// For all routes: rejects foreign hosts and origins and requests without a valid token; answers preflights.
pub(super) async fn admit(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let origin = cors::origin(request.headers(), &front.options.allowed_origins);
    let mut response = admitted(&front, request, next).await;
    if let Some(origin) = origin {
        cors::share(&mut response, origin);
    }
    if !front.options.intake.is_open() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // The client's next request is for the successor process.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn admitted(front: &Front, mut request: Request, next: Next) -> Response {
    if front.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "the server is shutting down\n").into_response();
    }
    let is_probe = matches!(request.uri().path(), "/health" | "/livez" | "/readyz" | "/startupz");
    let has_own_host = has_own_host(request.uri(), request.headers(), &front.options.allowed_hosts);
    if !has_own_host {
        // Load balancers and pods probe by address, or without a name: they get the status without details.
        if is_probe {
            *request.uri_mut() = Uri::try_from(request.uri().path()).unwrap_or_default();
            return next.run(request).await;
        }
        front.refuse(request.extensions(), Fault::Invalid, "foreign_host");
        return (StatusCode::FORBIDDEN, "the Host header does not name this server\n").into_response();
    }
    if !has_own_origin(request.headers(), &front.options.allowed_origins) {
        front.refuse(request.extensions(), Fault::Invalid, "foreign_origin");
        return (StatusCode::FORBIDDEN, "the Origin is not allowed\n").into_response();
    }
    if cors::is_preflight(request.method(), request.headers()) {
        return cors::preflight();
    }
    if let Some(site) = &front.options.site
        && site::is_page(request.method(), request.uri(), request.headers())
    {
        return if site::is_front(request.uri(), request.headers()) { (site.front)(request.headers()) } else { next.run(request).await };
    }
    if is_probe || request.uri().path().starts_with("/.well-known/") {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let identity = match front.identify(&mut parts).await {
        Ok(identity) => identity,
        Err(refused) => return *refused,
    };
    let principal = identity.as_ref().map(|identity| &identity.principal);
    if let Some(turn) = parts.extensions.get::<Arc<Turn>>()
        && let Err(exceeded) = turn.admit(principal)
    {
        return front.exceeded(exceeded, "connections in use", None);
    }
    if let Some(identity) = identity {
        parts.extensions.insert(identity);
    }
    next.run(Request::from_parts(parts, body)).await
}

/// For messages: reads the body, rejects invalid messages, and checks session ownership.
pub(super) async fn screen(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    // Removed, since the service may keep the parts for longer than the request lasts.
    let holder = parts.extensions.remove::<Arc<Turn>>().map_or(Holder::Local, |turn| turn.holder());
    let owner = parts.extensions.get::<Identity>().map(|identity| Arc::clone(&identity.principal));
    let session = match session_of(&parts.headers) {
        Ok(session) => session,
        Err(refused) => return *refused,
    };
    if let Some(session) = &session {
        match front.sessions.is_owned_by(session, owner.as_ref()).await {
            Ok(true) => {}
            Ok(false) => {
                front.options.sessions.refuse(&Refusal::new(Fault::Invalid, "unknown_session"));
                // The body is not read, so nothing can follow it.
                return ([(header::CONNECTION, "close")], not_found()).into_response();
            }
            Err(why) => return rejected(&why, None),
        }
    }
    if parts.method != Method::POST {
        return without_message(&front, session.as_deref(), Request::from_parts(parts, body), next).await;
    }
    let length =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()).and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > 4 * MAX_FRAME) {
        // A slightly oversized body is still read, or the client would miss the answer.
        return too_large(None);
    }
    let bytes = match front.bodies.receive(holder, body).await {
        Ok(bytes) => bytes,
        Err(unreceived) => return front.unreceived(unreceived, session.as_deref()),
    };
    let is_json = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")));
    if !is_json {
        // Not answered as a message: pages can send any other type without a preflight.
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json\n").into_response();
    }
    let is_draining = front.options.intake.is_draining();
    if session.is_none() && !is_draining && front.options.limits.mode == Mode::Lenient && !is_crowded(&bytes) && is_plain(&parts, &bytes) {
        let again = parts.clone();
        let response = next.clone().run(Request::from_parts(parts, Body::from(bytes.clone()))).await;
        if !is_misread(&response) {
            return response;
        }
        parts = again;
    }
    let message = match check(&bytes, front.options.limits.mode, session.as_deref()) {
        Frame::Message(message) => *message,
        Frame::Refused(id, error) => {
            match session.as_deref().and_then(|session| front.options.sessions.find(session)) {
                Some(session) => front.options.sessions.faulty(&session),
                None => front.options.sessions.refuse(&Refusal::new(Fault::Invalid, "malformed_message")),
            }
            return refused(StatusCode::BAD_REQUEST, id, &error);
        }
        Frame::Ping(id) => return Json(json!({"type": "pong", "id": id})).into_response(),
        Frame::Ignored if bytes.trim_ascii().is_empty() => {
            return refused(StatusCode::BAD_REQUEST, None, &ErrorData::parse_error("the body is empty", None));
        }
        Frame::Ignored => return StatusCode::ACCEPTED.into_response(),
    };
    if let JsonRpcMessage::Request(request) = &message
        && is_draining
    {
        return draining(Some(request.id.clone()));
    }
    if let (Some(identity), JsonRpcMessage::Request(request)) = (parts.extensions.get::<Identity>(), &message) {
        let missing = missing_scopes(&front.options, identity, &request.request);
        if !missing.is_empty() {
            front.options.sessions.refuse(&Refusal { session: session.as_deref(), ..Refusal::new(Fault::Invalid, "insufficient_scope") });
            return step_up(&parts.headers, &request.id, &missing);
        }
    }
    let holds = match guard(&front, session.as_deref(), &message) {
        Ok(holds) => holds,
        Err((why, id)) => return rejected(&why, id),
    };
    let body = rewritten(&mut parts.headers, &bytes, &message).unwrap_or(bytes);
    let mut response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let is_gone = |session: &String| front.options.sessions.find(session).is_none();
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR && session.as_ref().is_some_and(is_gone) {
        response = not_found();
    }
    held(response, holds.busy)
}

/// Opens or resumes a stream, or ends a session.
async fn without_message(front: &Front, session: Option<&str>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET && front.options.intake.is_draining() {
        return draining(None);
    }
    if request.method() == Method::GET && session.is_some_and(|session| !front.sessions.has_room_for_stream(session)) {
        return rejected(&Refused::Full("too many streams are open on this session"), None);
    }
    let guard = session.and_then(|session| front.sessions.hold(session));
    let is_end = request.method() == Method::DELETE;
    let mut response = next.run(request).await;
    if is_end && response.status() == StatusCode::ACCEPTED {
        if let Some(session) = session {
            front.sessions.delete(session);
        }
        // The session is already closed, and clients warn about any other status.
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    held(response, guard)
}

/// The server's metrics. If tokens are required, the scope `admin` is needed.
pub(super) async fn metrics(State(front): State<Arc<Front>>, identity: Option<Extension<Identity>>, headers: HeaderMap) -> Response {
    let Some(metrics) = front.options.metrics.clone() else { return StatusCode::NOT_FOUND.into_response() };
    if identity.is_some_and(|identity| !identity.scopes.iter().any(|scope| scope == "admin")) {
        front.options.sessions.refuse(&Refusal::new(Fault::Invalid, "insufficient_scope"));
        let challenge = insufficient(&headers, "admin");
        return (StatusCode::FORBIDDEN, [(header::WWW_AUTHENTICATE, challenge)], "the token does not have the scope `admin`\n")
            .into_response();
    }
    match tokio::task::spawn_blocking(move || metrics()).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whether a request can be passed on unparsed: one of the newest revision that needs no further check. The service
/// parses it again, and parsing twice costs measurable latency.
fn is_plain(parts: &Parts, bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Head {
        #[serde(rename = "jsonrpc")]
        _version: IgnoredAny,
        id: serde_json::Value,
        method: String,
        #[serde(default, rename = "params")]
        _params: Option<IgnoredAny>,
    }
    let revision = parts.headers.get("mcp-protocol-version").and_then(|version| Revision::named(version.to_str().ok()?));
    revision.is_some_and(Revision::is_stateless)
        && parts.extensions.get::<Identity>().is_none()
        && serde_json::from_slice::<Head>(bytes).is_ok_and(|head| {
            // A handshake opens a session, which needs room.
            head.method != "initialize" && (head.id.is_number() || head.id.as_str().is_some_and(|id| id.len() <= MAX_ID))
        })
}

/// Whether the service rejected the body as unreadable.
fn is_misread(response: &Response) -> bool {
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    matches!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::BAD_REQUEST) && !is_json
}

/// The session id of a request.
fn session_of(headers: &HeaderMap) -> Result<Option<String>, Box<Response>> {
    let mut given = headers.get_all(SESSION).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => match one.to_str() {
            Ok(id) if id.len() <= 128 => Ok(Some(id.to_owned())),
            _ => Err(Box::new(not_found())),
        },
        _ => Err(Box::new((StatusCode::BAD_REQUEST, "only one Mcp-Session-Id is allowed\n").into_response())),
    }
}

/// Guards of a request on its session, or on the one being opened.
#[derive(Default)]
struct Holds {
    busy: Option<Busy>,
    _opening: Option<Opening>,
}

fn guard(front: &Front, session: Option<&str>, message: &RxJsonRpcMessage<RoleServer>) -> Result<Holds, (Refused, Option<RequestId>)> {
    let JsonRpcMessage::Request(request) = message else {
        return Ok(Holds { busy: session.and_then(|session| front.sessions.hold(session)), _opening: None });
    };
    let refused = |why| (why, Some(request.id.clone()));
    if let Some(session) = session {
        let busy = front.sessions.begin(session, &request.id).map_err(refused)?;
        return Ok(Holds { busy: Some(busy), _opening: None });
    }
    let opens = matches!(request.request, ClientRequest::InitializeRequest(_));
    let opening = opens.then(|| front.sessions.make_room()).transpose().map_err(refused)?;
    Ok(Holds { busy: None, _opening: opening })
}

fn missing_scopes(options: &Options, identity: &Identity, request: &ClientRequest) -> Vec<&'static str> {
    let ClientRequest::CallToolRequest(call) = request else { return Vec::new() };
    let args = call.params.arguments.clone().unwrap_or_else(Map::new);
    let has = |scope: &&str| identity.scopes.iter().any(|given| given == scope);
    (options.needs)(&call.params.name, &args).into_iter().filter(|scope| !has(scope)).collect()
}

/// The message in standard form, if it came in another.
fn rewritten(headers: &mut HeaderMap, bytes: &Bytes, message: &RxJsonRpcMessage<RoleServer>) -> Option<Bytes> {
    #[derive(serde::Deserialize)]
    struct Mark {
        #[serde(rename = "jsonrpc")]
        _version: IgnoredAny,
    }
    let is_noted = matches!(message, JsonRpcMessage::Request(request) if request.request.get_meta().contains_key(WARNINGS));
    if !is_noted && serde_json::from_slice::<Mark>(bytes).is_ok() {
        return None;
    }
    let rewritten = serde_json::to_vec(message).ok()?;
    headers.remove(header::CONTENT_LENGTH);
    if !is_noted {
        // A bare message cannot have named its method in the headers.
        headers.insert("mcp-method", HeaderValue::from_static("notifications/cancelled"));
    }
    Some(rewritten.into())
}

fn rejected(why: &Refused, id: Option<RequestId>) -> Response {
    match why {
        Refused::Duplicate => {
            let text = "a request with this id is already in flight".to_owned();
            refused(StatusCode::BAD_REQUEST, id, &ErrorData::invalid_request(text, None))
        }
        Refused::Full(what) => overloaded(StatusCode::SERVICE_UNAVAILABLE, (*what).to_owned(), id),
        Refused::Unknown => not_found(),
    }
}

fn overloaded(status: StatusCode, what: String, id: Option<RequestId>) -> Response {
    later(status, "overloaded", what, id)
}

fn draining(id: Option<RequestId>) -> Response {
    later(StatusCode::SERVICE_UNAVAILABLE, "draining", DRAINING.to_owned(), id)
}

/// An error that permits a retry in one second.
fn later(status: StatusCode, code: &'static str, what: String, id: Option<RequestId>) -> Response {
    let data = json!({"code": code, "recoverable": true, "retry_after_ms": 1000});
    let error = ErrorData::new(ErrorCode(-32000), what, Some(data));
    (status, [(header::RETRY_AFTER, "1")], Json(RxError::error(error, id))).into_response()
}

/// Keeps a guard until the answer is sent.
fn held(response: Response, guard: Option<Busy>) -> Response {
    let Some(guard) = guard else { return response };
    response.map(|body| Body::new(Holding::new(body, guard)))
}

fn refused(status: StatusCode, id: Option<RequestId>, error: &ErrorData) -> Response {
    (status, Json(RxError::error(error.clone(), id))).into_response()
}

fn too_large(id: Option<RequestId>) -> Response {
    let error = ErrorData::invalid_request(format!("the message is longer than {MAX_FRAME} bytes"), None);
    refused(StatusCode::PAYLOAD_TOO_LARGE, id, &error)
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "there is no such session: initialize again\n").into_response()
}
