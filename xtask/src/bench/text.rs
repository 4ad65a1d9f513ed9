//! Figures and tables as text.

use std::fmt::Write as _;

/// How a figure is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Mebibytes,
    PerSecond,
    Tokens,
    Coverage,
}

/// A figure with its unit: `1.23 ms`, `12.4 MB`, `1,234/s`.
pub(super) fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Milliseconds => format!("{} ms", digits(value)),
        // The harness measures KiB.
        Unit::Mebibytes => format!("{} MB", digits(value / 1024.0)),
        Unit::PerSecond => format!("{}/s", digits(value)),
        Unit::Tokens => grouped(value),
        Unit::Coverage => format!("{value:.2}"),
    }
}

/// Three digits, or all digits before the point.
pub(super) fn digits(value: f64) -> String {
    match value {
        _ if value >= 100.0 => grouped(value),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ if value >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A ratio: `0.53×`, `131×`.
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        _ if ratio >= 100.0 => format!("{}×", grouped(ratio)),
        _ if ratio >= 10.0 => format!("{ratio:.1}×"),
        _ if ratio >= 0.1 => format!("{ratio:.2}×"),
        _ => format!("{ratio:.3}×"),
    }
}

/// A whole number in groups of three digits.
pub(super) fn grouped(value: f64) -> String {
    let plain = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `6.18` of `6.18.44-cloud`: what follows names a distribution or a host.
pub(super) fn release(kernel: &str) -> String {
    kernel.split(['.', '-']).take(2).collect::<Vec<_>>().join(".")
}

/// A Markdown table; cells after the first are aligned to the right.
pub(super) fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let mut out = format!("| {} |\n|---|", head.join(" | "));
    out.push_str(&"--:|".repeat(head.len().saturating_sub(1)));
    out.push('\n');
    for row in rows {
        // Writing to a String does not fail.
        writeln!(out, "| {} |", row.join(" | ")).ok();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{digits, grouped, release, times};

    #[test]
    fn figures_have_three_digits() {
        assert_eq!([0.0123, 0.123, 1.234, 12.34, 123.4, 1_234_567.0].map(digits), ["0.012", "0.12", "1.23", "12.3", "123", "1,234,567"]);
        assert_eq!([0.012, 0.5, 1.0, 12.0, 1234.0].map(times), ["0.012×", "0.50×", "1.00×", "12.0×", "1,234×"]);
        assert_eq!(["6.18.44-cloud", "6.18", "6"].map(release), ["6.18", "6.18", "6"]);
        assert_eq!([0.0, 12.0, 999.0, 1000.0].map(grouped), ["0", "12", "999", "1,000"]);
    }
}
