//! Flame graphs as self-contained SVG.

use std::{collections::BTreeMap, fmt::Write as _};

/// Width of the image, and height of a row.
const WIDTH: f64 = 1200.0;
const ROW: f64 = 17.0;
/// Narrower frames are omitted.
const NARROWEST: f64 = 0.4;
/// Width of a character.
const CHARACTER: f64 = 6.6;
/// Maximum stack depth drawn.
const MAX_DEPTH: usize = 200;

#[derive(Default)]
struct Frame<'a> {
    count: u64,
    below: BTreeMap<&'a str, Frame<'a>>,
}

/// Draws stacks: the function names of each, outermost first, and its weight in `unit`.
pub(crate) fn draw(title: &str, unit: &'static str, stacks: &[(Vec<String>, u64)]) -> String {
    let mut root = Frame::default();
    for (frames, count) in stacks {
        root.count += count;
        let mut at = &mut root;
        for name in frames.iter().take(MAX_DEPTH) {
            at = at.below.entry(name).or_default();
            at.count += count;
        }
    }
    let mut drawing = Drawing { unit, rows: 0, total: root.count.max(1), body: String::new() };
    drawing.frame("all", &root, 0.0, 0);
    let height = number(drawing.rows + 3) * ROW;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"monospace\" font-size=\"11\">\n<rect \
         width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"4\" y=\"13\">{}: {} {unit}</text>\n{}</svg>\n",
        escaped(title),
        root.count,
        drawing.body
    )
}

struct Drawing {
    unit: &'static str,
    rows: usize,
    total: u64,
    body: String,
}

impl Drawing {
    fn frame(&mut self, name: &str, frame: &Frame<'_>, left: f64, row: usize) {
        let part = ratio(frame.count, self.total);
        let width = part * WIDTH;
        if width < NARROWEST {
            return;
        }
        self.rows = self.rows.max(row);
        let top = (number(row) + 1.2) * ROW;
        // A function has the same colour everywhere.
        let hue = name.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))) % 50;
        let fits = WIDTH.min(width) / CHARACTER - 1.0;
        let shown: String = name.chars().enumerate().take_while(|(at, _)| number(*at) < fits).map(|(_, c)| c).collect();
        let shown = if shown.len() < 3 { String::new() } else { shown };
        let _ = writeln!(
            self.body,
            "<g><title>{} ({} {}, {:.1} %)</title><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" \
             fill=\"hsl({hue},80%,65%)\" stroke=\"#fff\" stroke-width=\"0.5\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            escaped(name),
            frame.count,
            self.unit,
            part * 100.0,
            ROW - 1.0,
            left + 2.0,
            top + 12.0,
            escaped(&shown)
        );
        let mut left = left;
        for (name, below) in &frame.below {
            self.frame(name, below, left, row + 1);
            left += ratio(below.count, self.total) * WIDTH;
        }
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn ratio(part: u64, of: u64) -> f64 {
    f64::from(u32::try_from(part).unwrap_or(u32::MAX)) / f64::from(u32::try_from(of.max(1)).unwrap_or(u32::MAX))
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |text, c| match c {
        '<' => text + "&lt;",
        '>' => text + "&gt;",
        '&' => text + "&amp;",
        '"' => text + "&quot;",
        c if c.is_control() => text + "?",
        c => text + c.encode_utf8(&mut [0; 4]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_width_is_proportional_to_samples() {
        let stack = |names: &[&str], count| (names.iter().map(|name| (*name).to_owned()).collect(), count);
        let drawn =
            draw("a <test>", "samples", &[stack(&["main", "read::<u8>"], 3), stack(&["main", "write"], 1), stack(&["main", "rare"], 0)]);
        assert!(drawn.contains("a &lt;test&gt;: 4 samples") && drawn.contains("read::&lt;u8&gt; (3 samples, 75.0 %)"), "{drawn}");
        assert!(drawn.contains("width=\"900.0\"") && drawn.contains("x=\"900.0\"") && !drawn.contains("rare"), "{drawn}");
    }
}
