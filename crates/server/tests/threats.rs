//! The table of docs/THREATS.md: each row appears once, has a kind, and names existing tests.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};
use support::root;

const KINDS: [&str; 4] = ["construction", "kernel", "check", "none"];
const UNTESTED: &str = "none yet";

fn document() -> String {
    fs::read_to_string(root().join("docs/THREATS.md")).expect("docs/THREATS.md")
}

/// The rows by number, each with its cells.
fn rows(text: &str) -> Vec<(usize, Vec<&str>)> {
    text.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
            Some((cells[0].parse().ok()?, cells))
        })
        .collect()
}

/// Each `FILE::NAME` in `text`.
fn tests_in(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|span| span.split_once("::"))
        .filter(|(_, name)| name.len() > 3 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'))
}

/// The test functions of a file.
fn tests_of(file: &str) -> BTreeSet<String> {
    let path = if file.contains('/') { format!("crates/{file}") } else { format!("crates/server/tests/{file}.rs") };
    let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|err| panic!("{path}: {err}"));
    let after = text.split("#[test]").chain(text.split("#[tokio::test")).skip(1);
    let name = |part: &str| part.split_once("fn ").map(|(_, rest)| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
    after.filter_map(name).collect()
}

#[test]
fn each_row_has_a_number_a_kind_and_a_test_or_none_yet() {
    let text = document();
    let rows = rows(&text);
    for (at, (number, cells)) in rows.iter().enumerate() {
        assert_eq!(*number, at + 1, "rows are numbered without gaps");
        let [_, threat, guard, kind, held_by] = cells[..] else { panic!("{number} has {} cells", cells.len()) };
        assert!(!threat.is_empty() && !guard.is_empty(), "{number}");
        assert!(kind.split(", ").all(|kind| KINDS.contains(&kind)), "{number}: {kind}");
        assert!(held_by.contains(UNTESTED) || tests_in(held_by).next().is_some(), "{number} names neither a test nor `none yet`");
        assert!(kind != "none" || held_by.contains(UNTESTED), "{number} has no guard, so it cannot have a test");
    }
    assert!(rows.len() >= 116, "{} rows: no row may be dropped", rows.len());
}

#[test]
fn each_test_that_the_table_names_exists() {
    let text = document();
    let mut known: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut count = 0;
    for (file, name) in tests_in(&text) {
        let tests = known.entry(file).or_insert_with(|| tests_of(file));
        assert!(tests.contains(name), "docs/THREATS.md names {file}::{name}, which does not exist");
        count += 1;
    }
    assert!(count > 100, "{count} tests are named");
}

/// Numbers in a test's name: `a_1_to_3_and_7` has 1, 2, 3 and 7.
fn numbers(name: &str) -> BTreeSet<usize> {
    let words: Vec<&str> = name.split('_').collect();
    let at = |place: usize| words.get(place).and_then(|word| word.parse::<usize>().ok());
    let range =
        |place: usize| Some(at(place)?..=words.get(place + 1).filter(|word| **word == "to").and(at(place + 2)).unwrap_or(at(place)?));
    (0..words.len()).filter_map(range).flatten().collect()
}

#[test]
fn a_test_with_numbers_is_named_in_their_rows() {
    assert_eq!(numbers("a_1_to_3_and_7"), BTreeSet::from([1, 2, 3, 7]));
    let text = document();
    let named: BTreeSet<(usize, &str)> =
        rows(&text).iter().flat_map(|(row, cells)| tests_in(cells[cells.len() - 1]).map(|(_, name)| (*row, name))).collect();
    for file in ["attack", "network", "resources", "transports", "features", "selection", "undo", "tokens", "soak"] {
        for name in tests_of(file) {
            for row in numbers(&name) {
                assert!(named.contains(&(row, name.as_str())), "row {row} of docs/THREATS.md does not name {file}::{name}");
            }
        }
    }
}
