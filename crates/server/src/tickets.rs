//! Tickets for the admin API over HTTP: the owner of the server makes them over its Unix socket.

use crate::caller::Right;
use mcp::{Identity, http::Tokens};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a ticket is valid.
pub(crate) const VALID: Duration = Duration::from_hours(12);
/// Maximum number of tickets; the oldest one ends when another is made.
const MAX_TICKETS: usize = 16;
/// The principal of a ticket, and of the changes that the admin API makes.
pub(crate) const OPERATOR: &str = "operator";

/// The tickets that are valid, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct Tickets(Mutex<Vec<([u8; 32], Instant)>>);

impl Tickets {
    /// Makes a ticket.
    ///
    /// # Errors
    ///
    /// If the system has no random bytes.
    pub(crate) fn make(&self) -> Result<String, getrandom::Error> {
        let ticket = hex::encode(crate::random::bytes::<32>()?);
        let mut tickets = self.0.lock();
        let now = Instant::now();
        tickets.retain(|(_, until)| *until > now);
        if tickets.len() >= MAX_TICKETS {
            tickets.remove(0);
        }
        tickets.push((Tokens::hash(&ticket), now + VALID));
        Ok(ticket)
    }

    /// The identity of a ticket. Compares hashes, so that the time it takes reveals nothing of the ticket.
    pub(crate) fn identify(&self, ticket: &str) -> Option<Identity> {
        let (hash, now) = (Tokens::hash(ticket), Instant::now());
        let is_valid = self.0.lock().iter().any(|(known, until)| *known == hash && *until > now);
        is_valid.then(|| Identity {
            principal: Arc::from(OPERATOR),
            scopes: Right::ALL.map(|right| right.name().to_owned()).to_vec(),
            until: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tickets_are_valid() -> Result<(), getrandom::Error> {
        let tickets = Tickets::default();
        let first = tickets.make()?;
        assert!(tickets.identify(&first).is_some_and(|operator| operator.scopes.iter().any(|scope| scope == "admin")));
        let later = (0..MAX_TICKETS).map(|_| tickets.make()).collect::<Result<Vec<_>, _>>()?;
        assert_eq!(tickets.identify(&first), None, "the oldest one ended");
        assert!(later.iter().all(|ticket| tickets.identify(ticket).is_some()));
        assert_eq!((tickets.identify(""), tickets.identify("0")), (None, None));
        Ok(())
    }
}
