//! Progress notifications of a call: rate-limited, and sent without delaying the call.

use crate::tool::Reporter;
use git::Progress;
use mcp::rmcp::{
    RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    service::Peer,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Minimum time between two notifications.
const PAUSE: Duration = Duration::from_millis(200);

/// Sends the latest progress to `peer`. Ends with the reporter.
pub(crate) fn reporter(peer: Peer<RoleServer>, token: ProgressToken) -> Reporter {
    let (newest, mut changed) = watch::channel(None::<Progress>);
    tokio::spawn(async move {
        let (mut phase, mut phases, mut last) = (String::new(), 0_u32, -1.0);
        while changed.changed().await.is_ok() {
            let Some(progress) = changed.borrow_and_update().clone() else { continue };
            if progress.phase != phase {
                phases += 1;
                phase.clone_from(&progress.phase);
            }
            let value = f64::from(phases - 1) * 100.0 + percent(&progress);
            // The value must increase from one notification to the next.
            if value <= last {
                continue;
            }
            last = value;
            let text = match progress.total {
                Some(total) => format!("{phase}: {} of {total}", progress.done),
                None => format!("{phase}: {}", progress.done),
            };
            let param = ProgressNotificationParam::new(token.clone(), value).with_message(text);
            if peer.notify_progress(param).await.is_err() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    Arc::new(move |progress| drop(newest.send(Some(progress))))
}

/// Completed part of the phase in percent; approaches 100 if the total is unknown.
fn percent(progress: &Progress) -> f64 {
    // In hundredths, to keep precision.
    let (done, total) = match progress.total {
        Some(total) => (progress.done, total),
        None => (progress.done, progress.done.saturating_add(1000)),
    };
    let hundredths = done.saturating_mul(10_000).checked_div(total).unwrap_or(10_000).min(10_000);
    f64::from(u32::try_from(hundredths).unwrap_or(10_000)) / 100.0
}
