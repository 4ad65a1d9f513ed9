//! Several servers on one `PostgreSQL`, each with its own state folder, as on several machines.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests start servers, and fail loudly"
)]

#[path = "../../store/tests/support/postgres.rs"]
mod postgres;
mod support;

use serde_json::json;
use support::{
    Fixture,
    admin::{Administered, tool},
    hooks::{Gate, hook},
    programs,
    wire::{call, post, session, wait_for},
};

/// Two servers on one repository.
fn two(fixture: &Fixture, database: &postgres::Server) -> [Administered; 2] {
    let url = database.url();
    ["one", "two"].map(|name| Administered::start_as(name, fixture, &[], &[("MCP_GIT_STORE_URL", &url)]))
}

#[test]
fn sessions_and_keys_are_valid_on_any_server() {
    let Some(database) = postgres::Server::start() else { return };
    let fixture = Fixture::new();
    let [one, two] = two(&fixture, &database);
    let id = session(&one.server, &[]);
    let elsewhere = post(&two.server, &[("Mcp-Session-Id", &id)], &call(1, "git_status", json!({})));
    assert!(elsewhere.message().is_some_and(|reply| reply["result"]["isError"] == false), "{elsewhere:?}");
    fixture.write("a.txt", "changed\n");
    fixture.git(&["add", "a.txt"]);
    let commit = json!({"message": "once", "idempotency_key": "k"});
    let first = tool(&one, "git_commit", commit.clone());
    assert_ne!(first["isError"], true, "{first}");
    assert_eq!(tool(&two, "git_commit", commit)["content"], first["content"], "a retry elsewhere makes no second commit");
    assert_eq!(fixture.git(&["rev-list", "--count", "HEAD"]), b"3\n");
}

#[test]
fn changes_from_two_servers_are_serialized() {
    let Some(database) = postgres::Server::start() else { return };
    let fixture = Fixture::new();
    let servers = two(&fixture, &database);
    std::thread::scope(|scope| {
        for (at, server) in servers.iter().enumerate() {
            for writer in 0..2 {
                let fixture = &fixture;
                scope.spawn(move || {
                    for n in 0..4 {
                        let file = format!("{at}-{writer}-{n}");
                        fixture.write(&file, "text\n");
                        let added = tool(server, "git_add", json!({"files": [file]}));
                        assert_ne!(added["isError"], true, "{added}");
                        let done = tool(server, "git_commit", json!({"message": file, "allow_empty": true}));
                        assert_ne!(done["isError"], true, "{done}");
                    }
                });
            }
        }
    });
    assert_eq!(fixture.git(&["rev-list", "--count", "HEAD"]), b"18\n");
    fixture.git(&["fsck", "--strict"]);
}

#[test]
fn a_server_that_was_frozen_past_its_lease_changes_nothing() {
    let Some(database) = postgres::Server::start() else { return };
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let url = database.url();
    let variables = [("MCP_GIT_STORE_URL", url.as_str()), ("MCP_GIT_STORE_LEASE", "2"), ("MCP_GIT_MAX_CONCURRENT", "1")];
    let also = ["-r", fixture.path.to_str().expect("a path"), "-r", other.path.to_str().expect("a path")];
    let [frozen, second, third] = ["one", "two", "three"].map(|name| Administered::start_as(name, &fixture, &also, &variables));
    // The only permit for changes is taken, so that the next change holds its lease while queued.
    let (gate, began) = (Gate::closed(&fixture), fixture.home.path().join("began"));
    hook(&other, "pre-commit", &format!("touch '{}'; {}", began.display(), gate.wait()));
    let commit = |server: &Administered, at: &Fixture, message: &str| {
        tool(server, "git_commit", json!({"repo_path": at.path, "message": message, "allow_empty": true}))
    };
    let late = std::thread::scope(|scope| {
        let holder = scope.spawn(|| commit(&frozen, &other, "holds the place"));
        wait_for("the hook", || began.exists());
        let late = scope.spawn(|| commit(&frozen, &fixture, "from the frozen one"));
        wait_for("its lease", || frozen.get("/resources").to_string().contains(&format!("git_commit in {}", fixture.path.display())));
        wait_until_leased(&url, &fixture.path);
        support::shell(std::path::Path::new("/"), &format!("kill -STOP {}", frozen.server.child.id()));
        // Another server waits until the lease expires.
        for (server, message) in [(&second, "from the second"), (&third, "from the third")] {
            let done = commit(server, &fixture, message);
            assert_ne!(done["isError"], true, "{done}");
        }
        gate.open();
        support::shell(std::path::Path::new("/"), &format!("kill -CONT {}", frozen.server.child.id()));
        let held = holder.join().expect("an answer");
        assert_ne!(held["isError"], true, "{held}");
        late.join().expect("an answer")
    });
    assert!(late["isError"] == true && late.to_string().contains("lease has expired"), "{late}");
    let log = String::from_utf8_lossy(&fixture.git(&["log", "--format=%s", "-n3"])).into_owned();
    assert!(log.starts_with("from the third\nfrom the second\n"), "{log}");
    let again = commit(&frozen, &fixture, "afterwards");
    assert_ne!(again["isError"], true, "{again}");
    fixture.git(&["fsck", "--strict"]);
}

