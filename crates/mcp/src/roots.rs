//! The order of a client's messages relative to its `notifications/roots/list_changed`.
//!
//! The service handles messages concurrently, so only the transport knows their order.

use rmcp::{
    RoleServer,
    model::{ClientNotification, Extensions, GetExtensions, JsonRpcMessage},
    service::RxJsonRpcMessage,
};

/// Number of announcements up to and including a message.
#[derive(Clone, Copy, Debug)]
struct Announced(u64);

/// Counts announcements of new roots on one connection.
#[derive(Debug, Default)]
pub(crate) struct Announcements(u64);

impl Announcements {
    /// Attaches the number of announcements so far to a request or notification.
    pub(crate) fn attach(&mut self, message: &mut RxJsonRpcMessage<RoleServer>) {
        match message {
            JsonRpcMessage::Request(request) if self.0 > 0 => drop(request.request.extensions_mut().insert(Announced(self.0))),
            JsonRpcMessage::Notification(notification) => {
                if matches!(notification.notification, ClientNotification::RootsListChangedNotification(_)) {
                    self.0 += 1;
                }
                notification.notification.extensions_mut().insert(Announced(self.0));
            }
            _ => {}
        }
    }
}

/// Number of root announcements by the client up to and including a message.
pub fn roots_announced(extensions: &Extensions) -> u64 {
    extensions.get::<Announced>().map_or(0, |announced| announced.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn each_message_carries_the_announcements_before_it() {
        let mut announcements = Announcements::default();
        let mut carried = |message: Value| {
            let mut message = serde_json::from_value(message).unwrap_or_else(|err| unreachable!("{err}"));
            announcements.attach(&mut message);
            match &message {
                JsonRpcMessage::Request(request) => roots_announced(request.request.extensions()),
                JsonRpcMessage::Notification(notification) => roots_announced(notification.notification.extensions()),
                _ => unreachable!("neither"),
            }
        };
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "git_status"}});
        let changed = json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"});
        let seen = [&call, &changed, &call, &changed, &changed, &call].map(|message| carried(message.clone()));
        assert_eq!(seen, [0, 1, 1, 2, 3, 3]);
    }
}
