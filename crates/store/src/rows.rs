//! The rows as stored. Times are milliseconds since 1970.

/// A session of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// The transport.
    pub kind: String,
    /// The authenticated principal.
    pub principal: String,
    /// The client's name and version, as it states them.
    pub client: String,
    /// The protocol version.
    pub protocol: String,
    /// The lifecycle state.
    pub state: String,
    /// When it was created.
    pub created_ms: i64,
    /// When the client was last active.
    pub last_seen_ms: i64,
    /// When the last heartbeat was sent.
    pub last_heartbeat_ms: i64,
    /// Consecutive heartbeats without an answer.
    pub missed: i64,
    /// Number of writes. Counted by the store; the caller's value is ignored.
    pub revision: i64,
    /// The minimum level of log messages sent to the client.
    pub log_level: String,
    /// The resources that the client subscribed to.
    pub subscriptions: String,
    /// The node that serves it.
    pub node: String,
    /// Additional data, opaque to the store.
    pub data: String,
}

/// The columns of a session's row that are updated on activity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// The session.
    pub id: String,
    /// See [`SessionRow::state`].
    pub state: String,
    /// See [`SessionRow::last_seen_ms`].
    pub last_seen_ms: i64,
    /// See [`SessionRow::last_heartbeat_ms`].
    pub last_heartbeat_ms: i64,
    /// See [`SessionRow::missed`].
    pub missed: i64,
}

/// A workspace: a worktree leased to a client without a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceRow {
    /// Its handle.
    pub handle: String,
    /// Its owner.
    pub principal: String,
    /// The repository it belongs to.
    pub repository: String,
    /// The folder of its worktree.
    pub worktree: String,
    /// The checked-out branch.
    pub branch: String,
    /// When it was created.
    pub created_ms: i64,
    /// When it expires.
    pub expires_ms: i64,
}

/// A change to a repository: a journal entry, possibly with a task or an idempotency key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationRow {
    /// Its id.
    pub id: String,
    /// The repository.
    pub repository: String,
    /// The folder of the worktree.
    pub worktree: String,
    /// The principal that requested it.
    pub principal: String,
    /// The tool.
    pub tool: String,
    /// The idempotency key.
    pub key: Option<String>,
    /// The digest of the request.
    pub digest: String,
    /// `running`, `done`, `failed`, `cancelled`, `interrupted` or `undone`.
    pub state: String,
    /// Whether the client can poll it as a task.
    pub is_task: bool,
    /// The node that runs it.
    pub node: String,
    /// The process that runs it.
    pub pid: i64,
    /// When that process started: process ids are reused.
    pub pid_start: i64,
    /// When it began.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// What was saved before the change.
    pub saved: Option<String>,
    /// The state of the repository before.
    pub before: String,
    /// The state of the repository after.
    pub after: Option<String>,
    /// The result returned to the caller, or why it was interrupted.
    pub result: Option<String>,
}

/// How an operation ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationEnd {
    /// `done`, `failed` or `cancelled`.
    pub state: String,
    /// See [`OperationRow::ended_ms`].
    pub ended_ms: i64,
    /// See [`OperationRow::after`].
    pub after: Option<String>,
    /// See [`OperationRow::result`].
    pub result: Option<String>,
}

/// A claim on a key for a limited time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The claimed key.
    pub key: String,
    /// Its holder.
    pub holder: String,
    /// Larger than the tokens of all earlier leases of the key.
    pub token: i64,
    /// When it expires unless renewed, as of its acquisition. By the database's clock on `PostgreSQL`.
    pub expires_ms: i64,
}

/// Number of errors of a class in one minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBucket {
    /// The class.
    pub class: String,
    /// Minutes since 1970.
    pub minute: i64,
    /// Number of errors.
    pub count: i64,
}
