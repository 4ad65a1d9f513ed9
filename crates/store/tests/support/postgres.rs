//! A `PostgreSQL` server in a temporary folder, reachable only over a socket in that folder.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
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
    /// Starts a server. `None` if its programs are not installed.
    pub(crate) fn start() -> Option<Self> {
        let (initdb, postgres) = (program("initdb")?, program("postgres")?);
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

/// The path of a server program: from `PATH`, the newest Debian folder, or where `cargo xtask test` has unpacked it.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    debian.sort_by_key(|dir| dir.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    let dirs = std::env::split_paths(&path).chain(debian.into_iter().rev().map(|dir| dir.join("bin")));
    let dirs = dirs.chain([Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin")]);
    let runs = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    dirs.map(|dir| dir.join(name)).find(runs)
}
