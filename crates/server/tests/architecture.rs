//! The claims of ARCHITECTURE.md: crate and module dependencies, one spawn point, file sizes, existing files.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

#[path = "architecture/arms.rs"]
mod arms;
#[path = "architecture/functions.rs"]
mod functions;
#[path = "architecture/imports.rs"]
mod imports;
mod support;
#[path = "architecture/waits.rs"]
mod waits;

use cargo_metadata::MetadataCommand;
use imports::Graph;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use support::{Outcome, root};

/// The modules of `server` in layers: a module imports only from its own line and earlier ones.
const SERVER: [&str; 25] = [
    "config_path named percent process random suspicion symbol terminal telemetry/levels",
    "socket",
    "error",
    "output lifecycle/control lifecycle/grace lifecycle/notify lifecycle/phase lifecycle/signals",
    "admin/answers admin/requests",
    "arguments tool/effect tool/toolset",
    "caller circuits policy replies state",
    "persistence",
    "journal workspace",
    "tool",
    "tools",
    "selection",
    "config",
    "telemetry",
    "pipeline",
    "lifecycle",
    "wire",
    "caches",
    "server",
    "admin",
    "app",
    "dashboard",
    "serving",
    "embed",
    "cli",
];
/// The modules of `git` in layers. The first line is one vocabulary: names are validated, and errors contain them.
const GIT: [&str; 6] = ["cancel date error name", "process", "repo", "read", "change", "remote"];
/// Maximum length of a function, in lines.
const MAX_FUNCTION: usize = 60;
/// Exceptions: file, function, maximum length, reason.
const LONG: &[(&str, &str, usize, &str)] = &[
    ("crates/git/src/change/commit.rs", "commit_with_git", 62, "the steps of a commit, in their order"),
    ("crates/git/src/change/integrate.rs", "merge", 64, "the checks of a merge, then the merge"),
    ("crates/git/src/change/proceed.rs", "proceed", 70, "one decision over the operations and the actions"),
    ("crates/git/src/repo/settings.rs", "note_values", 65, "a line for each key"),
    ("crates/mcp/src/http/front.rs", "screen", 90, "the checks of a request, in the order in which they refuse it"),
    ("crates/mcp/src/http/mod.rs", "serve", 95, "one loop over listeners, connections and the stop"),
    ("crates/mcp/src/http/socket.rs", "run", 67, "one loop over both directions of a WebSocket"),
    ("crates/server/src/app.rs", "new", 97, "the composition of all parts"),
    ("crates/server/src/cli/admin/mod.rs", "prepare", 75, "an arm for each sub-command"),
    ("crates/server/src/cli/mod.rs", "run", 76, "an arm for each sub-command"),
    ("crates/server/src/cli/supervise.rs", "supervise", 73, "one loop over workers, requests and signals"),
    ("crates/server/src/error/advice/mod.rs", "on", 188, "an arm for each error of git"),
    ("crates/server/src/server/mod.rs", "begin", 61, "the periodic tasks, one after the other"),
    ("crates/server/src/tools/push.rs", "run", 68, "the checks before a push, in their order"),
    ("crates/server/src/wire/completions.rs", "complete", 62, "an arm for each argument"),
];
/// Tests that wait for a time: file, reason. All others wait for an event.
const WAITS: [(&str, &str); 3] = [
    ("crates/server/tests/endurance.rs", "kills at random moments, and a load that lasts as long as asked for"),
    ("crates/server/tests/soak.rs", "kills at random moments"),
    ("crates/server/tests/support/wire.rs", "`wait_for`, for the state of another process"),
];

/// Every source file, by its path from the repository root.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut queue = vec![root().join("crates"), root().join("xtask")];
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(dir).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                queue.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
                found.insert(name, fs::read_to_string(&path).expect("a source file"));
            }
        }
    }
    found
}

/// The source files below `top`, by relative path.
fn below(top: &str) -> BTreeMap<String, String> {
    sources().into_iter().filter_map(|(name, text)| Some((name.strip_prefix(top)?.to_owned(), text))).collect()
}

/// A file without its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn crates_import_no_sibling() -> Outcome {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec()?;
    let members: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut edges = BTreeSet::new();
    for package in &metadata.packages {
        let own = package.dependencies.iter().filter(|dependency| members.contains(&dependency.name));
        edges.extend(own.map(|dependency| format!("{} -> {}", package.name, dependency.name)));
    }
    let mut expect =
        BTreeSet::from(["mcpgit-git", "mcpgit-guard", "mcpgit-mcp", "mcpgit-store"].map(|name| format!("mcp-server-git -> {name}")));
    expect.extend(["mcpgit-conformance -> mcpgit-mcp", "mcpgit-git -> mcpgit-engine"].map(str::to_owned));
    assert_eq!(edges, expect);
    Ok(())
}

