//! How the time of a call grows with the number of files and of commits.

use serde::{Deserialize, Serialize};

/// The schema of a growth file.
pub(super) const SCHEMA: &str = "mcpgit-growth/1";

/// The medians of one campaign.
#[derive(Deserialize, Serialize)]
pub(super) struct Growth {
    pub(super) schema: String,
    /// `2026-01-31`
    pub(super) date: String,
    /// The server's first line of `--version`.
    pub(super) server: String,
    pub(super) git: String,
    pub(super) kernel: String,
    pub(super) cores: usize,
    pub(super) points: Vec<Point>,
}

/// The median of one operation on one repository.
#[derive(Deserialize, Serialize)]
pub(super) struct Point {
    /// `files` or `commits`
    pub(super) axis: String,
    pub(super) size: usize,
    pub(super) operation: String,
    pub(super) ours_ms: f64,
    pub(super) git_ms: f64,
}

impl Growth {
    /// The operations along an axis, in the order of measurement, each with its points from small to large.
    pub(super) fn along(&self, axis: &str) -> Vec<(&str, Vec<&Point>)> {
        let mut found: Vec<(&str, Vec<&Point>)> = Vec::new();
        for point in self.points.iter().filter(|point| point.axis == axis) {
            match found.iter_mut().find(|(name, _)| *name == point.operation) {
                Some((_, points)) => points.push(point),
                None => found.push((&point.operation, vec![point])),
            }
        }
        for (_, points) in &mut found {
            points.sort_by_key(|point| point.size);
        }
        found
    }
}

/// The power of its input that a time grew with between two points: 0 is flat, 1 linear.
pub(super) fn exponent(from: (usize, f64), to: (usize, f64)) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
    let input = to.0 as f64 / from.0 as f64;
    (to.1 / from.1).ln() / input.ln()
}

#[cfg(test)]
mod tests {
    use super::exponent;

    #[test]
    fn linear_growth_has_exponent_one() {
        assert!((exponent((10, 2.0), (1000, 200.0)) - 1.0).abs() < 1e-9);
        assert!(exponent((10, 2.0), (1000, 2.0)).abs() < 1e-9);
        assert!((exponent((10, 1.0), (100, 100.0)) - 2.0).abs() < 1e-9);
    }
}
