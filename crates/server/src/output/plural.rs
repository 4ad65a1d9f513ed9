//! Numbers with their nouns.

use std::fmt::Display;

/// A number with its noun, in the singular or the plural: `1 entry`, `2 entries`.
pub(crate) fn counted(number: impl Display, noun: &str) -> String {
    let number = number.to_string();
    if number == "1" {
        return format!("1 {noun}");
    }
    let ends_in = |endings: &[&str]| endings.iter().any(|ending| noun.ends_with(ending));
    match noun.strip_suffix('y') {
        Some(stem) if !ends_in(&["ay", "ey", "oy"]) => format!("{number} {stem}ies"),
        _ if ends_in(&["s", "x", "ch", "sh"]) => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

/// The same with its verb: `1 entry is`, `2 entries are`.
pub(crate) fn counted_are(number: impl Display, noun: &str) -> String {
    let number = number.to_string();
    let verb = if number == "1" { "is" } else { "are" };
    counted(number, noun) + " " + verb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_follow_their_number() {
        for (noun, many) in
            [("file", "files"), ("entry", "entries"), ("key", "keys"), ("more branch", "more branches"), ("process", "processes")]
        {
            assert_eq!([0, 1, 2].map(|number| counted(number, noun)), [format!("0 {many}"), format!("1 {noun}"), format!("2 {many}")]);
        }
        assert_eq!([1, 2].map(|number| counted_are(number, "call")), ["1 call is", "2 calls are"]);
    }
}
