//! Tasks as operation rows, so that clients find them after a restart.

use super::{Failed, Persistence, milliseconds, now_ms};
use crate::process::{is_running, own_start};
use std::time::Duration;
use store::{OperationEnd, OperationRow};

/// The state of a task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// Running, in this process or another; with the task as first reported.
    Running(String),
    /// Ended, with its result.
    Ended(String),
    /// Interrupted by the end of its server; with the task as first reported.
    Interrupted(String),
}

impl Persistence {
    /// Records the start of a task; `reported` is the task as its client knows it.
    pub(crate) async fn begin_task(&self, id: &str, tool: &str, principal: &str, reported: String) -> Result<(), Failed> {
        let pid = std::process::id();
        let row = OperationRow {
            id: id.to_owned(),
            principal: principal.to_owned(),
            tool: tool.to_owned(),
            state: "running".to_owned(),
            is_task: true,
            node: self.node().to_owned(),
            pid: i64::from(pid),
            pid_start: own_start().unwrap_or_default(),
            started_ms: now_ms(),
            before: reported,
            ..OperationRow::default()
        };
        self.run(|store| async move { store.begin_operation(&row).await }).await
    }

    /// Records the end of a task.
    pub(crate) async fn end_task(&self, id: &str, state: &'static str, result: String) -> Result<(), Failed> {
        let end = OperationEnd { state: state.to_owned(), ended_ms: now_ms(), after: None, result: Some(result) };
        self.run(|store| async move { store.end_operation(id, &end).await }).await.map(|_| ())
    }

    /// A task of this principal. A task older than `at_most` counts as interrupted, even if its machine cannot be checked.
    pub(crate) async fn task(&self, id: &str, principal: &str, at_most: Duration) -> Result<Option<TaskState>, Failed> {
        let row = self.run(|store| async move { store.operation(id).await }).await?;
        let Some(row) = row.filter(|row| row.is_task && row.principal == principal) else { return Ok(None) };
        let is_young = now_ms().saturating_sub(row.started_ms) < milliseconds(at_most);
        let lives = || row.node != *self.node || is_running(u32::try_from(row.pid).unwrap_or_default(), Some(row.pid_start));
        Ok(Some(match (&*row.state, row.result) {
            ("running", _) if is_young && lives() => TaskState::Running(row.before),
            ("running" | "interrupted", _) | (_, None) => TaskState::Interrupted(row.before),
            (_, Some(result)) => TaskState::Ended(result),
        }))
    }
}
