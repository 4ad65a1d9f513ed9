//! Tasks: calls that take long go on after their request has been answered, and are asked for later.

use crate::{caller::Caller, error::Error, output::Reply};
use git::Progress;
use mcp::rmcp::{
    ErrorData,
    model::{CallToolResult, CreateTaskResult, DetailedTask},
    task_manager::{TaskExit, TaskManager, TaskOptions},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long a call may take before a client that knows tasks gets one.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long a task is kept, from its beginning; longer than any call may take.
const KEPT: Duration = Duration::from_hours(2);
/// How often a client should ask.
const POLL: Duration = Duration::from_secs(1);
/// The most tasks of one principal that run at a time.
const MAX_RUNNING: usize = 32;

/// A call that runs.
pub(super) struct Running {
    pub(super) work: JoinHandle<Result<Reply, Error>>,
    pub(super) cancel: CancellationToken,
    pub(super) progress: watch::Receiver<Option<Progress>>,
}

/// The tasks of a server.
#[derive(Default)]
pub(crate) struct Tasks {
    tasks: TaskManager,
    owners: Mutex<HashMap<String, Arc<str>>>,
}

impl Tasks {
    /// True when another task of the caller may be begun.
    pub(super) fn has_room(&self, caller: &Caller) -> bool {
        let mut owners = self.owners();
        // What the manager has dropped is dropped here.
        owners.retain(|id, _| self.tasks.get_task(id).is_ok());
        let running = |id: &String| self.tasks.get_task(id).is_ok_and(|task| !task.status().is_terminal());
        owners.iter().filter(|(id, owner)| **owner == caller.principal && running(id)).count() < MAX_RUNNING
    }

    /// Lets a call go on as a task.
    pub(super) fn adopt(
        &self,
        running: Running,
        caller: &Caller,
        finish: impl FnOnce(Result<Reply, Error>) -> CallToolResult + Send + 'static,
    ) -> CreateTaskResult {
        let Running { mut work, cancel, mut progress } = running;
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let options = TaskOptions::default().with_ttl_ms(Some(milliseconds(KEPT))).with_poll_interval_ms(milliseconds(POLL));
        let task = self.tasks.spawn(options, move |context| {
            Box::pin(async move {
                let outcome = loop {
                    tokio::select! {
                        done = &mut work => break done,
                        () = context.cancelled(), if !cancel.is_cancelled() => cancel.cancel(),
                        changed = progress.changed() => {
                            if changed.is_err() {
                                break (&mut work).await;
                            }
                            let text = progress.borrow_and_update().as_ref().map(|now| match now.total {
                                Some(total) => format!("{}: {} of {total}", now.phase, now.done),
                                None => format!("{}: {}", now.phase, now.done),
                            });
                            if let Some(text) = text {
                                context.set_status_message(text);
                            }
                            tokio::time::sleep(POLL / 2).await;
                        }
                    }
                };
                match outcome {
                    Ok(Err(error)) if error.kind == crate::error::Kind::Cancelled => Err(TaskExit::Cancelled),
                    Ok(result) => Ok(finish(result)),
                    Err(err) => Err(TaskExit::Error(ErrorData::internal_error(format!("the call failed inside the server: {err}"), None))),
                }
            })
        });
        self.owners().insert(task.task_id.clone(), Arc::clone(&caller.principal));
        CreateTaskResult::new(task)
    }

    /// A task of the caller; another's is not there.
    pub(super) fn get(&self, id: &str, caller: &Caller) -> Result<DetailedTask, ErrorData> {
        self.check(id, caller)?;
        self.tasks.get_task(id)
    }

    /// Stops a task of the caller.
    pub(super) fn cancel(&self, id: &str, caller: &Caller) -> Result<(), ErrorData> {
        self.check(id, caller)?;
        self.tasks.cancel_task(id)
    }

    /// Tasks here ask nothing, so there is nothing to answer.
    pub(super) fn check(&self, id: &str, caller: &Caller) -> Result<(), ErrorData> {
        if self.owners().get(id).is_some_and(|owner| *owner == caller.principal) {
            return Ok(());
        }
        Err(ErrorData::invalid_params("there is no such task", None))
    }

    fn owners(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<str>>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
