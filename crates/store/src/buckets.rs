//! Error counts by class and minute.

use crate::{error::Error, rows::ErrorBucket, store::Store};
use sqlx::Row;

const ADD: &str = "INSERT INTO mcpgit_error_buckets (class, minute, count) VALUES ($1, $2, $3)
     ON CONFLICT (class, minute) DO UPDATE SET count = mcpgit_error_buckets.count + excluded.count";
const SINCE: &str = "SELECT class, minute, count FROM mcpgit_error_buckets WHERE minute >= $1 ORDER BY minute, class";
const PRUNE: &str = "DELETE FROM mcpgit_error_buckets WHERE minute < $1";

impl Store {
    /// Adds to the counts, in one transaction.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn add_errors(&self, buckets: &[ErrorBucket]) -> Result<(), Error> {
        let mut buckets: Vec<_> = buckets.iter().collect();
        // Sorted, so that two nodes lock rows in the same order and cannot deadlock.
        buckets.sort_by(|a, b| (&a.class, a.minute).cmp(&(&b.class, b.minute)));
        let mut tx = self.begin().await?;
        for bucket in buckets {
            sqlx::query(ADD).bind(&bucket.class).bind(bucket.minute).bind(bucket.count).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Reads the counts from `minute` on, the oldest first.
    ///
    /// # Errors
    ///
    /// As [`Store::session`].
    pub async fn errors_since(&self, minute: i64) -> Result<Vec<ErrorBucket>, Error> {
        let mut buckets = Vec::new();
        for row in sqlx::query(SINCE).bind(minute).fetch_all(&self.pool).await? {
            let (class, minute, count) = (row.try_get("class")?, row.try_get("minute")?, row.try_get("count")?);
            buckets.push(ErrorBucket { class, minute, count });
        }
        Ok(buckets)
    }

    /// Removes the counts before `before_minute`. Returns the number removed.
    ///
    /// # Errors
    ///
    /// As [`Store::session`], and [`Error::Full`].
    pub async fn prune_errors(&self, before_minute: i64) -> Result<u64, Error> {
        Ok(sqlx::query(PRUNE).bind(before_minute).execute(&self.pool).await?.rows_affected())
    }
}
