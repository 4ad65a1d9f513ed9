//! Operations: the journal, including tasks and idempotency keys.

use crate::{
    error::Error,
    rows::{OperationEnd, OperationRow},
    store::Store,
};
use sqlx::{Row, any::AnyRow};

macro_rules! columns {
    () => {
        "id, repository, worktree, principal, tool, key, digest, state, is_task, node, pid, pid_start, started_ms, ended_ms, saved, before, after, result"
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM mcpgit_operations WHERE ", $rest)
    };
}

// `seq` orders operations begun in the same millisecond. Two begun concurrently by two nodes may share a number: neither
// was first.
const BEGIN: &str = concat!(
    "INSERT INTO mcpgit_operations (",
    columns!(),
    ", seq) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
     (SELECT COALESCE(MAX(seq), 0) + 1 FROM mcpgit_operations) WHERE 1 = 1 ON CONFLICT (id) DO NOTHING"
);
const NOTE: &str = "UPDATE mcpgit_operations SET saved = $2 WHERE id = $1";
const END: &str = "UPDATE mcpgit_operations SET state = $2, ended_ms = $3, after = $4, result = $5
     WHERE id = $1 AND state IN ('running', 'interrupted')";
const INTERRUPT: &str = "UPDATE mcpgit_operations SET state = 'interrupted', ended_ms = $2, result = $3
     WHERE id = $1 AND state = 'running'";
const UNDO: &str = "UPDATE mcpgit_operations SET state = 'undone' WHERE id = $1 AND state IN ('done', 'failed', 'interrupted')";
const GET: &str = select!("id = $1");
const OF: &str = select!("repository = $1 ORDER BY started_ms DESC, seq DESC, id DESC LIMIT $2");
const NEWEST_IN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM (SELECT ",
    columns!(),
    ", seq FROM mcpgit_operations WHERE repository = $1 ORDER BY started_ms DESC, seq DESC, id DESC LIMIT 64) AS newest
     WHERE worktree = $2 ORDER BY started_ms DESC, seq DESC, id DESC LIMIT 1"
);
const WITH_KEY: &str = select!("repository = $1 AND key = $2 AND principal = $3 ORDER BY started_ms, seq, id");
const RUNNING: &str = select!("state = 'running' ORDER BY started_ms, seq, id");
const REPEATED: &str = "SELECT id FROM mcpgit_operations WHERE repository = $1 AND worktree = $2 AND tool = $3 AND started_ms >= $4
     AND state IN ('done', 'undone') LIMIT 1";
const PRUNE: &str = "DELETE FROM mcpgit_operations WHERE id IN (SELECT id FROM (
         SELECT id, state, COALESCE(ended_ms, started_ms) AS last_ms,
             ROW_NUMBER() OVER (PARTITION BY repository ORDER BY started_ms DESC, seq DESC, id DESC) AS place
         FROM mcpgit_operations) AS placed
     WHERE place > $2 AND last_ms < $1 AND state <> 'running')";

const PRUNE_TASKS: &str = "DELETE FROM mcpgit_operations WHERE is_task = 1 AND COALESCE(ended_ms, started_ms) < $1";

impl Store {
    /// Adds an operation to the journal.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] if its id already exists. As [`Store::session`], and [`Error::Full`].
    pub async fn begin_operation(&self, row: &OperationRow) -> Result<(), Error> {
        let query = sqlx::query(BEGIN).bind(&row.id).bind(&row.repository).bind(&row.worktree).bind(&row.principal).bind(&row.tool);
        let query = query.bind(row.key.as_deref()).bind(&row.digest).bind(&row.state).bind(i64::from(row.is_task)).bind(&row.node);
        let query = query.bind(row.pid).bind(row.pid_start).bind(row.started_ms).bind(row.ended_ms).bind(row.saved.as_deref());
        let query = query.bind(&row.before).bind(row.after.as_deref()).bind(row.result.as_deref());
        match query.execute(&self.pool).await?.rows_affected() {
            0 => Err(Error::Exists(row.id.clone())),
            _ => Ok(()),
        }
    }

