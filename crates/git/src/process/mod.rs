//! The only module that starts git processes.
//!
//! Every process has its own group, a cleaned environment, only the standard input passed to it, and capped, streamed
//! output. On cancel and at the deadline the group receives SIGTERM (git then removes its lock files) and three seconds
//! later SIGKILL.

pub(crate) mod environment;
pub mod holders;
pub(crate) mod os;
pub(crate) mod outcome;
pub(crate) mod program;
pub(crate) mod progress;
pub(crate) mod sandbox;
pub(crate) mod stderr;
pub(crate) mod trace;

pub(crate) use crate::process::stderr::Ended;
use crate::{
    cancel::Cancel,
    error::{Error, LockFile, Result},
    process::{
        environment::{clean, configure, settings},
        os::{Group, Wake},
        program::{Git, Ledger, STEPS},
        sandbox::Domain,
        stderr::{Errors, lock_in_the_way, reason},
        trace::Trace,
    },
};
use rustix::process::Signal;
use std::{
    ffi::{OsStr, OsString},
    io,
    ops::ControlFlow,
    os::{fd::AsFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// Time to clean up between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_secs(3);
/// Timeout of a probe such as `git version`.
const PROBE: Duration = Duration::from_secs(5);
const CHUNK: usize = 64 << 10;
/// Capacity of a pipe: the most read after the process has exited.
const PIPE: usize = 1 << 20;

/// The exit codes of git's `die` and `usage`.
const DIED: i32 = 128;
const USAGE: i32 = 129;
/// A command that fails only if git cannot open the repository.
pub(crate) const OPENING: &[&str] = &["rev-parse", "--git-dir"];

/// Receives what a process writes to standard error and returns the part to keep.
pub(crate) type Listen<'a> = &'a mut dyn FnMut(&[u8]) -> Vec<u8>;

/// Whether a process may change the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Takes no optional locks, fetches nothing, and runs no program the repository configures.
    Read,
    /// Runs hooks and filters as the operator's git does.
    Change,
}

/// Which remotes a process may contact on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remotes {
    /// No remotes, for its hooks as well.
    Off,
    /// No remotes; its hooks may contact those that the operator's configuration allows.
    OfHooks,
    /// Promisor remotes, to fetch missing objects.
    Lazy,
}

/// A git process to run.
#[derive(Clone, Debug)]
pub(crate) struct Process<'a> {
    git: &'a Git,
    directory: &'a Path,
    mode: Mode,
    config: Vec<(String, String)>,
    args: Vec<OsString>,
    stdin: Option<Vec<u8>>,
    remotes: Remotes,
    todo: Option<String>,
    editor: Option<PathBuf>,
    env: Vec<(&'static str, String)>,
    domain: Option<Arc<Domain>>,
    instead: Option<&'a Path>,
    traced: Option<&'a Path>,
    probe: bool,
    may_die: bool,
}

impl Git {
    /// Prepares a process that runs in `directory`.
    pub(crate) fn process<'a>(&'a self, mode: Mode, directory: &'a Path, args: &[&str]) -> Process<'a> {
        Process {
            git: self,
            directory,
            mode,
            config: Vec::new(),
            args: args.iter().map(OsString::from).collect(),
            stdin: None,
            remotes: Remotes::OfHooks,
            todo: None,
            editor: None,
            env: Vec::new(),
            domain: None,
            instead: None,
            traced: None,
            probe: false,
            may_die: false,
        }
    }

    /// The output of `program`, or of git itself, for a query about this machine, within [`PROBE`].
    pub(crate) fn probe(&self, program: Option<&Path>, args: &[&str]) -> Result<Vec<u8>> {
        let mut process = self.process(Mode::Read, Path::new("/"), args);
        (process.instead, process.probe) = (program, true);
        process.success(&Cancel::new(Some(Instant::now() + PROBE)), 64 << 10)
    }
}

#[expect(clippy::disallowed_methods, reason = "the only spawn point")]
fn command_of(program: &Path) -> std::process::Command {
    std::process::Command::new(program)
}

