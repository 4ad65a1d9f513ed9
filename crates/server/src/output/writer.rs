//! Writes one result within its budget. All tool output passes through here.

use super::{
    Budget, MAX_LINE, Reply, counted, cut_middle,
    escape::{self, OWN_LINE},
    field::{Field, whole_escapes},
    head_len, prepared,
    redact::{Origin, redact},
    row::Row,
};
use serde_json::Value;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Minimum bytes shown of a field or a line on a page without room for it.
const LEAST: usize = 40;
/// Maximum bytes shown of the output of a hook or a remote.
const MAX_QUOTE: usize = 4000;
/// Maximum length of one of the server's own lines, besides the call that it names.
const MAX_OWN_LINE: usize = 700;
/// Maximum bytes before the call in a shortened note.
const SHORT: usize = 60;
/// Bytes around the rows of structured content.
const WRAPPING: usize = 100;

/// Writes one result.
pub(crate) struct Writer {
    text: String,
    budget: Budget,
    /// Maximum bytes of text before the closing notes.
    room: Option<usize>,
    mark: String,
    redacted: usize,
    closing: Vec<String>,
    /// Rows of structured content, and their size.
    values: Vec<Value>,
    spent: usize,
    /// Number of rows, lines and pieces of repository text.
    count: usize,
}

/// A finished row.
struct Finished {
    text: String,
    value: Option<Value>,
    redacted: usize,
}

impl Finished {
    fn value_len(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.to_string().len() + 1)
    }
}

impl Writer {
    pub(crate) fn new(budget: Budget) -> Self {
        // Unpredictable, so that no repository can forge it.
        let random = RandomState::new().build_hasher().finish();
        Self {
            text: String::new(),
            budget,
            room: budget.body(),
            mark: format!("{OWN_LINE}{:06x}", random & 0xff_ffff),
            redacted: 0,
            closing: Vec::new(),
            values: Vec::new(),
            spent: 0,
            count: 0,
        }
    }

    /// Continues a finished, bounded text.
    pub(super) fn continued(text: String) -> Self {
        Self { text, ..Self::new(Budget::of(0)) }
    }

    /// Bytes that still fit.
    pub(crate) fn left(&self) -> usize {
        self.room.map_or(usize::MAX, |room| room.saturating_sub(self.text.len()))
    }

    /// Whether any text was written.
    pub(crate) fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    /// Whether results are bounded.
    pub(crate) fn is_bounded(&self) -> bool {
        self.room.is_some()
    }

    /// Adds a row. The first is truncated to fit; a later one returns false. `whole` names the source of truncated fields.
    pub(crate) fn row(&mut self, build: &dyn Fn(&mut Row) -> &mut Row, whole: &dyn Fn(&str) -> String) -> bool {
        let Some(row) = self.fitted(build, whole, self.left()) else { return false };
        self.count += 1;
        self.add(row);
        true
    }

