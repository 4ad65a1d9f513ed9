//! What takes long says so, on a terminal alone, and leaves nothing behind.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use std::time::Duration;

/// How often the line is drawn again.
const TICK: Duration = Duration::from_millis(200);

/// A wait for the answer of a server, for `at_most`.
pub(super) fn waiting(what: &str, at_most: Duration) -> ProgressBar {
    let template = format!("{{spinner}} {what}: {{elapsed}} of {} s at most", at_most.as_secs());
    let bar = ProgressBar::new_spinner().with_style(style(ProgressStyle::default_spinner(), &template));
    bar.enable_steady_tick(TICK);
    bar.with_finish(ProgressFinish::AndClear)
}

/// Work in `total` steps.
pub(super) fn counting(what: &str, total: u64) -> ProgressBar {
    let template = format!("{what}: {{pos}} of {{len}}, {{eta}} left");
    ProgressBar::new(total).with_style(style(ProgressStyle::default_bar(), &template)).with_finish(ProgressFinish::AndClear)
}

/// The style with its template; as it is where the template is wrong, which the tests would show.
fn style(style: ProgressStyle, template: &str) -> ProgressStyle {
    style.clone().template(template).unwrap_or(style)
}
