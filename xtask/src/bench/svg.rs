//! Plain SVG that reads well on light and on dark pages, and without colours: each series has a shape of its own.

use std::fmt::Write as _;

/// Colours on a light page and on a dark one. The first is grey, for the reference.
const COLOURS: [(&str, &str); 8] = [
    ("#6e7781", "#9198a1"),
    ("#0969da", "#58a6ff"),
    ("#bc4c00", "#f0883e"),
    ("#1a7f37", "#3fb950"),
    ("#8250df", "#bc8cff"),
    ("#bf3989", "#f778ba"),
    ("#1b7c83", "#39c5cf"),
    ("#9a6700", "#d29922"),
];

/// The start, the middle or the end of a text is at its position.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture in the making.
pub(super) struct Svg {
    body: String,
}

impl Svg {
    pub(super) fn new() -> Self {
        Self { body: String::new() }
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        writeln!(self.body, "{element}").ok();
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        self.classed(x, y, anchor, "", text);
    }

    pub(super) fn title(&mut self, x: f64, y: f64, text: &str) {
        self.classed(x, y, Anchor::Start, "title", text);
    }

    /// A less important text.
    pub(super) fn note(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        self.classed(x, y, anchor, "note", text);
    }

    fn classed(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.put(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{class}>{}</text>", escaped(text)));
    }

    /// A line of the grid; a `strong` one marks a value to compare with.
    pub(super) fn rule(&mut self, from: (f64, f64), to: (f64, f64), strong: bool) {
        let class = if strong { "strong" } else { "grid" };
        self.put(format_args!("<path class=\"{class}\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>", from.0, from.1, to.0, to.1));
    }

    /// A line through points.
    pub(super) fn curve(&mut self, series: usize, points: &[(f64, f64)]) {
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        self.put(format_args!("<path class=\"curve l{}\" d=\"M{}\"/>", series % COLOURS.len(), path.join("L")));
    }

    /// A horizontal bar.
    pub(super) fn bar(&mut self, series: usize, x: f64, y: f64, width: f64, height: f64) {
        let class = series % COLOURS.len();
        self.put(format_args!("<rect class=\"s{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>"));
    }

    /// The mark of a series, with a text that browsers show under the pointer.
    pub(super) fn mark(&mut self, series: usize, x: f64, y: f64, text: &str) {
        let class = series % COLOURS.len();
        let shape = match class {
            0 => format!("M{:.1} {:.1}v12", x, y - 6.0),
            1 => format!("M{:.1} {y:.1}a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0z", x - 5.5),
            2 => format!("M{:.1} {:.1}h9v9h-9z", x - 4.5, y - 4.5),
            3 => format!("M{x:.1} {:.1}l5.5 9.5h-11z", y - 5.5),
            4 => format!("M{x:.1} {:.1}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", y - 5.5),
            5 => format!("M{x:.1} {:.1}l5.5 -9.5h-11z", y + 5.5),
            6 => format!("M{:.1} {:.1}l10 10m0 -10l-10 10", x - 5.0, y - 5.0),
            _ => format!("M{x:.1} {:.1}v11m-5.5 -5.5h11", y - 5.5),
        };
        let drawn = if matches!(class, 0 | 6 | 7) { 'l' } else { 's' };
        let title = if text.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(text)) };
        self.put(format_args!("<path class=\"{drawn}{class}\" d=\"{shape}\">{title}</path>"));
    }

    /// The names of the series in one row, and the position after them.
    pub(super) fn legend(&mut self, mut x: f64, y: f64, names: &[&str]) -> f64 {
        for (series, name) in names.iter().enumerate() {
            self.mark(series, x + 6.0, y - 4.0, "");
            self.text(x + 16.0, y, Anchor::Start, name);
            x += 34.0 + 6.6 * width(name);
        }
        x
    }

    /// The complete file.
    pub(super) fn finish(self, width: f64, height: f64, name: &str, description: &str) -> String {
        let style = |dark: bool| -> String {
            let of = |pair: &(&'static str, &'static str)| if dark { pair.1 } else { pair.0 };
            let series = COLOURS.iter().enumerate().map(|(at, pair)| format!(".s{at}{{fill:{0}}}.l{at}{{stroke:{0}}}", of(pair)));
            let (text, note, grid, strong) =
                if dark { ("#e6edf3", "#9198a1", "#30363d", "#6e7681") } else { ("#1f2328", "#59636e", "#d8dee4", "#8c959f") };
            format!("text{{fill:{text}}}.note{{fill:{note}}}.grid{{stroke:{grid}}}.strong{{stroke:{strong}}}{}", series.collect::<String>())
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n<style>\ntext{{font:12px system-ui,-apple-system,\"Segoe UI\",sans-serif}}\
             .title{{font-weight:600;font-size:13px}}.note{{font-size:11px}}path{{stroke-width:2.4;fill:none}}.grid,.strong{{stroke-width:1}}\
             .curve{{stroke-width:1.8;stroke-linejoin:round}}\n{}\n@media (prefers-color-scheme:dark){{{}}}\n</style>\n{}</svg>\n",
            escaped(name),
            escaped(description),
            style(false),
            style(true),
            self.body,
        )
    }
}

/// The characters of a text, as a number.
fn width(text: &str) -> f64 {
    text.chars().map(|_| 1.0).sum()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::{Anchor, Svg};

    #[test]
    fn text_is_escaped() {
        let mut svg = Svg::new();
        svg.text(1.0, 2.0, Anchor::End, "a<b & c>d");
        let file = svg.finish(10.0, 20.0, "<t>", "&");
        assert!(file.contains("<text x=\"1.0\" y=\"2.0\" text-anchor=\"end\">a&lt;b &amp; c&gt;d</text>"), "{file}");
        assert!(file.contains("<title>&lt;t&gt;</title>\n<desc>&amp;</desc>"), "{file}");
    }
}
