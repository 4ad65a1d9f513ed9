//! How similar two files are, as git estimates it: which share of their lines, or of 64 bytes, occurs in both.

use std::cmp::Ordering;

/// The score of equal files.
pub(super) const MAX: u32 = 60_000;
/// The least score of a rename.
pub(super) const MINIMUM: u32 = MAX / 2;
/// The least score of a rename that the name alone suggests.
pub(super) const SAME_NAME_MINIMUM: u32 = MINIMUM + (MAX - MINIMUM) / 2;

/// A score in percent.
pub(super) fn percent(score: u32) -> u32 {
    score * 100 / MAX
}

/// The number of different pieces.
const PIECES: u32 = 107_927;
/// The length at which a piece ends without a line break.
const PIECE: u32 = 64;

/// How many bytes of a file are in each piece, sorted by piece.
#[derive(Debug)]
pub(super) struct Fingerprint(Vec<(u32, u32)>);

impl Fingerprint {
    /// Of the content of a file. A line break of two characters counts as one in a text.
    pub(super) fn of(content: &[u8], is_text: bool) -> Self {
        let mut pieces = Vec::with_capacity(content.len() / 24);
        let (mut low, mut high, mut len) = (0_u32, 0_u32, 0_u32);
        let mut bytes = content.iter().peekable();
        while let Some(&byte) = bytes.next() {
            if is_text && byte == b'\r' && bytes.peek() == Some(&&b'\n') {
                continue;
            }
            (low, high) = ((low << 7) ^ (high >> 25), (high << 7) ^ (low >> 25));
            low = low.wrapping_add(u32::from(byte));
            len += 1;
            if len == PIECE || byte == b'\n' {
                pieces.push((number(low, high), len));
                (low, high, len) = (0, 0, 0);
            }
        }
        if len > 0 {
            pieces.push((number(low, high), len));
        }
        pieces.sort_unstable_by_key(|(piece, _)| *piece);
        pieces.dedup_by(|next, first| {
            let is_same = next.0 == first.0;
            if is_same {
                first.1 = first.1.wrapping_add(next.1);
            }
            is_same
        });
        pieces.shrink_to_fit();
        Self(pieces)
    }
}

fn number(low: u32, high: u32) -> u32 {
    low.wrapping_add(high.wrapping_mul(0x61)) % PIECES
}

/// Whether the sizes differ too much for a score of `minimum`.
pub(super) fn excluded(old: u64, new: u64, minimum: u32) -> bool {
    let (small, large) = (u128::from(old.min(new)), u128::from(old.max(new)));
    large * u128::from(MAX - minimum) < (large - small) * u128::from(MAX)
}

/// The score of two files of these sizes.
pub(super) fn score(old: &Fingerprint, new: &Fingerprint, old_size: u64, new_size: u64) -> u32 {
    if new_size == 0 {
        return 0;
    }
    let (mut rest, mut copied) = (new.0.as_slice(), 0_u64);
    for (piece, len) in &old.0 {
        while let [(other, _), tail @ ..] = rest
            && other < piece
        {
            rest = tail;
        }
        if let [(other, other_len), tail @ ..] = rest
            && other == piece
        {
            copied += u64::from(*len.min(other_len));
            rest = tail;
        }
    }
    u32::try_from(u128::from(copied) * u128::from(MAX) / u128::from(old_size.max(new_size))).unwrap_or(MAX)
}

#[derive(Clone, Copy)]
struct Candidate {
    from: usize,
    to: usize,
    score: u32,
    same_name: bool,
}

/// The number of candidates kept for each added file.
const CANDIDATES: usize = 4;

/// The best candidates for each added file.
#[derive(Default)]
pub(super) struct Scores(Vec<Option<Candidate>>);

impl Scores {
    /// Starts the next added file.
    pub(super) fn start(&mut self) {
        self.0.extend([None; CANDIDATES]);
    }

    /// Adds a candidate of the current file. It replaces the worst one if it is better; its place decides between equals
    /// later.
    pub(super) fn add(&mut self, from: usize, to: usize, score: u32, same_name: bool) {
        let start = self.0.len().saturating_sub(CANDIDATES);
        let new = Some(Candidate { from, to, score, same_name });
        let mut worst = start;
        for at in start..self.0.len() {
            if order(self.0[at], self.0[worst]).is_gt() {
                worst = at;
            }
        }
        if order(self.0[worst], new).is_gt() {
            self.0[worst] = new;
        }
    }

    /// All candidates that may be renames, the best first.
    pub(super) fn sorted(mut self) -> impl Iterator<Item = (usize, usize, u32)> {
        self.0.sort_by(|a, b| order(*a, *b));
        let good = self.0.into_iter().flatten().take_while(|candidate| candidate.score >= MINIMUM);
        good.map(|candidate| (candidate.from, candidate.to, candidate.score))
    }
}

/// The better one first; none is last.
fn order(a: Option<Candidate>, b: Option<Candidate>) -> Ordering {
    let key = |candidate: Option<Candidate>| candidate.map(|candidate| (candidate.score, candidate.same_name));
    key(b).cmp(&key(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &str, b: &str) -> u32 {
        score(&Fingerprint::of(a.as_bytes(), true), &Fingerprint::of(b.as_bytes(), true), a.len() as u64, b.len() as u64)
    }

    #[test]
    fn the_share_of_equal_lines_counts() {
        assert_eq!(percent(of("a\nb\nc\nd\n", "a\nb\nc\nd\n")), 100);
        assert_eq!(percent(of("a\nb\nc\nd\n", "d\nc\nx\ny\n")), 50);
        assert_eq!(percent(of("a\r\nb\r\n", "a\nb\n")), 66);
        assert_eq!(of("a\n", ""), 0);
    }

    #[test]
    fn sizes_may_exclude_a_rename() {
        assert!(!excluded(10, 20, MINIMUM) && excluded(10, 21, MINIMUM));
        assert!(!excluded(15, 20, SAME_NAME_MINIMUM) && excluded(14, 20, SAME_NAME_MINIMUM));
        assert!(!excluded(0, 0, MINIMUM));
    }
}
