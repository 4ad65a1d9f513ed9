//! Shell patterns as git's wildmatch reads them, in bounded time.
//!
//! A pattern is a sequence of steps that all have to match, so one malformed step makes the whole pattern match nothing.

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Glob {
    steps: Box<[Step]>,
    sets: Box<[Set]>,
    /// The number of steps that consume exactly one byte: shorter text cannot match.
    singles: usize,
    fold: bool,
    paths: bool,
}

/// How a pattern reads its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    /// `*`, `?` and sets stop at a slash, and `**` is special.
    pub(super) paths: bool,
    /// ASCII letters match in either case.
    pub(super) fold: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// This byte of the folded text.
    Byte(u8),
    /// Any byte, except for a slash in paths.
    Any,
    /// A byte of the set at this index.
    In(u32),
    /// Any bytes but slashes.
    Star,
    /// Any bytes.
    Wide,
    /// Any number of leading directories, with the slash behind them.
    Folders,
}

/// A set of bytes.
type Set = [u64; 4];

impl Glob {
    /// Compiles a pattern; `None` if it can match nothing.
    pub(super) fn new(pattern: &[u8], mode: Mode) -> Option<Self> {
        let mut compiler = Compiler { pattern, at: 0, mode, steps: Vec::with_capacity(pattern.len()), sets: Vec::new() };
        while let Some(byte) = compiler.peek(0) {
            compiler.step(byte)?;
        }
        let singles = compiler.steps.iter().filter(|step| step.is_single()).count();
        let (steps, sets) = (compiler.steps.into(), compiler.sets.into());
        Some(Self { steps, sets, singles, fold: mode.fold, paths: mode.paths })
    }

    /// The byte that each text ends in that matches; `None` if there are several.
    pub(super) fn last_byte(&self) -> Option<u8> {
        match self.steps.last() {
            Some(Step::Byte(byte)) => Some(*byte),
            _ => None,
        }
    }

    /// Whether all of `text` matches.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        text.len() >= self.singles && self.backtrack(text).unwrap_or_else(|| self.simulate(text))
    }

    fn accepts(&self, step: Step, byte: u8) -> bool {
        let byte = if self.fold { byte.to_ascii_lowercase() } else { byte };
        match step {
            Step::Byte(wanted) => byte == wanted,
            Step::Any => byte != b'/' || !self.paths,
            Step::In(set) => (byte != b'/' || !self.paths) && self.sets.get(set as usize).is_some_and(|set| has(set, byte)),
            Step::Star | Step::Wide | Step::Folders => false,
        }
    }

    /// Matches with one point of return for each kind of wildcard; `None` after too many steps.
    ///
    /// A later wildcard of a kind can absorb all that an earlier one could, so only the last of each is extended.
    fn backtrack(&self, text: &[u8]) -> Option<bool> {
        let mut budget = 256 + 8 * (text.len() + self.steps.len());
        let (mut at, mut next) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        let mut wide: Option<(usize, usize, bool)> = None;
        loop {
            budget = budget.checked_sub(1)?;
            let (step, byte) = (self.steps.get(next).copied(), text.get(at).copied());
            match (step, byte) {
                (None, None) => return Some(true),
                (Some(Step::Star), _) => {
                    next += 1;
                    star = Some((next, at));
                    continue;
                }
                (Some(step @ (Step::Wide | Step::Folders)), _) => {
                    next += 1;
                    wide = Some((next, at, step == Step::Folders));
                    star = None;
                    continue;
                }
                (Some(step), Some(byte)) if self.accepts(step, byte) => {
                    (at, next) = (at + 1, next + 1);
                    continue;
                }
                _ => {}
            }
            if let Some((behind, from)) = star
                && text.get(from).is_some_and(|&byte| byte != b'/')
            {
                (at, next) = (from + 1, behind);
                star = Some((behind, at));
                continue;
            }
            let Some((behind, from, folders)) = wide else { return Some(false) };
            let Some(rest) = text.get(from..) else { return Some(false) };
            let skipped = if folders { rest.iter().position(|&byte| byte == b'/') } else { (!rest.is_empty()).then_some(0) };
            let Some(skipped) = skipped else { return Some(false) };
            (at, next) = (from + skipped + 1, behind);
            (star, wide) = (None, Some((behind, at, folders)));
        }
    }

    /// Matches in time proportional to text times pattern, whatever the pattern: all steps that the text read so far
    /// can lead to, as a set of bits.
    fn simulate(&self, text: &[u8]) -> bool {
        let words = self.steps.len() / 64 + 1;
        let mask = |wanted: &dyn Fn(Step) -> bool| {
            let mut mask = vec![0_u64; words];
            let found = self.steps.iter().enumerate().filter(|(_, step)| wanted(**step));
            found.for_each(|(at, _)| insert(&mut mask, at));
            mask
        };
        let star = mask(&|step| step == Step::Star);
        let wide = mask(&|step| step == Step::Wide);
        let folders = mask(&|step| step == Step::Folders);
        let mut accepting: Vec<Option<Vec<u64>>> = vec![None; 256];
        let mut live = vec![0_u64; words];
        insert(&mut live, 0);
        let mut before = b'/';
        for &byte in text {
            Self::close(&mut live, [&star, &wide, &folders], before == b'/');
            let Some(accepted) = accepting.get_mut(usize::from(byte)) else { return false };
            let accepted = accepted.get_or_insert_with(|| mask(&|step| self.accepts(step, byte)));
            let mut carry = 0;
            for (at, word) in live.iter_mut().enumerate() {
                let of = |mask: &[u64]| mask.get(at).copied().unwrap_or_default();
                let moved = *word & of(accepted);
                let kept = *word & (of(&wide) | of(&folders) | if byte == b'/' { 0 } else { of(&star) });
                *word = moved << 1 | carry | kept;
                carry = moved >> 63;
            }
            before = byte;
        }
        Self::close(&mut live, [&star, &wide, &folders], before == b'/');
        live.get(self.steps.len() / 64).is_some_and(|word| word >> (self.steps.len() % 64) & 1 == 1)
    }

    /// Adds the steps that can be reached without a byte: behind a wildcard that takes nothing. Leading directories may
    /// end only where one starts. At most two wildcards are neighbours.
    fn close(live: &mut [u64], [star, wide, folders]: [&[u64]; 3], at_folder: bool) {
        for _ in 0..2 {
            let mut carry = 0;
            for (at, word) in live.iter_mut().enumerate() {
                let of = |mask: &[u64]| mask.get(at).copied().unwrap_or_default();
                let passed = *word & (of(star) | of(wide) | if at_folder { of(folders) } else { 0 });
                *word |= passed << 1 | carry;
                carry = passed >> 63;
            }
        }
    }
}

