//! Reads many objects of packs, such as the versions of a file. The bases of deltas are kept, so that a chain of them is
//! inflated once; the object database of gix keeps only whole results.

use gix::{
    ObjectId,
    objs::Kind,
    odb::pack::{
        data::{self, entry::Header},
        index,
    },
};
use std::{collections::HashMap, mem, path::Path, sync::Arc};

/// Bytes of objects kept, in two generations.
const MAX_KEPT: usize = 48 << 20;
/// Larger objects are left to gix.
const MAX_OBJECT: u64 = 32 << 20;
/// Longer chains of deltas are left to gix. git makes up to 4,095.
const MAX_CHAIN: usize = 4096;
/// With more packs, each would be searched for each object.
const MAX_PACKS: usize = 48;

/// The content of an object.
pub type Content = Arc<Vec<u8>>;

/// The packs of a repository, without those of alternates.
pub struct Packs {
    open: Vec<Pack>,
    inflate: gix::zlib::Inflate,
    kept: Kept,
    keeps_results: bool,
}

struct Pack {
    index: index::File<gix::odb::pack::MMap>,
    data: data::File<gix::odb::pack::MMap>,
}

/// A pack, and an offset in it.
type Place = (usize, u64);

/// Objects by place. When the newer generation is full, it replaces the older one.
#[derive(Default)]
struct Kept {
    newer: HashMap<Place, (Kind, Content)>,
    older: HashMap<Place, (Kind, Content)>,
    bytes: usize,
}

impl Kept {
    fn get(&mut self, place: Place) -> Option<(Kind, Content)> {
        if let Some((kind, content)) = self.newer.get(&place) {
            return Some((*kind, Arc::clone(content)));
        }
        let (kind, content) = self.older.remove(&place)?;
        self.put(place, kind, &content);
        Some((kind, content))
    }

    fn put(&mut self, place: Place, kind: Kind, content: &Content) {
        if content.len() > MAX_KEPT / 2 {
            return;
        }
        if self.bytes + content.len() > MAX_KEPT / 2 {
            self.older = mem::take(&mut self.newer);
            self.bytes = 0;
        }
        if self.newer.insert(place, (kind, Arc::clone(content))).is_none() {
            self.bytes += content.len();
        }
    }
}

impl std::fmt::Debug for Packs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packs").field("packs", &self.open.len()).finish_non_exhaustive()
    }
}

impl Packs {
    /// Opens the packs of `repo`. With `keeps_results`, objects are kept that were asked for, as the next ones may be
    /// deltas of them.
    pub fn open(repo: &gix::Repository, keeps_results: bool) -> Self {
        let objects = repo.objects.store_ref().path();
        if has_replacements(repo) { Self::of(Vec::new(), keeps_results) } else { Self::at(objects, repo.object_hash(), keeps_results) }
    }

    /// The same for the object directory of a repository without replacements.
    pub(crate) fn at(objects: &Path, hash: gix::hash::Kind, keeps_results: bool) -> Self {
        let paths = paths(&objects.join("pack")).ok().filter(|paths| paths.len() <= MAX_PACKS);
        Self::of(paths.map(|paths| open(&paths, hash)).unwrap_or_default(), keeps_results)
    }

    fn of(open: Vec<Pack>, keeps_results: bool) -> Self {
        Self { open, inflate: gix::zlib::Inflate::default(), kept: Kept::default(), keeps_results }
    }

    /// The object `id`; `None` if it is not in these packs, or for gix to report what is wrong.
    pub fn find(&mut self, id: &ObjectId) -> Option<(Kind, Content)> {
        let at = self.open.iter().position(|pack| pack.index.lookup(id).is_some())?;
        let pack = self.open.get(at)?;
        let offset = pack.index.pack_offset_at_index(pack.index.lookup(id)?);
        self.decode((at, offset))
    }

    fn decode(&mut self, place: Place) -> Option<(Kind, Content)> {
        let (mut chain, mut at) = (Vec::new(), place);
        let (kind, mut content) = loop {
            if let Some(kept) = self.kept.get(at) {
                break kept;
            }
            let pack = self.open.get(at.0)?;
            let entry = pack.data.entry(at.1).ok().filter(|entry| entry.decompressed_size <= MAX_OBJECT)?;
            let base = match entry.header {
                Header::OfsDelta { base_distance } => entry.checked_base_pack_offset(base_distance)?,
                Header::RefDelta { base_id } => pack.index.pack_offset_at_index(pack.index.lookup(base_id)?),
                header => {
                    let content = Arc::new(inflated(&pack.data, &entry, &mut self.inflate)?);
                    let kind = header.as_kind()?;
                    // A commit is no base of another one.
                    if at != place || self.keeps_results && kind != Kind::Commit {
                        self.kept.put(at, kind, &content);
                    }
                    break (kind, content);
                }
            };
            chain.push((at, entry));
            if chain.len() > MAX_CHAIN {
                return None;
            }
            at.1 = base;
        };
        for (at, entry) in chain.into_iter().rev() {
            let delta = inflated(&self.open.get(at.0)?.data, &entry, &mut self.inflate)?;
            content = Arc::new(apply(&content, &delta)?);
            if self.keeps_results || at != place {
                self.kept.put(at, kind, &content);
            }
        }
        Some((kind, content))
    }
}