#[test]
fn tools_see_no_protocol_and_only_the_wire_sees_both() -> Outcome {
    let graph = Graph::of(&below("crates/server/src/"))?;
    for (module, foreign) in graph.foreign() {
        let name = module.join("/");
        let is = |rooms: &[&str]| module.first().is_some_and(|room| rooms.contains(&room.as_str()));
        let named = |crates: &[&'static str]| crates.iter().find(|one| foreign.contains(**one)).copied();
        if is(&["tools"]) {
            assert_eq!(named(&["mcp", "rmcp", "guard", "tokio", "gix", "store"]), None, "crates/server/src/{name}.rs");
        }
        // `rmcp` is the protocol; `mcp` also has sessions and validation modes.
        assert!(named(&["rmcp"]).is_none() || is(&["wire", "cli"]), "crates/server/src/{name}.rs sees the protocol: move that to wire/");
        let has_sessions = is(&["admin", "app", "config", "embed", "lifecycle", "persistence", "server", "serving", "telemetry"]);
        assert!(named(&["mcp"]).is_none() || is(&["wire", "cli"]) || has_sessions, "crates/server/src/{name}.rs sees sessions");
    }
    for (from, to) in graph.edges().filter(|(from, _)| from.first().is_some_and(|room| room == "tools")) {
        let allowed = ["error", "journal", "output", "policy", "symbol", "tool", "tools"];
        assert!(allowed.contains(&to[0].as_str()), "{} imports {}", from.join("/"), to.join("/"));
    }
    Ok(())
}

#[test]
fn modules_have_no_import_cycles() -> Outcome {
    for name in ["crates/conformance", "crates/git", "crates/guard", "crates/mcp", "crates/server", "crates/store", "xtask"] {
        let circles = Graph::of(&below(&format!("{name}/src/")))?.circles();
        assert!(circles.is_empty(), "{name}: these import each other, move what they share to a module below them: {}", circles.join("; "));
    }
    Ok(())
}

#[test]
fn modules_import_from_their_own_layer_and_those_below() -> Outcome {
    for (name, order) in [("crates/server", &SERVER[..]), ("crates/git", &GIT)] {
        let upward = Graph::of(&below(&format!("{name}/src/")))?.upward(order);
        assert!(upward.is_empty(), "{name}, order in crates/server/tests/architecture.rs: {}", upward.join("; "));
    }
    Ok(())
}

#[test]
fn functions_are_short_or_listed_with_a_reason() -> Outcome {
    let code = sources().into_iter().filter(|(name, _)| name.contains("/src/")).collect();
    let long = functions::longer_than(MAX_FUNCTION, &code)?;
    for (file, name, lines) in &long {
        let listed = LONG.iter().find(|(listed, function, ..)| listed == file && function == name).map(|(_, _, most, _)| *most);
        assert!(listed.is_some_and(|most| *lines <= most), "{file}: `{name}` has {lines} lines; split it");
    }
    for (file, function, ..) in LONG {
        assert!(
            long.iter().any(|(found, name, _)| found == file && name == function),
            "{file}: `{function}` is short now: remove it from LONG"
        );
    }
    Ok(())
}

#[test]
fn no_error_is_decided_by_a_catch_all_arm() -> Outcome {
    let found = arms::catching_all(&below("crates/server/src/error/"))?;
    assert!(found.is_empty(), "crates/server/src/error/: name what these arms take: {}", found.join(", "));
    Ok(())
}

#[test]
fn catch_all_arms_are_found() -> Outcome {
    let text = "fn f() {\n match x {\n A | B(_) => 1,\n _ if y => 2,\n rest if y => 3,\n Some(rest) => 4,\n (A, _) => 5,\n _ => 6,\n \
                rest => 7,\n C | _ => 8,\n (_, rest) => 9,\n &(rest @ _) => 10,\n }\n}\nmod tests { fn g() { match x { _ => 1 } } }";
    let found = arms::catching_all(&BTreeMap::from([("a.rs".to_owned(), text.to_owned())]))?;
    assert_eq!(found, ["a.rs:8", "a.rs:9", "a.rs:10", "a.rs:11", "a.rs:12"]);
    Ok(())
}

#[test]
fn tests_wait_for_events_or_are_listed_with_a_reason() -> Outcome {
    let mut found = Vec::new();
    for (name, text) in sources().into_iter().filter(|(name, _)| name.contains("/tests/")) {
        if waits::for_a_time(&text)? {
            found.push(name);
        }
    }
    assert_eq!(found, WAITS.map(|(file, _)| file), "wait for the event, or with `wait_for`");
    Ok(())
}

#[test]
fn processes_are_started_in_one_place() {
    for (name, text) in sources() {
        let is_product = name.contains("/src/") && !name.starts_with("xtask/");
        if is_product && code(&text).contains("Command::new(") {
            // The supervisor starts the server; the doctor starts a temporary one, and asks its namesake for a version.
            let allowed = ["crates/git/src/process/mod.rs", "crates/server/src/cli/supervise.rs", "crates/server/src/cli/doctor/child.rs"];
            assert!(allowed.contains(&name.as_str()), "{name}");
        }
    }
}

#[test]
fn files_stay_small() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 520, "{name} has {lines} lines: split it by what it does");
        let vague = ["utils", "helpers", "common", "manager", "service", "misc"];
        let stem = Path::new(&name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        assert!(!vague.contains(&stem), "{name} has a vague name");
    }
    let main = fs::read_to_string(root().join("crates/server/src/main.rs")).expect("main.rs");
    assert!(main.lines().count() < 40);
}

#[test]
fn documents_name_files_that_exist_and_stay_short() -> Outcome {
    for (document, limit) in
        [("ARCHITECTURE.md", 200), ("AGENTS.md", 50), ("README.md", 110), ("CONTRIBUTING.md", 80), ("docs/OUTPUT.md", 120)]
    {
        let text = fs::read_to_string(root().join(document))?;
        assert!(text.lines().count() <= limit, "{document} has {} lines", text.lines().count());
        for name in text.split('`').filter(|part| part.starts_with("crates/") || part.starts_with("tests/")) {
            let found = ["", "crates/git/", "crates/server/"].iter().any(|base| root().join(base).join(name).exists());
            assert!(found, "{document} names {name}");
        }
    }
    Ok(())
}
