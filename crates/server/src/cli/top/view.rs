//! The state of the terminal view: the last answers, the pane, the selection and what is asked.

use super::{
    action::Action,
    answers::{Answers, Pane},
    line::Tone,
    table::{Row, Table},
    tables,
};

/// Updates for which a notice is shown.
const NOTICE: u32 = 5;

/// A message above the keys.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) tone: Tone,
    pub(super) text: String,
    /// Updates until it disappears.
    left: u32,
}

/// A selected row.
#[derive(Clone, Debug, Default)]
struct Selected {
    id: Option<String>,
    /// Its position, for a row that has disappeared.
    at: usize,
}

/// All that the view shows.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) answers: Answers,
    /// Why the last request failed.
    pub(super) failure: Option<String>,
    pub(super) pane: Pane,
    /// By pane.
    selected: [Selected; Pane::ALL.len()],
    /// Log records below the last visible one.
    pub(super) scrolled: usize,
    /// An action that waits for consent, and the question.
    pub(super) asked: Option<(Action, String)>,
    pub(super) notice: Option<Notice>,
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
}

impl View {
    /// Shows new answers.
    pub(super) fn update(&mut self, answers: Answers) {
        self.failure = None;
        let new = self.answers.update(answers);
        // A scrolled log stands still.
        if self.scrolled > 0 {
            self.scroll(isize::try_from(new).unwrap_or_default());
        }
        self.age_notice();
    }

    /// Shows that the server does not answer, with its last answers.
    pub(super) fn fail(&mut self, why: String) {
        self.failure = Some(why);
        self.age_notice();
    }

    fn age_notice(&mut self) {
        if let Some(notice) = &mut self.notice {
            notice.left = notice.left.saturating_sub(1);
        }
        self.notice.take_if(|notice| notice.left == 0);
    }

    pub(super) fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.notice = Some(Notice { tone, text: text.into(), left: NOTICE });
    }

    /// The table of the pane, if the server gave one and rows can be selected in it.
    pub(super) fn table(&self) -> Option<Table> {
        let Answers { calls, sessions, circuits, latency, .. } = &self.answers;
        match self.pane {
            Pane::Overview | Pane::Calls => calls.known().map(tables::calls),
            Pane::Sessions => sessions.known().map(tables::sessions),
            Pane::Circuits => circuits.known().map(tables::circuits),
            Pane::Latency => latency.known().map(tables::latency),
            Pane::Errors => None,
        }
    }

    /// The position of the selected row in the pane's table.
    pub(super) fn selected(&self, table: &Table) -> Option<usize> {
        let chosen = self.selected.get(self.pane as usize)?;
        let same = table.rows.iter().position(|row| chosen.id.as_ref() == Some(&row.id));
        let last = table.rows.len().checked_sub(1)?;
        Some(same.unwrap_or_else(|| chosen.at.min(last)))
    }

    /// The selected row.
    pub(super) fn selected_row(&self) -> Option<Row> {
        let table = self.table()?;
        table.rows.get(self.selected(&table)?).cloned()
    }

    /// Moves the selection, or scrolls the log.
    pub(super) fn move_by(&mut self, rows: isize) {
        if self.pane == Pane::Errors {
            self.scroll(rows.saturating_neg());
            return;
        }
        let Some(table) = self.table() else { return };
        let Some(last) = table.rows.len().checked_sub(1) else { return };
        let at = self.selected(&table).unwrap_or_default().saturating_add_signed(rows).min(last);
        let id = table.rows.get(at).map(|row| row.id.clone());
        if let Some(chosen) = self.selected.get_mut(self.pane as usize) {
            *chosen = Selected { id, at };
        }
    }

    fn scroll(&mut self, back: isize) {
        let most = self.answers.records.len().saturating_sub(1);
        self.scrolled = self.scrolled.saturating_add_signed(back).min(most);
    }
}
