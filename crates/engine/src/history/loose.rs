//! Loose objects, each a file of its own.

use crate::beneath::Folder;
use gix::{ObjectId, objs::Kind};
use std::{io::Read, path::Path};

/// Larger files are read by gix.
const MAX_FILE: u64 = 1 << 20;
/// Larger objects as well.
const MAX_SIZE: usize = 4 << 20;
/// Maximum length of the kind and size before an object.
const MAX_HEADER: usize = 32;

/// Reads an object of the directory `objects` into `out`; `None` if it is absent, damaged or unusual.
pub(super) fn read(objects: &Folder, id: &ObjectId, inflate: &mut flate2::Decompress, out: &mut Vec<u8>) -> Option<Kind> {
    let hex = id.to_string();
    let (directory, name) = hex.split_at_checked(2)?;
    let (file, found) = objects.file(Path::new(directory).join(name)).ok()?;
    if found.len() > MAX_FILE {
        return None;
    }
    let mut stored = Vec::with_capacity(usize::try_from(found.len()).ok()? + 1);
    file.take(MAX_FILE).read_to_end(&mut stored).ok()?;
    decode(&stored, inflate, out)
}

/// Decodes `KIND SIZE`, a NUL and the content.
fn decode(stored: &[u8], inflate: &mut flate2::Decompress, out: &mut Vec<u8>) -> Option<Kind> {
    out.clear();
    out.reserve(stored.len().saturating_mul(4).max(1024));
    inflate.reset(true);
    loop {
        let read = usize::try_from(inflate.total_in()).ok()?;
        let status = inflate.decompress_vec(stored.get(read..)?, out, flate2::FlushDecompress::None).ok()?;
        if status == flate2::Status::StreamEnd {
            break;
        }
        if out.len() < out.capacity() || out.len() > MAX_SIZE {
            return None;
        }
        out.reserve(out.len());
    }
    let end = out.iter().take(MAX_HEADER).position(|&byte| byte == 0)?;
    let header = out.get(..end)?;
    let space = header.iter().position(|&byte| byte == b' ')?;
    let (kind, size) = header.split_at_checked(space)?;
    let kind = Kind::from_bytes(kind).ok()?;
    let size: usize = std::str::from_utf8(size.get(1..)?).ok()?.parse().ok()?;
    out.drain(..=end);
    (out.len() == size).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn stored(text: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text)?;
        encoder.finish()
    }

    fn decoded(stored: &[u8]) -> Option<(Kind, Vec<u8>)> {
        let mut out = Vec::new();
        let kind = decode(stored, &mut flate2::Decompress::new(true), &mut out)?;
        Some((kind, out))
    }

    #[test]
    fn only_whole_objects_are_read() -> std::io::Result<()> {
        let content = vec![7; 300_000];
        let long = [b"tree 300000\0".as_slice(), &content].concat();
        assert_eq!(decoded(&stored(&long)?), Some((Kind::Tree, content)));
        let whole = stored(b"commit 3\0abc")?;
        assert_eq!(decoded(&whole), Some((Kind::Commit, b"abc".to_vec())));
        assert_eq!(decoded(whole.get(..whole.len() - 6).unwrap_or_default()), None);
        for wrong in [&b"commit 4\0abc"[..], b"commit\0abc", b"comet 3\0abc", b"commit 3", b""] {
            assert_eq!(decoded(&stored(wrong)?), None);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decoded(&data);
            let _ = stored(&data).ok().map(|stored| decoded(&stored).is_some());
        }
    }
}
