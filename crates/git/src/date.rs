//! Rewrites callers' dates into a form that git parses unambiguously.
//!
//! git accepts any text as a date: it reads `2024-13-01` as 13 January, and `20240301` and `tomorrow` as now. So invalid
//! dates are refused here, and valid ones are rewritten.

use crate::error::{Error, Result};

/// The accepted forms, for error messages.
macro_rules! forms {
    () => {
        "use a form such as 2026-01-31, 2026-01-31T12:00:00Z, @1700000000, `2 weeks ago`, `last friday` or `yesterday`"
    };
}

const UNKNOWN: &str = concat!("git would ignore part of it; ", forms!());
const NO_DAY: &str = concat!("there is no such day; ", forms!());
const NO_TIME: &str = concat!("there is no such time; ", forms!());
const NOT_COUNTED: &str = concat!("git supports the years 1970 to 2099; ", forms!());

/// Maximum length of a date.
const MAX_LEN: usize = 100;
/// The last second that git supports.
const LAST: u64 = 4_102_444_799;
/// The longest span that git subtracts without overflow, in seconds: fifty years.
const MAX_SPAN: u64 = 50 * 366 * DAY;
const DAY: u64 = 24 * 60 * 60;

const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const NUMBERS: [&str; 11] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
const UNITS: [(&str, u64); 7] =
    [("second", 1), ("minute", 60), ("hour", 3600), ("day", DAY), ("week", 7 * DAY), ("month", 31 * DAY), ("year", 366 * DAY)];
const CLOCK: [(&str, Time); 3] = [("midnight", (0, 0, 0)), ("noon", (12, 0, 0)), ("tea", (17, 0, 0))];
const ZONES: [(&str, &str); 18] = [
    ("z", "+0000"),
    ("utc", "+0000"),
    ("gmt", "+0000"),
    ("wet", "+0000"),
    ("bst", "+0100"),
    ("cet", "+0100"),
    ("cest", "+0200"),
    ("eet", "+0200"),
    ("eest", "+0300"),
    ("jst", "+0900"),
    ("est", "-0500"),
    ("edt", "-0400"),
    ("cst", "-0600"),
    ("cdt", "-0500"),
    ("mst", "-0700"),
    ("mdt", "-0600"),
    ("pst", "-0800"),
    ("pdt", "-0700"),
];

/// Hours, minutes and seconds.
type Time = (u32, u32, u32);

/// A date for a git process.
///
/// # Errors
///
/// [`Error::BadName`] for an invalid date, with the accepted forms.
pub(crate) fn for_git(text: &str) -> Result<String> {
    let lower = text.to_ascii_lowercase();
    let read = if text.len() > MAX_LEN || text.chars().any(char::is_control) { Err(UNKNOWN) } else { read(lower.trim()) };
    read.map_err(|why| Error::bad_name(text, "a date", why))
}

/// Seconds since 1970 of a date as [`for_git`] writes it; `None` if they depend on the local time zone.
pub(crate) fn seconds(date: &str, now: u64) -> Option<u64> {
    if let Some(seconds) = date.strip_prefix('@') {
        return seconds.strip_suffix(" +0000")?.parse().ok();
    }
    let words: Vec<&str> = date.split(' ').collect();
    match words.as_slice() {
        [day, time, zone] if zone.starts_with(['+', '-']) => whole_seconds(day, time, zone),
        _ => {
            let span = words.chunks(2).map(|pair| {
                let [number, unit] = pair else { return None };
                // git counts months and years, and the days of the week, in local time.
                let unit = UNITS.iter().filter(|(_, seconds)| *seconds <= 7 * DAY).find(|(name, _)| name == unit)?;
                number.parse::<u64>().ok()?.checked_mul(unit.1)
            });
            now.checked_sub(span.sum::<Option<u64>>()?)
        }
    }
}

