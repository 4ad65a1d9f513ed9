//! One row per hint: how a test follows it, or why none can.

use super::collected::{self, Advice};
use crate::support::{Client, Fixture, call_in};
use serde_json::Value;
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// One hint and how it is followed.
pub(crate) struct Row {
    /// Source file of the hint, below `src`.
    file: &'static str,
    /// Start of its text, unique within the file.
    begins: &'static str,
    how: How,
}

enum How {
    /// Creates the situation, reads the hint, follows it and checks that it helps.
    Followed(fn(&Advice)),
    /// Printed with another hint of the file, which starts with this text and is followed.
    Along(&'static str),
    /// This test of this file follows it.
    Elsewhere(&'static str, &'static str),
    /// The same; the test performs this step, which the hint names.
    Shown((&'static str, &'static str), &'static str),
    /// No test can follow it: the reason, and the substitute check.
    Operator(&'static str),
}

/// The row of a hint that is followed here.
pub(crate) const fn followed(file: &'static str, begins: &'static str, by: fn(&Advice)) -> Row {
    Row { file, begins, how: How::Followed(by) }
}

/// The row of a part of another hint.
pub(crate) const fn along(file: &'static str, begins: &'static str, of: &'static str) -> Row {
    Row { file, begins, how: How::Along(of) }
}

/// The row of a hint that another test follows.
pub(crate) const fn elsewhere(file: &'static str, begins: &'static str, (path, test): (&'static str, &'static str)) -> Row {
    Row { file, begins, how: How::Elsewhere(path, test) }
}

/// The row of a hint that another test follows without quoting it: the test performs `what`, which the hint names.
pub(crate) const fn shown(file: &'static str, begins: &'static str, by: (&'static str, &'static str), what: &'static str) -> Row {
    Row { file, begins, how: How::Shown(by, what) }
}

/// The row of a hint that no test can follow.
pub(crate) const fn operator(file: &'static str, begins: &'static str, why: &'static str) -> Row {
    Row { file, begins, how: How::Operator(why) }
}

impl Row {
    /// The hints that start with this text, or the one that equals it.
    fn meant<'a>(&self, all: &'a [Advice]) -> Vec<&'a Advice> {
        let begins = |advice: &&Advice| advice.file == self.file && advice.text.starts_with(self.begins);
        let found: Vec<&Advice> = all.iter().filter(begins).collect();
        let exact = found.iter().find(|advice| advice.text == self.begins).copied();
        exact.map_or(found, |advice| vec![advice])
    }

    fn name(&self) -> String {
        format!("{}: {}", self.file, self.begins)
    }

    /// Follows the hint, or checks that another test does.
    fn follow(&self, all: &[Advice]) {
        let found = self.meant(all);
        let [advice] = found[..] else { panic!("{}: matches {} hints", self.name(), found.len()) };
        match self.how {
            How::Followed(by) => {
                by(advice);
                assert!(advice.was_read.get(), "{}: not read", self.name());
            }
            How::Along(of) => {
                let whole = Row { begins: of, file: self.file, how: How::Along("") };
                let [whole] = whole.meant(all)[..] else { panic!("{}: no `{of}`", self.name()) };
                advice.read(&whole.printed.borrow());
            }
            How::Elsewhere(path, test) => is_followed(advice, path, test),
            How::Shown((path, test), what) => {
                assert!(text_of_test(path, test).contains(what) && advice.text.contains(what), "{path}: {test}: {what}");
            }
            How::Operator(why) => assert!(why.len() > 40, "{}: why?", self.name()),
        }
    }

    /// Whether no test follows the row's hint.
    pub(crate) fn is_unfollowed(&self) -> bool {
        matches!(self.how, How::Operator(_))
    }
}

/// Follows the hints of these rows.
pub(crate) fn follow(rows: &[Row]) {
    let all = collected::all();
    let fails = |row: &&Row| catch_unwind(AssertUnwindSafe(|| row.follow(&all))).is_err();
    // Parts come after their whole hints were printed.
    let (parts, whole): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| matches!(row.how, How::Along(_)));
    let failed: Vec<String> = whole.into_iter().chain(parts).filter(fails).map(Row::name).collect();
    assert!(failed.is_empty(), "of {} rows: {failed:#?}", rows.len());
}

/// Hints without exactly one row.
pub(crate) fn faults(rows: &[&[Row]]) -> Vec<String> {
    let all = collected::all();
    let named: Vec<&Advice> = rows.iter().flat_map(|rows| rows.iter()).flat_map(|row| row.meant(&all)).collect();
    let count = |advice: &Advice| named.iter().filter(|one| std::ptr::eq(**one, advice)).count();
    let faults = all.iter().filter(|advice| count(advice) != 1);
    faults.map(|advice| format!("{} rows: {}: {}", count(advice), advice.file, advice.text)).collect()
}

