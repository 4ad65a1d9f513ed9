//! Tasks: long calls continue after their request is answered, and clients poll for the result, also after a restart.

use super::confirm::{self, Question, Verdict};
use crate::{
    caller::Caller,
    error::{Error, Kind},
    output::Reply,
    persistence::{Persistence, TaskState},
};
use git::Progress;
use mcp::rmcp::{
    ErrorData,
    model::{CallToolResult, CreateTaskResult, DetailedTask, InputResponses, JsonObject, Task, TaskPayload},
    task_manager::{TaskContext, TaskExit, TaskManager, TaskOptions},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinError, JoinHandle},
};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};

/// How long a call may take before it becomes a task, if the client supports tasks.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Lifetime of a task from its creation; longer than any call may take.
pub(crate) const KEPT: Duration = Duration::from_hours(2);
/// Polling interval suggested to clients.
const POLL: Duration = Duration::from_secs(1);
/// Maximum number of running tasks per principal.
const MAX_RUNNING: usize = 32;

/// A running call.
pub(super) struct Running {
    pub(super) work: JoinHandle<Result<Reply, Error>>,
    pub(super) cancel: CancellationToken,
    pub(super) progress: watch::Receiver<Option<Progress>>,
    /// Present if the user is asked when the call needs confirmation.
    pub(super) unconfirmed: Option<Unconfirmed>,
    /// Delays shutdown until dropped, within the drain timeout.
    pub(super) counted: TaskTrackerToken,
}

/// An unconfirmed call, and how to repeat it once confirmed.
pub(super) struct Unconfirmed {
    pub(super) question: Question,
    pub(super) stop: CancellationToken,
    pub(super) again: Box<dyn FnOnce() -> JoinHandle<Result<Reply, Error>> + Send>,
}

impl Unconfirmed {
    /// Asks the user during the task, and repeats the call if confirmed.
    async fn ask(self, context: &TaskContext, error: Error) -> Result<JoinHandle<Result<Reply, Error>>, Error> {
        self.question.check()?;
        let input = confirm::input(&error).map_err(|err| Error::new(Kind::Internal, err.message))?;
        let verdict = tokio::select! {
            answer = context.request_input(confirm::QUESTION, input) => {
                answer.map_or(Verdict::Gone, |answer| Verdict::of_input(Some(&answer)))
            }
            () = tokio::time::sleep(confirm::PATIENCE) => Verdict::Dismissed,
            () = self.stop.cancelled() => Verdict::Gone,
        };
        self.question.decide(verdict, error)?;
        Ok((self.again)())
    }
}

/// The tasks of a server.
pub(crate) struct Tasks {
    manager: TaskManager,
    owners: Mutex<HashMap<String, Arc<str>>>,
    persistence: Arc<Persistence>,
}

impl Tasks {
    pub(super) fn new(persistence: Arc<Persistence>) -> Self {
        Self { manager: TaskManager::default(), owners: Mutex::default(), persistence }
    }

    /// Whether the caller may start another task.
    pub(super) fn has_room(&self, caller: &Caller) -> bool {
        let mut owners = self.owners();
        // Forgets tasks that the manager has dropped.
        owners.retain(|id, _| self.manager.get_task(id).is_ok());
        let running = |id: &String| self.manager.get_task(id).is_ok_and(|task| !task.status().is_terminal());
        owners.iter().filter(|(id, owner)| **owner == caller.principal && running(id)).count() < MAX_RUNNING
    }

    /// Continues a call as a task. It is persisted on return, unless the store is unavailable.
    pub(super) async fn adopt(
        &self,
        running: Running,
        caller: &Caller,
        tool: &'static str,
        finish: impl FnOnce(Result<Reply, Error>) -> CallToolResult + Send + 'static,
    ) -> CreateTaskResult {
        let Running { mut work, cancel, mut progress, unconfirmed, counted } = running;
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let options = TaskOptions::default().with_ttl_ms(Some(milliseconds(KEPT))).with_poll_interval_ms(milliseconds(POLL));
        let (began, has_begun) = oneshot::channel::<Task>();
        let persistence = Arc::clone(&self.persistence);
        let task = self.manager.spawn(options, move |context| {
            Box::pin(async move {
                let outcome = match (ended(&mut work, &context, &cancel, &mut progress).await, unconfirmed) {
                    (Ok(Err(error)), Some(unconfirmed)) if error.asks => match unconfirmed.ask(&context, error).await {
                        Ok(mut again) => ended(&mut again, &context, &cancel, &mut progress).await,
                        Err(error) => Ok(Err(error)),
                    },
                    (outcome, _) => outcome,
                };
                let exit = match outcome {
                    Ok(Err(error)) if error.kind == crate::error::Kind::Cancelled => Err(TaskExit::Cancelled),
                    Ok(result) => Ok(finish(result)),
                    Err(err) => Err(TaskExit::Error(ErrorData::internal_error(format!("the call failed inside the server: {err}"), None))),
                };
                // The result is persisted before it is visible.
                if let Ok(task) = has_begun.await {
                    end(&persistence, task, &exit).await;
                }
                drop(counted);
                exit
            })
        });
        self.owners().insert(task.task_id.clone(), Arc::clone(&caller.principal));
        let stored = serde_json::to_string(&task).unwrap_or_default();
        match self.persistence.begin_task(&task.task_id, tool, &caller.principal, stored).await {
            // The receiver is gone if the task was cancelled.
            Ok(()) => drop(began.send(task.clone())),
            Err(why) => tracing::warn!(%why, "could not persist a task, keeping it in memory"),
        }
        CreateTaskResult::new(task)
    }

