//! docs/GUIDE.md, section 7: held resources and their release.

use crate::support::{
    Fixture,
    admin::{Administered, hanging_commit, operate},
    out,
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

#[test]
fn held_resources_are_listed() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let _stream = hanging_commit(&fixture, &server);
    let held = server.get("/resources");
    let kinds: Vec<&str> = held["resources"].as_array().expect("a list").iter().filter_map(|one| one["kind"].as_str()).collect();
    assert!(kinds.contains(&"lock") && kinds.contains(&"child"), "{held}");
    let lock = held["resources"].as_array().expect("a list").iter().find(|one| one["kind"] == "lock").expect("a lock").clone();
    assert_eq!(server.post("/resources/release", &json!({"id": lock["id"]})).0, 409, "it is in use");
    let (status, why) = server.post("/resources/release", &json!({"id": "lock_999"}));
    assert!(status == 404 && why["error"].as_str().is_some_and(|why| why.contains("not found for release")), "{why}");
    assert_eq!(server.post("/reap", &json!({"age": 0})).1["reaped"], 0, "resources in use stay");
}

#[test]
fn resources_that_cannot_be_released_are_reported_by_kind_and_number() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let _stream = hanging_commit(&fixture, &server);
    let held = server.get("/resources")["resources"].as_array().expect("a list").clone();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let is_numbered = |one: &Value| {
        let number = text(one, "id").strip_prefix(&format!("{}_", text(one, "kind"))).map(str::to_owned);
        number.is_some_and(|number| number.parse::<u64>().is_ok())
    };
    assert!(!held.is_empty() && held.iter().all(is_numbered), "{held:?}");
    let lock = held.iter().find(|one| one["kind"] == "lock").map(|one| text(one, "id")).expect("a lock");
    for (id, code, words) in [
        ("socket_1", 3, "unknown kind \"socket\""),
        ("temporary_99", 3, "\"temporary_99\" not found for release"),
        (lock.as_str(), 1, "is owned by the running server and cannot be released by hand"),
    ] {
        let refused = operate(&server, &["resources", "release", id]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(code) && said.contains(words), "{id}: {refused:?}");
    }
    let reaped = operate(&server, &["reap", "--age", "0s"]);
    assert_eq!(out(&reaped), "Reaped: 0\n", "resources in use stay");
}

#[test]
fn old_leftovers_of_a_killed_server_are_reaped() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    // The temporary name of an unfinished clone; no process has this number.
    let left = fixture.path.join(".clone-999999999-0123456789abcdef0123");
    fs::create_dir(&left).expect("a folder");
    assert_eq!(out(&operate(&server, &["reap"])), "Reaped: 0\n", "leftovers under an hour stay");
    assert!(left.is_dir());
    assert_eq!(out(&operate(&server, &["reap", "--age", "0s"])), format!("Reaped: 1\n  clone {}\n", left.display()));
    assert!(!left.exists());
    // More than an answer names.
    let lefts: Vec<PathBuf> = (0..101).map(|number| fixture.path.join(format!(".clone-999999999-{number:020x}"))).collect();
    for left in &lefts {
        fs::create_dir(left).expect("a folder");
    }
    let (_, many) = server.post("/reap", &json!({"age": 0}));
    let named = many["first"].as_array().cloned().unwrap_or_default();
    let are_ours = named.iter().all(|one| one["kind"] == "clone" && lefts.iter().any(|left| one["name"] == left.display().to_string()));
    assert!(many["reaped"] == 101 && named.len() == 100 && are_ours, "{many}");
    assert!(lefts.iter().all(|left| !left.exists()));
}
