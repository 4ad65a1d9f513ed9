//! Ignore rules.

use crate::repository::{FOLDERS, Repository, paths, runner};
use engine::rules::{Ignore, List};
use proptest::{prelude::*, sample::select};
use std::cell::Cell;

/// Parts of patterns, the frequent ones several times.
const PARTS: &[&str] = &[
    "a",
    "a",
    "b",
    "b",
    "o",
    "x",
    "/",
    "/",
    "/",
    "*",
    "*",
    "**",
    "?",
    "[ab]",
    "[!a]",
    "[a-c]",
    "[^/]",
    "[[:alpha:]]",
    "[]",
    "[",
    "]",
    "\\",
    "\\*",
    " ",
    "\\ ",
    "\t",
    "!",
    "#",
    ".o",
    "foo",
    "bar",
    "A",
    "X",
    "B.O",
    "**/",
    "/**",
    "*.o",
    "[[:upper:]]",
    "[A-Z]",
    "\r",
    "\u{e4}",
    "-",
    "a/b",
    "foo/bar",
    "dir",
    "[b-\\]]",
    "[\\a]",
    "[[:x:]]",
    "[[:a]",
    "[]-a]",
    "[!]a]",
    "[a-]",
    "\\/",
    "\0",
    "/**/",
    "**/b",
    "c",
    "y",
    "=",
];

/// Whole lines that git reads in an odd way.
const LINES: &[&str] = &[
    "", "/", "//", "!", "!/", "*", "/*", "!*", "**", "**/", "!*/", "*/", "# a", "\\!a", "\\#a", "a \\", "foo**/y", "a//b", "/**/",
    "foo/**", "***/x", "./a", "a\\ ",
];

pub(crate) fn line() -> impl Strategy<Value = String> {
    let joined = prop::collection::vec(select(PARTS), 1..6).prop_map(|parts| parts.concat());
    let framed = (prop::bool::weighted(0.2), joined, prop::bool::weighted(0.2));
    let framed = framed.prop_map(|(bang, text, slash)| format!("{}{text}{}", if bang { "!" } else { "" }, if slash { "/" } else { "" }));
    prop_oneof![8 => framed, 1 => select(LINES).prop_map(str::to_owned)]
}

fn file() -> impl Strategy<Value = String> {
    let end = select(&["\n", "\n", "\n", "\r\n", " \n"][..]);
    let lines = prop::collection::vec((line(), end).prop_map(|(line, end)| line + end), 0..5);
    (prop::bool::weighted(0.1), lines, prop::bool::weighted(0.1)).prop_map(|(mark, lines, open)| {
        let text = if mark { "\u{feff}".to_owned() } else { String::new() } + &lines.concat();
        if open { text.trim_end_matches('\n').to_owned() } else { text }
    })
}

/// What a scan that descends to `path` decides, and whether the rules are ambiguous.
fn ours(rules: &Ignore, files: &[String], path: &str, is_folder: bool) -> (Option<bool>, bool) {
    let gitignore = |folder: &str| FOLDERS.iter().position(|known| *known == folder).map(|at| files[at].as_bytes());
    let mut rules = rules.enter(b"", gitignore(""));
    let mut start = 0;
    while let Some(slash) = path[start..].find('/').map(|found| start + found) {
        let folder = &path[..slash];
        if rules.verdict(&path.as_bytes()[start..slash], folder.as_bytes(), true) == Some(true) {
            return (Some(true), rules.is_ambiguous());
        }
        rules = rules.enter(folder.as_bytes(), gitignore(&path[..=slash]));
        start = slash + 1;
    }
    (rules.verdict(&path.as_bytes()[start..], path.as_bytes(), is_folder), rules.is_ambiguous())
}