    /// A task of the caller; another caller's task is not found.
    pub(super) async fn get(&self, id: &str, caller: &Caller) -> Result<DetailedTask, ErrorData> {
        if self.is_here(id, caller) {
            return self.manager.get_task(id);
        }
        let begun = |stored: &str| serde_json::from_str::<Task>(stored).map_err(|_| unknown());
        match self.elsewhere(id, caller).await? {
            TaskState::Running(stored) => Ok(DetailedTask::new(begun(&stored)?, TaskPayload::Working)),
            TaskState::Ended(result) => serde_json::from_str(&result).map_err(|_| unknown()),
            TaskState::Interrupted(stored) => {
                let message = "interrupted: the server exited before the task finished, and its effect is unknown. \
                    Check git_status and git_log";
                Ok(DetailedTask::new(begun(&stored)?, failed(&ErrorData::internal_error(message, Some(json!({"code": "interrupted"}))))))
            }
        }
    }

    /// Cancels a task of the caller.
    pub(super) async fn cancel(&self, id: &str, caller: &Caller) -> Result<(), ErrorData> {
        if self.is_here(id, caller) {
            return self.manager.cancel_task(id);
        }
        match self.elsewhere(id, caller).await? {
            TaskState::Running(_) => {
                Err(ErrorData::invalid_params("the task runs in a server process that is being replaced, and ends there", None))
            }
            TaskState::Ended(_) | TaskState::Interrupted(_) => Ok(()),
        }
    }

    /// Passes answers to a task's input request.
    pub(super) async fn answer(&self, id: &str, answers: InputResponses, caller: &Caller) -> Result<(), ErrorData> {
        if self.is_here(id, caller) {
            return self.manager.update_task(id, answers);
        }
        // The process that runs the task asks for its input itself.
        self.elsewhere(id, caller).await.map(|_| ())
    }

    /// Whether this process started the task for the caller.
    fn is_here(&self, id: &str, caller: &Caller) -> bool {
        self.owners().get(id).is_some_and(|owner| *owner == caller.principal)
    }

    /// A task of the caller that another process started.
    async fn elsewhere(&self, id: &str, caller: &Caller) -> Result<TaskState, ErrorData> {
        let found = self.persistence.task(id, &caller.principal, KEPT).await;
        found.map_err(|why| ErrorData::internal_error(format!("persisted tasks are unavailable: {why}"), None))?.ok_or_else(unknown)
    }

    fn owners(&self) -> parking_lot::MutexGuard<'_, HashMap<String, Arc<str>>> {
        self.owners.lock()
    }
}

/// Waits for the work to end, forwarding its progress and any cancellation.
async fn ended(
    work: &mut JoinHandle<Result<Reply, Error>>,
    context: &TaskContext,
    cancel: &CancellationToken,
    progress: &mut watch::Receiver<Option<Progress>>,
) -> Result<Result<Reply, Error>, JoinError> {
    loop {
        tokio::select! {
            done = &mut *work => return done,
            () = context.cancelled(), if !cancel.is_cancelled() => cancel.cancel(),
            changed = progress.changed() => {
                if changed.is_err() {
                    return work.await;
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
    }
}

/// Persists the result of a task.
async fn end(persistence: &Persistence, task: Task, exit: &Result<CallToolResult, TaskExit>) {
    let (state, payload) = match exit {
        Ok(result) => ("done", TaskPayload::Completed { result: object(serde_json::to_value(result)) }),
        Err(TaskExit::Cancelled) => ("cancelled", TaskPayload::Cancelled),
        Err(TaskExit::Error(error)) => ("failed", failed(error)),
    };
    let id = task.task_id.clone();
    let result = serde_json::to_string(&DetailedTask::new(task, payload)).unwrap_or_default();
    if let Err(why) = persistence.end_task(&id, state, result).await {
        tracing::warn!(%why, "could not persist a task's result, keeping it in memory");
    }
}

fn failed(error: &ErrorData) -> TaskPayload {
    TaskPayload::Failed { error: object(serde_json::to_value(error)) }
}

fn object(value: serde_json::Result<Value>) -> JsonObject {
    value.ok().and_then(|value| if let Value::Object(fields) = value { Some(fields) } else { None }).unwrap_or_default()
}

fn unknown() -> ErrorData {
    ErrorData::invalid_params("there is no such task", None)
}