    /// Adds a row for each item while they fit, as [`Writer::row`] does, and returns the number of rows.
    pub(crate) fn rows<T: Copy>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        build: impl Fn(T, &mut Row) -> &mut Row,
        whole: impl Fn(T, &str) -> String,
    ) -> usize {
        items.into_iter().take_while(|&item| self.row(&|row| build(item, row), &|what| whole(item, what))).count()
    }

    /// Adds rows as [`Writer::rows`] does, and a closing note if items are left out; `note` receives their number.
    pub(crate) fn list<T: Copy>(
        &mut self,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        build: impl Fn(T, &mut Row) -> &mut Row,
        whole: &str,
        note: impl FnOnce(usize) -> String,
    ) {
        let items = items.into_iter();
        let all = items.len();
        let left = all - self.rows(items, build, |_, _| whole.to_owned());
        if left > 0 {
            self.note(note(left));
        }
    }

    /// Adds a line before rows. It does not count as a row, and takes at most half of the page.
    pub(crate) fn heading(&mut self, build: &dyn Fn(&mut Row) -> &mut Row, whole: &dyn Fn(&str) -> String) -> bool {
        let room = if self.count == 0 { self.left() / 2 } else { self.left() };
        let Some(row) = self.fitted(build, whole, room) else { return false };
        self.add(row);
        true
    }

    fn add(&mut self, row: Finished) {
        self.text.push_str(&row.text);
        self.redacted += row.redacted;
        let size = row.value_len();
        if let Some(value) = row.value {
            // Structured content counts against the budget, too.
            self.spent += size;
            self.room = self.room.map(|room| room.saturating_sub(size));
            self.values.push(value);
        }
    }

    fn fitted(&self, build: &dyn Fn(&mut Row) -> &mut Row, whole: &dyn Fn(&str) -> String, room: usize) -> Option<Finished> {
        let mut most = self.is_bounded().then(|| Field::Path.limit());
        loop {
            let row = self.built(build, whole, most);
            match most {
                Some(now) if row.text.len() + row.value_len() > room => {
                    if self.count > 0 {
                        return None;
                    }
                    if now <= LEAST {
                        return Some(row);
                    }
                    most = Some(now / 2);
                }
                _ => return Some(row),
            }
        }
    }

    fn built(&self, build: &dyn Fn(&mut Row) -> &mut Row, whole: &dyn Fn(&str) -> String, most: Option<usize>) -> Finished {
        let mut row = Row::new(most);
        build(&mut row);
        let note = row.note(whole).map(|note| self.own(&note, false)).unwrap_or_default();
        Finished { text: format!("{}\n{note}", row.text), value: row.value(), redacted: row.redacted }
    }

    /// Takes the rows of structured content.
    pub(crate) fn take_values(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.values)
    }

    /// Adds content if it fits whole.
    fn fit(&mut self, raw: &[u8]) -> bool {
        let (shown, redacted) = prepared(raw, Origin::Content);
        if shown.len() > self.left() {
            return false;
        }
        self.text.push_str(&shown);
        self.redacted += redacted;
        self.count += 1;
        true
    }

    /// One of the server's own lines. A `<` after the mark means that the line break before it is the server's, too,
    /// not the text's.
    fn own(&self, note: &str, joined: bool) -> String {
        // Fields in it are redacted by their kind. A call repeats the caller's own arguments.
        let note = escape::escape_line(note);
        let note = cut_middle(&redact(&note, Origin::Content).0, MAX_OWN_LINE + self.budget.call());
        let (line_break, sign) = if joined { ("\n", "<") } else { ("", "") };
        format!("{line_break}{}{sign}] {note}\n", self.mark)
    }

    /// Adds one of the server's own lines here. Repository text in it must be a [`super::word`].
    pub(crate) fn say(&mut self, note: &str) {
        let line = self.own(note, !self.text.is_empty() && !self.text.ends_with('\n'));
        self.text.push_str(&line);
    }

    /// Adds one of the server's own lines at the end of the result.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.closing.push(note.into());
    }

    /// Adds a line of content of `len` bytes, including its line break. A line that is too long for a model is shortened,
    /// as is a first line that does not fit the page. Returns false if a later line does not fit.
    ///
    /// `rest` ends the note on a shortened line: it names the call for the rest, from a position on.
    pub(crate) fn line(&mut self, line: &[u8], len: usize, rest: &mut dyn FnMut(usize) -> String) -> bool {
        let body = line.strip_suffix(b"\n").unwrap_or(line).len();
        let is_whole = line.len() == len;
        let mut head = MAX_LINE;
        if is_whole && (body <= MAX_LINE || !self.is_bounded()) {
            if self.fit(line) {
                return true;
            }
            if self.count > 0 {
                return false;
            }
            head = (body / 2).max(LEAST);
        }
        // Without its line break.
        let all = len.saturating_sub(line.len() - body);
        loop {
            let at = head_len(&line[..body.max(1)], head);
            let (shown, redacted) = prepared(&line[..at], Origin::Content);
            let note = self.own(&format!("the line above continues for {}{}", counted(all.saturating_sub(at), "byte"), rest(at)), true);
            if shown.len() + note.len() <= self.left() || self.count == 0 && head <= LEAST {
                self.text.push_str(&shown);
                self.text.push_str(&note);
                self.redacted += redacted;
                self.count += 1;
                return true;
            }
            if self.count > 0 {
                return false;
            }
            head = (head / 2).max(LEAST);
        }
    }

    /// Adds lines of content while they fit, and returns the number of bytes consumed: all of `raw`, or up to the line
    /// that did not fit. `rest` names the call for the rest of a shortened line, given its position in `raw` and its length.
    pub(crate) fn lines(&mut self, raw: &[u8], rest: &mut dyn FnMut(usize, usize) -> String) -> usize {
        let mut at = 0;
        for line in raw.split_inclusive(|&byte| byte == b'\n') {
            if !self.line(line, line.len(), &mut |head| format!(": {}", rest(at + head, line.len() - head))) {
                return at;
            }
            at += line.len();
        }
        at
    }

    /// Adds content while it fits, ignoring lines, and returns the number of bytes consumed: some at least on an empty
    /// page.
    pub(crate) fn pieces(&mut self, raw: &[u8]) -> usize {
        let mut at = 0;
        for line in raw.split_inclusive(|&byte| byte == b'\n') {
            let end = at + line.len();
            while at < end {
                let mut piece = &raw[at..end][..head_len(&raw[at..end], MAX_LINE)];
                if self.count == 0 {
                    while piece.len() > LEAST && !self.fits(piece) {
                        piece = &piece[..head_len(piece, piece.len() / 2)];
                    }
                }
                if !self.fit(piece) {
                    return at;
                }
                at += piece.len();
            }
        }
        at
    }

    /// Adds as much of non-empty `raw` as fits, and returns the number of bytes consumed.
    pub(crate) fn bytes(&mut self, raw: &[u8]) -> usize {
        let mut len = super::whole_chars(raw, raw.len());
        if len == 0 {
            len = raw.len();
        }
        // Invalid bytes and controls take more room than they did; halve until it fits.
        while len > LEAST && !self.fits(&raw[..len]) {
            len = head_len(raw, len / 2);
        }
        let (shown, redacted) = prepared(&raw[..len], Origin::Content);
        self.text.push_str(&shown);
        self.redacted += redacted;
        self.count += 1;
        len
    }

    /// Adds output of git, its hooks or a remote, with a note if it is truncated.
    pub(crate) fn quote(&mut self, text: &str) {
        let (shown, redacted) = prepared(text.as_bytes(), Origin::Transport);
        let most = self.is_bounded().then(|| (self.left() / 2).min(MAX_QUOTE));
        let end = most.map_or(shown.len(), |most| whole_escapes(&shown, most));
        self.text.push_str(&shown[..end]);
        self.redacted += redacted;
        if end < shown.len() {
            self.say(&format!("cut above: {end} of {} bytes. The rest is not available", shown.len()));
        }
    }

    /// Adds the replacement for a credential.
    pub(crate) fn hide(&mut self) {
        self.text.push_str("***");
        self.redacted += 1;
    }

    /// Whether the content would fit.
    pub(crate) fn fits(&self, raw: &[u8]) -> bool {
        prepared(raw, Origin::Content).0.len() <= self.left()
    }

    /// A state to return to if later content does not fit.
    pub(crate) fn checkpoint(&self) -> (usize, usize, usize) {
        (self.text.len(), self.redacted, self.count)
    }

    /// Removes what was added since the checkpoint, which must not include structured content.
    pub(crate) fn rewind(&mut self, (len, redacted, count): (usize, usize, usize)) {
        self.text.truncate(len);
        (self.redacted, self.count) = (redacted, count);
    }

    pub(crate) fn finish(mut self) -> Reply {
        if self.redacted > 0 {
            let many = if self.redacted == 1 { "credential was" } else { "credentials were" };
            self.closing.push(format!("{} {many} replaced by ***", self.redacted));
        }
        let notes = std::mem::take(&mut self.closing);
        let total = self.budget.total.map(|total| total.saturating_sub(if self.spent > 0 { self.spent + WRAPPING } else { 0 }));
        for note in total.map_or(notes.clone(), |total| self.affordable(&notes, total)) {
            self.say(&note);
        }
        Reply { text: self.text, structured: None }
    }

    /// The notes that fit. Those that name the next call take precedence; any may be shortened.
    fn affordable(&mut self, notes: &[String], total: usize) -> Vec<String> {
        const LEFT_OUT: &str = "some notes did not fit: repeat the call with a larger `max_tokens`";
        let size = |note: &str| self.own(note, true).len();
        let reserve = size(LEFT_OUT);
        let mut room = total.saturating_sub(self.text.len());
        if notes.iter().map(|note| size(note)).sum::<usize>() <= room {
            return notes.to_vec();
        }
        room = room.saturating_sub(reserve);
        let mut order: Vec<usize> = (0..notes.len()).collect();
        order.sort_by_key(|&at| !notes[at].contains(NEXT));
        let mut kept: Vec<(usize, String)> = Vec::new();
        for at in order {
            let fitting = [notes[at].clone(), shortened(&notes[at])].into_iter().find(|note| size(note) <= room);
            let Some(note) = fitting else { continue };
            room -= size(&note);
            kept.push((at, note));
        }
        kept.sort_unstable();
        let is_all = kept.len() == notes.len();
        let mut kept: Vec<String> = kept.into_iter().map(|(_, note)| note).collect();
        if !is_all {
            kept.push(LEFT_OUT.to_owned());
        }
        // Rows and lines leave this much room by construction. If they do not, the text is cut.
        let limit = total.saturating_sub(reserve);
        if self.text.len() > limit {
            self.text.truncate(self.text.floor_char_boundary(limit));
        }
        kept
    }
}

