//! `profile`: CPU and heap profiles of a running server, and CPU profiles of one operation.

mod heap;

use super::{
    CANNOT_RUN, FOUND,
    admin::{Client, Failure, Question, Reach, failed},
    cannot_run, progress, say,
};
use crate::{
    admin::{
        answers::profiles::{CpuProfile, Files, Function},
        requests,
    },
    app::App,
    caller::Caller,
    config::Config,
    output,
    pipeline::{Call, Origin},
    telemetry::profile::{OperationTimer, Profile, profile_operation},
    tool::{Effect, Entry},
};
use clap::{Subcommand, ValueEnum};
use git::Direction;
use serde_json::{Map, Value, json};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Maximum size of a repository to copy, in bytes.
const MAX_COPY: u64 = 4 << 30;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Profiles the CPU of a running server; writes `cpu_profile.svg`, a flame graph, and `cpu_profile.pb.gz` for pprof.
    Cpu {
        /// How long.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
        /// Output directory.
        #[arg(long, value_name = "DIRECTORY", default_value = ".")]
        out: PathBuf,
        #[command(flatten)]
        reach: Reach,
    },
    /// Takes a snapshot of a running server's heap, and shows which code holds it; writes `heap_profile.svg` and `heap_profile.pb.gz`.
    /// Only allocations made while tracking are included: since `--track on`, or else for `--seconds` from now.
    Heap {
        /// Compares two snapshots, by number or label, and writes `heap_diff_profile.svg` and `.pb.gz`.
        #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["track", "label", "list"])]
        diff: Option<Vec<String>>,
        /// Starts or stops allocation tracking, with a snapshot.
        #[arg(long, value_name = "STATE", conflicts_with = "list")]
        track: Option<Switch>,
        /// The name of the snapshot.
        #[arg(long, conflicts_with = "list")]
        label: Option<String>,
        /// Lists the snapshots.
        #[arg(long)]
        list: bool,
        /// Tracking time, unless tracking is on already.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
        /// Output directory.
        #[arg(long, value_name = "DIRECTORY", default_value = ".")]
        out: PathBuf,
        #[command(flatten)]
        reach: Reach,
    },
    /// Runs one tool repeatedly in this process, and shows its latency and CPU profile. Tools that change a repository
    /// run in a copy of it.
    Op {
        /// The tool, for example `git_status`.
        tool: String,
        /// Its arguments as a JSON object.
        #[arg(default_value = "{}")]
        arguments: String,
        /// The repository; by default the current one.
        #[arg(long, value_name = "PATH")]
        repo: Option<PathBuf>,
        /// Run count.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        runs: u32,
        /// A file with the arguments of each run, one JSON object per line.
        #[arg(long, value_name = "FILE")]
        input: Option<PathBuf>,
        /// Output directory.
        #[arg(long, value_name = "DIRECTORY", default_value = ".")]
        out: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// Whether it profiles a running server, not an operation in this process.
    pub(super) fn reaches_a_server(&self) -> bool {
        !matches!(self, Self::Op { .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

pub(super) fn run(command: &Command, config: Config) -> ExitCode {
    match command {
        Command::Heap { diff, track, label, list, seconds, out, reach } => {
            let heap =
                heap::Heap { diff: diff.as_deref(), track: track.map(|track| track == Switch::On), label: label.as_ref(), list: *list };
            match heap.run(*seconds, out, reach, &config) {
                Ok(()) => ExitCode::SUCCESS,
                Err(why) => failed(reach, &why),
            }
        }
        Command::Cpu { seconds, out, reach } => match cpu(*seconds, out, reach, &config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => failed(reach, &why),
        },
        Command::Op { tool, arguments, repo, runs, input, out, json } => {
            let wanted = Wanted { tool, arguments, repo: repo.as_deref(), runs: *runs, input: input.as_deref(), out, json: *json };
            match operation(&wanted, config) {
                Ok(code) => code,
                Err(why) if *json => {
                    say(&format!("{:#}", json!({"error": {"code": "failed", "message": output::message(&why)}})));
                    ExitCode::from(CANNOT_RUN)
                }
                Err(why) => cannot_run(&why),
            }
        }
    }
}

fn cpu(seconds: u64, out: &Path, reach: &Reach, config: &Config) -> Result<(), Failure> {
    let question = Question::post("/profile/cpu", &requests::Profile { seconds }).taking("sampling", Duration::from_secs(seconds));
    let client = Client::find(reach, config)?;
    let answer = client.ask(&question)?;
    let profile: CpuProfile = client.read(&question, &answer)?;
    let files = write_files(out, "cpu", &profile.files)?;
    if reach.json {
        say_json(answer, &files);
        return Ok(());
    }
    say(&format!("Samples: {} in {seconds} s, 99 per second and busy thread", profile.samples));
    top_lines(profile.samples, profile.top.iter().map(|Function { function, samples }| (function.as_str(), *samples)));
    for file in files {
        say(&format!("Written: {file}"));
    }
    Ok(())
}

/// Writes the files of an answer.
fn write_files(folder: &Path, name: &str, files: &Files) -> Result<Vec<String>, Failure> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let pprof = STANDARD.decode(&files.pprof).map_err(io::Error::other)?;
    Ok(write(folder, name, &files.svg, &pprof)?)
}

/// Prints an answer with its files replaced by their names.
fn say_json(mut answer: Value, files: &[String]) {
    if let Some(fields) = answer.as_object_mut() {
        fields.retain(|name, _| name != "svg" && name != "pprof");
        fields.insert("files".to_owned(), json!(files));
    }
    say(&format!("{answer:#}"));
}

struct Wanted<'a> {
    tool: &'a str,
    arguments: &'a str,
    repo: Option<&'a Path>,
    runs: u32,
    input: Option<&'a Path>,
    out: &'a Path,
    json: bool,
}

fn operation(wanted: &Wanted<'_>, mut config: Config) -> Result<ExitCode, String> {
    let inputs = inputs(wanted)?;
    let here = std::env::current_dir().map_err(|err| err.to_string())?;
    let repo = wanted.repo.map_or(here, Path::to_owned);
    config.repositories = vec![repo.clone()];
    let mut app = App::new(&config).map_err(|err| err.to_string())?;
    let entry = app.services.find(wanted.tool).ok_or_else(|| format!("unknown tool `{}`", wanted.tool))?;
    let mut scratch: Option<TempDir> = None;
    if entry.direction == Direction::Push {
        return Err(format!("`{}` changes a remote, and a copy has the same remotes: it cannot be profiled", wanted.tool));
    }
    if entry.effect != Effect::Read {
        let copy = copied(&app, &repo)?;
        config.repositories = vec![copy.path().join("repository")];
        config.state_dir = copy.path().join("state");
        app = App::new(&config).map_err(|err| err.to_string())?;
        scratch = Some(copy);
    }
    let title = format!("{}, {}", wanted.tool, output::counted(wanted.runs, "run"));
    let (measured, profile) = profile_operation(&title, || measure(&app, entry, &inputs, wanted.runs)).map_err(|err| err.to_string())?;
    let (times, failures, first) = measured?;
    drop(scratch);
    let files =
        write(wanted.out, wanted.tool, &profile.svg, &profile.pprof).map_err(|err| format!("the profile cannot be written: {err}"))?;
    report(wanted, &times, failures, first.as_deref(), &profile, &files);
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn inputs(wanted: &Wanted<'_>) -> Result<Vec<Map<String, Value>>, String> {
    let parse = |text: &str| serde_json::from_str::<Map<String, Value>>(text).map_err(|err| format!("not a JSON object: {err}: {text}"));
    let Some(file) = wanted.input else { return Ok(vec![parse(wanted.arguments)?]) };
    let text = fs::read_to_string(file).map_err(|err| format!("{}: {err}", file.display()))?;
    let lines: Result<Vec<_>, _> = text.lines().filter(|line| !line.trim().is_empty()).map(parse).collect();
    lines.and_then(|lines| if lines.is_empty() { Err(format!("{}: empty file", file.display())) } else { Ok(lines) })
}

type Measured = (Vec<Duration>, u32, Option<String>);

/// The sorted run times, the number of failures, and the first error.
fn measure(app: &App, entry: &'static Entry, inputs: &[Map<String, Value>], runs: u32) -> Result<Measured, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|err| err.to_string())?;
    let (mut times, mut failures, mut first) = (Vec::new(), 0, None);
    let shown = progress::counting("runs", u64::from(runs));
    runtime.block_on(async {
        for args in inputs.iter().cycle().take(runs as usize) {
            let clock = OperationTimer::start();
            let call = Call {
                tool: entry,
                args: args.clone(),
                caller: Caller::local(),
                cancelled: app.stop.clone(),
                received: Instant::now(),
                client_roots: None,
                on_progress: None,
                origin: Origin::default(),
            };
            if let Err(error) = app.pipeline.call(call).await {
                failures += 1;
                first.get_or_insert_with(|| error.to_string());
            }
            times.push(clock.elapsed());
            shown.inc(1);
        }
        app.server.persistence.close().await;
    });
    times.sort();
    Ok((times, failures, first))
}

fn report(wanted: &Wanted<'_>, times: &[Duration], failures: u32, first: Option<&str>, profile: &Profile, files: &[String]) {
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default();
    let figures = [("p50", at(50)), ("p90", at(90)), ("p99", at(99)), ("max", times.last().copied().unwrap_or_default())];
    if wanted.json {
        let times: Map<String, Value> =
            figures.iter().map(|(name, time)| ((*name).to_owned(), json!(time.as_secs_f64() * 1000.0))).collect();
        let top: Vec<Value> = profile.top.iter().map(|(name, samples)| json!({"function": name, "samples": samples})).collect();
        say(&format!(
            "{:#}",
            json!({
                "tool": wanted.tool, "runs": wanted.runs, "failures": failures, "error": first, "ms": times,
                "samples": profile.samples, "top": top, "files": files,
            })
        ));
        return;
    }
    say(&format!("Runs: {}, {failures} failed", wanted.runs));
    if let Some(why) = first {
        say(&format!("The first failure: {}", output::message(why)));
    }
    for (name, time) in figures {
        say(&format!("{name}: {:.2} ms", time.as_secs_f64() * 1000.0));
    }
    say(&format!("Samples: {}, 99 per second and busy thread; git processes are not included", profile.samples));
    top_lines(profile.samples, profile.top.iter().map(|(name, samples)| (name.as_str(), *samples)));
    for file in files {
        say(&format!("Written: {file}"));
    }
}

fn top_lines<'a>(all: u64, top: impl Iterator<Item = (&'a str, u64)>) {
    for (name, samples) in top {
        let percent = samples * 1000 / all.max(1);
        say(&format!("{:>4}.{} %  {name}", percent / 10, percent % 10));
    }
}

/// Writes the two files and returns their paths.
fn write(folder: &Path, name: &str, svg: &str, pprof: &[u8]) -> io::Result<Vec<String>> {
    fs::create_dir_all(folder)?;
    let files = [(folder.join(format!("{name}_profile.svg")), svg.as_bytes()), (folder.join(format!("{name}_profile.pb.gz")), pprof)];
    let written = files.iter().map(|(path, bytes)| fs::write(path, bytes).map(|()| path.display().to_string()));
    written.collect()
}

/// A copy of the repository in a temporary folder, removed on drop.
fn copied(app: &App, repo: &Path) -> Result<TempDir, String> {
    let opened = app.services.repositories.open(repo).map_err(|err| err.to_string())?;
    let location = opened.location();
    if !location.git_dir.starts_with(opened.top()) || location.git_dir != location.common_dir {
        return Err(format!("{} is a linked worktree or a submodule, which cannot be copied alone", opened.top().display()));
    }
    let scratch = tempfile::tempdir().map_err(|err| err.to_string())?;
    let mut left = MAX_COPY;
    copy(opened.top(), &scratch.path().join("repository"), &mut left).map_err(|err| format!("the repository cannot be copied: {err}"))?;
    Ok(scratch)
}

fn copy(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target, left)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else if kind.is_file() {
            let size = entry.metadata()?.len();
            *left = left.checked_sub(size).ok_or_else(|| io::Error::other(format!("it is larger than {} GiB", MAX_COPY >> 30)))?;
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