impl<'a> Process<'a> {
    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<T: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a configuration value for this process only; it overrides the repository's.
    pub(crate) fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.push((key.into(), value.into()));
        self
    }

    /// Bars the process and its hooks from every remote.
    pub(crate) fn offline(mut self) -> Self {
        self.remotes = Remotes::Off;
        self
    }

    /// Allows the process to contact remotes over `protocols`, in the syntax of `GIT_ALLOW_PROTOCOL`.
    pub(crate) fn online(mut self, protocols: &str) -> Self {
        self.remotes = if self.remotes == Remotes::Off { Remotes::OfHooks } else { self.remotes };
        self.env("GIT_ALLOW_PROTOCOL", protocols)
    }

    /// Allows the process, which must be [`Process::online`], to fetch missing objects.
    pub(crate) fn lazy(mut self) -> Self {
        self.remotes = Remotes::Lazy;
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Traces the processes it starts, in a temporary directory below `git_dir`.
    pub(crate) fn traced(mut self, git_dir: Option<&'a Path>) -> Self {
        self.traced = git_dir;
        self
    }

    /// Runs the process inside `domain`.
    pub(crate) fn inside(mut self, domain: Option<Arc<Domain>>) -> Self {
        self.domain = domain;
        self
    }

    /// Sets the todo list of an interactive rebase. `editor` writes it instead of a shell: see [`crate::edit_sequence`].
    pub(crate) fn todo(mut self, steps: &str, editor: Option<PathBuf>) -> Self {
        (self.todo, self.editor) = (Some(steps.to_owned()), editor);
        self
    }

    /// Accepts git's `die` exit code as an answer, e.g. to whether a tag exists.
    pub(crate) fn may_die(mut self) -> Self {
        self.may_die = true;
        self
    }

    /// Sets the standard input.
    pub(crate) fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// Runs the process and keeps at most `limit` bytes of its output.
    ///
    /// # Errors
    ///
    /// As [`Process::stream`]; [`Error::TooLarge`] if there is more.
    pub(crate) fn output(self, cancel: &Cancel, limit: usize) -> Result<(Ended, Vec<u8>)> {
        self.output_with_listener(cancel, limit, &mut <[u8]>::to_vec)
    }

    /// As [`Process::output`]; standard error goes through `listen`, which returns the part to keep.
    pub(crate) fn output_with_listener(self, cancel: &Cancel, limit: usize, listen: Listen<'_>) -> Result<(Ended, Vec<u8>)> {
        let what = format!("the output of git {}", self.name());
        let mut kept = Vec::new();
        let mut keep = |chunk: &[u8]| {
            kept.extend_from_slice(chunk);
            if kept.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let ended = self.run(cancel, &mut keep, listen)?;
        if ended.full {
            return Err(Error::TooLarge { what, size: kept.len() as u64, unit: "bytes", limit: limit as u64 });
        }
        Ok((ended, kept))
    }

    /// Runs the process, which must succeed, and keeps at most `limit` bytes of its output.
    ///
    /// # Errors
    ///
    /// As [`Process::output`]; [`Error::Failed`] for any exit code but 0.
    pub(crate) fn success(self, cancel: &Cancel, limit: usize) -> Result<Vec<u8>> {
        let name = self.name();
        let (ended, output) = self.output(cancel, limit)?;
        ended.require(&name)?;
        Ok(output)
    }

    /// The sub-command, for messages.
    pub(crate) fn name(&self) -> String {
        self.args.first().map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Runs the process and streams its output to `sink`. Stops the process when `sink` breaks.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`], [`Error::TimedOut`], [`Error::GitUnusable`], [`Error::Io`]. An exit code is not an
    /// error here: it means different things to different commands.
    pub(crate) fn stream(self, cancel: &Cancel, mut sink: impl FnMut(&[u8]) -> ControlFlow<()>) -> Result<Ended> {
        self.run(cancel, &mut sink, &mut <[u8]>::to_vec)
    }

    fn run(mut self, cancel: &Cancel, sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>, listen: Listen<'_>) -> Result<Ended> {
        if !self.probe {
            self.git.version()?;
        }
        cancel.check()?;
        let input = self.stdin.take();
        let trace = self.traced.and_then(Trace::begin);
        self.env.extend(trace.iter().flat_map(Trace::variables));
        let wake = Wake::new().map_err(Error::io("creating a pipe"))?;
        let _on_stop = cancel.on_stop(wake.waker());
        let mut child = self.spawn(input.is_some())?;
        let (pid, name, began) = (child.id(), self.name(), Instant::now());
        tracing::debug!(command = name, pid, "a git process has started");
        let _listed = self.git.ledger().map(|ledger| ledger.child(pid, &name));
        let group = Group::of(&child);
        let (input, errors) = (input.unwrap_or_default(), Errors::default());
        let mut run = Run { child: &mut child, group: &group, input, written: 0, errors, listen, trace: trace.as_ref() };
        let driven = run.drive(cancel, &wake, sink);
        let errors = std::mem::take(&mut run.errors);
        group.signal(Signal::KILL);
        let status = child.wait().map_err(Error::io("waiting for git"))?;
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(command = name, pid, exit = %status, duration_ms, "a git process has ended");
        let full = driven.map_err(Error::io("communicating with git"))?;
        // A change that succeeded is reported as such, however late.
        let made = self.mode == Mode::Change && status.success();
        if !full && !made {
            cancel.check().map_err(|err| self.timed_out_during(err, trace.as_ref()))?;
        }
        let children = trace.filter(|_| !status.success()).map(|trace| trace.children()).unwrap_or_default();
        let stderr = errors.text();
        let lock = (!status.success()).then(|| lock_in_the_way(&stderr)).flatten();
        let lock = lock.map(|path| LockFile::at(self.directory.join(path), &[self.directory]));
        let ended = Ended { code: status.code(), status: status.to_string(), stderr, full, children, lock };
        let has_died = ended.code.is_some_and(|code| code >= DIED) && !full;
        if has_died && self.mode == Mode::Read && !self.may_die && !self.probe {
            return Err(self.unreadable(&ended, cancel));
        }
        Ok(ended)
    }

    /// Waits before this process is run again.
    pub(crate) fn pause(&self, time: Duration, cancel: &Cancel) -> Result<()> {
        let _listed = self.git.ledger().map(Ledger::pause);
        cancel.pause(time)
    }

    /// The error for a read that died: its arguments were validated before, so the repository is at fault.
    fn unreadable(&self, ended: &Ended, cancel: &Cancel) -> Error {
        // Outside a repository some commands only print their usage.
        let opening = || self.git.process(Mode::Read, self.directory, OPENING).inside(self.domain.clone()).may_die().output(cancel, 4096);
        match (ended.code == Some(USAGE)).then(opening) {
            Some(Ok((opening, _))) if opening.code != Some(0) => Error::Unopened { said: reason(&opening.stderr) },
            _ => ended.unreadable(),
        }
    }

    /// Adds the program that was running to a change's timeout error.
    fn timed_out_during(&self, err: Error, trace: Option<&Trace>) -> Error {
        match err {
            Error::TimedOut if self.mode == Mode::Change => {
                Error::CutOff { command: self.name(), running: trace.and_then(|trace| trace.children().running().cloned()) }
            }
            err => err,
        }
    }

    fn spawn(&self, with_input: bool) -> Result<Child> {
        let program = self.instead.map_or_else(|| self.git.program(), Ok)?;
        let mut command = command_of(program);
        clean(&mut command);
        command.current_dir(self.directory).process_group(0);
        if self.remotes != Remotes::Lazy {
            // Versions before 2.45 ignore it: see `Repo::fetches_unasked`.
            command.env("GIT_NO_LAZY_FETCH", "1");
        }
        if self.remotes == Remotes::Off || self.mode == Mode::Read {
            command.env("GIT_ALLOW_PROTOCOL", "none");
        } else if self.remotes == Remotes::OfHooks {
            // The operator's configuration decides which remotes hooks may contact. A transfer sets it again.
            command.env_remove("GIT_ALLOW_PROTOCOL");
        }
        if self.mode == Mode::Read {
            command.env("GIT_OPTIONAL_LOCKS", "0");
        }
        let own = self.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let general = settings(&self.name(), self.mode == Mode::Read, self.remotes == Remotes::Lazy);
        configure(&mut command, general.into_iter().chain(own));
        if let Some(above) = self.directory.parent() {
            // Only the authorised repository, none above it.
            command.env("GIT_CEILING_DIRECTORIES", above);
        }
        if let Some(steps) = &self.todo {
            // git appends the name of the file for the "editor" to change.
            let editor = self.editor.as_ref().and_then(|editor| editor.to_str());
            command.env("GIT_SEQUENCE_EDITOR", editor.unwrap_or("f() { printf %s \"$GIT_STEPS\" > \"$1\"; }; f")).env(STEPS, steps);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(&self.args);
        command.stdin(if with_input { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut start = || command.spawn().map_err(Error::io(format!("starting {}", program.display())));
        let child = match &self.domain {
            Some(domain) => domain.run(start).map_err(Error::sandbox)??,
            None => start()?,
        };
        for nonblocking in [
            child.stdin.as_ref().map(os::set_nonblocking),
            child.stdout.as_ref().map(os::set_nonblocking),
            child.stderr.as_ref().map(os::set_nonblocking),
        ] {
            nonblocking.transpose().map_err(Error::io("preparing git's pipes"))?;
        }
        Ok(child)
    }
}

/// A running process and its pending input and output.
struct Run<'a> {
    child: &'a mut Child,
    group: &'a Group,
    input: Vec<u8>,
    written: usize,
    errors: Errors,
    listen: Listen<'a>,
    trace: Option<&'a Trace>,
}

impl Run<'_> {
    /// Transfers data until the process exits. Returns true if `sink` broke.
    fn drive(&mut self, cancel: &Cancel, wake: &Wake, sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK];
        let mut full = false;
        let mut kill_at: Option<Instant> = None;
        loop {
            let until = kill_at.or(cancel.deadline());
            let until = [until, self.trace.map(Trace::bounded)].into_iter().flatten().min();
            let pipes = [
                self.child.stdin.as_ref().map(AsFd::as_fd),
                self.child.stdout.as_ref().map(AsFd::as_fd),
                self.child.stderr.as_ref().map(AsFd::as_fd),
            ];
            let ready = os::wait(kill_at.is_none().then_some(wake), self.group, pipes, until)?;
            if ready.stdin {
                self.feed();
            }
            let exited = self.group.has_exited();
            if exited {
                // Processes a hook left running in the group are killed with the call that started it. Only data
                // already in the pipes is read then, not up to end of file: a child that left the group may hold them
                // open.
                self.group.signal(Signal::KILL);
            }
            if (ready.stdout || exited) && !full {
                full = self.read_stdout(&mut buffer, exited, sink)?.is_break();
            }
            if ready.stderr || exited {
                self.read_stderr(&mut buffer, exited)?;
            }
            if exited {
                return Ok(full);
            }
            match kill_at {
                None if full || ready.woken || cancel.check().is_err() => {
                    self.group.signal(Signal::TERM);
                    kill_at = Some(Instant::now() + GRACE);
                }
                Some(at) if Instant::now() >= at => {
                    self.group.signal(Signal::KILL);
                    kill_at = Some(Instant::now() + GRACE);
                }
                _ => {}
            }
        }
    }

    fn feed(&mut self) {
        let Some(pipe) = &self.child.stdin else { return };
        match os::write_some(pipe, &self.input[self.written..]) {
            Ok(Some(n)) => self.written += n,
            Ok(None) => return,
            // The process closed its input. Its exit code shows whether that is an error.
            Err(_) => self.written = self.input.len(),
        }
        if self.written == self.input.len() {
            self.child.stdin = None;
        }
    }

    fn read_stdout(
        &mut self,
        buffer: &mut [u8],
        to_the_end: bool,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut seen = 0;
        while let Some(pipe) = &self.child.stdout {
            seen += CHUNK;
            match os::read_some(pipe, buffer)? {
                Some(0) => self.child.stdout = None,
                Some(n) if sink(&buffer[..n]).is_break() => {
                    self.child.stdout = None;
                    return Ok(ControlFlow::Break(()));
                }
                Some(_) if to_the_end && seen < PIPE => {}
                _ => break,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn read_stderr(&mut self, buffer: &mut [u8], to_the_end: bool) -> io::Result<()> {
        let mut seen = 0;
        while let Some(pipe) = &self.child.stderr {
            seen += CHUNK;
            match os::read_some(pipe, buffer)? {
                Some(0) => self.child.stderr = None,
                Some(n) => {
                    self.errors.keep(&(self.listen)(&buffer[..n]));
                    if !to_the_end || seen >= PIPE {
                        break;
                    }
                }
                None => break,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_reader_and_a_deadline_stop_the_process() -> Result<()> {
        let git = Git::new(None);
        let endless = || git.process(Mode::Read, Path::new("/"), &["-c", "alias.x=!yes", "x"]);
        let ended = endless().stream(&Cancel::never(), |_| ControlFlow::Break(()))?;
        assert!(ended.full);
        let soon = Cancel::new(Some(Instant::now() + Duration::from_millis(50)));
        assert!(matches!(endless().stream(&soon, |_| ControlFlow::Continue(())), Err(Error::TimedOut)));
        Ok(())
    }

    #[test]
    fn a_background_child_that_keeps_the_output_open_does_not_block() -> Result<()> {
        let git = Git::new(None);
        let script = "alias.x=!echo here; sleep 600 &";
        let (ended, out) = git.process(Mode::Read, Path::new("/"), &["-c", script, "x"]).output(&Cancel::never(), 1 << 20)?;
        assert_eq!((ended.code, out.as_slice()), (Some(0), &b"here\n"[..]));
        Ok(())
    }
}
