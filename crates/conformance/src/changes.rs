//! Lists that change, and their subscribers.

use mcp::rmcp::service::SubscriptionContext;
use tokio::sync::broadcast::{self, error::RecvError};

/// Changes that a slow listener may fall behind.
const BACKLOG: usize = 16;

/// A list that is said to have changed.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// That of the tools.
    Tools,
    /// That of the prompts.
    Prompts,
}

/// Carries changes to every open `subscriptions/listen` stream.
pub(crate) struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Changes {
    /// Tells all streams. The lists stay as they are: the suite asks for the news alone.
    pub(crate) fn announce(&self, change: Change) {
        // Fails when nobody listens.
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
            // The sink refuses what the stream has not asked for.
            match change {
                Ok(Change::Tools) => drop(context.sink().notify_tool_list_changed().await),
                Ok(Change::Prompts) => drop(context.sink().notify_prompt_list_changed().await),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }
}
