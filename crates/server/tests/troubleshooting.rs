//! docs/TROUBLESHOOTING.md and its pages: each command runs against a server in the state that its block names, and its
//! output and exit code are compared with those shown.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, and fail loudly")]

#[path = "troubleshooting/document.rs"]
mod document;
#[path = "troubleshooting/scene.rs"]
mod scene;
#[path = "troubleshooting/states.rs"]
mod states;
mod support;

use document::{Block, Setting, anchor, blocks, is_as_shown, symptoms};
use scene::Scene;
use std::{collections::BTreeSet, fs};
use support::{Outcome, out, program, root};

/// Where the pages are.
const FOLDER: &str = "docs/troubleshooting";
/// Sub-commands that start the server or prepare its use.
const OTHERS: [&str; 7] = ["serve", "token", "call", "setup", "completions", "man", "help"];

/// The pages, by name.
fn pages() -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(FOLDER)).expect("the pages").flatten();
    let mut pages: Vec<(String, String)> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).expect("a page")))
        .collect();
    pages.sort();
    pages
}

/// The blocks of a page.
fn blocks_of(name: &str, page: &str) -> Vec<Block> {
    blocks(page).unwrap_or_else(|why| panic!("{FOLDER}/{name}: {why}"))
}

/// Runs each command of a page and compares its output.
fn play(name: &str) {
    let page = fs::read_to_string(root().join(FOLDER).join(name)).expect("a page");
    let mut scene: Option<Scene> = None;
    let (mut ran, mut different) = (0, Vec::new());
    for block in blocks_of(name, &page) {
        match &block.setting {
            Setting::Fresh(state) => {
                // The server of one scene ends before the next one starts.
                drop(scene.take());
                scene = Some(states::create(state).unwrap_or_else(|| panic!("{name}: there is no state {state}")));
            }
            Setting::Then(None) => {}
            Setting::Then(Some(event)) => {
                let happens = scene.as_mut().is_some_and(|scene| scene.happens(event));
                assert!(happens, "{name}: there is no event {event} in this state");
            }
        }
        let scene = scene.as_ref().unwrap_or_else(|| panic!("{name}: the first block has no state"));
        for command in &block.commands {
            let lines = scene.run(&command.script);
            ran += 1;
            if !is_as_shown(&command.expected, &lines) {
                different.push(format!("{FOLDER}/{name}:{}: $ {}\n{}", command.line, command.script, lines.join("\n")));
            }
        }
    }
    assert_eq!(ran, page.lines().filter(|line| line.starts_with("$ ")).count(), "{name}: commands that were not executed");
    assert!(different.is_empty(), "the output is another:\n\n{}", different.join("\n\n"));
}

#[test]
fn start_and_connections() {
    play("01-start.md");
}

#[test]
fn classes_of_errors() {
    play("02-errors.md");
}

#[test]
fn performance() {
    play("03-performance.md");
}

#[test]
fn sessions_and_heartbeats() {
    play("04-sessions.md");
}

#[test]
fn validation() {
    play("05-validation.md");
}

#[test]
fn circuits() {
    play("06-circuits.md");
}

#[test]
fn resources_and_leaks() {
    play("07-resources.md");
}

#[test]
fn debug_mode_and_profiles() {
    play("08-debugging.md");
}

#[test]
fn log_analysis() {
    play("09-logs.md");
}

#[test]
fn recovery_and_restart() {
    play("10-recovery.md");
}

#[test]
fn each_page_is_executed_and_each_symptom_has_commands() {
    let own = include_str!("troubleshooting.rs");
    let pages = pages();
    assert_eq!(pages.len(), 10);
    for (name, page) in &pages {
        assert!(own.contains(&format!("() {{\n    play(\"{name}\");\n}}")), "{name} is not executed");
        for part in page.split("\n## ").skip(1) {
            let title = part.lines().next().unwrap_or_default();
            assert!(part.contains("\n$ "), "{name}: `{title}` has no command");
        }
    }
}

#[test]
fn each_state_is_shown() {
    let shown: BTreeSet<String> = pages()
        .iter()
        .flat_map(|(name, page)| blocks_of(name, page))
        .filter_map(|block| match block.setting {
            Setting::Fresh(state) => Some(state),
            Setting::Then(_) => None,
        })
        .collect();
    let all: BTreeSet<String> = states::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(shown, all);
}

#[test]
fn links_lead_to_symptoms_and_the_index_has_each() -> Outcome {
    let index = fs::read_to_string(root().join("docs/TROUBLESHOOTING.md"))?;
    assert!(blocks(&index).is_ok_and(|blocks| blocks.is_empty()), "commands belong in the pages, where they are executed");
    let linked: BTreeSet<&str> = index.split("](troubleshooting/").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let pages = pages();
    let titles: BTreeSet<String> =
        pages.iter().flat_map(|(name, page)| symptoms(page).map(move |title| format!("{name}#{}", anchor(title)))).collect();
    assert_eq!(linked, titles.iter().map(String::as_str).collect::<BTreeSet<_>>());
    for (name, page) in &pages {
        let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| link.contains('#')) {
            assert!(titles.contains(link), "{name}: there is no {link}");
        }
    }
    Ok(())
}

/// The sub-commands of `command`, as its help lists them.
fn sub_commands(command: &[&str]) -> Vec<String> {
    let help = out(&program().args(command).arg("--help").output().expect("the program runs"));
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let words = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    words.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).filter(|name| !OTHERS.contains(&name.as_str())).collect()
}

#[test]
fn each_sub_command_of_operators_is_shown() {
    let scripts: Vec<String> = pages()
        .iter()
        .flat_map(|(name, page)| blocks_of(name, page))
        .flat_map(|block| block.commands)
        .map(|command| command.script)
        .collect();
    let is_shown = |words: &str| scripts.iter().any(|script| format!("{script} ").contains(&format!("mcp-server-git {words} ")));
    let all = sub_commands(&[]);
    assert!(["doctor", "status", "sessions", "restart", "profile"].iter().all(|name| all.iter().any(|one| one == name)), "{all:?}");
    for name in &all {
        let below = sub_commands(&[name]);
        let shown: Vec<bool> = below.iter().map(|one| is_shown(&format!("{name} {one}"))).collect();
        assert!(is_shown(name) && shown.iter().all(|is| *is), "{name} {below:?}: {shown:?}");
    }
}
