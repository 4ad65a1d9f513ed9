//! What the page is made from: the harness's result files, reduced to the published figures, and the growth.

use super::{growth::Growth, text::release};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The schema of the harness's result files.
const HARNESS: &str = "mcp-bench/1";
/// The entry of the git command line, which ratios refer to.
pub(super) const CLI: &str = "cli";
/// The entry of this server.
pub(super) const OURS: &str = "ours";
/// The operations, in the order of the tables.
pub(super) const OPERATIONS: [(&str, &str); 11] = [
    ("status", "status"),
    ("log10", "log, 10 newest"),
    ("log100_path", "log of a path, 100 entries"),
    ("diff_unstaged", "diff of the working tree"),
    ("diff_refs", "diff of two revisions"),
    ("diff_target", "working tree against a revision"),
    ("show", "show of a commit"),
    ("blame", "blame"),
    ("branch_list", "branch list"),
    ("grep", "grep"),
    ("add_commit", "add + commit"),
];

/// The committed results.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Results {
    pub(super) runs: Vec<Run>,
    pub(super) growth: Option<Growth>,
}

/// One interleaved run of the harness.
#[derive(Deserialize, Serialize)]
pub(super) struct Run {
    /// `2026-01-31`
    pub(super) date: String,
    pub(super) git: String,
    pub(super) kernel: String,
    pub(super) cores: u64,
    /// The harness's label: the commit of this server, and remarks on the run.
    pub(super) label: String,
    /// The most calls of an operation, and the seconds after which a server makes no more of them.
    pub(super) calls: u64,
    pub(super) budget: f64,
    pub(super) in_flight: u64,
    pub(super) servers: BTreeMap<String, Server>,
    pub(super) repositories: BTreeMap<String, Repository>,
}

/// The figures of a server that do not depend on a repository's size.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) cold_start_ms: Option<f64>,
    pub(super) ping_ms: Option<f64>,
    pub(super) idle_kib: Option<f64>,
    pub(super) tools: Option<u64>,
    pub(super) definition_tokens: Option<f64>,
    /// Calls per second with `in_flight` requests, by request.
    pub(super) per_second: BTreeMap<String, f64>,
}

/// A repository, and the results on it.
#[derive(Deserialize, Serialize)]
pub(super) struct Repository {
    pub(super) head: String,
    pub(super) commits: u64,
    pub(super) files: u64,
    pub(super) pack_kib: u64,
    /// By server.
    pub(super) peak_kib: BTreeMap<String, f64>,
    /// By server and operation. Absent if the server has no such tool, `None` if the call failed.
    pub(super) results: BTreeMap<String, BTreeMap<String, Option<Answer>>>,
}

/// The calls of one operation.
#[derive(Clone, Copy, Deserialize, Serialize)]
pub(super) struct Answer {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) first_ms: f64,
    pub(super) tokens: f64,
    /// The share of git's facts in the answer. `None` if git has none.
    pub(super) coverage: Option<f64>,
}

impl Run {
    /// Reduces a result file of the harness.
    ///
    /// # Errors
    /// If it is of another schema, or lacks a figure that each run has.
    pub(super) fn of(report: &Value) -> Result<Self> {
        if report["schema"] != HARNESS {
            bail!("the schema is {}, not {HARNESS}", report["schema"]);
        }
        let host = &report["host"];
        let parameters = &report["parameters"];
        Ok(Self {
            date: text(&report["date"], "date")?.chars().take(10).collect(),
            git: text(&host["git"], "host.git")?.trim_start_matches("git version ").to_owned(),
            kernel: release(text(&host["kernel"], "host.kernel")?),
            cores: whole(&host["cores"], "host.cores")?,
            label: report["label"].as_str().unwrap_or_default().to_owned(),
            calls: whole(&parameters["n"], "parameters.n")?,
            budget: number(&parameters["budget"], "parameters.budget")?,
            in_flight: whole(&parameters["inflight"], "parameters.inflight")?,
            servers: entries(&report["servers"], "servers")?.map(|(name, figures)| (name.clone(), Server::of(figures))).collect(),
            repositories: entries(&report["repos"], "repos")?
                .map(|(name, section)| Ok((name.clone(), Repository::of(section).with_context(|| format!("repos.{name}"))?)))
                .collect::<Result<_>>()?,
        })
    }

    /// The answer of a server to an operation; `None` as well if it failed.
    pub(super) fn answer(&self, repository: &str, server: &str, operation: &str) -> Option<&Answer> {
        self.repositories.get(repository)?.results.get(server)?.get(operation)?.as_ref()
    }
}

impl Server {
    fn of(figures: &Value) -> Self {
        let version = figures["serverInfo"]["version"].as_str().or(figures["version"].as_str()).unwrap_or_default();
        let loads = figures["pipeline"].as_object().into_iter().flatten();
        Self {
            version: version.trim_start_matches("git version ").to_owned(),
            cold_start_ms: figures["cold_start_ms"]["p50"].as_f64(),
            ping_ms: figures["ping_ms"]["p50"].as_f64(),
            idle_kib: figures["rss_idle_kib"].as_f64(),
            tools: figures["tools"]["count"].as_u64(),
            definition_tokens: figures["tools"]["tokens"].as_f64(),
            per_second: loads.filter_map(|(load, done)| Some((load.clone(), done["per_second"].as_f64()?))).collect(),
        }
    }
}

impl Repository {
    fn of(section: &Value) -> Result<Self> {
        let mut results = BTreeMap::new();
        for (server, operations) in entries(&section["results"], "results")? {
            let mut answers = BTreeMap::new();
            for (operation, figures) in entries(operations, server)? {
                match figures["status"].as_str() {
                    Some("ok") => {
                        answers.insert(operation.clone(), Some(Answer::of(figures).with_context(|| format!("{server} {operation}"))?))
                    }
                    Some("failed") => answers.insert(operation.clone(), None),
                    _ => None,
                };
            }
            results.insert(server.clone(), answers);
        }
        let memory = section["memory"].as_object().into_iter().flatten();
        Ok(Self {
            head: text(&section["head"], "head")?.chars().take(12).collect(),
            commits: whole(&section["commits"], "commits")?,
            files: whole(&section["files"], "files")?,
            pack_kib: section["pack_kib"].as_u64().unwrap_or_default(),
            peak_kib: memory.filter_map(|(server, figures)| Some((server.clone(), figures["peak_kib"].as_f64()?))).collect(),
            results,
        })
    }
}

impl Answer {
    fn of(figures: &Value) -> Result<Self> {
        let latency = &figures["latency_ms"];
        Ok(Self {
            p50_ms: number(&latency["p50"], "latency_ms.p50")?,
            p99_ms: number(&latency["p99"], "latency_ms.p99")?,
            first_ms: number(&figures["first_ms"], "first_ms")?,
            tokens: number(&figures["tokens"], "tokens")?,
            coverage: figures["coverage"].as_f64(),
        })
    }
}

fn entries<'v>(value: &'v Value, name: &str) -> Result<impl Iterator<Item = (&'v String, &'v Value)> + use<'v>> {
    Ok(value.as_object().with_context(|| format!("no {name}"))?.iter())
}

fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str> {
    value.as_str().with_context(|| format!("no {name}"))
}

fn number(value: &Value, name: &str) -> Result<f64> {
    value.as_f64().with_context(|| format!("no {name}"))
}

fn whole(value: &Value, name: &str) -> Result<u64> {
    value.as_u64().with_context(|| format!("no {name}"))
}
