//! Parsing and formatting of durations.

use std::time::Duration;

/// Parses `30s`, `5m`, `1h` or `2d`; a plain number is seconds.
pub(in crate::cli) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as 30s, 5m, 1h or 2d");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

/// Formats milliseconds in their one or two largest units: `30s`, `5m`, `1h 30m`.
pub(super) fn show(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 if !ms.is_multiple_of(1000) => format!("{ms}ms"),
        0..60 => format!("{seconds}s"),
        60..3_600 => pair(seconds, 60, 'm', 1, 's'),
        3_600..86_400 => pair(seconds, 3_600, 'h', 60, 'm'),
        _ => pair(seconds, 86_400, 'd', 3_600, 'h'),
    }
}

fn pair(seconds: u64, large: u64, name: char, small: u64, unit: char) -> String {
    match seconds % large / small {
        0 => format!("{}{name}", seconds / large),
        rest => format!("{}{name} {rest}{unit}", seconds / large),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::span;

    #[test]
    fn durations_are_parsed() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h", 3_600), ("2d", 172_800), ("45", 45), ("0", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "1w", "-1s", "1.5h", "1h30m", " 1s", "1 s", "18446744073709551615d", "ü", "5ü"] {
            assert_eq!(parse(text), Err(format!("`{text}` is not a duration such as 30s, 5m, 1h or 2d")));
        }
    }

    #[test]
    fn spans_can_be_parsed() {
        for (seconds, text) in [(0, "0s"), (1, "1s"), (90, "90s"), (1_800, "30m"), (7_200, "2h"), (172_800, "2d")] {
            let time = Duration::from_secs(seconds);
            assert_eq!((span(time).as_str(), parse(text)), (text, Ok(time)));
        }
    }

    #[test]
    fn durations_are_shown() {
        for (ms, text) in [
            (0, "0s"),
            (250, "250ms"),
            (1_999, "1s"),
            (30_000, "30s"),
            (90_000, "1m 30s"),
            (300_000, "5m"),
            (3_600_000, "1h"),
            (5_400_000, "1h 30m"),
            (180_000_000, "2d 2h"),
        ] {
            assert_eq!(show(ms), text);
        }
    }
}
