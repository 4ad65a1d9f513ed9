//! Workspaces.

use crate::{error::Error, rows::WorkspaceRow, store::Store};
use sqlx::{Row, any::AnyRow};

macro_rules! columns {
    () => {
        "handle, principal, repository, worktree, branch, created_ms, expires_ms"
    };
}

const PUT: &str = concat!(
    "INSERT INTO mcpgit_workspaces (",
    columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (handle) DO UPDATE SET principal = excluded.principal,
     repository = excluded.repository, worktree = excluded.worktree, branch = excluded.branch, created_ms = excluded.created_ms,
     expires_ms = excluded.expires_ms"
);
const GET: &str = concat!("SELECT ", columns!(), " FROM mcpgit_workspaces WHERE handle = $1");
const ALL: &str = concat!("SELECT ", columns!(), " FROM mcpgit_workspaces ORDER BY handle");
const DELETE: &str = "DELETE FROM mcpgit_workspaces WHERE handle = $1";
const RENEW: &str = "UPDATE mcpgit_workspaces SET expires_ms = $2 WHERE handle = $1";
const EXPIRED: &str = concat!("SELECT ", columns!(), " FROM mcpgit_workspaces WHERE expires_ms <= $1 ORDER BY expires_ms, handle");

impl Store {
    /// Inserts or updates a workspace.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn put_workspace(&self, row: &WorkspaceRow) -> Result<(), Error> {
        let query = sqlx::query(PUT).bind(&row.handle).bind(&row.principal).bind(&row.repository).bind(&row.worktree);
        query.bind(&row.branch).bind(row.created_ms).bind(row.expires_ms).execute(&self.pool).await?;
        Ok(())
    }

    /// Reads a workspace, expired or not.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn workspace(&self, handle: &str) -> Result<Option<WorkspaceRow>, Error> {
        let row = sqlx::query(GET).bind(handle).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// Reads all workspaces, by handle.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceRow>, Error> {
        let rows = sqlx::query(ALL).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Removes a workspace. Returns whether it existed.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn delete_workspace(&self, handle: &str) -> Result<bool, Error> {
        Ok(sqlx::query(DELETE).bind(handle).execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Sets the expiry of a workspace. Returns whether it exists.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn renew_workspace(&self, handle: &str, expires_ms: i64) -> Result<bool, Error> {
        Ok(sqlx::query(RENEW).bind(handle).bind(expires_ms).execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Reads the workspaces expired by `now_ms`, the earliest first.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn expired_workspaces(&self, now_ms: i64) -> Result<Vec<WorkspaceRow>, Error> {
        let rows = sqlx::query(EXPIRED).bind(now_ms).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}

fn read(row: &AnyRow) -> Result<WorkspaceRow, sqlx::Error> {
    Ok(WorkspaceRow {
        handle: row.try_get("handle")?,
        principal: row.try_get("principal")?,
        repository: row.try_get("repository")?,
        worktree: row.try_get("worktree")?,
        branch: row.try_get("branch")?,
        created_ms: row.try_get("created_ms")?,
        expires_ms: row.try_get("expires_ms")?,
    })
}
