//! Tables that fit into the columns and lines that are free.

use super::line::{Line, Tone, fit, fit_end, width};
use crate::output;
use std::fmt::Display;

/// Columns between two cells.
const GAP: usize = 2;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    kind: Kind,
    /// Width down to which it is narrowed.
    least: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// The end of the text matters more than its beginning.
    Path,
    Number,
}

impl Column {
    pub(super) const fn text(title: &'static str, least: usize) -> Self {
        Self { title, kind: Kind::Text, least }
    }

    pub(super) const fn path(title: &'static str, least: usize) -> Self {
        Self { title, kind: Kind::Path, least }
    }

    pub(super) const fn number(title: &'static str) -> Self {
        Self { title, kind: Kind::Number, least: usize::MAX }
    }

    fn cell(self, text: &str, room: usize) -> String {
        let shown = if self.kind == Kind::Path { fit_end(text, room) } else { fit(text, room) };
        let blank = " ".repeat(room.saturating_sub(width(&shown)));
        if self.kind == Kind::Number { blank + &shown } else { shown + &blank }
    }
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Identifies it while it is selected.
    pub(super) id: String,
    /// Names it in a question.
    pub(super) label: String,
    pub(super) tone: Tone,
    pub(super) cells: Vec<String>,
}

/// A table. The last columns are left out if there is no room for them.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
    /// What stands instead of an empty table.
    pub(super) empty: &'static str,
}

impl Table {
    /// The lines of a table, at most `height`, each at most `room` wide. The selected row is among them.
    pub(super) fn lines(&self, room: usize, height: usize, selected: Option<usize>) -> Vec<Line> {
        if self.rows.is_empty() {
            return vec![Line::new(Tone::Faint, self.empty)];
        }
        let widths = self.widths(room);
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let cells = self.columns.iter().zip(&widths).zip(cells).map(|((column, width), cell)| column.cell(cell, *width));
            cells.collect::<Vec<_>>().join(&" ".repeat(GAP))
        };
        let visible = height.saturating_sub(1);
        let first = first_visible(self.rows.len(), visible, selected.unwrap_or_default());
        let rows = self.rows.iter().enumerate().skip(first).take(visible).map(|(at, row)| {
            let shown = Line::new(row.tone, line(&mut row.cells.iter().map(String::as_str)));
            if selected == Some(at) { shown.toned(Tone::Chosen, room) } else { shown }
        });
        let head = Line::new(Tone::Head, line(&mut self.columns.iter().map(|column| column.title)));
        std::iter::once(head).chain(rows).collect()
    }

    /// The widths of the columns that fit.
    fn widths(&self, room: usize) -> Vec<usize> {
        let natural = |at: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(at)).map(|cell| width(cell));
            cells.chain([width(column.title)]).max().unwrap_or_default()
        };
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(|(at, column)| natural(at, column)).collect();
        loop {
            let used = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
            if used <= room || widths.len() <= 1 {
                return widths;
            }
            let shrinkable = widths.iter_mut().zip(self.columns).filter(|(width, column)| **width > column.least);
            match shrinkable.map(|(width, _)| width).max() {
                Some(widest) => *widest -= 1,
                None => drop(widths.pop()),
            }
        }
    }
}

/// The first visible row, so that the selected one is in the middle if possible.
pub(super) fn first_visible(rows: usize, visible: usize, selected: usize) -> usize {
    selected.saturating_sub(visible / 2).min(rows.saturating_sub(visible))
}

/// A value from the server as it is shown: in one line, without control characters and secrets.
pub(super) fn shown(value: impl Display) -> String {
    output::page(value.to_string().as_bytes()).replace('\n', "\\n").replace('\t', " ")
}

/// The value, or a dash if it is absent or empty.
pub(super) fn known(value: Option<impl Display>) -> String {
    value.map(shown).filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [Column::text("ID", 4), Column::number("CALLS"), Column::path("PATH", 6), Column::text("CLIENT", 6)];

    fn table(rows: usize) -> Table {
        let row = |at: usize| Row {
            id: at.to_string(),
            label: String::new(),
            tone: Tone::Plain,
            cells: vec![format!("call_{at}"), "7".to_owned(), "/srv/team/app".to_owned(), "client 1.0".to_owned()],
        };
        Table { columns: &COLUMNS, rows: (0..rows).map(row).collect(), empty: "No call." }
    }

    fn texts(lines: &[Line]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn columns_are_narrowed_then_left_out() {
        let table = table(1);
        let at = |room| texts(&table.lines(room, 9, None));
        assert_eq!(at(80), ["ID      CALLS  PATH           CLIENT", "call_0      7  /srv/team/app  client 1.0"]);
        assert_eq!(at(35), ["ID      CALLS  PATH       CLIENT", "call_0      7  \u{2026}team/app  client 1\u{2026}"]);
        assert_eq!(at(20), ["ID    CALLS  PATH", "cal\u{2026}      7  \u{2026}m/app"]);
        assert_eq!(at(5), ["ID", "cal\u{2026}"]);
        assert_eq!(texts(&super::tests::table(0).lines(80, 9, None)), ["No call."]);
    }

    #[test]
    fn the_selected_row_is_visible() {
        for selected in 0..20 {
            let lines = table(20).lines(40, 6, Some(selected));
            assert_eq!(lines.len(), 6);
            let chosen = Line::plain(format!("call_{selected}")).to_string();
            assert!(lines.iter().any(|line| line.to_string().starts_with(&chosen)), "{selected}");
        }
        assert_eq!((first_visible(3, 5, 2), first_visible(20, 5, 19), first_visible(20, 5, 10)), (0, 15, 8));
    }

    #[test]
    fn values_of_others_stay_in_their_cell() {
        assert_eq!(shown("a\nb\tc"), "a\\nb c");
        assert!(!shown("\u{1b}[31m").contains('\u{1b}'));
        assert_eq!((known(Some("")), known(None::<u32>), known(Some(4))), ("-".into(), "-".into(), "4".into()));
    }
}
