//! The claims of ARCHITECTURE.md: edges between crates and modules, one spawn point, file sizes, files that it names.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use cargo_metadata::MetadataCommand;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use support::{Outcome, root};

/// Every source file, by its path from the top.
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
    expect.insert("mcpgit-conformance -> mcpgit-mcp".to_owned());
    assert_eq!(edges, expect);
    Ok(())
}

#[test]
fn modules_of_the_server_keep_to_their_edges() {
    let allowed_for_tools = ["tool", "output", "error", "symbol", "tools"];
    for (name, text) in sources().iter().filter(|(name, _)| name.starts_with("crates/server/src/")) {
        let text = code(text);
        let inner = name.trim_start_matches("crates/server/src/");
        if inner.starts_with("tools/") {
            for foreign in ["mcp::", "guard::", "tokio::", "gix::", "use store"] {
                assert!(!text.contains(foreign), "{name} uses {foreign}");
            }
            for used in text.split("crate::").skip(1) {
                let module: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                assert!(module.is_empty() || allowed_for_tools.contains(&module.as_str()), "{name} uses crate::{module}");
            }
        }
        let sees_mcp = text.contains("rmcp") && !text.contains("// rmcp") || text.contains("use mcp::");
        // Of sessions, which are more than the protocol, those know who look after them.
        let looks_after_sessions =
            ["admin/", "app.rs", "server.rs", "lifecycle/", "persistence/keeper.rs", "telemetry/"].iter().any(|own| inner.starts_with(own));
        let may_see_mcp = inner.starts_with("wire/") || inner.starts_with("cli/") || looks_after_sessions;
        assert!(!sees_mcp || may_see_mcp, "{name} sees MCP");
    }
}

#[test]
fn processes_are_started_in_one_place() {
    for (name, text) in sources() {
        let is_product = name.contains("/src/") && !name.starts_with("xtask/");
        if is_product && code(&text).contains("Command::new(") {
            // The supervisor starts the server itself; the doctor starts one to throw away, and asks its namesake for a version.
            let allowed = ["crates/git/src/process.rs", "crates/server/src/cli/supervise.rs", "crates/server/src/cli/doctor/child.rs"];
            assert!(allowed.contains(&name.as_str()), "{name}");
        }
    }
}

#[test]
fn files_stay_small_enough_to_be_read() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        // The odd repositories are one table.
        let limit = if name == "crates/git/tests/odd/mod.rs" { 800 } else { 520 };
        assert!(lines <= limit, "{name} has {lines} lines");
        let vague = ["utils", "helpers", "common", "manager", "service", "misc"];
        let stem = Path::new(&name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        assert!(!vague.contains(&stem), "{name} has a name that says nothing");
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