/// The seconds of `2024-03-01 10:00:00 -0500`.
fn whole_seconds(day: &str, time: &str, zone: &str) -> Option<u64> {
    let numbers = |text: &str, sign: char| text.split(sign).map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>();
    let (day, time) = (numbers(day, '-')?, numbers(time, ':')?);
    let ([year, month, day], [hour, minute, second]) = (day.as_slice(), time.as_slice()) else { return None };
    if *hour > 23 || *second > 59 {
        return None;
    }
    let (year, month) = (u32::try_from(*year).ok()?, u32::try_from(*month).ok()?);
    let in_years: u32 = (1970..year).map(|year| days(year, 2) + 337).sum();
    let in_months: u32 = (1..month).map(|month| days(year, month)).sum();
    let local = ((u64::from(in_years + in_months) + day - 1) * 24 + hour) * 3600 + minute * 60 + second;
    let zone: i64 = zone.parse().ok()?;
    local.checked_add_signed(-(zone / 100 * 3600 + zone % 100 * 60))
}

fn read(text: &str) -> std::result::Result<String, &'static str> {
    if let Some(seconds) = epoch(text) {
        return if seconds <= LAST { Ok(format!("@{seconds} +0000")) } else { Err(NOT_COUNTED) };
    }
    let mut reading = Reading::default();
    let spaced = text.replace([',', '_'], " ");
    // git's manual writes `2.weeks.ago`.
    let words = spaced.split_whitespace().flat_map(|word| {
        let dotted = word.contains(|c: char| c.is_ascii_alphabetic()) && !word.contains(':');
        word.split(move |c| dotted && c == '.').filter(|part| !part.is_empty())
    });
    for word in words {
        reading.word(word)?;
    }
    reading.finish()
}

/// Seconds since 1970: `@1700000000`, or at least nine digits, optionally followed by a zone.
fn epoch(text: &str) -> Option<u64> {
    let (number, rest) = text.split_once(' ').unwrap_or((text, "+0000"));
    let digits = number.strip_prefix('@').unwrap_or(number);
    let is_long = digits.len() >= 9 || digits.len() < number.len();
    let is_number = is_long && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && zone(rest).is_some()).then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The parts of a date parsed so far.
#[derive(Default)]
struct Reading {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    time: Option<Time>,
    /// A named time of day, not yet assigned.
    named_time: Option<&'static str>,
    zone: Option<String>,
    weekday: bool,
    /// A number, not yet assigned to a unit, and its digit count.
    number: Option<(u32, usize)>,
    last: bool,
    ago: bool,
    /// Offsets relative to now, in git's syntax.
    relative: Vec<String>,
    /// The sum of these offsets in seconds.
    span: u64,
}

type Step = std::result::Result<(), &'static str>;

/// Sets `place`; fails if it is already set.
fn once<T>(place: &mut Option<T>, value: T) -> Step {
    if place.replace(value).is_some() { Err(UNKNOWN) } else { Ok(()) }
}

