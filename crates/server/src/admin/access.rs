//! Access to the admin API over HTTP: by tokens if `admin.http` is set, and by tickets that the owner makes.

use super::{
    answers::access::{Access, Ticket},
    endpoint::{Refused, refused},
    views::ms,
};
use crate::{
    caller::{Caller, Right},
    server::{Server, tickets::VALID},
};
use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use mcp::{Identity, http::Ticketed};
use std::sync::Arc;

/// Makes a ticket.
pub(super) async fn ticket(server: Arc<Server>, _: super::endpoint::Nothing) -> Result<Ticket, Refused> {
    let tickets = Arc::clone(&server.tickets);
    let made = tokio::task::spawn_blocking(move || tickets.make()).await;
    let Ok(Ok(ticket)) = made else { return refused(StatusCode::INTERNAL_SERVER_ERROR, "the system has no random bytes") };
    tracing::warn!("a ticket for the admin API over HTTP was made");
    Ok(Ticket { ticket, expires_ms: ms(VALID), address: server.address.get().cloned() })
}

/// Who may use the API, and for what.
#[derive(Clone)]
pub(super) struct Gate {
    /// Whether requests without a ticket may pass.
    pub(super) is_open: bool,
    /// Origins whose pages may use it, besides this server's.
    pub(super) origins: Arc<[String]>,
}

/// Lets a request pass, with its [`Access`], or refuses it.
pub(super) async fn check(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let mut response = match gate.access(&request) {
        Ok(access) => {
            let (principal, path) = (access.principal.clone(), request.uri().path().to_owned());
            let is_action = request.method() == Method::POST;
            request.extensions_mut().insert(access);
            let response = next.run(request).await;
            if is_action {
                tracing::warn!(principal, path, status = response.status().as_u16(), "an action over HTTP");
            }
            response
        }
        Err(refused) => refused.into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl Gate {
    fn access(&self, request: &Request) -> Result<Access, Refused> {
        let has_ticket = request.extensions().get::<Ticketed>().is_some();
        if !has_ticket && !self.is_open {
            let why = "the admin API is off over HTTP: `mcp-server-git dashboard` makes a ticket, and `admin.http = true` turns it on";
            return refused(StatusCode::NOT_FOUND, why);
        }
        if !self.is_own_page(request.headers()) {
            return refused(StatusCode::FORBIDDEN, "the admin API accepts no requests from pages of other origins");
        }
        let access = access(request.extensions().get::<Identity>());
        if !access.can_change && !access.scopes.iter().any(|scope| scope == Right::Read.name()) {
            return refused(StatusCode::FORBIDDEN, "the token has neither the scope `read` nor `admin`");
        }
        if request.method() == Method::POST {
            if !access.can_change {
                return refused(StatusCode::FORBIDDEN, "the token does not have the scope `admin`");
            }
            if !is_json(request.headers()) {
                return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json");
            }
        }
        Ok(access)
    }

    /// Whether the request is from no page, or from a page of this server or an allowed origin.
    fn is_own_page(&self, headers: &HeaderMap) -> bool {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let host = headers.get(header::HOST).and_then(text);
        let is_allowed = |origin: &str| {
            let authority = origin.split_once("://").map(|(_, authority)| authority.to_owned());
            authority.is_some() && authority == host || self.origins.iter().any(|one| one.eq_ignore_ascii_case(origin))
        };
        let mut origins = headers.get_all(header::ORIGIN).iter().peekable();
        // What a browser sends without an origin, it marks as from another site.
        let is_foreign = origins.peek().is_none()
            && headers.get("sec-fetch-site").is_some_and(|site| !["same-origin", "none"].iter().any(|own| site == own));
        !is_foreign && origins.all(|origin| text(origin).is_some_and(|origin| is_allowed(&origin)))
    }
}

/// The access of a request; that of the local user without an identity.
pub(super) fn access(identity: Option<&Identity>) -> Access {
    let (principal, scopes) = match identity {
        Some(identity) => (identity.principal.to_string(), identity.scopes.clone()),
        None => (Caller::LOCAL.to_owned(), Right::ALL.map(|right| right.name().to_owned()).to_vec()),
    };
    let can_change = scopes.iter().any(|scope| scope == Right::Admin.name());
    Access { principal, scopes, can_change, version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() }
}

/// Answers who asks: on the Unix socket, the local user.
pub(super) async fn answer(access: Option<Extension<Access>>) -> Json<Access> {
    Json(access.map_or_else(|| self::access(None), |Extension(access)| access))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
