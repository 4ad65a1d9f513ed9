//! Attributes.

use crate::{
    ignored::line,
    repository::{FOLDERS, Repository, paths, runner},
};
use engine::rules::{Attributes, Source, Value};
use proptest::{prelude::*, sample::select};
use std::cell::Cell;

const NAMES: [&str; 12] =
    ["text", "eol", "crlf", "ident", "filter", "working-tree-encoding", "diff", "merge", "whitespace", "binary", "m", "n"];

const STATES: &[&str] = &[
    "text",
    "-text",
    "!text",
    "text=auto",
    "text=input",
    "eol=lf",
    "eol=crlf",
    "-eol",
    "crlf",
    "-crlf",
    "crlf=input",
    "ident",
    "-ident",
    "filter=x",
    "!filter",
    "working-tree-encoding=UTF-16",
    "diff",
    "-diff",
    "diff=a=b",
    "merge=union",
    "whitespace=a,-b",
    "binary",
    "-binary",
    "!binary",
    "binary=x",
    "m",
    "-m",
    "m=1",
    "n",
    "!n",
    "other",
    "-other=x",
    "text=",
    "a\"b",
    "-",
    "=x",
    "builtin_x",
    "m=\u{e4}",
    "x.y",
    "--text",
    "!-text",
    "\r",
];

const LINES: &[&str] = &[
    "",
    "# *",
    " \t* text",
    "* text\r",
    "*\ttext \t -diff",
    "[attr]",
    "[attr] text",
    "[attr]m text=x -diff",
    "[attr]n m !merge",
    "[attr]m n diff",
    "[attr]-m text",
    "[attr]binary text",
    "\"[attr]m\" eol=lf",
    "\"[attr] m\" eol=crlf",
    "[attr]diff eol=x",
    "\"a\\142\" text",
    "\"a\" text",
    "\"a text",
    "\"a \" text",
    "\"#a\" text=q",
    "\"\\\"q\\\"\" ident",
    "\"a\\000b\" text=nul",
    "\"a\"text",
    "!a text",
    "\\!a text=bang",
    "*\0* text",
    "a/ text=folder",
    "/a m",
    "a=b text",
    "* m",
    "* n",
    "* binary m",
    "\"*\\n\" text",
    "\"\\400\" text",
    "\"\" text",
    "**",
    "/ text",
    "b.o -text !diff m",
];

fn file() -> impl Strategy<Value = Vec<u8>> {
    let states = prop::collection::vec(select(STATES), 0..4).prop_map(|states| states.join(" "));
    let rule = (line(), states).prop_map(|(pattern, states)| format!("{pattern} {states}"));
    let line = prop_oneof![3 => rule, 2 => select(LINES).prop_map(str::to_owned)];
    let end = select(&["\n", "\n", "\n", "\r\n", " \n"][..]);
    let lines = prop::collection::vec((line, end).prop_map(|(line, end)| line + end), 0..6);
    (prop::bool::weighted(0.1), lines, prop::bool::weighted(0.1)).prop_map(|(mark, lines, open)| {
        let text = if mark { "\u{feff}".to_owned() } else { String::new() } + &lines.concat();
        if open { text.trim_end_matches('\n').into() } else { text.into() }
    })
}

fn shown(value: &Value) -> Vec<u8> {
    match value {
        Value::Set => b"set".to_vec(),
        Value::Unset => b"unset".to_vec(),
        Value::Unspecified => b"unspecified".to_vec(),
        Value::Text(text) => text.to_vec(),
    }
}

/// The values of a path, and whether the attributes are ambiguous.
fn ours(top: &Attributes, files: &[Vec<u8>], path: &str, source: Source) -> ([Value; NAMES.len()], bool) {
    let mut attributes = top.clone();
    for (folder, content) in FOLDERS.iter().zip(files) {
        if path.starts_with(folder) && path != *folder {
            attributes = attributes.enter(folder.as_bytes(), Some((content, source)));
        }
    }
    (attributes.of(path.as_bytes(), NAMES), attributes.is_ambiguous())
}

#[test]
fn values_equal_those_of_check_attr() {
    let repository = Repository::new();
    let global = repository.top().join("../attributes");
    repository.git(&["config", "core.attributesFile", &global.to_string_lossy()], b"");
    let mut paths: Vec<String> = paths().into_iter().map(|(path, is_folder)| if is_folder { path + "/" } else { path }).collect();
    paths.retain(|path| path != "link");
    let input: String = paths.iter().map(|path| path.clone() + "\0").collect();
    let reads_ambiguous = repository.reads_ambiguous_patterns();
    let compared = [const { Cell::new(0_usize) }; 2];
    let files = prop::collection::vec(file(), FOLDERS.len());
    let outcome = runner(4).run(&(files, file(), file(), any::<bool>()), |(files, info, user, fold)| {
        for (folder, content) in FOLDERS.iter().zip(&files) {
            repository.write(&format!("{folder}.gitattributes"), content);
        }
        repository.write(".git/info/attributes", &info);
        repository.write("../attributes", &user);
        let top = Attributes::new(&[&user], Some(&info), fold);
        let staged: Vec<_> = FOLDERS.iter().zip(&files).map(|(folder, content)| (format!("{folder}.gitattributes"), &**content)).collect();
        repository.stage(&staged);
        let fold_setting = format!("core.ignoreCase={fold}");
        for source in [Source::File, Source::Blob] {
            let mut args = vec!["-c", &fold_setting, "check-attr", "-z", "--stdin"];
            args.extend((source == Source::Blob).then_some("--cached"));
            args.extend(NAMES);
            let answers = repository.git(&args, input.as_bytes());
            let fields: Vec<_> = answers.split(|&byte| byte == 0).collect();
            prop_assert_eq!(fields.len() / 3, paths.len() * NAMES.len());
            for (answers, path) in fields.chunks_exact(3 * NAMES.len()).zip(&paths) {
                let (values, is_ambiguous) = ours(&top, &files, path, source);
                if is_ambiguous && !reads_ambiguous {
                    continue;
                }
                for ((answer, value), name) in answers.chunks_exact(3).zip(&values).zip(NAMES) {
                    let (ours, git) = (shown(value), answer[2]);
                    prop_assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(git), "{} {} {:?}", path, name, source);
                    compared[usize::from(*value != Value::Unspecified)].update(|count| count + 1);
                }
            }
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    let compared = compared.map(Cell::into_inner);
    println!("compared: {compared:?} (unspecified, specified)");
    assert!(compared.iter().all(|&count| count > 100), "{compared:?}");
}
