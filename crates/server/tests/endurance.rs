//! A server never loses what it acknowledged, and releases what it holds: killed at any moment, on a full or
//! failing disk, under a load with a tenth of malformed input, and with clients that disappear.
//!
//! A few rounds run with the other tests; `cargo xtask soak` runs `SOAK_ROUNDS`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests fail loudly, and report what they omit; the moment of the end is a time"
)]

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    net::TcpStream,
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use support::{
    Dice, Fixture,
    admin::Administered,
    descendants, programs, rss_kib, signal,
    wire::{Served, call, initialize, modern, post, session, wait_for},
};

/// Number of rounds of a campaign.
fn rounds(usual: u64) -> u64 {
    std::env::var("SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

fn commit(key: u64) -> Value {
    let key = format!("k{key}");
    call(1, "git_commit", json!({"message": key, "allow_empty": true, "idempotency_key": key}))
}

/// The first line of a call's answer, if it was answered.
fn outcome(reply: Option<Value>) -> Option<Result<String, String>> {
    let result = reply?["result"].clone();
    let text = support::text_of(&result);
    // Further notes, as about an interrupted change, are no part of the outcome.
    let first = text.lines().next().unwrap_or_default().to_owned();
    result.is_object().then(|| if result["isError"] == true { Err(first) } else { Ok(first) })
}

#[test]
fn kills_lose_nothing_acknowledged_and_repeat_nothing() {
    let fixture = Fixture::new();
    let mut dice = Dice(7);
    let (mut key, mut answered, mut unsure) = (0_u64, Vec::new(), Vec::new());
    // A campaign of the usual 200 rounds has a thousand kills.
    let ends = if rounds(0) == 0 { 6 } else { rounds(0) * 5 };
    for round in 0..ends {
        let mut server = Administered::start(&fixture, &[], &[]);
        let id = session(&server.server, &[]);
        // Acknowledged changes are present, and not repeated.
        for (key, text) in answered.drain(..) {
            assert_eq!(outcome(modern(&server.server, &[], commit(key)).message()), Some(Ok(text)), "round {round}, key {key}");
        }
        for key in unsure.drain(..) {
            let reply = outcome(modern(&server.server, &[], commit(key)).message());
            let is_known =
                matches!(&reply, Some(Ok(_))) || matches!(&reply, Some(Err(why)) if why.contains("may or may not have been made"));
            assert!(is_known, "round {round}, key {key}: {reply:?}");
        }
        let over = AtomicBool::new(false);
        let moment = Duration::from_micros(dice.roll(120_000));
        std::thread::scope(|scope| {
            let (server, over) = (&server.server, &over);
            let writing = scope.spawn(move || {
                let (mut answered, mut unsure) = (Vec::new(), None);
                while !over.load(Ordering::SeqCst) {
                    key += 1;
                    match try_call(server, &commit(key)) {
                        Some(Ok(text)) => answered.push((key, text)),
                        Some(Err(why)) => panic!("key {key}: {why}"),
                        None => {
                            unsure = Some(key);
                            break;
                        }
                    }
                }
                (key, answered, unsure)
            });
            std::thread::sleep(moment);
            signal(&server.child.id(), "KILL");
            over.store(true, Ordering::SeqCst);
            let (last, done, unanswered) = writing.join().expect("the writer");
            key = last;
            answered.extend(done);
            unsure.extend(unanswered);
        });
        server.server.child.wait().expect("its end");
        // A git that outlives its killed server ends by itself.
        wait_for("the lock", || !fixture.path.join(".git/index.lock").exists() && !fixture.path.join(".git/HEAD.lock").exists());
        let server = Administered::start(&fixture, &[], &[]);
        let reply = post(&server.server, &[("Mcp-Session-Id", &id)], &call(9, "git_status", json!({})));
        assert!(reply.message().is_some_and(|reply| reply["result"]["isError"] == false), "the session of round {round}: {reply:?}");
    }
    let log = String::from_utf8_lossy(&fixture.git(&["log", "--format=%s"])).into_owned();
    for at in 1..=key {
        let made = log.lines().filter(|line| *line == format!("k{at}")).count();
        assert!(made <= 1, "k{at} was made {made} times");
    }
    let made = log.lines().filter(|line| line.starts_with('k')).count();
    eprintln!("{key} keys, {made} commits, killed {ends} times");
    fixture.git(&["fsck", "--strict"]);
}

/// Makes a call to a server that may be killed meanwhile.
fn try_call(server: &Served, message: &Value) -> Option<Result<String, String>> {
    TcpStream::connect(("127.0.0.1", server.port)).ok()?;
    let reply = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| modern(server, &[], message.clone()).message()));
    outcome(reply.ok()?)
}

