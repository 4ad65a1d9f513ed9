//! The documented units: systemd reads and rates them, and passes sockets to the server.

use crate::support::{
    Fixture, Outcome,
    admin::ServiceManager,
    clean_environment, program,
    programs::{Running, found},
    root, signal,
    wire::{Reply, wait_for},
};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

const UNIT: &str = "mcp-server-git.service";

fn documented(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).expect("the unit")
}

/// The program and the arguments of the unit, with a fixture's paths.
fn command_line(fixture: &Fixture) -> Vec<String> {
    let unit = documented(UNIT);
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let (home, own) = (fixture.home.path().display().to_string(), program().get_program().to_string_lossy().into_owned());
    let changes = [
        ("/usr/local/bin/mcp-server-git", own),
        ("/etc/mcp-server-git", home.clone()),
        ("${STATE_DIRECTORY}", format!("{home}/state")),
        ("${RUNTIME_DIRECTORY}", home),
        ("/srv/git", fixture.path.display().to_string()),
    ];
    let line = changes.iter().fold(line.to_owned(), |line, (from, to)| {
        assert!(line.contains(*from), "the unit's command has no `{from}`");
        line.replace(*from, to)
    });
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn systemd_accepts_the_units_and_rates_them_as_safe() -> Outcome {
    let Some(analyze) = found("systemd-analyze") else { return Ok(()) };
    let fixture = Fixture::new();
    // A stop would kill changes that could finish, and openat2 would be disabled.
    assert!(["\nKillMode=mixed\n", "\nRestrictSUIDSGID=no\n"].iter().all(|line| documented(UNIT).contains(*line)));
    // The program's usual place and the user need not exist here.
    let own = program().get_program().to_string_lossy().into_owned();
    let unit = documented(UNIT).replace("/usr/local/bin/mcp-server-git", &own).replace("User=mcp-server-git", "User=root");
    let units = [UNIT, "mcp-server-git.socket"].map(|name| fixture.home.path().join(name));
    fs::write(&units[0], unit)?;
    fs::write(&units[1], documented("mcp-server-git.socket"))?;
    let verified = Command::new(&analyze).args(["verify", "--man=no", "--recursive-errors=no"]).args(&units).output()?;
    let text = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && text.is_empty(), "{text}");
    // Of at most 10.0; above 2.0 it fails.
    let mut rate = Command::new(&analyze);
    rate.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(root().join("docs").join(UNIT));
    let rated = rate.output()?;
    let text = String::from_utf8_lossy(&rated.stdout);
    assert!(rated.status.success() && text.contains("Overall exposure level"), "{text}{}", String::from_utf8_lossy(&rated.stderr));
    Ok(())
}

#[test]
fn systemd_starts_the_server_at_the_first_connection() -> Outcome {
    let Some(activate) = found("systemd-socket-activate") else { return Ok(()) };
    let fixture = Fixture::new();
    let manager = ServiceManager::new(&fixture);
    fs::write(fixture.home.path().join("config.toml"), "")?;
    // The unit has two addresses. IPv6 may be missing here.
    let addresses = ["127.0.0.1:8080", "[::1]:8080"];
    let listed = documented("mcp-server-git.socket");
    assert!(addresses.iter().all(|address| listed.contains(&format!("\nListenStream={address}\n"))), "{listed}");
    let ports = [free_port()?, free_port()?];
    let mut command = Command::new(activate);
    command.env_clear().envs(clean_environment());
    for port in ports {
        command.arg(format!("--listen=127.0.0.1:{port}"));
    }
    for (name, value) in clean_environment() {
        command.arg(format!("--setenv={name}={value}"));
    }
    command.arg(format!("--setenv=NOTIFY_SOCKET={}", manager.address)).args(command_line(&fixture));
    let mut server = Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let mut first = None;
    wait_for("the first socket", || {
        first = TcpStream::connect(("127.0.0.1", ports[1])).ok();
        first.is_some()
    });
    assert_eq!(manager.receive(), "READY=1");
    let streams = [first.ok_or("no connection")?, TcpStream::connect(("127.0.0.1", ports[0]))?];
    for mut stream in streams {
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        assert_eq!(Reply::parse(&text).status, 200, "{text}");
    }
    assert!(fixture.home.path().join("admin.sock").exists() && fixture.home.path().join("state").is_dir());
    signal(&server.0.id(), "TERM");
    assert_eq!(manager.receive(), "STOPPING=1");
    assert!(server.0.wait()?.success());
    Ok(())
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