impl Reading {
    fn word(&mut self, word: &str) -> Step {
        if let Some(amount) = amount(word) {
            self.settle_number()?;
            return once(&mut self.number, amount);
        }
        if let Some((day, 1 | 2)) = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end)).and_then(amount) {
            self.settle_number()?;
            return once(&mut self.day, day);
        }
        if let Some((name, seconds)) = UNITS.iter().find(|(name, _)| is_plural_of(word, name)) {
            return self.count(name, *seconds);
        }
        let weekday = WEEKDAYS.iter().find(|name| begins(word, name) || is_plural_of(word, name));
        if let Some(name) = weekday.filter(|_| self.last || self.number.is_some()) {
            return self.count(name, 7 * DAY);
        }
        if self.last {
            return Err(UNKNOWN);
        }
        self.settle_number()?;
        if weekday.is_some() {
            self.weekday = true;
        } else if let Some(at) = MONTHS.iter().position(|name| begins(word, name)) {
            once(&mut self.month, u32::try_from(at).unwrap_or_default() + 1)?;
        } else if let Some((name, _)) = CLOCK.iter().find(|(name, _)| *name == word) {
            once(&mut self.named_time, *name)?;
        } else if let Some(zone) = zone(word) {
            once(&mut self.zone, zone)?;
        } else {
            match word {
                "yesterday" | "now" | "never" if !self.relative.iter().any(|known| known == word) => self.relative.push(word.to_owned()),
                "last" => self.last = true,
                "ago" => self.ago = true,
                "at" | "on" | "and" => {}
                "am" | "pm" => self.half_of_day(word == "pm")?,
                _ => return self.digits(word),
            }
        }
        Ok(())
    }

    /// `2 weeks`, `last friday`.
    fn count(&mut self, unit: &str, seconds: u64) -> Step {
        let last = std::mem::take(&mut self.last).then_some(1);
        let number = self.number.take().map(|(number, _)| number).or(last).ok_or(UNKNOWN)?;
        self.span += u64::from(number) * seconds;
        self.relative.push(format!("{number} {unit}"));
        Ok(())
    }

    /// Takes a number without a unit as a day or a year.
    fn settle_number(&mut self) -> Step {
        match self.number.take() {
            Some((year, 4)) => once(&mut self.year, year),
            Some((day, 1 | 2)) => once(&mut self.day, day),
            Some(_) => Err(UNKNOWN),
            None => Ok(()),
        }
    }

    fn half_of_day(&mut self, afternoon: bool) -> Step {
        let (hour, minute, second) = self.time.ok_or(UNKNOWN)?;
        if !(1..=12).contains(&hour) {
            return Err(NO_TIME);
        }
        self.time = Some((hour % 12 + if afternoon { 12 } else { 0 }, minute, second));
        Ok(())
    }

    /// Parses a word of digits and signs: a date, a time, or both with a zone.
    fn digits(&mut self, word: &str) -> Step {
        let is_date = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'/' | b'.'));
        let (date, clock) = match word.split_once('t').filter(|(date, _)| is_date(date)) {
            Some((date, clock)) => (Some(date), Some(clock)),
            None if word.contains(':') || word.ends_with("am") || word.ends_with("pm") => (None, Some(word)),
            None => (Some(word), None),
        };
        if let Some(date) = date {
            let (year, month, day) = whole_date(date, clock.is_some()).ok_or(UNKNOWN)?;
            once(&mut self.year, year)?;
            once(&mut self.month, month)?;
            once(&mut self.day, day)?;
        }
        clock.map_or(Ok(()), |clock| self.clock(clock, date.is_some()))
    }

    /// `10:00`, `10:00:30.5+01:00`, `3pm`; after a date also `10` and `100030`.
    fn clock(&mut self, text: &str, dated: bool) -> Step {
        let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.'))).unwrap_or(text.len());
        let (time, rest) = text.split_at(end);
        let whole = time.split_once('.').map_or(time, |(whole, _)| whole);
        let parts: Vec<&str> = match whole.len() {
            2 | 4 | 6 if dated && !whole.contains(':') => (0..whole.len() / 2).map(|at| &whole[2 * at..2 * at + 2]).collect(),
            _ => whole.split(':').collect(),
        };
        let half = matches!(rest, "am" | "pm");
        let is_enough = parts.len() == 3 || (whole.len() == time.len() && (parts.len() == 2 || dated || half));
        let fine = is_enough && parts.len() <= 3 && parts.iter().all(|part| matches!(part.len(), 1 | 2));
        let numbers: Option<Vec<u32>> = parts.iter().map(|part| part.parse().ok()).collect();
        let numbers = numbers.filter(|_| fine).ok_or(UNKNOWN)?;
        let at = |place: usize| numbers.get(place).copied().unwrap_or_default();
        let time = (at(0), at(1), at(2));
        if !(time.0 < 24 && time.1 < 60 && time.2 <= 60 || time == (24, 0, 0)) {
            return Err(NO_TIME);
        }
        once(&mut self.time, time)?;
        match rest {
            "" => Ok(()),
            "am" | "pm" => self.half_of_day(rest == "pm"),
            _ => once(&mut self.zone, zone(rest).ok_or(UNKNOWN)?),
        }
    }

    fn finish(mut self) -> std::result::Result<String, &'static str> {
        self.settle_number()?;
        let is_mixed = self.relative.len() > 1 && self.relative.iter().any(|word| word == "never");
        if self.last || is_mixed || (self.ago && self.relative.is_empty()) {
            return Err(UNKNOWN);
        }
        if self.year.or(self.month).or(self.day).is_some() { self.absolute() } else { self.counted() }
    }

    fn absolute(self) -> std::result::Result<String, &'static str> {
        let named = self.named_time.and_then(|name| CLOCK.iter().find(|(known, _)| *known == name)).map(|(_, time)| *time);
        let (Some(month), Some(day)) = (self.month, self.day) else { return Err(UNKNOWN) };
        let is_mixed = self.ago || !self.relative.is_empty() || (named.is_some() && self.time.is_some());
        let time = self.time.or(named);
        if is_mixed || (self.zone.is_some() && time.is_none()) {
            return Err(UNKNOWN);
        }
        // Without a year git takes the most recent such day, so it must exist in every year.
        if !(1..=12).contains(&month) || day == 0 || day > days(self.year.unwrap_or(2023), month) {
            return Err(NO_DAY);
        }
        if self.year.is_some_and(|year| !(1970..=2099).contains(&year)) {
            return Err(NOT_COUNTED);
        }
        let mut date = match self.year {
            // In half of the time zones this is still 1969, which git reads as the far future.
            Some(1970) if (month, day) == (1, 1) => return Ok("@0 +0000".to_owned()),
            Some(year) => format!("{year}-{month:02}-{day:02}"),
            None => format!("{day} {}", MONTHS[month as usize - 1]),
        };
        if let Some((hour, minute, second)) = time {
            date.extend([format!(" {hour:02}:{minute:02}:{second:02}")]);
        }
        date.extend(self.zone.map(|zone| format!(" {zone}")));
        Ok(date)
    }

    fn counted(mut self) -> std::result::Result<String, &'static str> {
        if self.weekday || self.zone.is_some() || (self.time.is_some() && self.named_time.is_some()) {
            return Err(UNKNOWN);
        }
        if self.span > MAX_SPAN {
            return Err(NOT_COUNTED);
        }
        self.relative.extend(self.named_time.map(str::to_owned));
        self.relative.extend(self.time.map(|(hour, minute, second)| format!("{hour:02}:{minute:02}:{second:02}")));
        if self.relative.is_empty() { Err(UNKNOWN) } else { Ok(self.relative.join(" ")) }
    }
}

