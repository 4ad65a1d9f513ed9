//! Figures to compare: medians over the runs, and ratios, which are taken within each run.

use super::{
    results::{CLI, OPERATIONS, OURS, Run},
    text::Unit,
};

/// The figure of a server in a run.
type Pick = Box<dyn Fn(&Run, &str) -> Option<f64>>;

/// A figure that each server may have.
pub(super) struct Metric {
    pub(super) name: String,
    /// The repository; empty if the figure does not depend on one.
    pub(super) repository: String,
    /// The harness's name of the operation, if the figure is of one.
    pub(super) operation: &'static str,
    pub(super) unit: Unit,
    pick: Pick,
}

impl Metric {
    /// Whether a larger figure is the better one.
    pub(super) fn more_is_better(&self) -> bool {
        matches!(self.unit, Unit::PerSecond | Unit::Coverage)
    }

    /// The name without what is measured of it.
    pub(super) fn question(&self) -> &str {
        OPERATIONS.iter().find(|(operation, _)| *operation == self.operation).map_or(&self.name, |(_, name)| name)
    }

    /// The median over the runs.
    pub(super) fn value(&self, runs: &[Run], server: &str) -> Option<f64> {
        median(runs.iter().filter_map(|run| (self.pick)(run, server)).collect())
    }

    /// The median of the ratios within each run, so that a slow moment of the machine weighs on both sides.
    pub(super) fn ratio(&self, runs: &[Run], server: &str, base: &str) -> Option<f64> {
        let within = |run| Some((self.pick)(run, server)? / (self.pick)(run, base).filter(|base| *base > 0.0)?);
        median(runs.iter().filter_map(within).collect())
    }
}

/// The middle of the figures, or the mean of both middles.
pub(super) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let upper = *figures.get(middle)?;
    Some(if figures.len() % 2 == 1 { upper } else { f64::midpoint(upper, *figures.get(middle.checked_sub(1)?)?) })
}

/// The git command line, this server, then the others by name.
pub(super) fn servers(runs: &[Run]) -> Vec<&str> {
    let mut names: Vec<&str> = runs.iter().flat_map(|run| run.servers.keys().map(String::as_str)).collect();
    names.sort_by_key(|name| (*name != CLI, *name != OURS, *name));
    names.dedup();
    names
}

/// The repositories from small to large, each with the newest run that has it.
pub(super) fn repositories(runs: &[Run]) -> Vec<(&str, &Run)> {
    let mut found: Vec<(&str, &Run)> = Vec::new();
    for run in runs.iter().rev() {
        for name in run.repositories.keys() {
            if !found.iter().any(|(known, _)| known == name) {
                found.push((name, run));
            }
        }
    }
    found.sort_by_key(|(name, run)| run.repositories.get(*name).map(|one| (one.files, one.commits)));
    found
}

/// The operations on a repository: the median latency of each.
pub(super) fn latencies(repository: &str) -> Vec<Metric> {
    of_operations(repository, "", Unit::Milliseconds, |run, repository, server, operation| {
        run.answer(repository, server, operation).map(|answer| answer.p50_ms)
    })
}

/// The latency of the first call of each operation, before anything of its answer is cached.
pub(super) fn first_calls(repository: &str) -> Vec<Metric> {
    of_operations(repository, ", first call", Unit::Milliseconds, |run, repository, server, operation| {
        run.answer(repository, server, operation).map(|answer| answer.first_ms)
    })
}

/// The sizes of the answers.
pub(super) fn sizes(repository: &str) -> Vec<Metric> {
    of_operations(repository, ": tokens of the answer", Unit::Tokens, |run, repository, server, operation| {
        run.answer(repository, server, operation).map(|answer| answer.tokens)
    })
}

/// The shares of git's facts in the answers.
pub(super) fn coverages(repository: &str) -> Vec<Metric> {
    of_operations(repository, ": coverage", Unit::Coverage, |run, repository, server, operation| {
        run.answer(repository, server, operation)?.coverage
    })
}

fn of_operations(repository: &str, suffix: &str, unit: Unit, pick: fn(&Run, &str, &str, &str) -> Option<f64>) -> Vec<Metric> {
    let metric = |(operation, name): (&'static str, &str)| {
        let place = repository.to_owned();
        Metric {
            name: format!("{name}{suffix}"),
            repository: repository.to_owned(),
            operation,
            unit,
            pick: Box::new(move |run, server| pick(run, &place, server, operation)),
        }
    };
    OPERATIONS.map(metric).into()
}

/// Peak memory of the process tree while each read of a repository runs once.
pub(super) fn peak(repository: &str) -> Metric {
    let place = repository.to_owned();
    Metric {
        name: "peak memory".to_owned(),
        repository: repository.to_owned(),
        operation: "",
        unit: Unit::Mebibytes,
        pick: Box::new(move |run, server| run.repositories.get(&place)?.peak_kib.get(server).copied()),
    }
}

/// The figures of a server that do not depend on a repository's size.
pub(super) fn of_servers() -> Vec<Metric> {
    let metric = |name: &str, unit, pick: fn(&Run, &str) -> Option<f64>| Metric {
        name: name.to_owned(),
        repository: String::new(),
        operation: "",
        unit,
        pick: Box::new(pick),
    };
    vec![
        metric("cold start", Unit::Milliseconds, |run, server| run.servers.get(server)?.cold_start_ms),
        metric("ping", Unit::Milliseconds, |run, server| run.servers.get(server)?.ping_ms),
        metric("idle memory", Unit::Mebibytes, |run, server| run.servers.get(server)?.idle_kib),
        metric("ping under load", Unit::PerSecond, |run, server| per_second(run, server, "ping")),
        metric("tools/list under load", Unit::PerSecond, |run, server| per_second(run, server, "tools_list")),
        metric("status under load", Unit::PerSecond, |run, server| per_second(run, server, "status")),
        metric("tool definitions, tokens", Unit::Tokens, |run, server| run.servers.get(server)?.definition_tokens),
    ]
}

fn per_second(run: &Run, server: &str, load: &str) -> Option<f64> {
    run.servers.get(server)?.per_second.get(load).copied()
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_both_middles() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }
}