/// A test with the items of its file that it uses, in one line.
fn text_of_test(path: &str, test: &str) -> String {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)).expect("the file of the test");
    let body = item(&source, &format!("fn {test}(")).unwrap_or_else(|| panic!("no test {test} in {path}"));
    let used = |name: &&str| body.contains(*name);
    let declared = source
        .lines()
        .filter_map(|line| line.trim_start_matches("pub(crate) ").strip_prefix("const ").or_else(|| line.strip_prefix("fn ")));
    let names = declared.filter_map(|rest| rest.split([':', '(']).next()).filter(used);
    let mut read = body.to_owned();
    for name in names {
        for start in [format!("fn {name}("), format!("const {name}:")] {
            read.push_str(item(&source, &start).unwrap_or_default());
        }
    }
    // Literals that continue on the next line, and escaped quotes.
    let lines: Vec<&str> = read.lines().map(|line| line.trim().trim_end_matches('\\')).collect();
    lines.join(" ").replace("\\\"", "\"").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Checks that a test quotes words of the hint.
fn is_followed(advice: &Advice, path: &str, test: &str) {
    let read = text_of_test(path, test);
    let has_words = advice.parts().iter().any(|part| {
        let words: Vec<&str> = part.split_whitespace().collect();
        let in_a_row = words.windows(words.len().clamp(1, 3)).any(|three| three.concat().len() > 7 && read.contains(&three.join(" ")));
        in_a_row || read.split('"').map(str::trim).any(|quoted| quoted.len() > 7 && quoted.contains(' ') && part.contains(quoted))
    });
    assert!(has_words, "{path}: {test} does not quote `{}`", advice.text);
}

/// An item of a source file, up to the brace or semicolon that closes it at the start of a line.
fn item<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let from = &text[text.find(start)?..];
    let end = ["\n}", ";\n"].iter().filter_map(|end| Some(from.find(end)? + end.len()));
    let end = if start.starts_with("fn ") { from.find("\n}") } else { end.min() };
    Some(&from[..end.unwrap_or(from.len())])
}

/// A tool and its arguments.
pub(crate) type Call<'a> = (&'a str, Value);

#[allow(clippy::needless_pass_by_value, reason = "calls are built in place")]
impl Advice {
    /// The call prints the hint, and succeeds after the other calls.
    pub(crate) fn helps(&self, client: &mut Client, call: Call<'_>, steps: &[Call<'_>]) {
        self.read(&client.error(call.0, &call.1));
        for (tool, args) in steps {
            client.text(tool, args);
        }
        client.text(call.0, &call.1);
    }

    /// The first call prints the hint; the others, corrected as it says, succeed.
    pub(crate) fn corrects(&self, fixture: &Fixture, call: Call<'_>, better: &[Call<'_>]) {
        let mut client = fixture.serve();
        self.read(&client.error(call.0, &call.1));
        for (tool, args) in better {
            client.text(tool, args);
        }
    }

    /// The call prints the hint. Returns the text and the placeholders' values.
    pub(crate) fn printed(&self, client: &mut Client, call: Call<'_>) -> (String, Vec<String>) {
        let error = client.error(call.0, &call.1);
        let filled = self.read(&error);
        (error, filled)
    }
}

/// The call of `tool` that a text names, with its arguments.
pub(crate) fn named<'a>(text: &str, tool: &'a str) -> Call<'a> {
    let at = text.find(&format!("{tool} {{")).unwrap_or_else(|| panic!("no {tool} in: {text}"));
    let json = &text[at + tool.len() + 1..];
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
    let args = values.next().and_then(Result::ok).unwrap_or_else(|| panic!("no arguments in: {json}"));
    assert_eq!(call_in(&format!("{tool} {args}")).0, tool);
    (tool, args)
}

/// The value that a text gives for an argument, as in `name`: value.
pub(crate) fn argument(text: &str, name: &str) -> Value {
    let (_, rest) = text.split_once(&format!("`{name}`: ")).unwrap_or_else(|| panic!("no {name} in: {text}"));
    // A word ends with its letters.
    let word = rest.split(|each: char| !each.is_alphanumeric()).next().unwrap_or_default();
    let mut values = serde_json::Deserializer::from_str(if word.is_empty() { rest } else { word }).into_iter::<Value>();
    values.next().and_then(Result::ok).unwrap_or_else(|| panic!("no value in: {rest}"))
}

/// The arguments, plus one that a text gives.
pub(crate) fn with(text: &str, name: &str, args: &Value) -> Value {
    let mut args = args.clone();
    args[name] = argument(text, name);
    args
}
