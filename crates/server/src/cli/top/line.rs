//! Lines of text with tones: the same for the terminal view and for plain text.

use ratatui::{
    style::{Color, Modifier, Style},
    text,
};
use std::{
    borrow::Cow,
    fmt::{self, Display},
};

/// The meaning of a piece of text, from which its style follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    /// A title.
    Head,
    /// All is fine.
    Good,
    /// Needs attention.
    Warn,
    /// A problem.
    Bad,
    /// Of minor importance.
    Faint,
    /// A bar of a chart.
    Bar,
    /// The selected row or pane.
    Chosen,
}

impl Tone {
    /// Its style. Without colours, only attributes remain.
    fn style(self, has_colours: bool) -> Style {
        let coloured = |colour| if has_colours { Style::new().fg(colour) } else { Style::new() };
        match self {
            Self::Plain => Style::new(),
            Self::Head => Style::new().add_modifier(Modifier::BOLD),
            Self::Good => coloured(Color::Green),
            Self::Warn => coloured(Color::Yellow),
            Self::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Self::Faint => Style::new().add_modifier(Modifier::DIM),
            Self::Bar => coloured(Color::Cyan),
            Self::Chosen => Style::new().add_modifier(Modifier::REVERSED),
        }
    }
}

/// A line in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Tone, String)>);

impl Line {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self(vec![(tone, text.into())])
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(Tone::Plain, text)
    }

    /// With another piece at its end.
    pub(super) fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    /// Padded to a width, with `other` behind it.
    pub(super) fn beside(mut self, width: usize, other: Self) -> Self {
        self.fill(width);
        self.0.extend(other.0);
        self
    }

    /// In one tone, padded to a width.
    pub(super) fn toned(mut self, tone: Tone, width: usize) -> Self {
        self.fill(width);
        for (of, _) in &mut self.0 {
            *of = tone;
        }
        self
    }

    fn fill(&mut self, width: usize) {
        let used: usize = self.0.iter().map(|(_, text)| self::width(text)).sum();
        self.0.push((Tone::Plain, " ".repeat(width.saturating_sub(used))));
    }

    /// As the terminal library draws it.
    pub(super) fn styled(&self, has_colours: bool) -> text::Line<'_> {
        let pieces = self.0.iter().map(|(tone, text)| text::Span::styled(Cow::Borrowed(text.as_str()), tone.style(has_colours)));
        pieces.collect()
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.0.iter().map(|(_, text)| text.as_str()).collect();
        f.write_str(text.trim_end())
    }
}

/// The columns that a text occupies.
pub(super) fn width(text: &str) -> usize {
    text::Span::raw(text).width()
}

/// The text, with an ellipsis for the end that does not fit.
pub(super) fn fit(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut shown = head(text.chars(), room);
    shown.extend((room > 0).then_some('\u{2026}'));
    shown
}

/// The text, with an ellipsis for the beginning that does not fit.
pub(super) fn fit_end(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let tail = head(text.chars().rev(), room);
    (room > 0).then_some('\u{2026}').into_iter().chain(tail.chars().rev()).collect()
}

/// The first characters that fit beside an ellipsis.
fn head(chars: impl Iterator<Item = char>, room: usize) -> String {
    let mut used = 1;
    let fits = |char: &char| {
        used += width(char.encode_utf8(&mut [0; 4]));
        used <= room
    };
    chars.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_either_end() {
        assert_eq!((fit("abcdef", 4), fit("abc", 4), fit("abc", 0)), ("abc\u{2026}".into(), "abc".into(), String::new()));
        assert_eq!(fit_end("/srv/repositories/app", 10), "\u{2026}ories/app");
        // Wide characters occupy two columns.
        assert_eq!((fit("日本語日本語", 6), width(&fit("日本語日本語", 6))), ("日本\u{2026}".into(), 5));
    }

    #[test]
    fn without_colours_only_attributes_remain() {
        let tones = [Tone::Plain, Tone::Head, Tone::Good, Tone::Warn, Tone::Bad, Tone::Faint, Tone::Bar, Tone::Chosen];
        assert!(tones.iter().all(|tone| tone.style(false).fg.is_none()));
        assert_eq!(Tone::Bad.style(true).fg, Some(Color::Red));
        assert!(Tone::Chosen.style(false).add_modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn lines_are_joined_and_padded() {
        let line = Line::plain("a").beside(4, Line::new(Tone::Bad, "b")).with(Tone::Good, "c ");
        assert_eq!(line.to_string(), "a   bc");
        assert_eq!(Line::plain("a").toned(Tone::Chosen, 3).styled(false).width(), 3);
    }
}
