//! Processes that the doctor starts: a temporary server, and this program's namesake on `PATH`.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Maximum output kept per stream, in bytes.
const MAX_OUTPUT: u64 = 64 << 10;
/// Time limit for a program to print its version.
const VERSION: Duration = Duration::from_secs(5);

/// A child process, killed on drop.
pub(super) struct Started {
    child: Child,
    /// Lines of its output; disconnected once the output is closed.
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Started {
    /// Starts `program` with the variables `with`, and without the variables `without`.
    #[expect(clippy::disallowed_methods, reason = "starts only this program or its namesake on PATH")]
    pub(super) fn new(
        program: &Path,
        args: &[&std::ffi::OsStr],
        input: Stdio,
        with: &[(&str, &str)],
        without: &[&str],
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(args).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in without {
            command.env_remove(name);
        }
        command.envs(with.iter().copied());
        let mut child = command.spawn()?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let lines = BufReader::new(stdout.take(MAX_OUTPUT)).lines().map_while(Result::ok);
                lines.for_each(|line| sender.send(line).unwrap_or_default());
            });
        }
        let (sender, errors) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || {
                let mut text = Vec::new();
                stderr.take(MAX_OUTPUT).read_to_end(&mut text).unwrap_or_default();
                sender.send(String::from_utf8_lossy(&text).trim().to_owned()).unwrap_or_default();
            });
        }
        Ok(Self { child, lines, errors })
    }

    /// The next line of its output; `None` if it exits first or takes longer than `patience`.
    pub(super) fn line(&self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok()
    }

    /// Its standard error output, once it has exited.
    pub(super) fn errors(&self, patience: Duration) -> String {
        self.errors.recv_timeout(patience).unwrap_or_default()
    }

    /// Sends SIGTERM. Returns whether the process exits successfully within `patience`.
    pub(super) fn stop(mut self, patience: Duration) -> bool {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        loop {
            match self.lines.recv_timeout(patience) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().is_ok_and(|status| status.success()),
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// The version that a program prints.
pub(super) fn version_of(program: &Path) -> Option<String> {
    let started = Started::new(program, &["--version".as_ref()], Stdio::null(), &[], &[]).ok()?;
    started.line(VERSION).map(|line| line.chars().take(200).collect())
}