/// Whether objects may be replaced by others, which gix decides.
fn has_replacements(repo: &gix::Repository) -> bool {
    let Ok(refs) = repo.references() else { return true };
    refs.prefixed("refs/replace/").map_or(true, |mut refs| refs.next().is_some())
}

fn paths(dir: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let entries = std::fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
    entries.filter(|path| path.as_ref().map_or(true, |path| path.extension().is_some_and(|end| end == "idx"))).take(MAX_PACKS + 1).collect()
}

/// Opens what can be opened: gix finds the other objects, or reports what is wrong.
fn open(indexes: &[std::path::PathBuf], hash: gix::hash::Kind) -> Vec<Pack> {
    let pack = |path: &std::path::PathBuf| {
        let data = data::File::at(path.with_extension("pack"), hash).ok()?;
        Some(Pack { index: index::File::at(path, hash).ok()?, data })
    };
    indexes.iter().filter_map(pack).collect()
}

fn inflated(pack: &data::File<gix::odb::pack::MMap>, entry: &data::Entry, inflate: &mut gix::zlib::Inflate) -> Option<Vec<u8>> {
    let mut content = vec![0; usize::try_from(entry.decompressed_size).ok()?];
    pack.decompress_entry(entry, inflate, &mut content).ok()?;
    Some(content)
}

/// Applies a delta of git's pack format. `None` if it is malformed or its result is too large.
fn apply(base: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut rest = delta;
    let (before, after) = (size(&mut rest)?, size(&mut rest)?);
    if before != base.len() as u64 || after > MAX_OBJECT {
        return None;
    }
    let after = usize::try_from(after).ok()?;
    let mut content = Vec::with_capacity(after);
    while let Some((&command, more)) = rest.split_first() {
        rest = more;
        let part = if command & 0x80 == 0 {
            let (part, more) = rest.split_at_checked(usize::from(command)).filter(|_| command > 0)?;
            rest = more;
            part
        } else {
            let start = number(command, 4, &mut rest)?;
            let len = number(command >> 4, 3, &mut rest)?;
            let len = if len == 0 { 0x1_0000 } else { len };
            base.get(start..start.checked_add(len)?)?
        };
        if part.len() > after - content.len() {
            return None;
        }
        content.extend_from_slice(part);
    }
    (content.len() == after).then_some(content)
}

/// A size of seven bits a byte, the lowest first.
fn size(rest: &mut &[u8]) -> Option<u64> {
    let mut size = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, more) = rest.split_first()?;
        *rest = more;
        size |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(size);
        }
    }
    None
}

/// A number of up to `count` bytes, the lowest first. Only bytes whose bit is set in `present` are stored.
fn number(present: u8, count: u32, rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for nth in 0..count {
        if present & 1 << nth != 0 {
            let (&byte, more) = rest.split_first()?;
            *rest = more;
            number |= usize::from(byte) << (8 * nth);
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "git makes the packs")]

    use super::*;
    use gix::objs::Find as _;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn deltas_are_applied() {
        let base = b"0123456789";
        for (delta, expect) in [
            (&b"\x0a\x03\x91\x02\x03"[..], Some(&b"234"[..])),
            (b"\x0a\x05\x02ab\x91\x00\x03", Some(b"ab012")),
            (b"\x0a\x00", Some(b"")),
            (b"\x0b\x03\x91\x02\x03", None),
            (b"\x0a\x02\x91\x02\x03", None),
            (b"\x0a\x04\x91\x02\x03", None),
            (b"\x0a\x03\x91\x08\x03", None),
            (b"\x0a\x01\x00", None),
            (b"\x0a\x03\x91\x02", None),
        ] {
            assert_eq!(apply(base, delta).as_deref(), expect, "{delta:?}");
        }
    }

    #[test]
    fn objects_equal_those_of_gix() -> Result<(), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let script = "git init -q . && for n in $(seq 1 40); do seq $n $((n * 30)) >f; seq $n 50 >d$((n % 3)); git add .; \
            git -c user.name=A -c user.email=a@b commit -q -m $n; done; git repack -q -a -d -f --depth=50 --window=20";
        assert!(Command::new("sh").args(["-ec", script]).current_dir(home.path()).status()?.success());
        let repo = gix::open(home.path())?;
        for keeps_results in [false, true] {
            let mut packs = Packs::open(&repo, keeps_results);
            let mut count = 0;
            for id in repo.objects.iter()? {
                let (id, mut buffer) = (id?, Vec::new());
                let expect = repo.objects.try_find(&id, &mut buffer).map_err(|err| err.to_string())?.ok_or("an object")?;
                let (kind, content) = packs.find(&id).ok_or("a packed object")?;
                assert_eq!((kind, &content[..]), (expect.kind, expect.data), "{id}");
                count += 1;
            }
            assert!(count > 120 && packs.find(&ObjectId::null(repo.object_hash())).is_none());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_delta_never_panics(delta in proptest::collection::vec(any::<u8>(), 0..60), base in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = apply(&base, &delta);
            let with_sizes = [&[u8::try_from(base.len()).unwrap_or_default(), 40], &delta[..]].concat();
            let _ = apply(&base, &with_sizes);
        }
    }
}
