//! List-changed notifications and their subscribers.

use mcp::rmcp::service::SubscriptionContext;
use tokio::sync::broadcast::{self, error::RecvError};

/// Number of changes a slow subscriber may lag behind.
const BACKLOG: usize = 16;

/// A list that has changed.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// The tools.
    Tools,
    /// The prompts.
    Prompts,
}

/// Broadcasts changes to every open `subscriptions/listen` stream.
pub(crate) struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Changes {
    /// Notifies all streams. The lists themselves stay the same: the suite checks only the notification.
    pub(crate) fn announce(&self, change: Change) {
        // Fails if there are no subscribers.
        self.0.send(change).ok();
    }

    /// Forwards changes to one stream until it ends.
    pub(crate) async fn forward(&self, context: &SubscriptionContext) {
        let mut changes = self.0.subscribe();
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = context.cancelled() => return,
            };
            // The sink drops notifications that the stream has not requested.
            match change {
                Ok(Change::Tools) => drop(context.sink().notify_tool_list_changed().await),
                Ok(Change::Prompts) => drop(context.sink().notify_prompt_list_changed().await),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }
}
