//! A logarithmic axis.

/// Maps figures to positions.
pub(super) struct Scale {
    least: f64,
    most: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// An axis from position `start` to `end` that shows all `figures`, which are larger than zero, and some space.
    pub(super) fn around(figures: impl Iterator<Item = f64> + Clone, start: f64, end: f64) -> Self {
        let least = figures.clone().fold(f64::INFINITY, f64::min);
        let most = figures.fold(0.0, f64::max);
        let (least, most) = if least.is_finite() && most > 0.0 { (least, most) } else { (1.0, 1.0) };
        Self { least: least / 1.3, most: most * 1.3, start, end }
    }

    /// The position of a figure.
    pub(super) fn at(&self, figure: f64) -> f64 {
        self.start + (figure / self.least).ln() / (self.most / self.least).ln() * (self.end - self.start)
    }

    /// Round figures on the axis: powers of ten, with their doubles and halves if only few would remain.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let decades: Vec<f64> = (-6..9).map(|power| 10_f64.powi(power)).collect();
        let within = |ticks: Vec<f64>| -> Vec<f64> { ticks.into_iter().filter(|tick| (self.least..=self.most).contains(tick)).collect() };
        let all = within(decades.iter().flat_map(|decade| [*decade, decade * 2.0, decade * 5.0]).collect());
        if all.len() <= 7 { all } else { within(decades) }
    }
}

#[cfg(test)]
mod tests {
    use super::Scale;

    #[test]
    fn equal_factors_are_equally_far_apart() {
        let scale = Scale::around([1.3, 100.0 / 1.3].into_iter(), 0.0, 200.0);
        for (figure, position) in [(1.0, 0.0), (10.0, 100.0), (100.0, 200.0)] {
            assert!((scale.at(figure) - position).abs() < 1e-6, "{figure}: {}", scale.at(figure));
        }
        let close = |found: Vec<f64>, expect: &[f64]| {
            assert!(found.len() == expect.len() && found.iter().zip(expect).all(|(a, b)| (a / b - 1.0).abs() < 1e-9), "{found:?}");
        };
        close(scale.ticks(), &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        close(Scale::around([0.01, 100.0].into_iter(), 0.0, 1.0).ticks(), &[0.01, 0.1, 1.0, 10.0, 100.0]);
    }

    #[test]
    fn an_axis_without_figures_is_finite() {
        assert!(Scale::around(std::iter::empty(), 0.0, 10.0).at(1.0).is_finite());
    }
}
