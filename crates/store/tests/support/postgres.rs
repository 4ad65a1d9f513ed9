//! A `PostgreSQL` server in a temporary folder, reachable only over a socket in that folder.

use super::programs::found;
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::{MetadataExt, chown},
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The user `nobody`: the server refuses to run as root.
const NOBODY: u32 = 65534;

/// A server, stopped when dropped.
pub(crate) struct Server {
    dir: TempDir,
    process: Child,
}

impl Server {
    /// Starts a server. Reports it if its programs are not installed.
    pub(crate) fn start() -> Option<Self> {
        let (initdb, postgres) = (found("initdb")?, found("postgres")?);
        let dir = tempfile::tempdir().unwrap();
        let root = fs::metadata(dir.path()).unwrap().uid() == 0;
        if root {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let run = |program: &Path| {
            let mut command = if root {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
                command
            } else {
                Command::new(program)
            };
            command.current_dir(dir.path()).env("LC_ALL", "C").stdin(Stdio::null());
            command
        };
        let data = dir.path().join("data");
        let made =
            run(&initdb).args(["--username=store", "--auth=trust", "--no-sync", "--encoding=UTF8", "-D"]).arg(&data).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut server = run(&postgres);
        server.arg("-D").arg(&data).arg("-k").arg(dir.path()).args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        let mut process = server.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("ready to accept connections") {
            assert!(log.read_line(&mut said).unwrap() > 0, "{said}");
        }
        // Keep draining the pipe, or the server would block.
        std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Some(Self { dir, process })
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("postgres:///postgres?user=store&host={}", self.dir.path().display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is a fast shutdown: it does not wait for clients.
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.process.wait();
    }
}
