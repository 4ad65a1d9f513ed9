//! Compressed bitmaps (EWAH), in which a split index marks entries of the shared one.

use super::bytes::Bytes;

/// The positions of the bits that are set in the bitmap at the front of `bytes`, in order. `None` if it is malformed or
/// has a position of `limit` or more.
pub(super) fn positions(bytes: &mut Bytes<'_>, limit: usize) -> Option<Vec<usize>> {
    let size = usize::try_from(bytes.u32()?).ok()?;
    let count = usize::try_from(bytes.u32()?).ok()?;
    let mut words = Bytes(bytes.take(count.checked_mul(8)?)?);
    // The position of the last header, needed only to append.
    bytes.u32()?;
    let (mut found, mut at) = (Vec::new(), 0_usize);
    while let Some(header) = words.u64() {
        let run = usize::try_from(header >> 1 & 0xffff_ffff).ok()?.checked_mul(64)?;
        let end = at.checked_add(run)?;
        if header & 1 == 1 {
            // Bits beyond the size are padding of the last word.
            let last = end.min(size);
            if last > limit {
                return None;
            }
            found.extend(at..last);
        }
        at = end;
        for _ in 0..header >> 33 {
            let word = words.u64()?;
            for bit in (0..64).filter(|bit| word >> bit & 1 == 1) {
                let position = at.checked_add(bit)?;
                if position >= limit {
                    return None;
                }
                found.push(position);
            }
            at = at.checked_add(64)?;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(size: u32, words: &[u64]) -> Vec<u8> {
        let count = u32::try_from(words.len()).unwrap_or(u32::MAX);
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        [&size.to_be_bytes()[..], &count.to_be_bytes(), &words, &[0; 4]].concat()
    }

    #[test]
    fn runs_and_literal_words_give_positions() {
        // One word of ones, then one literal word.
        let bytes = bitmap(130, &[1 | 1 << 1 | 1 << 33, 0b101]);
        let found = positions(&mut Bytes(&bytes), 200);
        let expect: Vec<usize> = (0..64).chain([64, 66]).collect();
        assert_eq!(found, Some(expect));
        assert_eq!(positions(&mut Bytes(&bytes), 66), None);
        assert_eq!(positions(&mut Bytes(&bytes[..20]), 200), None);
        // A run of ones as long as the format allows.
        let long = bitmap(u32::MAX, &[u64::MAX >> 31]);
        assert_eq!(positions(&mut Bytes(&long), 1 << 20), None);
    }
}
