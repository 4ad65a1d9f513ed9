//! Progress of slow operations, shown only on a terminal and cleared afterwards.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use std::time::Duration;

/// Redraw interval.
const TICK: Duration = Duration::from_millis(200);

/// A spinner while waiting up to `at_most` for a server's answer.
pub(super) fn waiting(what: &str, at_most: Duration) -> ProgressBar {
    let template = format!("{{spinner}} {what}: {{elapsed}} of {} s at most", at_most.as_secs());
    let bar = ProgressBar::new_spinner().with_style(style(ProgressStyle::default_spinner(), &template));
    bar.enable_steady_tick(TICK);
    bar.with_finish(ProgressFinish::AndClear)
}

/// A progress bar of `total` steps.
pub(super) fn counting(what: &str, total: u64) -> ProgressBar {
    let template = format!("{what}: {{pos}} of {{len}}, {{eta}} left");
    ProgressBar::new(total).with_style(style(ProgressStyle::default_bar(), &template)).with_finish(ProgressFinish::AndClear)
}

/// The style with its template, or unchanged if the template is invalid.
fn style(style: ProgressStyle, template: &str) -> ProgressStyle {
    style.clone().template(template).unwrap_or(style)
}
