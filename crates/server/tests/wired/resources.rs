//! Section 7 of the guide: what is held, and given back.

use crate::support::{
    Fixture,
    admin::{Administered, hanging_commit},
};
use serde_json::json;

#[test]
fn resources_are_listed_while_they_are_held() {
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
    assert_eq!(server.post("/reap", &json!({"age": 0})).1["reaped"], 0, "what is in flight stays");
}
