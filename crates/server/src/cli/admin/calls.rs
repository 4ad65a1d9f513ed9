//! Text reports on calls in flight, and the address of the dashboard.

use super::words::{Shown, fine, known, lines, plain, table, time};
use crate::admin::answers::{
    access::Ticket,
    calls::{Cancelled, InFlight},
};
use std::fmt::Write as _;

pub(super) fn list(answer: &InFlight) -> Shown {
    let mut text = lines(&[("Calls in flight", plain(answer.total))]);
    if !answer.calls.is_empty() {
        text.push('\n');
        text += &table(
            ["CALL", "TOOL", "STAGE", "TIME", "REPOSITORY", "SESSION", ""],
            answer.calls.iter().map(|call| {
                let stopping = if call.stopping { "cancelled" } else { "" };
                let (repository, session) = (known(call.repository.as_ref()), known(call.session_id.as_ref()));
                [plain(&call.id), plain(&call.tool), plain(call.stage), time(call.elapsed_ms), repository, session, stopping.to_owned()]
            }),
        );
        if answer.calls.len() < answer.total {
            let _ = writeln!(text, "\nOnly the {} oldest are listed.", answer.calls.len());
        }
        text += "\n`mcp-server-git calls cancel CALL` cancels one.\n";
    }
    fine(text)
}

pub(super) fn cancelled(answer: &Cancelled) -> Shown {
    fine(format!("Cancelled {}", answer.cancelled.join(", ")))
}

pub(super) fn dashboard(answer: &Ticket) -> Shown {
    let Some(address) = &answer.address else {
        let text = "The server listens on a socket only: it has no address for a browser. `serve --port N` gives it one.";
        return Shown { text: text.to_owned(), is_fine: false };
    };
    let valid = time(answer.expires_ms);
    fine(format!("{address}/dashboard#ticket={}\nThe ticket is valid for {valid}, for everything that the page does.", answer.ticket))
}