/// A small file system, where one can be mounted.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("a folder");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "none"]).arg(at).output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self(at.to_owned()));
        }
        programs::not_tried("a file system may not be mounted here");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().map(drop).unwrap_or_default();
    }
}

#[test]
fn a_full_disk_refuses_changes_and_loses_none() {
    let fixture = Fixture::new();
    let state = fixture.home.path().join("state");
    let Some(_mounted) = Small::mount(&state, "2m") else { return };
    let server = Administered::start(&fixture, &[], &[]);
    let say = |key| outcome(modern(&server.server, &[], commit(key)).message()).expect("an answer");
    let first = say(1).expect("there is room");
    // Filled to the last byte, in ever smaller writes.
    let mut filler = fs::File::create(state.join("filler")).expect("a file");
    for size in [65_536, 4096, 512, 1] {
        while filler.write_all(&vec![0; size]).is_ok() {}
    }
    let count = || String::from_utf8_lossy(&fixture.git(&["rev-list", "--count", "HEAD"])).trim().parse::<u64>().expect("a number");
    let mut refused = 0;
    for key in 2..8 {
        let before = count();
        // A reported success is real, even if it could not be recorded; a refused change is not made.
        let made = u64::from(say(key).is_ok());
        assert_eq!(count(), before + made, "key {key}");
        refused += 1 - made;
    }
    assert!(refused > 0, "nothing was refused on a full disk");
    assert_ne!(modern(&server.server, &[], call(1, "git_status", json!({}))).message().expect("an answer")["result"]["isError"], true);
    drop(filler);
    fs::remove_file(state.join("filler")).expect("a file");
    wait_for("room again", || {
        server.post("/circuits/reset", &json!({"all": true}));
        say(100).is_ok()
    });
    assert_eq!(say(1), Ok(first.clone()), "acknowledged changes are remembered");
    drop(server);
    let server = Administered::start(&fixture, &[], &[]);
    assert_eq!(outcome(modern(&server.server, &[], commit(1)).message()), Some(Ok(first)));
    let log = String::from_utf8_lossy(&fixture.git(&["log", "--format=%s"])).into_owned();
    for key in 1..=100 {
        assert!(log.lines().filter(|line| *line == format!("k{key}")).count() <= 1, "k{key} was made twice:\n{log}");
    }
    fixture.git(&["fsck", "--strict"]);
}

