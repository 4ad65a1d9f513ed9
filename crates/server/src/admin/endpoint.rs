//! Endpoints of the admin API: each is declared once, with its description, its types and its handler. Routes and the
//! `OpenAPI` description follow from the list.

use super::answers::Refusal;
use crate::server::Server;
use axum::{
    Json, Router,
    body::{Bytes, to_bytes},
    extract::{FromRequestParts, Path, Query, Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};

/// The prefix of all paths.
pub(crate) const BASE: &str = "/admin/v1";

/// Maximum length of a body, and the time to receive it.
const MAX_BODY: usize = 64 << 10;
const BODY_TIME: Duration = Duration::from_secs(10);

/// Why a request was refused, with the status.
#[derive(Debug)]
pub(super) struct Refused(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(Refusal { error: self.1 })).into_response()
    }
}

/// An error, as the sub-commands show it.
pub(super) fn refused<T>(status: StatusCode, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(status, why.into()))
}

/// The parameters of a request without any.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Nothing {}

/// The id in a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Id {
    /// The id.
    pub(super) id: String,
}

/// Where the parameters of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Query,
    Path,
    Body,
}

/// What an endpoint answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Another media type.
    Other(&'static str),
}

/// An endpoint.
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) about: &'static str,
    pub(super) parameters: (Place, fn(&mut SchemaGenerator) -> Schema),
    pub(super) answer: Answer,
    route: MethodRouter<Arc<Server>>,
}

/// The schema of a type.
fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The schema of parameters: its fields, not a reference to it.
fn fields<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

/// A read, with parameters in the query.
pub(super) fn get<Q, A, F>(path: &'static str, about: &'static str, handler: fn(Arc<Server>, Q) -> F) -> Endpoint
where
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + 'static,
    F: Future<Output = Result<A, Refused>> + Send + 'static,
{
    let route = on(MethodFilter::GET, async move |State(server): State<Arc<Server>>, query: Parsed<Query<Q>>| {
        let Query(wanted) = query.0?;
        handler(server, wanted).await.map(Json)
    });
    Endpoint { method: Method::GET, path, about, parameters: (Place::Query, fields::<Q>), answer: Answer::Json(schema::<A>), route }
}

/// A read of what the path names.
pub(super) fn get_one<A, F>(path: &'static str, about: &'static str, handler: fn(Arc<Server>, Id) -> F) -> Endpoint
where
    A: Serialize + JsonSchema + 'static,
    F: Future<Output = Result<A, Refused>> + Send + 'static,
{
    let route = on(MethodFilter::GET, async move |State(server): State<Arc<Server>>, id: Parsed<Path<Id>>| {
        let Path(id) = id.0?;
        handler(server, id).await.map(Json)
    });
    Endpoint { method: Method::GET, path, about, parameters: (Place::Path, fields::<Id>), answer: Answer::Json(schema::<A>), route }
}

/// An action, with parameters in the body. An empty body has none.
pub(super) fn post<Q, A, F>(path: &'static str, about: &'static str, handler: fn(Arc<Server>, Q) -> F) -> Endpoint
where
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + 'static,
    F: Future<Output = Result<A, Refused>> + Send + 'static,
{
    let route = on(MethodFilter::POST, async move |State(server): State<Arc<Server>>, request: Request| {
        let body = received(request).await?;
        let text: &[u8] = if body.trim_ascii().is_empty() { b"{}" } else { &body };
        match serde_json::from_slice(text) {
            Ok(wanted) => handler(server, wanted).await.map(Json),
            Err(err) => refused(StatusCode::UNPROCESSABLE_ENTITY, format!("invalid body: {err}")),
        }
    });
    Endpoint { method: Method::POST, path, about, parameters: (Place::Body, fields::<Q>), answer: Answer::Json(schema::<A>), route }
}

/// The body of an action.
async fn received(request: Request) -> Result<Bytes, Refused> {
    match tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), MAX_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => refused(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is incomplete, or longer than {MAX_BODY} bytes")),
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    }
}

/// An action on what the path names.
pub(super) fn post_one<A, F>(path: &'static str, about: &'static str, handler: fn(Arc<Server>, Id) -> F) -> Endpoint
where
    A: Serialize + JsonSchema + 'static,
    F: Future<Output = Result<A, Refused>> + Send + 'static,
{
    let one = get_one(path, about, handler);
    let route = on(MethodFilter::POST, async move |State(server): State<Arc<Server>>, id: Parsed<Path<Id>>| {
        let Path(id) = id.0?;
        handler(server, id).await.map(Json)
    });
    Endpoint { method: Method::POST, route, ..one }
}

/// A read with another answer than JSON.
pub(super) fn get_other<Q, F>(path: &'static str, about: &'static str, kind: &'static str, handler: fn(Arc<Server>, Q) -> F) -> Endpoint
where
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    F: Future<Output = Result<Response, Refused>> + Send + 'static,
{
    let route = on(MethodFilter::GET, async move |State(server): State<Arc<Server>>, query: Parsed<Query<Q>>| {
        let Query(wanted) = query.0?;
        handler(server, wanted).await
    });
    Endpoint { method: Method::GET, path, about, parameters: (Place::Query, fields::<Q>), answer: Answer::Other(kind), route }
}

/// A read that answers from the request itself.
pub(super) fn with<A: JsonSchema>(path: &'static str, about: &'static str, route: MethodRouter<Arc<Server>>) -> Endpoint {
    Endpoint { method: Method::GET, path, about, parameters: (Place::Query, fields::<Nothing>), answer: Answer::Json(schema::<A>), route }
}

/// The routes of the endpoints.
pub(super) fn router(endpoints: Vec<Endpoint>, server: Arc<Server>) -> Router {
    let api = endpoints.into_iter().fold(Router::new(), |api, endpoint| api.route(endpoint.path, endpoint.route));
    let api = api.fallback(async || Refused(StatusCode::NOT_FOUND, format!("there is no such endpoint; {BASE}/openapi.json lists them")));
    Router::new().nest(BASE, api).with_state(server)
}

/// What an extractor read, or why it could not.
struct Parsed<T>(Result<T, Refused>);

impl<S: Send + Sync, T: FromRequestParts<S>> FromRequestParts<S> for Parsed<T>
where
    T::Rejection: std::fmt::Display,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, Self::Rejection> {
        let read = T::from_request_parts(parts, state).await;
        Ok(Self(read.map_err(|why| Refused(StatusCode::BAD_REQUEST, format!("invalid parameters: {why}")))))
    }
}
