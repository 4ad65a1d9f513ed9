//! Compares a file's content with the object that the index names.

use crate::{
    beneath::{Folder, Kind, to_path},
    error::{Error, Result},
    index::{Entry, Index},
    rules::{Attributes, Conversion, Settings, Source, Value},
    stop::Stop,
};
use gix::{ObjectId, hash::Hasher};
use parking_lot::Mutex;
use std::{borrow::Cow, collections::HashMap, fmt, fs::File, io::Read, sync::OnceLock};

/// Bytes hashed at a time.
const CHUNK: usize = 64 << 10;
/// Maximum size of a file that is converted in memory.
const MAX_CONVERTED: u64 = 32 << 20;

/// The attributes outside of the working tree, read when the first file needs them.
type Load<'a> = Box<dyn Fn() -> Result<Attributes> + Send + Sync + 'a>;

/// What the comparison of content needs: objects, attributes, and settings of the conversion.
pub struct Content<'a> {
    objects: Mutex<gix::Repository>,
    kind: gix::hash::Kind,
    settings: Settings,
    has_old_patterns: Box<dyn Fn() -> bool + Send + Sync + 'a>,
    load: Load<'a>,
    globals: OnceLock<Attributes>,
    /// The attributes in the directories of files that were compared.
    folders: Mutex<HashMap<Vec<u8>, Attributes>>,
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("kind", &self.kind).field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Where a tracked file is.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) top: &'a Folder,
    pub(super) index: &'a Index,
    pub(super) folder: &'a Folder,
    pub(super) name: &'a [u8],
    pub(super) path: &'a [u8],
}

impl<'a> Content<'a> {
    /// Content of a repository. `load` reads the attributes outside of its working tree. `has_old_patterns` is
    /// whether git is older than 2.52, which reads a pattern such as `a**/b` as this engine does; few need to know.
    pub fn new(
        objects: gix::Repository,
        settings: Settings,
        has_old_patterns: impl Fn() -> bool + Send + Sync + 'a,
        load: impl Fn() -> Result<Attributes> + Send + Sync + 'a,
    ) -> Self {
        let (kind, load, has_old_patterns) = (objects.object_hash(), Box::new(load), Box::new(has_old_patterns));
        Self { objects: Mutex::new(objects), kind, settings, has_old_patterns, load, globals: OnceLock::new(), folders: Mutex::default() }
    }

    /// Whether the engine reads ambiguous patterns as this git does.
    pub(super) fn reads_ambiguous_patterns(&self) -> bool {
        (self.has_old_patterns)()
    }

