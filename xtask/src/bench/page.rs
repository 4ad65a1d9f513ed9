//! BENCHMARKS.md and its plots.

use super::{
    chart::{self, Bars, Curves, Row},
    growth::{Growth, Point, exponent},
    metric::{self, Metric, repositories, servers},
    results::{CLI, OURS, Results, Run},
    text::{Unit, digits, figure, grouped, table, times},
};
use anyhow::{Context, Result};
use std::fmt::Write as _;

/// The folder of the plots, by path from the root.
pub(super) const PLOTS: &str = "docs/bench";
/// A ratio that differs by less is shown as 1.00.
const EQUAL: f64 = 0.005;
/// Exponents up to here count as growing like the input: medians of short calls scatter.
const LINEAR: f64 = 1.1;

/// The page, then its plots: paths from the root, and contents.
pub(super) fn files(results: &Results) -> Result<Vec<(String, String)>> {
    let runs = &results.runs;
    let newest = runs.last().context("no run")?;
    let mut plots = Vec::new();
    let mut text = introduction(newest);
    text.push_str(&behind(runs));
    for (name, run) in repositories(runs) {
        text.push_str(&repository(name, run, runs, &mut plots));
    }
    text.push_str(&whole_servers(runs, &mut plots));
    if let Some(growth) = &results.growth {
        text.push_str(&growing(growth, &mut plots));
    }
    text.push_str(&method(runs, results.growth.as_ref()));
    plots.insert(0, ("BENCHMARKS.md".to_owned(), text));
    Ok(plots)
}

fn introduction(run: &Run) -> String {
    format!(
        "# Benchmarks\n\nThis page is generated: `cargo xtask bench --publish` writes it from `docs/bench/results.json`, and a test compares \
         both. `{OURS}` is\nthis server, `{CLI}` is the git command line with one process a call, the others are Git MCP servers. In a run the \
         servers\nanswer in turn, so that a slow moment of the machine falls on all of them. A ratio is taken within a run, against `{CLI}`:\nbelow 1 is \
         faster. Only ratios carry over to other machines; the times are medians on {} cores.\n\n",
        run.cores
    )
}

/// Every line in which another one is ahead.
fn behind(runs: &[Run]) -> String {
    let mut text = "## Where others are ahead\n\n".to_owned();
    let (mut lines, mut lost) = (0, Vec::new());
    let mut larger = Vec::new();
    for (name, _) in repositories(runs) {
        let timed = metric::latencies(name).into_iter().chain(metric::first_calls(name)).chain([metric::peak(name)]);
        for metric in timed {
            lines += usize::from(servers(runs).iter().any(|server| metric.value(runs, server).is_some()));
            lost.extend(ahead(&metric, runs));
        }
        for metric in metric::sizes(name).into_iter().chain(metric::coverages(name)) {
            larger.extend(ahead(&metric, runs));
        }
    }
    for metric in metric::of_servers() {
        lines += usize::from(metric.value(runs, OURS).is_some());
        lost.extend(ahead(&metric, runs));
    }
    let head = ["Line", "Repository", "Ours", "Ahead, and by which factor"].map(str::to_owned);
    if lost.is_empty() {
        writeln!(text, "`{OURS}` is ahead in all {lines} lines of time, memory and throughput.").ok();
    } else {
        writeln!(
            text,
            "Of {lines} lines of time, memory and throughput, another one is ahead in {}:\n\n{}",
            lost.len(),
            table(&head, &lost)
        )
        .ok();
    }
    if !larger.is_empty() {
        writeln!(text, "Answers of others that are smaller or hold more of git's facts:\n\n{}", table(&head, &larger)).ok();
    }
    text
}

/// A row if another server is ahead in a line, or answers where this one fails.
fn ahead(metric: &Metric, runs: &[Run]) -> Option<Vec<String>> {
    let ours = metric.value(runs, OURS);
    let mut found = Vec::new();
    for server in servers(runs).into_iter().filter(|server| *server != OURS) {
        let Some(value) = metric.value(runs, server) else { continue };
        let factor = match metric.ratio(runs, OURS, server) {
            Some(ratio) if metric.more_is_better() => 1.0 / ratio,
            Some(ratio) => ratio,
            None if ours.is_none() && !metric.operation.is_empty() => f64::INFINITY,
            None => continue,
        };
        if factor > 1.0 + EQUAL {
            let by = if factor.is_finite() { format!(" ({})", times(factor)) } else { String::new() };
            found.push(format!("{server} {}{by}{}", figure(value, metric.unit), incomplete(metric, runs, server)));
        }
    }
    let own = ours.map_or_else(|| "no answer".to_owned(), |value| figure(value, metric.unit));
    (!found.is_empty()).then(|| vec![metric.name.clone(), metric.repository.clone(), own, found.join(", ")])
}

