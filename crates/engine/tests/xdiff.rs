//! Compares line differences with those of git itself, on random texts.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the test asks git, prints its seed and fails loudly"
)]

use engine::{
    Never,
    diff::xdiff::{Hunk, Options, lines},
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngSeed, TestRunner},
};
use std::{error::Error, fmt::Write as _, fs, path::Path, process::Command};

type Outcome = Result<(), Box<dyn Error>>;

/// Two texts, the second made from the first by edits.
fn pair(len: usize, edits: usize, alphabet: usize) -> impl Strategy<Value = (String, String)> {
    let line = move || (0..alphabet, 0..4_usize, 0..12_usize);
    let text = |lines: &[(usize, usize, usize)], ends: bool| {
        let mut text = String::new();
        for (word, indent, blank) in lines {
            if *blank == 0 {
                text.push_str(["\n", "\t\n", "  \n", "\n"][*indent]);
            } else {
                let indent = ["", "    ", "\t", "  \t"][*indent % (1 + *word % 4)];
                let _ = writeln!(text, "{indent}w{word}{}", if *blank == 1 { " " } else { "" });
            }
        }
        if !ends {
            text.pop();
        }
        text
    };
    let edit = (any::<prop::sample::Index>(), 0..9_usize, prop::collection::vec(line(), 0..6));
    (prop::collection::vec(line(), 0..=len), prop::collection::vec(edit, 0..=edits), any::<u8>()).prop_map(move |(old, edits, ends)| {
        let mut new = old.clone();
        for (at, removed, added) in edits {
            let at = at.index(new.len() + 1);
            let end = (at + removed / 2).min(new.len());
            // Some edits repeat what stands before them, so that groups can slide.
            let added = if removed == 8 { new[at.saturating_sub(3)..at].to_vec() } else { added };
            new.splice(at..end, added);
        }
        (text(&old, ends & 1 != 0 || ends > 30), text(&new, ends & 2 != 0 || ends > 60))
    })
}

/// The hunks in a patch of one file.
fn parsed(patch: &str) -> Vec<Hunk> {
    let (mut hunks, mut i, mut j) = (Vec::<Hunk>::new(), 0, 0);
    let mut open = false;
    for line in patch.lines() {
        let start = |text: &str| -> u32 {
            let (start, len) = text.split_once(',').unwrap_or((text, "1"));
            start.parse::<u32>().unwrap() - u32::from(len != "0")
        };
        let mut words = line.split(' ');
        match (line.as_bytes().first(), words.next()) {
            (_, Some("@@")) => {
                i = start(&words.next().unwrap()[1..]);
                j = start(&words.next().unwrap()[1..]);
                open = false;
            }
            (Some(b'-' | b'+'), _) => {
                if !open {
                    hunks.push(Hunk { before: i..i, after: j..j });
                    open = true;
                }
                let hunk = hunks.last_mut().unwrap();
                if line.starts_with('-') {
                    i += 1;
                    hunk.before.end = i;
                } else {
                    j += 1;
                    hunk.after.end = j;
                }
            }
            (Some(b'\\'), _) => {}
            _ => {
                open = false;
                i += 1;
                j += 1;
            }
        }
    }
    hunks
}

/// What git finds in all pairs, by one process.
fn asked(dir: &Path, pairs: &[(String, String)], args: &[&str]) -> Result<Vec<Vec<Hunk>>, Box<dyn Error>> {
    let output = Command::new("git")
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["diff", "--no-index", "--no-color", "--no-renames"])
        .args(args)
        .args(["a", "b"])
        .output()?;
    let mut found = vec![Vec::new(); pairs.len()];
    let text = String::from_utf8(output.stdout)?;
    for file in text.split("diff --git a/").skip(1) {
        let number: usize = file.split(' ').next().ok_or("no name")?.trim_start_matches("a/").parse()?;
        if let Some(at) = file.find("\n@@") {
            found[number] = parsed(&file[at + 1..]);
        }
    }
    Ok(found)
}

fn compare(count: usize, len: usize, edits: usize, alphabet: usize) -> Outcome {
    let seed = std::env::var("XDIFF_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand_seed);
    println!("XDIFF_SEED={seed}");
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let strategy = pair(len, edits, alphabet);
    let pairs: Vec<_> = (0..count).map(|_| strategy.new_tree(&mut runner).map(|tree| tree.current())).collect::<Result<_, _>>().unwrap();
    let dir = tempfile::tempdir()?;
    for side in ["a", "b"] {
        fs::create_dir(dir.path().join(side))?;
    }
    for (at, (old, new)) in pairs.iter().enumerate() {
        fs::write(dir.path().join(format!("a/{at}")), old)?;
        fs::write(dir.path().join(format!("b/{at}")), new)?;
    }
    let usual = Options::default();
    for (options, args) in [
        (usual, &[][..]),
        (Options { minimal: true, ..usual }, &["--minimal"]),
        (Options { indent_heuristic: false, ..usual }, &["--no-indent-heuristic"]),
        (Options { ignore_space: true, ..usual }, &["-w"]),
        (Options { no_context: true, ..usual }, &["-U0"]),
        (Options { no_context: true, ignore_space: true, ..usual }, &["-U0", "-w"]),
    ] {
        let found = asked(dir.path(), &pairs, args)?;
        let mut changed = 0;
        for ((old, new), expect) in pairs.iter().zip(found) {
            let ours = lines(old.as_bytes(), new.as_bytes(), options, &Never)?;
            assert_eq!(ours, expect, "{args:?}\n--- {old:?}\n+++ {new:?}");
            changed += usize::from(!expect.is_empty());
        }
        assert!(changed > count / 2, "the texts differ too rarely");
    }
    Ok(())
}

fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(1)
}

#[test]
fn small_texts_of_few_words() -> Outcome {
    compare(600, 30, 4, 5)
}

#[test]
fn texts_like_sources() -> Outcome {
    compare(200, 400, 12, 150)
}

#[test]
fn large_texts_with_many_edits() -> Outcome {
    compare(12, 4000, 900, 1500)
}

#[test]
fn large_texts_of_few_words() -> Outcome {
    compare(12, 3000, 800, 30)
}
