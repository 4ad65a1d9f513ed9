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
            let allowed = ["crates/git/src/process/mod.rs", "crates/server/src/cli/supervise.rs", "crates/server/src/cli/doctor/child.rs"];
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

/// The modules of a crate by their path, with the text of each.
fn modules(top: &str) -> BTreeMap<Vec<String>, String> {
    let of = |name: String, text: String| {
        let inner = name.strip_prefix(top)?.strip_suffix(".rs")?;
        let mut path: Vec<String> = inner.split('/').map(str::to_owned).collect();
        // A program beside its library is a crate of its own.
        let is_root = path.len() == 1 && matches!(path[0].as_str(), "lib" | "main");
        if is_root || path.last().is_some_and(|last| last == "mod") {
            path.pop();
        }
        Some((path, plain(&text)))
    };
    sources().into_iter().filter_map(|(name, text)| of(name, text)).collect()
}

/// Code without its tests, comments and texts.
fn plain(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), code(text));
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        kept.push_str(before);
        rest = if from.starts_with("//") {
            from.find('\n').map_or("", |end| &from[end..])
        } else if let Some(after) = from.strip_prefix("'\"'") {
            after
        } else if let Some(inside) = from.strip_prefix('"') {
            let mut escaped = false;
            let end = inside.find(|char| {
                let ends = char == '"' && !escaped;
                escaped = char == '\\' && !escaped;
                ends
            });
            end.map_or("", |end| &inside[end + 1..])
        } else {
            kept.push_str(&from[..1]);
            &from[1..]
        };
    }
    kept
}

/// The paths that a `use` names, one after the other.
fn expanded(tree: &str) -> Vec<String> {
    let Some((before, inner)) = tree.trim().split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, char) in inner.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expanded(part)).map(|part| format!("{before}{part}")).collect()
}

/// The paths that a module names: those of its imports, and others that begin at the crate or beside it.
fn named(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = String::new();
    for statement in text.split_inclusive(';') {
        match statement.rfind("use ").filter(|at| statement[..*at].ends_with(|before: char| before.is_whitespace()) || *at == 0) {
            Some(at) if !statement[at..].contains('(') => found.extend(expanded(statement[at + 4..].trim_end_matches(';'))),
            _ => rest.push_str(statement),
        }
    }
    for (at, _) in rest.match_indices("::") {
        let start = rest[..at].rfind(|char: char| !char.is_alphanumeric() && char != '_').map_or(0, |at| at + 1);
        if ["crate", "super", "self"].contains(&&rest[start..at]) {
            found.push(rest[start..].chars().take_while(|char| char.is_alphanumeric() || "_:".contains(*char)).collect());
        }
    }
    found
}

/// The modules that a module names, its parent and its own children apart.
fn imports(modules: &BTreeMap<Vec<String>, String>, module: &[String]) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for path in named(&modules[module]) {
        let mut parts: Vec<&str> = path.split("::").map(str::trim).collect();
        let mut target = match parts[0] {
            "crate" => Vec::new(),
            "super" | "self" => module.to_vec(),
            first if modules.contains_key(&[module, &[first.to_owned()]].concat()) => module.to_vec(),
            _ => continue,
        };
        while let Some(first) = parts.first().filter(|first| ["crate", "super", "self"].contains(*first)) {
            if *first == "super" {
                target.pop();
            }
            parts.remove(0);
        }
        for part in parts {
            target.push(part.to_owned());
            if !modules.contains_key(&target) {
                target.pop();
                break;
            }
        }
        let is_kin = target.is_empty()
            || target.split_last().is_some_and(|(_, parent)| parent == module)
            || module.starts_with(&target) && module.len() == target.len() + 1;
        if target != module && !is_kin {
            found.insert(target);
        }
    }
    found
}

/// Every group of modules that import each other in a circle.
fn circles(top: &str) -> Vec<String> {
    let modules = modules(top);
    let edges: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = modules.keys().map(|module| (module, imports(&modules, module))).collect();
    let reach = |from: &Vec<String>| {
        let (mut seen, mut queue) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(next) = queue.pop() {
            for target in &edges[&next] {
                if seen.insert(target.clone()) {
                    queue.push(target.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = modules.keys().map(|module| (module, reach(module))).collect();
    let mut found = BTreeSet::new();
    for (module, targets) in &reached {
        if targets.contains(*module) {
            let circle = targets.iter().filter(|target| reached[target].contains(*module));
            found.insert(circle.map(|module| module.join("/")).collect::<Vec<_>>().join(", "));
        }
    }
    found.into_iter().collect()
}

#[test]
fn modules_import_each_other_in_no_circle() {
    for name in ["crates/conformance", "crates/guard", "crates/mcp", "crates/server", "crates/store", "xtask"] {
        let circles = circles(&format!("{name}/src/"));
        assert!(circles.is_empty(), "modules of {name} that import each other: {}", circles.join("; "));
    }
}