#[test]
fn a_failing_disk_loses_nothing_acknowledged() {
    let Some(strace) = programs::found("strace") else { return };
    let tracer = Command::new(&strace).args(["-e", "trace=none", "true"]).output();
    if !tracer.is_ok_and(|done| done.status.success()) {
        programs::not_tried("strace may not trace on this machine");
        return;
    }
    let mut dice = Dice(11);
    for round in 0..rounds(3).min(60) {
        let fixture = Fixture::new();
        let state = fixture.home.path().join("state");
        let server = Administered::start(&fixture, &[], &[]);
        let first = outcome(modern(&server.server, &[], commit(1)).message()).expect("an answer").expect("a commit");
        // From a random write or sync of the state on, all of them fail for a while.
        let (from, call) =
            (1 + dice.roll(12), ["pwrite64", "fdatasync", "fsync", "write"][usize::try_from(dice.roll(4)).unwrap_or_default()]);
        let mut tracer = Command::new(&strace);
        tracer.args(["-f", "-o", "/dev/null", "-e", &format!("inject={call}:error=EIO:when={from}+"), "-e", &format!("trace={call}")]);
        for file in ["store.db", "store.db-wal", "store.db-shm"] {
            tracer.arg("-P").arg(state.join(file));
        }
        let mut tracer = tracer.args(["-p", &server.server.child.id().to_string()]).process_group(0).spawn().expect("the tracer");
        wait_for("the tracer", || {
            let status = fs::read_to_string(format!("/proc/{}/status", server.server.child.id())).unwrap_or_default();
            status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0"))
        });
        let mut acknowledged = vec![(1, first)];
        for key in 2..7 {
            if let Some(Ok(text)) = outcome(modern(&server.server, &[], commit(key)).message()) {
                acknowledged.push((key, text));
            }
        }
        signal(&tracer.id(), "INT");
        tracer.wait().expect("its end");
        drop(server);
        let server = Administered::start(&fixture, &[], &[]);
        for (key, text) in acknowledged {
            let again = outcome(modern(&server.server, &[], commit(key)).message());
            assert_eq!(again, Some(Ok(text)), "round {round}: {call} fails from the {from}th on; key {key}");
        }
        let log = String::from_utf8_lossy(&fixture.git(&["log", "--format=%s"])).into_owned();
        for key in 1..7 {
            assert!(log.lines().filter(|line| *line == format!("k{key}")).count() <= 1, "round {round}: k{key} was made twice:\n{log}");
        }
    }
}

