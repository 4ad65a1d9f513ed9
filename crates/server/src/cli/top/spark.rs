//! Charts of one line.

/// Heights of a bar.
const STEPS: [char; 8] = ['\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}'];

/// The last `room` values as bars, from the lowest or from zero to the highest one. A missing value is a blank.
pub(super) fn chart(values: &[Option<f64>], room: usize, starts_at_zero: bool) -> String {
    let shown = values.get(values.len().saturating_sub(room)..).unwrap_or_default();
    let known = || shown.iter().copied().flatten();
    let lowest = if starts_at_zero { 0.0 } else { known().fold(f64::INFINITY, f64::min) };
    let range = known().fold(f64::NEG_INFINITY, f64::max) - lowest;
    let bar = |value: f64| {
        let is_above = |step: &u32| range > 0.0 && (value - lowest) / range >= f64::from(*step) / 8.0;
        let steps = (1..8).filter(is_above).count();
        STEPS.get(steps).copied().unwrap_or(' ')
    };
    shown.iter().map(|value| value.map_or(' ', bar)).collect()
}

/// Counts as bars; a zero is a dot.
pub(super) fn histogram(counts: &[u64]) -> String {
    let values: Vec<_> = counts.iter().map(|count| Some(number(*count))).collect();
    let bars = chart(&values, values.len(), true);
    bars.chars().zip(counts).map(|(bar, count)| if *count == 0 { '\u{b7}' } else { bar }).collect()
}

/// A count as a number for a chart, where 32 bits are exact enough.
pub(super) fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_for_values() {
        let values = [Some(0.0), Some(50.0), None, Some(100.0)];
        assert_eq!(chart(&values, 10, true), "▁▅ █");
        assert_eq!(chart(&values, 2, true), " █");
        assert_eq!(chart(&[Some(7.0), Some(7.0)], 5, false), "▁▁");
        assert_eq!(chart(&[Some(10.0), Some(20.0)], 5, false), "▁█");
        assert_eq!((chart(&[], 5, true), chart(&[None], 5, false)), (String::new(), " ".to_owned()));
        assert_eq!(histogram(&[0, 1, 8]), "·▂█");
    }
}
