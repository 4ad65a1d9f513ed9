//! Several servers on one `PostgreSQL`, each with a state folder of its own, as on several machines.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests start servers, say what they leave out, and fail loudly"
)]

#[path = "../../store/tests/support/postgres.rs"]
mod postgres;
mod support;

use serde_json::{Value, json};
use support::{
    Fixture,
    admin::Administered,
    wire::{call, modern, post, session},
};

fn tool(server: &Administered, name: &str, args: Value) -> Value {
    modern(&server.server, &[], call(1, name, args)).message().expect("an answer")["result"].clone()
}

fn database() -> Option<postgres::Server> {
    let found = postgres::Server::start();
    if found.is_none() {
        eprintln!("left out: PostgreSQL is not installed");
    }
    found
}

/// Two servers on one repository.
fn two(fixture: &Fixture, database: &postgres::Server) -> [Administered; 2] {
    let url = database.url();
    ["one", "two"].map(|name| Administered::start_as(name, fixture, &[], &[("MCP_GIT_STORE_URL", &url)]))
}

#[test]
fn sessions_and_keys_are_good_on_any_server() {
    let Some(database) = database() else { return };
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
fn changes_from_two_servers_take_turns() {
    let Some(database) = database() else { return };
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
fn without_the_database_nothing_is_changed_and_reads_go_on() {
    let Some(database) = database() else { return };
    let fixture = Fixture::new();
    let [one, _two] = two(&fixture, &database);
    drop(database);
    fixture.write("a.txt", "changed\n");
    let refused = tool(&one, "git_add", json!({"files": ["a.txt"]}));
    assert!(refused["isError"] == true && refused["structuredContent"]["code"] == "unavailable", "{refused}");
    assert_ne!(tool(&one, "git_status", json!({}))["isError"], true);
    assert_eq!(one.server.send("GET", "/readyz", &[], b"").message().expect("an answer")["status"], "degraded");
}
