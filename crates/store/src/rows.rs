//! The rows, as the database has them. Times are milliseconds since 1970.

/// A session of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionRow {
    /// Its name.
    pub id: String,
    /// How the client is connected.
    pub kind: String,
    /// Who the client is.
    pub principal: String,
    /// The program that the client says it is.
    pub client: String,
    /// The version of the protocol.
    pub protocol: String,
    /// Where it is in its life.
    pub state: String,
    /// When it was made.
    pub created_ms: i64,
    /// When the client was last heard.
    pub last_seen_ms: i64,
    /// When the client was last asked for a sign of life.
    pub last_heartbeat_ms: i64,
    /// How many such questions in a row were left without an answer.
    pub missed: i64,
    /// How often the row was written. The store counts it; what a caller gives is not looked at.
    pub revision: i64,
    /// The level from which the client wants messages.
    pub log_level: String,
    /// The resources that the client wants to hear of.
    pub subscriptions: String,
    /// The node that serves it.
    pub node: String,
    /// Anything else.
    pub data: String,
}

/// What changes in a session's row while it lives.
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

/// A workspace: what a client without a session holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceRow {
    /// Its name.
    pub handle: String,
    /// Its owner.
    pub principal: String,
    /// The repository it is in.
    pub repository: String,
    /// The folder it works in.
    pub worktree: String,
    /// The branch it is on.
    pub branch: String,
    /// When it was made.
    pub created_ms: i64,
    /// When it may be removed.
    pub expires_ms: i64,
}

/// A change of a repository: an entry of the journal, and a task or an idempotency key with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationRow {
    /// Its name.
    pub id: String,
    /// The repository it changes.
    pub repository: String,
    /// The folder it works in.
    pub worktree: String,
    /// Who asked for it.
    pub principal: String,
    /// The tool that does it.
    pub tool: String,
    /// The key under which the client may ask for it again.
    pub key: Option<String>,
    /// The digest of what was asked.
    pub digest: String,
    /// `running`, `done`, `failed`, `cancelled`, `interrupted` or `undone`.
    pub state: String,
    /// Whether the client can ask how it goes.
    pub is_task: bool,
    /// The node that runs it.
    pub node: String,
    /// The process that runs it.
    pub pid: i64,
    /// When that process began: numbers of processes are used again.
    pub pid_start: i64,
    /// When it began.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// What was put aside before the change.
    pub saved: Option<String>,
    /// How the repository was.
    pub before: String,
    /// How the repository is.
    pub after: Option<String>,
    /// What the caller was told, or why it was interrupted.
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

/// A claim on a key, for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// What is claimed.
    pub key: String,
    /// Who claims it.
    pub holder: String,
    /// Larger than that of every earlier lease of the key.
    pub token: i64,
    /// When it ended unless renewed, as of when it was acquired. By the database's clock on `PostgreSQL`.
    pub expires_ms: i64,
}

/// How many errors of a class there were in a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBucket {
    /// The class.
    pub class: String,
    /// Minutes since 1970.
    pub minute: i64,
    /// How many.
    pub count: i64,
}
