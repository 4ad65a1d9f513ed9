//! Calls of tools that the admin API makes for the operator: the status of a repository, and the undo of its last change.

use super::{
    answers::repositories::ToolAnswer,
    endpoint::{Refused, refused},
    requests::Undo,
};
use crate::{
    caller::{Caller, Right},
    error::Error,
    pipeline::{Call, Origin},
    server::Server,
};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use std::{path::Path, sync::Arc, time::Instant};

/// Calls a tool for the operator, who has every right, and returns its text.
pub(super) async fn tool(server: &Server, name: &str, repository: &Path, mut args: Map<String, Value>) -> Result<String, Refused> {
    let Some(tool) = server.services.find(name) else {
        return refused(StatusCode::NOT_FOUND, format!("this server does not have the tool {name}"));
    };
    args.insert("repo_path".to_owned(), json!(repository));
    let call = Call {
        tool,
        args,
        caller: Caller { principal: Arc::from(Caller::OPERATOR), rights: Right::ALL.to_vec() },
        cancelled: tokio_util::sync::CancellationToken::new(),
        received: Instant::now(),
        client_roots: None,
        on_progress: None,
        origin: Origin::default(),
    };
    match server.pipeline.call(call).await {
        Ok(reply) => Ok(reply.text),
        Err(error) => refused(StatusCode::CONFLICT, described(&error)),
    }
}

/// The change that a preview names: its last line has the call that undoes it.
fn previewed(text: &str) -> Option<String> {
    let (_, args) = text.rsplit_once("git_undo ")?;
    let args: Value = serde_json::Deserializer::from_str(args).into_iter().next()?.ok()?;
    args["id"].as_str().map(str::to_owned)
}

fn described(error: &Error) -> String {
    crate::output::message(&error.to_string())
}

/// Previews the undo of the last change of a worktree, or undoes it.
pub(super) async fn undo(server: Arc<Server>, wanted: Undo) -> Result<ToolAnswer, Refused> {
    let Undo { repository, id } = wanted;
    if let Some(id) = id {
        // The operator has seen whose change it is.
        let args = Map::from_iter([("id".to_owned(), json!(id)), ("confirm".to_owned(), json!(true))]);
        let text = tool(&server, "git_undo", &repository, args).await?;
        tracing::warn!(repository = %repository.display(), id, "the operator undid a change");
        return Ok(ToolAnswer { text, id: None });
    }
    let text = tool(&server, "git_undo", &repository, Map::new()).await?;
    let id = previewed(&text);
    Ok(ToolAnswer { text, id })
}