    /// Records what an operation has saved, durably. Returns whether the operation exists.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn note_operation(&self, id: &str, saved: &str) -> Result<bool, Error> {
        Ok(sqlx::query(NOTE).bind(id).bind(saved).execute(&self.durable).await?.rows_affected() > 0)
    }

    /// Ends an operation, durably. Returns whether it was running or interrupted.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn end_operation(&self, id: &str, end: &OperationEnd) -> Result<bool, Error> {
        let query = sqlx::query(END).bind(id).bind(&end.state).bind(end.ended_ms).bind(end.after.as_deref());
        Ok(query.bind(end.result.as_deref()).execute(&self.durable).await?.rows_affected() > 0)
    }

    /// Marks an operation that has ended as undone, durably. Returns whether it had ended and was not yet undone.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn mark_undone(&self, id: &str) -> Result<bool, Error> {
        Ok(sqlx::query(UNDO).bind(id).execute(&self.durable).await?.rows_affected() > 0)
    }

    /// Marks an operation as interrupted, with `why` as its result. Returns whether it was running.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn interrupt_operation(&self, id: &str, ended_ms: i64, why: &str) -> Result<bool, Error> {
        Ok(sqlx::query(INTERRUPT).bind(id).bind(ended_ms).bind(why).execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Reads an operation.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn operation(&self, id: &str) -> Result<Option<OperationRow>, Error> {
        let row = sqlx::query(GET).bind(id).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Reads the last `limit` operations of a repository, the newest first.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn operations_of(&self, repository: &str, limit: i64) -> Result<Vec<OperationRow>, Error> {
        read_all(&sqlx::query(OF).bind(repository).bind(limit.max(0)).fetch_all(&self.pool).await?)
    }

    /// Reads the newest operation in a worktree, if it is among the last 64 of the repository.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn newest_operation_in(&self, repository: &str, worktree: &str) -> Result<Option<OperationRow>, Error> {
        let row = sqlx::query(NEWEST_IN).bind(repository).bind(worktree).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Reads the operations that `principal` requested under `key`, the oldest first.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn operations_with_key(&self, repository: &str, key: &str, principal: &str) -> Result<Vec<OperationRow>, Error> {
        read_all(&sqlx::query(WITH_KEY).bind(repository).bind(key).bind(principal).fetch_all(&self.pool).await?)
    }

    /// Reads all running operations of all nodes, the oldest first.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn running_operations(&self) -> Result<Vec<OperationRow>, Error> {
        read_all(&sqlx::query(RUNNING).fetch_all(&self.pool).await?)
    }

    /// Whether this operation, or a later one of its tool in its worktree, has succeeded.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn is_repeated(&self, row: &OperationRow) -> Result<bool, Error> {
        let query = sqlx::query(REPEATED).bind(&row.repository).bind(&row.worktree).bind(&row.tool).bind(row.started_ms);
        Ok(query.fetch_optional(&self.pool).await?.is_some())
    }

    /// Removes operations that ended before `before_ms`. Keeps running ones and the newest `keep_per_repository` of each
    /// repository. Returns the number removed.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn prune_operations(&self, before_ms: i64, keep_per_repository: i64) -> Result<u64, Error> {
        Ok(sqlx::query(PRUNE).bind(before_ms).bind(keep_per_repository).execute(&self.pool).await?.rows_affected())
    }

    /// Removes tasks that ended before `before_ms`, or began before it and never ended. Returns the number removed.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn prune_tasks(&self, before_ms: i64) -> Result<u64, Error> {
        Ok(sqlx::query(PRUNE_TASKS).bind(before_ms).execute(&self.pool).await?.rows_affected())
    }
}

fn read_all(rows: &[AnyRow]) -> Result<Vec<OperationRow>, Error> {
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

fn read(row: &AnyRow) -> Result<OperationRow, sqlx::Error> {
    Ok(OperationRow {
        id: row.try_get("id")?,
        repository: row.try_get("repository")?,
        worktree: row.try_get("worktree")?,
        principal: row.try_get("principal")?,
        tool: row.try_get("tool")?,
        key: row.try_get("key")?,
        digest: row.try_get("digest")?,
        state: row.try_get("state")?,
        is_task: row.try_get::<i64, _>("is_task")? != 0,
        node: row.try_get("node")?,
        pid: row.try_get("pid")?,
        pid_start: row.try_get("pid_start")?,
        started_ms: row.try_get("started_ms")?,
        ended_ms: row.try_get("ended_ms")?,
        saved: row.try_get("saved")?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
        result: row.try_get("result")?,
    })
}