impl Step {
    fn is_single(self) -> bool {
        !matches!(self, Self::Star | Self::Wide | Self::Folders)
    }
}

fn insert(bits: &mut [u64], at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

fn has(bits: &[u64], byte: u8) -> bool {
    bits.get(usize::from(byte) / 64).is_some_and(|word| word >> (byte % 64) & 1 == 1)
}

struct Compiler<'a> {
    pattern: &'a [u8],
    at: usize,
    mode: Mode,
    steps: Vec<Step>,
    sets: Vec<Set>,
}

impl Compiler<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.pattern.get(self.at + ahead).copied()
    }

    /// Consumes a byte, which has to exist.
    fn take(&mut self) -> Option<u8> {
        let byte = self.peek(0)?;
        self.at += 1;
        Some(byte)
    }

    fn step(&mut self, byte: u8) -> Option<()> {
        let step = match byte {
            b'*' => {
                self.star();
                return Some(());
            }
            b'[' => self.set()?,
            b'?' => Step::Any,
            b'\\' => {
                self.at += 1;
                // An escaped letter is compared with folded text as it is: in upper case it matches nothing.
                Step::Byte(self.peek(0)?)
            }
            _ => Step::Byte(if self.mode.fold { byte.to_ascii_lowercase() } else { byte }),
        };
        self.at += 1;
        self.steps.push(step);
        Some(())
    }

    fn star(&mut self) {
        let start = self.at;
        while self.peek(0) == Some(b'*') {
            self.at += 1;
        }
        let opens = start.checked_sub(1).and_then(|before| self.pattern.get(before)).is_none_or(|&before| before == b'/');
        let closes = match self.peek(0) {
            None | Some(b'/') => true,
            Some(b'\\') => self.peek(1) == Some(b'/'),
            _ => false,
        };
        let step = if !self.mode.paths {
            Step::Wide
        } else if self.at - start == 1 || !opens || !closes {
            Step::Star
        } else if self.peek(0) == Some(b'/') {
            self.at += 1;
            Step::Folders
        } else {
            Step::Wide
        };
        if step != Step::Folders || self.steps.last() != Some(&step) {
            self.steps.push(step);
        }
    }

    /// Reads a set, up to its closing bracket.
    fn set(&mut self) -> Option<Step> {
        self.at += 1;
        let negated = matches!(self.peek(0), Some(b'!' | b'^'));
        self.at += usize::from(negated);
        let mut set = Set::default();
        let mut before = 0;
        loop {
            before = self.member(&mut set, before)?;
            if self.peek(0)? == b']' {
                break;
            }
        }
        if negated {
            set = set.map(|word| !word);
        }
        self.sets.push(set);
        Some(Step::In(u32::try_from(self.sets.len() - 1).ok()?))
    }

    /// Reads one member of a set. Returns the byte that can start a range, or 0.
    fn member(&mut self, set: &mut Set, before: u8) -> Option<u8> {
        let byte = self.take()?;
        match (byte, before, self.peek(0)) {
            (b'\\', ..) => {
                let escaped = self.take()?;
                insert(set, escaped.into());
                // git keeps the escaped byte as the start of a range.
                Some(escaped)
            }
            (b'-', first @ 1.., Some(next)) if next != b']' => {
                let mut last = self.take()?;
                if last == b'\\' {
                    last = self.take()?;
                }
                for byte in first..=last {
                    insert(set, byte.into());
                    if self.mode.fold {
                        insert(set, byte.to_ascii_lowercase().into());
                    }
                }
                Some(0)
            }
            (b'[', _, Some(b':')) => self.class(set),
            _ => {
                insert(set, byte.into());
                Some(byte)
            }
        }
    }

    /// Reads the rest of `[:name:]`; without its end, the bracket is an ordinary member.
    fn class(&mut self, set: &mut Set) -> Option<u8> {
        let rest = self.pattern.get(self.at + 1..)?;
        let end = rest.iter().position(|&byte| byte == b']')?;
        let Some(name) = rest.get(..end).and_then(|name| name.strip_suffix(b":")) else {
            insert(set, b'['.into());
            return Some(b'[');
        };
        let fold = self.mode.fold;
        let belongs: fn(u8) -> bool = match name {
            b"alnum" => |byte| byte.is_ascii_alphanumeric(),
            b"alpha" => |byte| byte.is_ascii_alphabetic(),
            b"blank" => |byte| matches!(byte, b' ' | b'\t'),
            b"cntrl" => |byte| byte.is_ascii_control(),
            b"digit" => |byte| byte.is_ascii_digit(),
            b"graph" => |byte| byte.is_ascii_graphic(),
            b"lower" => |byte| byte.is_ascii_lowercase(),
            b"print" => |byte| byte.is_ascii_graphic() || byte == b' ',
            b"punct" => |byte| byte.is_ascii_punctuation(),
            // git's own white space has neither vertical tabs nor form feeds.
            b"space" => |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'),
            b"upper" if fold => |byte| byte.is_ascii_alphabetic(),
            b"upper" => |byte| byte.is_ascii_uppercase(),
            b"xdigit" => |byte| byte.is_ascii_hexdigit(),
            _ => return None,
        };
        (0..=u8::MAX).filter(|&byte| belongs(byte)).for_each(|byte| insert(set, byte.into()));
        self.at += end + 2;
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matched(pattern: &str, text: &str, paths: bool, fold: bool) -> bool {
        Glob::new(pattern.as_bytes(), Mode { paths, fold }).is_some_and(|glob| glob.matches(text.as_bytes()))
    }

    #[test]
    fn wildcards_in_paths_stop_at_slashes_and_double_stars_do_not() {
        for (pattern, text, expected) in [
            ("a*c", "abc", true),
            ("a*c", "a/c", false),
            ("**/a", "a", true),
            ("**/a", "x/y/a", true),
            ("**/a", "xa", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a**b", "a/b", false),
            ("a[", "a[", false),
            ("a\\", "a\\", false),
            ("[[:bad:]]", "a", false),
            ("[]-a]", "]", true),
            ("[]-a]", "^", true),
            ("[!/]", "/", false),
            ("*/*/x", "a/b/x", true),
        ] {
            assert_eq!(matched(pattern, text, true, false), expected, "{pattern} {text}");
        }
        assert!(matched("a*c", "a/c", false, false));
        assert!(matched("ReadMe*", "README.md", false, true));
        assert!(!matched("\\README", "readme", false, true));
        assert!(!matched("[R]eadme", "readme", false, true));
        assert!(matched("[A-Z]eadme", "readme", false, true));
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = "*a".repeat(2_000) + "b";
        assert!(!matched(&pattern, &"a".repeat(4_000), true, false));
        let pattern = "**/*a".repeat(300) + "b";
        assert!(!matched(&pattern, &"aaaaaaa/".repeat(500), true, false));
    }

    proptest! {
        /// Both ways of matching agree.
        #[test]
        fn backtracking_equals_simulation(pattern in "[ab/*?\\\\]{0,12}", text in "[ab/]{0,12}", paths: bool) {
            if let Some(glob) = Glob::new(pattern.as_bytes(), Mode { paths, fold: false }) {
                prop_assert_eq!(glob.backtrack(text.as_bytes()), Some(glob.simulate(text.as_bytes())));
            }
        }

        #[test]
        fn nothing_panics(pattern: Vec<u8>, text: Vec<u8>, paths: bool, fold: bool) {
            if let Some(glob) = Glob::new(&pattern, Mode { paths, fold }) {
                glob.matches(&text);
            }
        }
    }
}
