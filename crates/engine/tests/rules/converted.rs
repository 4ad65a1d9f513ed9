//! Conversion: what `git add` stores, and what a checkout writes.

use crate::repository::{Repository, runner};
use engine::rules::{Attributes, AutoCrlf, Conversion, Settings, Source};
use proptest::{prelude::*, sample::select};
use std::{borrow::Cow, cell::Cell, fmt::Write, fs};

const PARTS: &[&str] = &[
    "a\n",
    "b\r\n",
    "b\r\n",
    "c",
    "c\r",
    "\0",
    "$Id$",
    "$Id: x $",
    "$Id: x y $",
    "$Id:$",
    "$Id:",
    "$Id",
    "$Id:\n$",
    "$",
    "\u{1a}",
    "\u{1}",
    "\u{e4}\n",
    "$Id: $",
    "$Id:x$",
    "$IdX$Id$",
    "\u{1f600}",
    "\u{7f}",
    "\u{8}\u{c}\t\u{1b}",
    "\n",
    "\u{feff}",
];

const ATTRIBUTES: &[&str] = &[
    "text",
    "-text",
    "!text",
    "text=auto",
    "text=input",
    "text=x",
    "eol=lf",
    "eol=crlf",
    "eol=x",
    "crlf",
    "-crlf",
    "crlf=input",
    "crlf=auto",
    "ident",
    "-ident",
    "text=auto eol=crlf",
    "text=auto eol=lf",
    "-text eol=crlf",
    "filter=unknown",
    "ident text",
    "binary",
];

const ENCODINGS: &[&str] =
    &["", "", "", "UTF-8", "utf8", "UTF-16", "UTF-16LE", "utf-16be", "UTF-16LE-BOM", "UTF-32", "UTF-32LE", "UTF-32BE"];

#[derive(Clone, Debug)]
struct File {
    attributes: Vec<&'static str>,
    encoding: &'static str,
    text: String,
    indexed: Option<String>,
}

fn text() -> impl Strategy<Value = String> {
    let long = select(&["", "", "x"][..]).prop_map(|letter| letter.repeat(300));
    (prop::collection::vec(select(PARTS), 0..7), long).prop_map(|(parts, long)| parts.concat() + &long)
}

fn file() -> impl Strategy<Value = File> {
    let attributes = prop::collection::vec(select(ATTRIBUTES), 0..3);
    let made = (attributes, select(ENCODINGS), text(), prop::option::of(text()));
    made.prop_map(|(attributes, encoding, text, indexed)| File { attributes, encoding, text, indexed })
}

/// The text as a program would write it.
fn encoded(text: &str, encoding: &str) -> Vec<u8> {
    let name = encoding.to_ascii_uppercase();
    let mark = if matches!(&*name, "UTF-16" | "UTF-32" | "UTF-16LE-BOM") { "\u{feff}" } else { "" };
    // Without a required mark in its name, a content must not start with one.
    let text = if name.ends_with("LE") || name.ends_with("BE") { text.trim_start_matches('\u{feff}') } else { text };
    let big = name.ends_with("BE") || (text.len() % 2 == 1 && !name.contains("LE"));
    let text = format!("{mark}{text}");
    let order = |unit: [u8; 4], bytes: usize| {
        let mut unit = unit[4 - bytes..].to_vec();
        if !big {
            unit.reverse();
        }
        unit
    };
    if name.starts_with("UTF-16") {
        text.encode_utf16().flat_map(|unit| order(u32::from(unit).to_be_bytes(), 2)).collect()
    } else if name.starts_with("UTF-32") {
        text.chars().flat_map(|letter| order(u32::from(letter).to_be_bytes(), 4)).collect()
    } else {
        text.into_bytes()
    }
}

fn id_of(content: &[u8]) -> String {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::object::Kind::Blob, content).unwrap().to_string()
}

