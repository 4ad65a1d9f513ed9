//! A row of a listing, built from the server's own text and from fields.

use super::field::{Field, Shown, Size, show};
use git::ObjectId;
use serde_json::{Map, Value};

/// A row under construction. Repository text can only be added as a field.
pub(crate) struct Row {
    pub(super) text: String,
    pub(super) values: Map<String, Value>,
    pub(super) cut: Vec<Cut>,
    pub(super) redacted: usize,
    /// Maximum length of a field on this page; `None` if unlimited.
    most: Option<usize>,
}

/// A truncated field.
pub(super) struct Cut {
    pub(super) what: &'static str,
    pub(super) shown: usize,
    pub(super) size: Size,
    /// Whether a larger page would show more of it.
    pub(super) by_page: bool,
}

/// A prepared field, for a row's text and its values.
pub(crate) struct Part(String);

impl Row {
    pub(super) fn new(most: Option<usize>) -> Self {
        Self { text: String::new(), values: Map::new(), cut: Vec::new(), redacted: 0, most }
    }

    /// Adds the server's own text.
    pub(crate) fn put(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds one of git's letters.
    pub(crate) fn letter(&mut self, letter: char) -> &mut Self {
        self.text.push(if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' });
        self
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, number: impl TryInto<u64>) -> &mut Self {
        self.text += &number.try_into().unwrap_or(u64::MAX).to_string();
        self
    }

    /// Adds a full id.
    pub(crate) fn id(&mut self, id: ObjectId) -> &mut Self {
        self.text += &id.to_string();
        self
    }

    /// Adds a field. `what` is its name in notes.
    pub(crate) fn field(&mut self, kind: Field, what: &'static str, raw: impl AsRef<[u8]>) -> &mut Self {
        let part = self.show(kind, what, raw);
        self.part(&part)
    }

    /// Prepares a field, to be added by [`Row::part`] or [`Row::set`].
    pub(crate) fn show(&mut self, kind: Field, what: &'static str, raw: impl AsRef<[u8]>) -> Part {
        let limit = self.most.map_or(usize::MAX, |most| most.min(kind.limit()));
        let Shown { text, redacted, cut } = show(kind, raw.as_ref(), limit);
        self.redacted += redacted;
        if let Some(size) = cut {
            self.cut.push(Cut { what, shown: text.len(), size, by_page: limit < kind.limit() });
        }
        Part(text)
    }

    /// Adds a prepared field to the text.
    pub(crate) fn part(&mut self, part: &Part) -> &mut Self {
        self.text.push_str(&part.0);
        self
    }

    /// Adds a prepared field to the values.
    pub(crate) fn set(&mut self, name: &'static str, part: &Part) -> &mut Self {
        self.values.insert(name.to_owned(), Value::from(part.0.as_str()));
        self
    }

    /// Adds an id to the values.
    pub(crate) fn set_id(&mut self, name: &'static str, id: ObjectId) -> &mut Self {
        self.values.insert(name.to_owned(), Value::from(id.to_string()));
        self
    }

    /// Adds ids to the values.
    pub(crate) fn set_ids(&mut self, name: &'static str, ids: &[ObjectId]) -> &mut Self {
        self.values.insert(name.to_owned(), ids.iter().map(ToString::to_string).collect());
        self
    }

    /// Adds a flag to the values.
    pub(crate) fn set_flag(&mut self, name: &'static str, is_true: bool) -> &mut Self {
        self.values.insert(name.to_owned(), Value::from(is_true));
        self
    }

    /// The note on truncated fields; `whole` names where to find each of them.
    pub(super) fn note(&self, whole: &dyn Fn(&str) -> String) -> Option<String> {
        let parts: Vec<String> = self.cut.iter().map(|cut| format!("{} {} of {}", cut.what, cut.shown, cut.size)).collect();
        if parts.is_empty() {
            return None;
        }
        let mut ways: Vec<String> = Vec::new();
        for way in self.cut.iter().map(|cut| whole(cut.what)) {
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        let wider = if self.cut.iter().any(|cut| cut.by_page) { "the same call with a larger `max_tokens`, or " } else { "" };
        Some(format!("cut above: {}. Whole: {wider}{}", parts.join(", "), ways.join(" and ")))
    }

    /// The row's structured content, if any. `cut` holds the sizes of truncated fields.
    pub(super) fn value(&mut self) -> Option<Value> {
        if self.values.is_empty() {
            return None;
        }
        let cut: Map<String, Value> = self.cut.iter().map(|cut| (cut.what.to_owned(), Value::from(cut.size.bytes))).collect();
        let mut values = std::mem::take(&mut self.values);
        if !cut.is_empty() {
            values.insert("cut".to_owned(), Value::Object(cut));
        }
        Some(Value::Object(values))
    }
}
