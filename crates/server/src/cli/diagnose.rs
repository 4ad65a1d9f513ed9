//! Diagnoses of a running server, for a program that has started it: those of the sub-commands, in their words.

use super::{
    admin::{Shown, health, render, report},
    doctor, validate,
};
use crate::{
    admin::{self, requests, views},
    embed::McpGitServer,
    output,
    wire::validation::{Mode, validate},
};
use serde_json::Value;
use std::{fmt, time::Duration};

/// What a sub-command prints, and its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Lines of text.
    pub text: String,
    /// False if it reports a problem.
    pub is_fine: bool,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Shown> for Diagnosis {
    fn from(shown: Shown) -> Self {
        Self { text: output::page(shown.text.trim_end().as_bytes()), is_fine: shown.is_fine }
    }
}

/// The verdict on a server, its problems and their remedies, as `status` prints them.
pub async fn status(server: &McpGitServer) -> Diagnosis {
    server.inner().forget_repeated().await;
    health::status(&views::status(server.inner())).into()
}

/// The sessions idle for at least this long, and the numbers of all, as `sessions list --idle` prints them. Too many idle
/// ones are a problem.
#[doc(alias = "diagnose_session_cleanup")]
pub async fn sessions(server: &McpGitServer, idle: Duration) -> Diagnosis {
    let wanted = requests::Listed { idle: Some(idle.as_secs()), state: None };
    render::sessions(&admin::reads::listed(server.inner(), &wanted).await).into()
}

/// The heartbeats, as `status heartbeats` prints them. A late one is a problem.
#[doc(alias = "diagnose_heartbeat_system")]
pub fn heartbeats(server: &McpGitServer) -> Diagnosis {
    report::heartbeats(&views::heartbeats(server.inner(), usize::MAX)).into()
}

/// The circuits, as `circuits list` prints them. An open one is a problem.
#[doc(alias = "diagnose_circuit_breaker")]
pub fn circuits(server: &McpGitServer) -> Diagnosis {
    render::circuits(&views::circuits(server.inner())).into()
}

/// The errors of a window by class, as `errors` prints them. A spike is a problem.
pub async fn errors(server: &McpGitServer, window: Duration) -> Diagnosis {
    let wanted = requests::Window { window: Some(window.as_secs()), threshold: None };
    report::errors(&admin::reads::counted(server.inner(), &wanted).await).into()
}

/// Memory in use, its limit and its growth, as `status memory` prints them. Calls that are rejected for lack of memory are a
/// problem.
#[doc(alias = "diagnose_memory")]
pub fn memory(server: &McpGitServer) -> Diagnosis {
    health::memory(&views::memory(server.inner())).into()
}

/// The caches, as `cache stats` prints them.
pub fn caches(server: &McpGitServer) -> Diagnosis {
    health::caches(&views::caches(server.inner())).into()
}

/// The resources that the server holds, as `status resources` prints them.
pub fn resources(server: &McpGitServer) -> Diagnosis {
    report::resources(&views::resources(server.inner())).into()
}

/// The verdicts on a message in both modes, as `validate` prints them. One that lenient mode rejects is a problem.
#[doc(alias = "diagnose_validation_error")]
pub fn validation(message: &Value) -> Diagnosis {
    let text = message.to_string();
    let verdicts = [Mode::Strict, Mode::Lenient].map(|mode| (mode, validate(text.as_bytes(), mode)));
    let is_fine = verdicts.iter().any(|(_, verdict)| verdict.error.is_none());
    Diagnosis { text: validate::shown(&verdicts), is_fine }
}

/// The steps of a connection to the server at `url`, as `doctor --url` prints them: DNS, TCP, TLS, HTTP, WebSocket, MCP. Blocks
/// its thread for some seconds if the server does not answer.
#[doc(alias = "test_connection")]
pub fn connection(url: &str, token: Option<&str>) -> Diagnosis {
    let (text, is_fine) = doctor::connection(url, token);
    Diagnosis { text, is_fine }
}