/// The prefix of the next call.
const NEXT: &str = "Next: ";

/// Shortens a note, but not its call.
fn shortened(note: &str) -> String {
    let call = [NEXT, "To see them: ", ": "].into_iter().find_map(|sign| note.find(sign));
    let (said, call) = note.split_at(call.unwrap_or(note.len()));
    cut_middle(said, SHORT) + call
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOTAL: usize = 2000;

    fn small() -> Writer {
        Writer::new(Budget::of(500))
    }

    #[test]
    fn the_first_row_is_cut_to_fit_and_later_ones_wait() {
        let long = "x".repeat(100_000);
        let mut writer = small();
        let add = |writer: &mut Writer| {
            writer.row(
                &|row| {
                    let (author, subject) = (row.show(Field::Name, "author", &long), row.show(Field::Subject, "subject", &long));
                    row.put("a ").part(&author).put(": ").part(&subject).set("author", &author).set("subject", &subject)
                },
                &|what| format!("git_show for the {what}"),
            )
        };
        assert!(add(&mut writer) && !add(&mut writer));
        writer.note("one of 2. Next: git_log {}");
        let values = writer.take_values();
        assert_eq!(values[0]["cut"], serde_json::json!({"author": 100_000, "subject": 100_000}));
        let text = writer.finish().text;
        assert!(text.len() + values[0].to_string().len() <= TOTAL, "{text}");
        assert!(text.contains("cut above: author ") && text.contains("git_show for the author and git_show for the subject"), "{text}");
    }

    #[test]
    fn a_list_notes_how_many_items_do_not_fit() {
        // Each row takes 100 of the page's 800 bytes.
        let items: Vec<String> = (0..50).map(|n| format!("{n:099}")).collect();
        for (count, left) in [(0, 0), (1, 0), (7, 0), (8, 0), (9, 1), (50, 42)] {
            let mut writer = small();
            writer.list(&items[..count], |item, row| row.field(Field::Path, "path", item), "git_x", |rest| format!("{rest} more"));
            let text = writer.finish().text;
            let mut lines: Vec<&str> = text.lines().collect();
            let notes = lines.split_off(lines.len() - usize::from(left > 0));
            assert_eq!(lines, items[..count - left], "{count} items");
            assert!(notes.iter().all(|note| note.starts_with(OWN_LINE) && note.ends_with(&format!("] {left} more"))), "{text}");
        }
    }

    #[test]
    fn rows_end_before_the_first_that_does_not_fit() {
        let items = ["x".repeat(5000), "y".repeat(900), "zzz".to_owned()];
        for (tokens, expected) in [(500, 1), (0, 3)] {
            let mut writer = Writer::new(Budget::of(tokens));
            let whole = |item: &String, what: &str| format!("the {what} of {} bytes", item.len());
            let count = writer.rows(&items, |item, row| row.field(Field::Path, "path", item), whole);
            let text = writer.finish().text;
            assert_eq!((count, text.contains("zzz")), (expected, expected == 3), "{text}");
            assert_eq!(text.contains("or the path of 5000 bytes"), expected == 1, "{text}");
        }
    }

    #[test]
    fn the_servers_own_overlong_lines_are_cut() {
        let mut writer = small();
        writer.say(&format!("on branch {}: git_x {{}}", "b".repeat(100_000)));
        writer.note("n".repeat(100_000));
        let text = writer.finish().text;
        assert!(text.len() <= TOTAL && text.contains("bytes left out]"), "{}", text.len());
    }

    #[test]
    fn notes_with_the_next_call_take_precedence() {
        let mut writer = small();
        writer.pieces(&vec![b'x'; 3000]);
        for n in 0..9 {
            writer.note(format!("note {n} {}", "y".repeat(300)));
        }
        writer.note(format!("{} bytes. Next: git_show {{\"cursor\":\"1\"}}", "z".repeat(600)));
        let text = writer.finish().text;
        assert!(
            text.len() <= TOTAL && text.contains("Next: git_show {\"cursor\":\"1\"}") && text.contains("larger `max_tokens`"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn a_page_keeps_to_its_budget_and_makes_progress(bytes in proptest::collection::vec(any::<u8>(), 1..4000), how in 0..4) {
            let mut writer = small();
            writer.say(&"s".repeat(300));
            let call = |at: usize| format!(": git_show {{\"byte_range\":\"{at}\"}}");
            let used = match how {
                0 => writer.pieces(&bytes),
                1 => writer.lines(&bytes, &mut |at, _| call(at)),
                2 => usize::from(writer.line(&bytes, bytes.len(), &mut |at| call(at))),
                _ => writer.bytes(&bytes),
            };
            prop_assert!(used > 0);
            writer.note(format!("more. Next: git_show {{\"byte_range\":\"{used}\"}}"));
            let text = writer.finish().text;
            prop_assert!(text.len() <= TOTAL && text.contains("Next: git_show"), "{} bytes", text.len());
        }
    }
}
