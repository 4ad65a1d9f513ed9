//! All sessions of a server, over every transport: owners, limits, heartbeats and their end.

mod ending;
mod fault;
mod limits;
mod record;
mod session;
mod state;
mod table;

pub use ending::Ending;
pub use fault::{Fault, Refusal};
pub use limits::SessionLimits;
pub use record::{Keeper, SessionActivity, SessionInfo, SessionRecord};
pub(crate) use session::{Link, Open, Session};
pub use state::{Kind, SessionState};
pub(crate) use table::Opening;
pub use table::{Observer, Sessions};

/// An unguessable id.
pub fn random_id(prefix: &str) -> String {
    let mut bytes = [0_u8; 16];
    // An ID that can be guessed is worse than none.
    while getrandom::fill(&mut bytes).is_err() {}
    format!("{prefix}{}", hex::encode(bytes))
}