/// Waits until a server holds the lease of a worktree.
fn wait_until_leased(url: &str, worktree: &std::path::Path) {
    let address = store::Address::parse(url).expect("an address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let store = runtime.block_on(store::Store::open(&address)).expect("the store").store;
    let key = worktree.display().to_string();
    wait_for("the lease", || {
        runtime.block_on(async {
            // A lease that can be acquired is free.
            let free = store.acquire_lease(&key, "test", 0, 1000).await.expect("an answer");
            if let Some(lease) = &free {
                store.release_lease(lease).await.expect("an answer");
            }
            free.is_none()
        })
    });
    runtime.block_on(store.close());
}

#[test]
fn workspaces_are_valid_on_any_server_that_sees_their_files() {
    let Some(database) = postgres::Server::start() else { return };
    let fixture = Fixture::new();
    let [one, two] = two(&fixture, &database);
    let opened = tool(&one, "git_workspace", json!({"action": "open"}))["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    let handle = opened.split("pass \"workspace\": \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a handle");
    let seen = tool(&two, "git_status", json!({"workspace": handle}));
    assert!(seen["isError"] == false && seen.to_string().contains("workspace/"), "{seen}");
}

#[test]
fn without_the_database_changes_are_refused_and_reads_work() {
    let Some(database) = postgres::Server::start() else { return };
    let fixture = Fixture::new();
    let [one, _two] = two(&fixture, &database);
    drop(database);
    fixture.write("a.txt", "changed\n");
    let refused = tool(&one, "git_add", json!({"files": ["a.txt"]}));
    assert!(refused["isError"] == true && refused["structuredContent"]["code"] == "unavailable", "{refused}");
    assert_ne!(tool(&one, "git_status", json!({}))["isError"], true);
    assert_eq!(one.server.send("GET", "/readyz", &[], b"").message().expect("an answer")["status"], "degraded");
}

#[test]
fn an_unavailable_database_is_named_with_the_reason() {
    let Some(database) = postgres::Server::start() else { return };
    let fixture = Fixture::new();
    let url = database.url();
    let server = Administered::start_as("one", &fixture, &[], &[("MCP_GIT_STORE_URL", &url)]);
    fixture.write("a.txt", "changed\n");
    assert_ne!(tool(&server, "git_add", json!({"files": ["a.txt"]}))["isError"], true);
    drop(database);
    // The lease is unavailable, and the error says why.
    let refused = tool(&server, "git_commit", json!({"message": "without a database"}));
    assert_eq!(refused["isError"], true, "{refused}");
    wait_for("the reason", || server.get("/status")["store"]["away"].as_str().is_some_and(|why| why.contains("os error")));
    let away = server.get("/status")["store"]["away"].to_string();
    assert!(!away.contains("pool timed out"), "{away}");
    let health = server.server.send("GET", "/readyz", &[], b"");
    assert!(health.status == 200 && health.body.contains("degraded"), "{health:?}");
}