/// Parses `7`, `07`, `2024` or `seven`; also returns the number of digits.
fn amount(word: &str) -> Option<(u32, usize)> {
    if let Some(at) = NUMBERS.iter().position(|name| *name == word) {
        return Some((u32::try_from(at).ok()?, 0));
    }
    let is_number = word.len() <= 8 && word.bytes().all(|byte| byte.is_ascii_digit());
    Some((word.parse().ok().filter(|_| is_number)?, word.len()))
}

fn is_plural_of(word: &str, name: &str) -> bool {
    word.strip_suffix('s').unwrap_or(word) == name
}

/// Whether `word` is a prefix of `name` with at least three letters.
fn begins(word: &str, name: &str) -> bool {
    word.len() >= 3 && name.starts_with(word)
}

/// Parses the forms of git's manual: `2024-03-01`, `2024/03/01`, `2024.03.01`, `03/31/2024`, `31.03.2024`; before a time also
/// `20240301`.
fn whole_date(text: &str, timed: bool) -> Option<(u32, u32, u32)> {
    let parse = |text: &str| text.parse::<u32>().ok();
    if timed && text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some((parse(&text[..4])?, parse(&text[4..6])?, parse(&text[6..])?));
    }
    let sign = text.chars().find(|c| matches!(c, '-' | '/' | '.'))?;
    let parts: Vec<&str> = text.split(sign).collect();
    let [one, two, three] = parts.as_slice() else { return None };
    let lengths = (one.len(), two.len(), three.len());
    let (one, two, three) = (parse(one)?, parse(two)?, parse(three)?);
    match (lengths, sign) {
        ((4, 1 | 2, 1 | 2), _) => Some((one, two, three)),
        ((1 | 2, 1 | 2, 4), '/') => Some((three, one, two)),
        ((1 | 2, 1 | 2, 4), '.') => Some((three, two, one)),
        _ => None,
    }
}

