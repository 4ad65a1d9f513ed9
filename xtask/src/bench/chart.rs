//! The kinds of charts.

use super::{
    scale::Scale,
    svg::{Anchor, Svg},
    text::{digits, times},
};

/// A row of a dot chart: its name, and the ratio of each series.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) ratios: Vec<Option<f64>>,
}

/// Ratios by operation on one logarithmic axis, with a line where the reference is.
pub(super) fn dots(title: &str, reference: &str, series: &[&str], rows: &[Row]) -> String {
    const WIDTH: f64 = 860.0;
    const LEFT: f64 = 220.0;
    const TOP: f64 = 76.0;
    const STEP: f64 = 26.0;
    let mut svg = Svg::new();
    svg.title(12.0, 20.0, title);
    svg.legend(12.0, 42.0, series);
    let bottom = rows.iter().fold(TOP, |y, _| y + STEP);
    let scale = Scale::around(rows.iter().flat_map(|row| row.ratios.iter().flatten().copied()).chain([1.0]), LEFT, WIDTH - 20.0);
    for tick in scale.ticks() {
        let x = scale.at(tick);
        svg.rule((x, TOP - 8.0), (x, bottom), false);
        svg.note(x, TOP - 13.0, Anchor::Middle, &tick_label(tick));
    }
    svg.rule((scale.at(1.0), TOP - 8.0), (scale.at(1.0), bottom), true);
    let mut y = TOP + STEP / 2.0;
    for row in rows {
        svg.text(LEFT - 14.0, y + 4.0, Anchor::End, &row.name);
        svg.rule((LEFT, y), (WIDTH - 20.0, y), false);
        // The first two, which matter most, are drawn last: on top.
        for (at, name) in series.iter().enumerate().rev() {
            if let Some(ratio) = row.ratios.get(at).copied().flatten() {
                svg.mark(at, scale.at(ratio), y, &format!("{name}, {}: {}", row.name, times(ratio)));
            }
        }
        y += STEP;
    }
    svg.note(WIDTH - 20.0, bottom + 18.0, Anchor::End, &format!("time of a call relative to {reference}; left is faster"));
    let description = "Each row is an operation, each mark a server. The axis is logarithmic.";
    svg.finish(WIDTH, bottom + 30.0, title, description)
}

/// A panel of bars: what it shows, and for each series the length and its label.
pub(super) struct Bars {
    pub(super) name: String,
    pub(super) values: Vec<Option<(f64, String)>>,
}

/// Panels of bars, two beside each other. Each panel has its own linear axis from zero.
pub(super) fn bars(title: &str, series: &[&str], panels: &[Bars]) -> String {
    const PANEL: f64 = 430.0;
    const LEFT: f64 = 100.0;
    const LONGEST: f64 = 220.0;
    const STEP: f64 = 19.0;
    let mut svg = Svg::new();
    svg.title(12.0, 20.0, title);
    let rows = series.iter().fold(0.0, |height, _| height + STEP);
    let height = rows + 40.0;
    let mut top = 34.0;
    for pair in panels.chunks(2) {
        let mut left = 0.0;
        for panel in pair {
            svg.text(left + LEFT, top + 14.0, Anchor::Start, &panel.name);
            let most = panel.values.iter().flatten().map(|(value, _)| *value).fold(0.0, f64::max);
            let mut y = top + 24.0;
            for (at, name) in series.iter().enumerate() {
                svg.note(left + LEFT - 8.0, y + 11.0, Anchor::End, name);
                let x = left + LEFT;
                if let Some((value, label)) = panel.values.get(at).and_then(Option::as_ref) {
                    let width = (value / most.max(f64::MIN_POSITIVE) * LONGEST).max(1.0);
                    svg.bar(at, x, y, width, STEP - 6.0);
                    svg.note(x + width + 6.0, y + 11.0, Anchor::Start, label);
                } else {
                    svg.note(x, y + 11.0, Anchor::Start, "–");
                }
                y += STEP;
            }
            left += PANEL;
        }
        top += height;
    }
    svg.finish(PANEL * 2.0, top, title, "Bars for each server; each panel has an axis of its own from zero.")
}

/// A curve of a panel, by size.
pub(super) type Curve = Vec<(f64, f64)>;

/// A panel of curves: what it shows, and the points of each series.
pub(super) struct Curves {
    pub(super) name: String,
    pub(super) series: Vec<Curve>,
}

/// Panels of curves, three beside each other, on the same pair of logarithmic axes.
pub(super) fn curves(title: &str, axis: &str, series: &[&str], panels: &[Curves]) -> String {
    const PANEL: f64 = 290.0;
    const HEIGHT: f64 = 190.0;
    let mut svg = Svg::new();
    svg.title(12.0, 20.0, title);
    svg.legend(12.0, 42.0, series);
    let points = || panels.iter().flat_map(|panel| panel.series.iter().flatten());
    let mut top = 60.0;
    for three in panels.chunks(3) {
        let mut left = 0.0;
        for panel in three {
            let across = Scale::around(points().map(|point| point.0), left + 56.0, left + PANEL - 8.0);
            let up = Scale::around(points().map(|point| point.1), top + HEIGHT - 34.0, top + 22.0);
            svg.text(left + 56.0, top + 14.0, Anchor::Start, &panel.name);
            for tick in up.ticks() {
                svg.rule((left + 56.0, up.at(tick)), (left + PANEL - 8.0, up.at(tick)), false);
                svg.note(left + 50.0, up.at(tick) + 4.0, Anchor::End, &milliseconds(tick));
            }
            for (size, _) in panel.series.iter().max_by_key(|curve| curve.len()).into_iter().flatten() {
                svg.note(across.at(*size), top + HEIGHT - 18.0, Anchor::Middle, &short(*size));
            }
            for (at, curve) in panel.series.iter().enumerate().rev() {
                let placed: Vec<(f64, f64)> = curve.iter().map(|(size, figure)| (across.at(*size), up.at(*figure))).collect();
                if placed.len() > 1 {
                    svg.curve(at, &placed);
                }
                for ((x, y), (size, figure)) in placed.iter().zip(curve) {
                    svg.mark(at, *x, *y, &format!("{} {axis}: {} ms", short(*size), digits(*figure)));
                }
            }
            left += PANEL;
        }
        top += HEIGHT;
    }
    svg.note(PANEL * 3.0 - 8.0, top, Anchor::End, &format!("median time of a call by the number of {axis}; both axes are logarithmic"));
    svg.finish(PANEL * 3.0, top + 14.0, title, "Each panel is an operation; a straight line of slope one grows like its input.")
}

fn tick_label(tick: f64) -> String {
    format!("{}×", short(tick))
}

/// A round time.
fn milliseconds(tick: f64) -> String {
    if tick >= 1000.0 { format!("{} s", short(tick / 1000.0)) } else { format!("{} ms", short(tick)) }
}

/// A round figure without needless digits: `0.05`, `20`, `100k`.
fn short(figure: f64) -> String {
    if figure >= 1000.0 { format!("{:.0}k", figure / 1000.0) } else { format!("{}", (figure * 1e6).round() / 1e6) }
}
