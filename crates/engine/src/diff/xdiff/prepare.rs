//! Sets lines aside that need no search: equal ends, and lines without a useful counterpart.

use crate::diff::{text::position, xdiff::File};

/// The lines of one text in which the script is searched.
pub(super) struct Kept {
    /// Their positions.
    pub(super) at: Vec<u32>,
    /// Their numbers.
    pub(super) classes: Vec<u32>,
}

/// The number of counterparts from which a line may be set aside, at most.
const MAX_COUNTERPARTS: u32 = 1024;
/// How far git looks around such a line.
const WINDOW: usize = 100;
/// Lines with many counterparts are set aside if this many times as many without one surround them, less one.
const WEIGHT: usize = 4;

/// Marks lines without a counterpart as changed, and returns the others between the equal ends.
pub(super) fn prepare(a: &mut File, b: &mut File) -> [Kept; 2] {
    let start = a.classes.iter().zip(&b.classes).take_while(|(x, y)| x == y).count();
    let (x, y) = (&a.classes[start..], &b.classes[start..]);
    let end = x.iter().rev().zip(y.iter().rev()).take_while(|(x, y)| x == y).count();
    [keep(a, start, end), keep(b, start, end)]
}

/// How many counterparts a line has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counterparts {
    None,
    Some,
    Many,
}

fn keep(file: &mut File, start: usize, end: usize) -> Kept {
    let many = rough_root(file.classes.len()).min(MAX_COUNTERPARTS);
    let classes = &file.classes[start..file.classes.len() - end];
    let found: Vec<Counterparts> = classes
        .iter()
        .map(|&class| match file.elsewhere[class as usize] {
            0 => Counterparts::None,
            count if count >= many => Counterparts::Many,
            _ => Counterparts::Some,
        })
        .collect();
    let mut kept = Kept { at: Vec::with_capacity(classes.len()), classes: Vec::with_capacity(classes.len()) };
    for (at, &class) in classes.iter().enumerate() {
        let is_kept = match found[at] {
            Counterparts::None => false,
            Counterparts::Some => true,
            Counterparts::Many => !is_among_lone_lines(&found, at),
        };
        if is_kept {
            kept.at.push(position(start + at));
            kept.classes.push(class);
        } else {
            file.changed[start + at] = true;
        }
    }
    kept
}

/// Whether a line with many counterparts stands among lines that have mostly none.
fn is_among_lone_lines(found: &[Counterparts], at: usize) -> bool {
    let count = |lines: &mut dyn Iterator<Item = &Counterparts>| {
        let run = lines.take(WINDOW).take_while(|line| **line != Counterparts::Some);
        run.fold((0, 0), |(lone, many), line| if *line == Counterparts::None { (lone + 1, many) } else { (lone, many + 1) })
    };
    let (lone_before, many_before) = count(&mut found[..at].iter().rev());
    if lone_before == 0 {
        return false;
    }
    let (lone_after, many_after) = count(&mut found[at + 1..].iter());
    if lone_after == 0 {
        return false;
    }
    // The line itself counts on both sides.
    let (lone, many) = (lone_before + lone_after, many_before + many_after + 2);
    many * WEIGHT < many + lone
}

/// git's estimate of a square root: the next power of two above it.
pub(super) fn rough_root(number: usize) -> u32 {
    let bits = usize::BITS - number.leading_zeros();
    1 << bits.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_powers_of_two() {
        for (number, root) in [(0, 1), (1, 2), (3, 2), (4, 4), (15, 4), (16, 8), (255, 16), (256, 32), (1 << 20, 2048)] {
            assert_eq!(rough_root(number), root, "{number}");
        }
    }
}