/// Converts `z`, `utc`, `+01`, `+0100` or `+01:00` to git's form.
fn zone(text: &str) -> Option<String> {
    if let Some((_, zone)) = ZONES.iter().find(|(name, _)| *name == text) {
        return Some((*zone).to_owned());
    }
    let sign = text.chars().next().filter(|sign| matches!(sign, '+' | '-'))?;
    let digits = text[1..].replacen(':', "", usize::from(text.len() == 6));
    let number: u32 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let number = match digits.len() {
        2 => number * 100,
        4 => number,
        _ => return None,
    };
    (number / 100 <= 14 && number % 100 < 60).then(|| format!("{sign}{number:04}"))
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn valid_dates_are_rewritten_unambiguously() {
        for (text, expected) in [
            ("2024-03-01", "2024-03-01"),
            ("2024-3-1", "2024-03-01"),
            ("2024-03-01T10:00:00.123Z", "2024-03-01 10:00:00 +0000"),
            ("2024-03-01 01:05 pm +05:45", "2024-03-01 13:05:00 +0545"),
            ("20240301T100000", "2024-03-01 10:00:00"),
            ("03/31/2024", "2024-03-31"),
            ("31.03.2024", "2024-03-31"),
            ("Thu Apr 7 22:13:13 2005 +0200", "2005-04-07 22:13:13 +0200"),
            ("Thu, 7 Apr 2005 22:13:13 +0200", "2005-04-07 22:13:13 +0200"),
            ("Jan 15 2024", "2024-01-15"),
            ("March 1st, 2024 noon", "2024-03-01 12:00:00"),
            ("Dec 25", "25 december"),
            ("1970-01-01T00:00:00+0200", "@0 +0000"),
            ("@12", "@12 +0000"),
            ("1700000000 +0100", "@1700000000 +0000"),
            ("2.weeks.ago", "2 week"),
            ("Two Weeks ago", "2 week"),
            ("1 year, 2 months and 3 days ago", "1 year 2 month 3 day"),
            ("last friday at 17:30", "1 friday 17:30:00"),
            ("5pm yesterday", "yesterday 17:00:00"),
            ("noon 2 fridays ago", "2 friday noon"),
            ("last 2 weeks", "2 week"),
            ("2024-03-01 10:00:00EST", "2024-03-01 10:00:00 -0500"),
            ("now", "now"),
        ] {
            assert_eq!(for_git(text).ok().as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn dates_have_seconds_unless_they_are_local() {
        for (text, expected) in [
            ("@12 +0000", Some(12)),
            ("2024-03-01 10:00:00 -0500", Some(1_709_305_200)),
            ("2000-02-29 23:59:59 +0130", Some(951_863_399)),
            ("2 week 1 second", Some(2_000_000_000 - 14 * DAY - 1)),
            ("1 month", None),
            ("1 friday", None),
            ("2024-03-01", None),
            ("2024-03-01 10:00:00", None),
            ("2024-03-01 24:00:00 +0000", None),
            ("yesterday 17:00:00", None),
            ("1 march", None),
            ("now", None),
        ] {
            assert_eq!(seconds(text, 2_000_000_000), expected, "{text}");
        }
    }

    #[test]
    fn invalid_dates_are_refused() {
        for text in [
            "",
            " ",
            "soonish",
            "tomorrow",
            "today",
            "a week ago",
            "week ago",
            "next friday",
            "friday",
            "2 hrs ago",
            "2d",
            "2 weeks from now",
            "in 2 weeks",
            "-2 days",
            "1.5 days ago",
            "20240301",
            "2024",
            "2024-03",
            "March 2024",
            "March",
            "last",
            "ago",
            "2024-13-01",
            "2024-02-30",
            "2023-02-29",
            "2024-00-10",
            "2024-03-01T25:00:00Z",
            "2024-03-01T10:61:00Z",
            "2024-03-01T10:00:00+9999",
            "2024-03-01T10:00:00 FOO",
            "24-03-01",
            "13/01/2024",
            "01.31.2024",
            "1969-12-31",
            "2100-01-01",
            "60 years ago",
            "1700000000000",
            "2024-W10",
            "2024\u{2014}03\u{2014}01",
            "2024-03-01 2 days ago",
            "2024-03-01Z",
            "13pm",
            "0am",
            "\n2024-03-01",
            "99999999999 days ago",
        ] {
            assert!(for_git(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in ".{0,60}", dated in "[0-9a-z:. @+-]{0,30}") {
            let _ = for_git(&text);
            if let Ok(date) = for_git(&dated) {
                prop_assert_eq!(for_git(&date).ok(), Some(date));
            }
        }
    }
}