/// Counts of outcomes.
#[derive(Default)]
struct Tally {
    asked: AtomicU64,
    good: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

#[test]
fn a_mixed_load_is_answered_and_leaks_nothing() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_MAX_CONCURRENT", "16")]);
    let (tally, over) = (Tally::default(), AtomicBool::new(false));
    let minutes: Option<u64> = std::env::var("SOAK_MINUTES").ok().and_then(|minutes| minutes.parse().ok());
    let samples = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for at in 0..6 {
            let (server, fixture, tally, over) = (&server.server, &fixture, &tally, &over);
            scope.spawn(move || {
                let mut dice = Dice(at + 1);
                let id = session(server, &[]);
                let mut turns = 0;
                while !over.load(Ordering::SeqCst) && (minutes.is_some() || turns < 60) {
                    turns += 1;
                    turn(server, fixture, &id, at * 100_000_000 + turns, &mut dice, tally);
                }
            });
        }
        if let Some(minutes) = minutes {
            for _ in 0..minutes * 60 {
                std::thread::sleep(Duration::from_secs(1));
                samples.lock().expect("samples").push(rss_kib(server.server.child.id()));
            }
            over.store(true, Ordering::SeqCst);
        }
    });
    let (asked, good) = (tally.asked.load(Ordering::SeqCst), tally.good.load(Ordering::SeqCst));
    let wrong = tally.wrong.lock().expect("the faults");
    assert!(wrong.is_empty(), "{} lost, doubled or mixed up, as {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(good * 100 >= asked * 98, "{good} of {asked} well-formed calls were answered");
    wait_for("nothing to be held", || server.get("/resources")["resources"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(descendants(server.server.child.id()), Vec::<u32>::new());
    fixture.git(&["fsck", "--strict"]);
    let samples = samples.into_inner().expect("samples");
    let mean = |part: &[u64]| part.iter().sum::<u64>() / u64::try_from(part.len()).expect("a count").max(1);
    if samples.len() >= 60 {
        let (early, late) = (mean(&samples[samples.len() / 4..samples.len() / 2]), mean(&samples[samples.len() * 3 / 4..]));
        eprintln!("{good} of {asked} calls; RSS {early} KiB in the second quarter, {late} KiB in the last");
        assert!(late < early + early / 10 + 4096, "RSS grows: {early} KiB, then {late} KiB");
    }
}

/// One client action: well-formed and awaited, malformed, cancelled or disconnected.
fn turn(server: &Served, fixture: &Fixture, session: &str, id: u64, dice: &mut Dice, tally: &Tally) {
    let own = [("Mcp-Session-Id", session)];
    let args = [
        ("git_status", json!({})),
        ("git_log", json!({"max_count": 5})),
        ("git_show", json!({"revision": "HEAD"})),
        ("git_branch", json!({})),
        ("git_add", json!({"files": ["a.txt"]})),
    ];
    let (tool, args) = args[usize::try_from(dice.roll(5)).unwrap_or_default()].clone();
    let mut message = call(0, tool, args);
    message["id"] = json!(id);
    let text = message.to_string();
    match dice.roll(20) {
        0 => drop(post(server, &own, &json!({"jsonrpc": "2.0", "id": id, "method": 7}))),
        1 => drop(server.send("POST", "/mcp", &[("Content-Type", "application/json"), own[0]], &text.as_bytes()[..text.len() / 2])),
        2 => {
            // Disconnected before the answer, or even before the whole request.
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", server.port)) {
                let head = format!(
                    "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: {session}\r\n\
                     Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{text}",
                    text.len()
                );
                let sent = usize::try_from(dice.roll(head.len() as u64)).unwrap_or_default();
                stream.write_all(&head.as_bytes()[..sent]).unwrap_or_default();
            }
        }
        3 => {
            std::thread::scope(|scope| {
                let call = scope.spawn(|| post(server, &own, &message));
                let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
                post(server, &own, &cancel);
                drop(call.join());
            });
        }
        other => {
            fixture.write("a.txt", format!("{id}\n"));
            tally.asked.fetch_add(1, Ordering::SeqCst);
            let reply = if other % 2 == 0 { modern(server, &[], message) } else { post(server, &own, &message) };
            let answers = reply.body.matches(&format!("\"id\":{id}")).count();
            match reply.message() {
                Some(answer) if answer["id"] == id && answers == 1 => {
                    if answer["result"]["isError"] == false {
                        tally.good.fetch_add(1, Ordering::SeqCst);
                    }
                }
                _ => tally.wrong.lock().expect("the faults").push(format!("{id}: {reply:?}")),
            }
        }
    }
}

#[test]
fn abandoned_sessions_leak_nothing() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_SESSION_TIMEOUT", "2"), ("MCP_GIT_SESSIONS_SWEEP", "1")]);
    let pid = server.server.child.id();
    let descriptors = || fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count();
    // Opens sessions, waits until all have expired, and measures what is left after sweeps freed memory.
    let rush = |count: u64| {
        for _ in 0..count {
            assert_eq!(post(&server.server, &[], &initialize()).status, 200);
        }
        let held = server.get("/sessions")["total"].as_u64().expect("a number");
        assert!((1..=1000).contains(&held), "{held} sessions");
        wait_for("the sessions to be closed", || server.get("/sessions")["total"] == 0);
        let (mut lowest, mut looks) = (rss_kib(pid), 0);
        wait_for("a few sweeps", || {
            lowest = lowest.min(rss_kib(pid));
            looks += 1;
            looks > 200
        });
        lowest
    };
    let count = rounds(4) * 500;
    // The caches of the store's connections fill slowly, and are bounded.
    let (before, held) = (rush(2_500.max(count / 10)), descriptors());
    let after = rush(count);
    eprintln!("{count} sessions: RSS {before} KiB before, {after} KiB after; {held} and {} descriptors", descriptors());
    wait_for("descriptors as before", || descriptors() <= held + 2);
    assert!(after < before + before / 20, "RSS {before} KiB before, {after} KiB after {count} sessions");
}