#[test]
fn verdicts_equal_those_of_check_ignore() {
    let repository = Repository::new();
    let exclude = repository.top().join("../exclude");
    repository.git(&["config", "core.excludesFile", &exclude.to_string_lossy()], b"");
    let reads_ambiguous = repository.reads_ambiguous_patterns();
    let paths = paths();
    let input: String = paths.iter().map(|(path, _)| path.clone() + "\0").collect();
    let compared = [const { Cell::new(0_usize) }; 3];
    let files = prop::collection::vec(file(), FOLDERS.len());
    let outcome = runner(2).run(&(files, file(), file(), any::<bool>()), |(files, info, global, fold)| {
        for (folder, content) in FOLDERS.iter().zip(&files) {
            repository.write(&format!("{folder}.gitignore"), content.as_bytes());
        }
        repository.write(".git/info/exclude", info.as_bytes());
        repository.write("../exclude", global.as_bytes());
        let fold_setting = format!("core.ignoreCase={fold}");
        let args = ["-c", &fold_setting, "check-ignore", "--no-index", "-v", "-n", "-z", "--stdin"];
        let answers = repository.git(&args, input.as_bytes());
        let fields: Vec<_> = answers.split(|&byte| byte == 0).collect();
        let rules = Ignore::new([&global, &info].map(|text| List::parse(text.as_bytes(), fold)).into(), fold);
        prop_assert_eq!(fields.len() / 4, paths.len());
        for (answer, (path, is_folder)) in fields.chunks_exact(4).zip(&paths) {
            let pattern = answer[2];
            let git = (!answer[0].is_empty()).then(|| !pattern.starts_with(b"!"));
            let (ours, is_ambiguous) = ours(&rules, &files, path, *is_folder);
            if is_ambiguous && !reads_ambiguous {
                continue;
            }
            prop_assert_eq!(ours, git, "{} {:?}", path, String::from_utf8_lossy(pattern));
            compared[git.map_or(0, |ignored| 1 + usize::from(ignored))].update(|count| count + 1);
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    let compared = compared.map(Cell::into_inner);
    println!("compared: {compared:?} (no match, re-included, ignored)");
    assert!(compared.iter().all(|&count| count > 100), "{compared:?}");
}

/// Every byte that a name can have, against each class and odd sets.
#[test]
fn sets_hold_the_same_bytes_as_in_git() {
    let repository = Repository::empty();
    let names: Vec<_> = (1..=u8::MAX).filter(|&byte| byte != b'/').map(|byte| vec![b'x', byte, b'y']).collect();
    let input: Vec<_> = names.iter().flat_map(|name| name.iter().copied().chain([0])).collect();
    let classes = "alnum alpha blank cntrl digit graph lower print punct space upper xdigit word";
    let classes = classes.split(' ').flat_map(|class| [format!("x[[:{class}:]]y"), format!("x[^[:{class}:]_]y")]);
    let sets = "? * [A-Z] [!a-z] [\\]-a] [a-\\]] [+--] [--0] [a-c-e] [[:digit:]-a] [^^] [!!] [\\[-z] [a[:x] [A] \\A [\\A-B] [z-a] [[-b]";
    let sets = sets.split(' ').map(|set| format!("x{set}y"));
    for (pattern, fold) in classes.chain(sets).flat_map(|pattern| [(pattern.clone(), false), (pattern, true)]) {
        repository.write(".gitignore", pattern.as_bytes());
        let fold_setting = format!("core.ignoreCase={fold}");
        let answers = repository.git(&["-c", &fold_setting, "check-ignore", "--no-index", "-v", "-n", "-z", "--stdin"], &input);
        let fields: Vec<_> = answers.split(|&byte| byte == 0).collect();
        let rules = Ignore::new(Vec::new(), fold).enter(b"", Some(pattern.as_bytes()));
        assert_eq!(fields.len() / 4, names.len());
        for (answer, name) in fields.chunks_exact(4).zip(&names) {
            let git = (!answer[0].is_empty()).then_some(true);
            assert_eq!(rules.verdict(name, name, false), git, "{pattern} {:?} {fold}", name.escape_ascii());
        }
    }
}