/// A remark on an answer that lacks facts: it was less work.
fn incomplete(metric: &Metric, runs: &[Run], server: &str) -> String {
    let share = coverage(runs, &metric.repository, server, metric.operation).unwrap_or(1.0);
    if share < 1.0 && !metric.more_is_better() { format!(" with {:.0} % of the facts", share * 100.0) } else { String::new() }
}

fn coverage(runs: &[Run], repository: &str, server: &str, operation: &str) -> Option<f64> {
    metric::coverages(repository).iter().find(|metric| metric.operation == operation)?.value(runs, server)
}

fn repository(name: &str, run: &Run, runs: &[Run], plots: &mut Vec<(String, String)>) -> String {
    let Some(about) = run.repositories.get(name) else { return String::new() };
    let all = servers(runs);
    let known = |metrics: Vec<Metric>| -> Vec<Metric> {
        metrics.into_iter().filter(|metric| all.iter().any(|server| metric.value(runs, server).is_some())).collect()
    };
    let latencies = known(metric::latencies(name));
    let rows: Vec<Row> = latencies
        .iter()
        .map(|metric| Row { name: metric.name.clone(), ratios: all.iter().map(|server| metric.ratio(runs, server, CLI)).collect() })
        .collect();
    let plot = format!("{PLOTS}/{name}.svg");
    let (files, commits) = (grouped_count(about.files), grouped_count(about.commits));
    plots.push((plot.clone(), chart::dots(&format!("Operations on {name}: {files} files, {commits} commits"), CLI, &all, &rows)));
    format!(
        "## {name}: {files} files, {commits} commits\n\n![Times of the operations on {name}, relative to {CLI}]({plot})\n\nRatio to `{CLI}`, and \
         median; the fastest is bold, and – is a tool that the server lacks.\n\n{}\nThe first call of each operation, once in a run: caches are \
         cold, but for those of the file system.\n\n{}\nTokens of an answer (four bytes each), and the share of git's facts in it (commit ids, \
         paths, changed lines).\n\n{}\n",
        cells(&all, &latencies, |metric, server| time_cell(metric, runs, server, &all)),
        cells(&all, &known(metric::first_calls(name)), |metric, server| time_cell(metric, runs, server, &all)),
        cells(&all, &known(metric::sizes(name)), |metric, server| answer_cell(metric, runs, server)),
    )
}

/// A table with a row for each metric and a column for each server.
fn cells(servers: &[&str], metrics: &[Metric], cell: impl Fn(&Metric, &str) -> String) -> String {
    let head: Vec<String> = [String::new()].into_iter().chain(servers.iter().map(|server| (*server).to_owned())).collect();
    let row =
        |metric: &Metric| [metric.question().to_owned()].into_iter().chain(servers.iter().map(|server| cell(metric, server))).collect();
    table(&head, &metrics.iter().map(row).collect::<Vec<Vec<String>>>())
}

fn time_cell(metric: &Metric, runs: &[Run], server: &str, all: &[&str]) -> String {
    let Some(value) = metric.value(runs, server) else { return absent(metric, runs, server) };
    let shown = figure(value, metric.unit);
    let cell = metric.ratio(runs, server, CLI).map_or_else(|| shown.clone(), |ratio| format!("{} · {shown}", times(ratio)));
    let best = all.iter().filter_map(|server| metric.value(runs, server)).fold(f64::INFINITY, f64::min);
    if value <= best { format!("**{cell}**") } else { cell }
}

fn answer_cell(metric: &Metric, runs: &[Run], server: &str) -> String {
    let Some(size) = metric.value(runs, server) else { return absent(metric, runs, server) };
    let share = coverage(runs, &metric.repository, server, metric.operation);
    share.map_or_else(|| grouped(size), |share| format!("{} · {share:.2}", grouped(size)))
}