    /// The filter driver of a tracked file.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for attributes that only git reads.
    pub fn filter(&self, top: &Folder, index: &Index, path: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.conversion(top, index, path)?.filter().map(<[u8]>::to_vec))
    }

    /// The values of the attributes `names` for a tracked file.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for attributes that only git reads.
    pub fn values<const N: usize>(&self, top: &Folder, index: &Index, path: &[u8], names: [&str; N]) -> Result<[Value; N]> {
        Ok(self.attributes(top, index, path)?.of(path, names))
    }

    /// What git would store for the file at `path`, with its id. `entry` is its entry in the index.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for what only git converts, large files, and ones that are being written.
    pub fn stored(&self, top: &Folder, index: &Index, path: &[u8], entry: &Entry, file: (File, u64)) -> Result<(ObjectId, Vec<u8>)> {
        let (mut file, length) = file;
        if length > MAX_CONVERTED {
            return Err(Error::Unsupported("the content of a large file"));
        }
        let mut content = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
        (&mut file).take(length + 1).read_to_end(&mut content).map_err(Error::io("reading a file"))?;
        if content.len() as u64 != length {
            return Err(BEING_WRITTEN);
        }
        let conversion = self.conversion(top, index, path)?;
        let stored = conversion.to_git(Cow::Owned(content), || self.blob(entry.id).map(Some))?.into_owned();
        Ok((self.id(&stored)?, stored))
    }

    /// The id of a blob with this content.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the hash collides with that of another.
    pub fn id(&self, content: &[u8]) -> Result<ObjectId> {
        let mut hasher = self.hasher(content.len() as u64);
        hasher.update(content);
        hasher.try_finalize().map_err(|_| COLLISION)
    }

    /// Whether git may store other content than that of the file.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for attributes that only git reads.
    pub fn converts(&self, top: &Folder, index: &Index, path: &[u8]) -> Result<bool> {
        Ok(!self.conversion(top, index, path)?.is_identity())
    }

    /// The content of a blob.
    pub(super) fn blob(&self, id: ObjectId) -> Result<Vec<u8>> {
        let objects = self.objects.lock();
        let object = objects.find_object(id).map_err(|err| Error::corrupt(format_args!("reading {id}: {err}")))?;
        Ok(object.detach().data)
    }

    /// Whether the symbolic link has the target that the index records.
    pub(super) fn is_same_link(&self, place: Place<'_>, entry: &Entry) -> Result<bool> {
        let Some(target) = place.folder.link(to_path(place.name)) else { return Ok(false) };
        self.is_object(&target, entry)
    }

    /// Whether the file has the content that the index records. A file that cannot be opened differs, as in git.
    pub(super) fn is_same_file(&self, place: Place<'_>, entry: &Entry, stop: &dyn Stop) -> Result<bool> {
        let Ok((mut file, found)) = place.folder.file(to_path(place.name)) else { return Ok(false) };
        let conversion = self.conversion(place.top, place.index, place.path)?;
        if conversion.is_identity() {
            let mut hasher = self.hasher(found.len());
            let length = hash(&mut hasher, file, stop)?;
            return if length == found.len() { is_entry(hasher, entry) } else { Err(BEING_WRITTEN) };
        }
        if found.len() > MAX_CONVERTED {
            return Err(Error::Unsupported("the conversion of a large file"));
        }
        let mut content = Vec::new();
        (&mut file).take(found.len() + 1).read_to_end(&mut content).map_err(Error::io("reading a file"))?;
        if content.len() as u64 != found.len() {
            return Err(BEING_WRITTEN);
        }
        stop.check()?;
        let stored = conversion.to_git(Cow::Owned(content), || self.blob(entry.id).map(Some))?;
        self.is_object(&stored, entry)
    }

    fn is_object(&self, content: &[u8], entry: &Entry) -> Result<bool> {
        Ok(self.id(content)? == entry.id)
    }

    /// A hash of a blob of this length.
    fn hasher(&self, length: u64) -> Hasher {
        let mut hasher = gix::hash::hasher(self.kind);
        hasher.update(format!("blob {length}\0").as_bytes());
        hasher
    }

    fn conversion(&self, top: &Folder, index: &Index, path: &[u8]) -> Result<Conversion> {
        Conversion::of(&self.values(top, index, path, Conversion::NAMES)?, &self.settings)
    }

    /// The attributes in the directory of a path.
    fn attributes(&self, top: &Folder, index: &Index, path: &[u8]) -> Result<Attributes> {
        let globals = if let Some(globals) = self.globals.get() {
            globals
        } else {
            let loaded = (self.load)()?;
            self.globals.get_or_init(|| loaded)
        };
        let mut attributes = globals.clone();
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
        for end in std::iter::once(0).chain(ends) {
            let folder = path.get(..end).unwrap_or_default();
            let known = self.folders.lock().get(folder).cloned();
            attributes = if let Some(known) = known {
                known
            } else {
                let entered = self.enter(&attributes, top, index, folder)?;
                self.folders.lock().insert(folder.to_vec(), entered.clone());
                entered
            };
        }
        if attributes.is_ambiguous() && !self.reads_ambiguous_patterns() {
            return Err(Error::Unsupported("attributes that versions of git read differently"));
        }
        Ok(attributes)
    }

    /// The attributes in a directory. git uses the staged ones if the file is missing.
    fn enter(&self, above: &Attributes, top: &Folder, index: &Index, folder: &[u8]) -> Result<Attributes> {
        let file = [folder, b".gitattributes"].concat();
        match top.read(to_path(&file), Kind::Rules) {
            Ok(Some(text)) => Ok(above.enter(folder, Some((&text, Source::File)))),
            Ok(None) => match index.find(&file, 0).or_else(|| index.find(&file, 2)) {
                Some(entry) => Ok(above.enter(folder, Some((&self.blob(entry.id)?, Source::Blob)))),
                None => Ok(above.enter(folder, None)),
            },
            Err(_) => Err(Error::Unsupported("attributes that cannot be read")),
        }
    }
}

const COLLISION: Error = Error::Unsupported("content whose hash collides");
const BEING_WRITTEN: Error = Error::Unsupported("a file that is being written");

/// Hashes a file; returns its length.
fn hash(hasher: &mut Hasher, mut file: File, stop: &dyn Stop) -> Result<u64> {
    let (mut chunk, mut length) = (vec![0; CHUNK], 0);
    loop {
        let count = match file.read(&mut chunk) {
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => continue,
            count => count.map_err(Error::io("reading a file"))?,
        };
        if count == 0 {
            return Ok(length);
        }
        length += count as u64;
        hasher.update(chunk.get(..count).unwrap_or_default());
        stop.check()?;
    }
}

fn is_entry(hasher: Hasher, entry: &Entry) -> Result<bool> {
    hasher.try_finalize().map(|id| id == entry.id).map_err(|_| COLLISION)
}
