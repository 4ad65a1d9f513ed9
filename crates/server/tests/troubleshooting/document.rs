//! The pages of the guide: their command blocks, and the comparison of shown and real output.

/// The first line of a block.
const FENCE: &str = "```console";
/// The start of a command.
const PROMPT: &str = "$ ";
/// Matches any text in a line; alone on a line, any lines.
const ANY: &str = "\u{2026}";

/// In which state the commands of a block run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// A new one.
    Fresh(String),
    /// The one that the previous block left, after an event if it names one.
    Then(Option<String>),
}

/// A command with its expected output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Its line in the page.
    pub(crate) line: usize,
    pub(crate) script: String,
    pub(crate) expected: Vec<String>,
}

/// A command block of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) setting: Setting,
    pub(crate) commands: Vec<Command>,
}

/// The blocks of a page, or what is wrong with one.
pub(crate) fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let mut found = Vec::new();
    let mut setting = None;
    let mut lines = (1..).zip(page.lines());
    while let Some((at, line)) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            setting = Some(read_setting(comment).ok_or_else(|| format!("line {at}: no state: {comment}"))?);
        } else if line.starts_with("```") {
            if line != FENCE {
                return Err(format!("line {at}: a block that is not executed: {line}"));
            }
            let setting = setting.take().ok_or_else(|| format!("line {at}: a block without a state"))?;
            found.push(Block { setting, commands: read_commands(at, &mut lines)? });
        }
    }
    Ok(found)
}

fn read_setting(comment: &str) -> Option<Setting> {
    if comment == "then" {
        return Some(Setting::Then(None));
    }
    let (kind, name) = comment.split_once(": ")?;
    match kind {
        "state" => Some(Setting::Fresh(name.to_owned())),
        "then" => Some(Setting::Then(Some(name.to_owned()))),
        _ => None,
    }
}

/// Reads the commands up to the end of the block that begins at line `start`.
fn read_commands<'a>(start: usize, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    for (line, text) in lines {
        if text == "```" {
            return if commands.is_empty() { Err(format!("line {start}: a block without a command")) } else { Ok(commands) };
        }
        if let Some(script) = text.strip_prefix(PROMPT) {
            commands.push(Command { line, script: script.to_owned(), expected: Vec::new() });
        } else {
            let command = commands.last_mut().ok_or_else(|| format!("line {line}: output before any command"))?;
            command.expected.push(text.to_owned());
        }
    }
    Err(format!("line {start}: a block without an end"))
}

/// Whether the lines are as shown.
pub(crate) fn is_as_shown(expected: &[String], lines: &[String]) -> bool {
    match expected.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first.trim() == ANY => (0..=lines.len()).any(|skipped| is_as_shown(rest, &lines[skipped..])),
        Some((first, rest)) => lines.split_first().is_some_and(|(line, others)| is_line(first, line) && is_as_shown(rest, others)),
    }
}

/// Whether a line is as shown. The width of columns does not count: it depends on their content, which may be empty.
fn is_line(shown: &str, line: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, line) = (words(shown).replace(&format!(" {ANY} "), &format!(" {ANY}")), words(line));
    let mut pieces = shown.split(ANY);
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, between)) = pieces.split_last() else { return rest.is_empty() };
    for piece in between {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// The titles of symptoms.
pub(crate) fn symptoms(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| line.strip_prefix("## "))
}

/// The anchor of a title, as GitHub makes it.
pub(crate) fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn faulty_blocks_are_refused() {
    for (page, why) in [
        ("```sh\nx\n```\n", "not executed"),
        ("```console\n$ x\n```\n", "without a state"),
        ("<!-- state: a -->\n```console\n```\n", "without a command"),
        ("<!-- state: a -->\n```console\nx\n```\n", "before any command"),
        ("<!-- state: a -->\n```console\n$ x\n", "without an end"),
        ("<!-- a note -->\n", "no state"),
        ("<!-- state: a -->\n```console\n$ x\n```\n```console\n$ y\n```\n", "without a state"),
    ] {
        assert!(blocks(page).is_err_and(|err| err.contains(why)), "{page}");
    }
    let page = "<!-- state: a -->\n```console\n$ one\n1\n$ two\n```\n<!-- then: b -->\n```console\n$ three\n```\n";
    let scripts = |block: &Block| block.commands.iter().map(|command| command.script.clone()).collect::<Vec<_>>();
    let read = blocks(page).unwrap_or_default();
    assert_eq!(read.iter().map(scripts).collect::<Vec<_>>(), [vec!["one", "two"], vec!["three"]]);
    assert_eq!((&read[0].setting, &read[1].setting), (&Setting::Fresh("a".to_owned()), &Setting::Then(Some("b".to_owned()))));
    assert_eq!(read[0].commands[0].expected, ["1"]);
}

#[test]
fn shown_and_real_output_are_compared() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    for (shown, real) in [
        ("", ""),
        ("a", "a"),
        ("a\u{2026}c", "abc"),
        ("\u{2026}", ""),
        ("\u{2026}", "a\nb"),
        ("a\n\u{2026}\nd", "a\nb\nc\nd"),
        ("pid \u{2026}, port \u{2026}.", "pid 7, port 80."),
        ("a  b", "a      b"),
        ("a  \u{2026}  c", "a     c"),
        ("a\n  \u{2026}\nc", "a\nb\nc"),
    ] {
        assert!(is_as_shown(&lines(shown), &lines(real)), "{shown:?} {real:?}");
    }
    for (shown, real) in
        [("", "a"), ("a", ""), ("a", "b"), ("a\u{2026}c", "abx"), ("a\n\u{2026}\nd", "a\nb"), ("ab\u{2026}ba", "aba"), ("a b", "ab")]
    {
        assert!(!is_as_shown(&lines(shown), &lines(real)), "{shown:?} {real:?}");
    }
}