/// The cell of an operation without figures: it failed, or the server has no such tool.
fn absent(metric: &Metric, runs: &[Run], server: &str) -> String {
    let failed = |run: &Run| Some(run.repositories.get(&metric.repository)?.results.get(server)?.get(metric.operation)?.is_none());
    if runs.iter().any(|run| failed(run) == Some(true)) { "failed".to_owned() } else { "–".to_owned() }
}

fn whole_servers(runs: &[Run], plots: &mut Vec<(String, String)>) -> String {
    let all = servers(runs);
    let mut metrics = metric::of_servers();
    metrics.extend(repositories(runs).into_iter().map(|(name, _)| metric::peak(name)));
    let (mut rows, mut panels) = (Vec::new(), Vec::new());
    for metric in metrics {
        let values: Vec<Option<f64>> = all.iter().map(|server| metric.value(runs, server)).collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        let name = if metric.repository.is_empty() { metric.name.clone() } else { format!("{}, {}", metric.name, metric.repository) };
        let labelled: Vec<Option<(f64, String)>> =
            values.iter().map(|value| value.map(|value| (value, figure(value, metric.unit)))).collect();
        let cells = labelled.iter().map(|value| value.as_ref().map_or_else(|| "–".to_owned(), |(_, label)| label.clone()));
        rows.push([name.clone()].into_iter().chain(cells).collect());
        panels.push(Bars { name, values: labelled });
    }
    let plot = format!("{PLOTS}/servers.svg");
    plots.push((plot.clone(), chart::bars("Start, memory, throughput and tool definitions", &all, &panels)));
    let head: Vec<String> = [String::new()].into_iter().chain(all.iter().map(|server| (*server).to_owned())).collect();
    let in_flight = runs.last().map_or(0, |run| run.in_flight);
    format!(
        "## Start, memory and throughput\n\n![Start, memory and throughput of the servers]({plot})\n\nCold start is from the start of the \
         process to its answer to `initialize`; for `{CLI}` it is `git --version`. Memory is that of the\nwhole process tree, its peak while each \
         read of a repository runs once. Calls under load are per second with {in_flight} requests\nin flight, status on the smallest repository.\n\n{}\n",
        table(&head, &rows)
    )
}

fn growing(growth: &Growth, plots: &mut Vec<(String, String)>) -> String {
    let mut text = format!(
        "## Growth\n\nMedians on repositories of growing size: {}, beside one git process a call. An exponent is the power of the input that\nthe time \
         grows with between two sizes: 0 is flat, 1 is linear.\n\n",
        growth.server
    );
    let mut steep = Vec::new();
    for axis in ["files", "commits"] {
        let operations = growth.along(axis);
        if operations.is_empty() {
            continue;
        }
        let curve = |points: &[&Point], of: fn(&Point) -> f64| points.iter().map(|point| (size(point), of(point))).collect();
        let panel = |(name, points): &(&str, Vec<&Point>)| Curves {
            name: (*name).to_owned(),
            series: vec![curve(points, |point| point.git_ms), curve(points, |point| point.ours_ms)],
        };
        let plot = format!("{PLOTS}/growth-{axis}.svg");
        let panels: Vec<Curves> = operations.iter().map(panel).collect();
        plots.push((plot.clone(), chart::curves(&format!("Growth with the number of {axis}"), axis, &[CLI, OURS], &panels)));
        writeln!(text, "![Growth with the number of {axis}]({plot})\n\n{}", growth_table(axis, &operations, &mut steep)).ok();
    }
    if steep.is_empty() {
        text.push_str("Nothing grows faster than its input.\n\n");
    } else {
        writeln!(text, "Faster than its input grows: {}.\n", steep.join("; ")).ok();
    }
    text
}