/// Writes the files and their blobs in the index. Returns their attributes.
fn prepare(repository: &Repository, files: &[File]) -> String {
    repository.git(&["read-tree", "--empty"], b"");
    let indexed = files.iter().enumerate().filter_map(|(at, file)| Some((format!("f{at}"), file.indexed.as_deref()?.as_bytes())));
    repository.stage(&indexed.collect::<Vec<_>>());
    let mut rules = String::new();
    for (at, file) in files.iter().enumerate() {
        let encoding = if file.encoding.is_empty() { String::new() } else { format!("working-tree-encoding={}", file.encoding) };
        writeln!(rules, "f{at} {} {encoding}", file.attributes.join(" ")).unwrap();
        repository.write(&format!("f{at}"), &encoded(&file.text, file.encoding));
    }
    repository.write(".gitattributes", rules.as_bytes());
    rules
}

#[test]
fn conversion_equals_that_of_add_and_checkout() {
    let repository = Repository::empty();
    let compared = [const { Cell::new(0_usize) }; 3];
    let auto = prop_oneof![Just(AutoCrlf::No), Just(AutoCrlf::Yes), Just(AutoCrlf::Input)];
    let files = prop::collection::vec(file(), 80);
    let outcome = runner(16).run(&(files, auto, any::<bool>()), |(files, auto_crlf, eol_is_crlf)| {
        let auto_name = match auto_crlf {
            AutoCrlf::No => "false",
            AutoCrlf::Yes => "true",
            AutoCrlf::Input => "input",
        };
        let settings = [format!("core.autocrlf={auto_name}"), format!("core.eol={}", if eol_is_crlf { "crlf" } else { "native" })];
        let git = |args: &[&str], input: &[u8]| {
            let all: Vec<_> = ["-c", &settings[0], "-c", &settings[1]].into_iter().chain(args.iter().copied()).collect();
            repository.git(&all, input)
        };
        let rules = prepare(&repository, &files);
        let attributes = Attributes::new(&[], None, false).enter(b"", Some((rules.as_bytes(), Source::File)));
        let names = (0..files.len()).fold(String::new(), |names, at| names + &format!("f{at}\n"));
        let hashed = String::from_utf8(git(&["hash-object", "--stdin-paths"], names.as_bytes())).unwrap();
        let hashed: Vec<_> = hashed.lines().collect();
        git(&["add", "."], b"");
        fs::remove_dir_all(repository.top().join("../out")).ok();
        git(&["checkout-index", "--all", "--prefix=../out/"], b"");
        let listed = String::from_utf8(git(&["ls-files", "-s"], b"")).unwrap();
        let settings = Settings { auto_crlf, eol_is_crlf, filters: vec![b"other".to_vec()] };
        for line in listed.lines() {
            let (entry, path) = line.split_once('\t').unwrap();
            let Some(at) = path.strip_prefix('f').map(|at| at.parse::<usize>().unwrap()) else { continue };
            let file = &files[at];
            let conversion = Conversion::of(&attributes.of(path.as_bytes(), Conversion::NAMES), &settings).unwrap();
            let content = encoded(&file.text, file.encoding);
            let indexed = || Ok(file.indexed.clone().map(String::into_bytes));
            let stored = conversion.to_git(Cow::Borrowed(&content), indexed).unwrap();
            prop_assert_eq!(entry.split(' ').nth(1).unwrap(), id_of(&stored), "{:?} {:?}", file, String::from_utf8_lossy(&stored));
            // That command reads no index.
            let alone = conversion.to_git(Cow::Borrowed(&content), || Ok(None)).unwrap();
            prop_assert_eq!(hashed[at], id_of(&alone), "{:?} {:?}", file, String::from_utf8_lossy(&alone));
            let Ok(written) = conversion.to_worktree(Cow::Borrowed(&stored), &id_of(&stored)) else {
                compared[2].update(|count| count + 1);
                continue;
            };
            let git = fs::read(repository.top().join("../out").join(path)).unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&git), "{:?}", file);
            prop_assert!(!conversion.is_identity() || (*stored == *content && written == stored));
            compared[usize::from(*stored != content || written != stored)].update(|count| count + 1);
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    let compared = compared.map(Cell::into_inner);
    println!("compared: {compared:?} (unchanged, converted, stored only)");
    assert!(compared.iter().all(|&count| count > 10), "{compared:?}");
}