/// The times of each operation, and the exponents; those above linear go to `steep`.
fn growth_table(axis: &str, operations: &[(&str, Vec<&Point>)], steep: &mut Vec<String>) -> String {
    let mut sizes: Vec<usize> = operations.iter().flat_map(|(_, points)| points.iter().map(|point| point.size)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut head = vec![axis.to_owned()];
    head.extend(sizes.iter().map(|size| thousands(*size)));
    head.extend(sizes.windows(2).map(|pair| pair.iter().map(|size| thousands(*size)).collect::<Vec<_>>().join(" → ")));
    let mut rows = Vec::new();
    for (name, points) in operations {
        for (server, of) in [(OURS, (|point: &Point| point.ours_ms) as fn(&Point) -> f64), (CLI, |point: &Point| point.git_ms)] {
            let mut row = vec![format!("{name}, {server}")];
            row.extend(points.iter().map(|point| format!("{} ms", digits(of(point)))));
            for pair in points.windows(2) {
                let [from, to] = pair else { continue };
                let power = exponent((from.size, of(from)), (to.size, of(to)));
                row.push(format!("{power:.2}"));
                if server == OURS && power > LINEAR {
                    let (from, to) = (thousands(from.size), thousands(to.size));
                    steep.push(format!("{name} from {from} to {to} {axis}, with exponent {power:.2}"));
                }
            }
            rows.push(row);
        }
    }
    table(&head, &rows)
}

fn thousands(size: usize) -> String {
    if size.is_multiple_of(1000) { format!("{}k", size / 1000) } else { size.to_string() }
}

#[expect(clippy::cast_precision_loss, reason = "sizes are small")]
fn size(point: &Point) -> f64 {
    point.size as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn grouped_count(count: u64) -> String {
    grouped(count as f64)
}

fn method(runs: &[Run], growth: Option<&Growth>) -> String {
    let mut text = "## Method\n\n".to_owned();
    for run in runs {
        let label = if run.label.is_empty() { String::new() } else { format!(" {}.", run.label.trim_end_matches('.')) };
        writeln!(
            text,
            "- Run of {}: {} cores, Linux {}, git {}; up to {} calls an operation and server after one that does not count, fewer after {} s.{label}",
            run.date, run.cores, run.kernel, run.git, run.calls, run.budget
        )
        .ok();
    }
    if let Some(growth) = growth {
        writeln!(text, "- Growth of {}: {} cores, Linux {}, git {}.", growth.date, growth.cores, growth.kernel, growth.git).ok();
    }
    let versions = servers(runs).into_iter().map(|name| {
        let of = runs.iter().rev().find_map(|run| run.servers.get(name));
        let version = of.map(|server| server.version.clone()).filter(|version| !version.is_empty()).unwrap_or_else(|| "–".to_owned());
        vec![name.to_owned(), version, of.and_then(|server| server.tools).map_or_else(|| "–".to_owned(), |tools| tools.to_string())]
    });
    writeln!(text, "\n{}", table(&["Server", "Version", "Tools"].map(str::to_owned), &versions.collect::<Vec<_>>())).ok();
    let about = repositories(runs).into_iter().filter_map(|(name, run)| {
        let one = run.repositories.get(name)?;
        Some(vec![
            name.to_owned(),
            format!("`{}`", one.head),
            grouped_count(one.commits),
            grouped_count(one.files),
            figure_kib(one.pack_kib),
        ])
    });
    let head = ["Repository", "HEAD", "Commits", "Files", "Packed"].map(str::to_owned);
    writeln!(text, "{}", table(&head, &about.collect::<Vec<_>>())).ok();
    text.push_str(
        "Several runs are combined by their medians. A first call is one sample of a run: without several runs it scatters. Latency is from\n\
         before a request is written to the last byte of its answer. Coverage judges completeness, not speed: of the show of a merge it is\n\
         0.00 where a server, like `git show`, prints no first-parent diff. This server's answers are unbounded here, as those of the others\n\
         are; by default they have at most 8,000 tokens.\n\n\
         ## How to repeat\n\n```sh\n\
         \"$MCP_BENCH\" run --label \"$(target/release/mcp-server-git --version | head -n 1)\" --out run.json   # the harness; MCP_SERVER_GIT names the program\n\
         cargo xtask bench --growth target/release/mcp-server-git growth.json          # makes its repositories under target/bench\n\
         cargo xtask bench --publish run.json growth.json                              # several runs can be named\n```\n",
    );
    text
}

#[expect(clippy::cast_precision_loss, reason = "sizes are small")]
fn figure_kib(kib: u64) -> String {
    figure(kib as f64, Unit::Mebibytes)
}
