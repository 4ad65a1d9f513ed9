//! Renders changed paths as git prints them, on several threads if there are many.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    read::{
        patch::{Collector, FilePatch, Keep, MAX_BLOB, Patch},
        trees::Change,
    },
    repo::{patch_settings::PatchSettings, rev::Abbreviator, route::only_git},
};
use engine::diff::{
    output::Output,
    patch::{Side, Style, write},
    renames::{self, Contents, Lone, Rename},
};
use engine::packs::{Content, Packs};
use gix::ObjectId;
use parking_lot::{Condvar, Mutex};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock},
};

/// The mode of a submodule.
pub(crate) const SUBMODULE: u32 = 0o160_000;

/// The number of files from which several threads are worth their start.
const MANY: usize = 8;
/// The number of files from which reading the packs directly is worth opening them.
const WORTH_PACKS: usize = 4;
/// Files rendered ahead of the one that is collected next.
const AHEAD: usize = 64;

/// Threads that render one patch.
static THREADS: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from).min(8));

/// Content of the working tree, by its id.
pub(crate) type Written = HashMap<ObjectId, Content>;

/// What a patch is rendered from.
pub(crate) struct Renderer<'a> {
    pub(crate) engine: &'a gix::Repository,
    pub(crate) settings: &'a PatchSettings,
    pub(crate) style: Style,
    /// The content of new sides that are in the working tree.
    pub(crate) written: &'a Written,
    /// Whether files are binary, where attributes decide that.
    pub(crate) forced: HashMap<Vec<u8>, bool>,
    /// The packs, if many objects are read.
    pub(crate) packs: RefCell<Option<Packs>>,
    pub(crate) cancel: &'a Cancel,
}

/// A file to render: its sides, and the similarity of a rename.
struct Job<'a> {
    old: Option<(&'a [u8], u32, ObjectId)>,
    new: Option<(&'a [u8], u32, ObjectId)>,
    percent: Option<u32>,
}

/// Results on their way from the threads to the collector.
struct Queue {
    /// The next job to start.
    next: usize,
    /// The next job to collect.
    wanted: usize,
    done: BTreeMap<usize, Result<Vec<FilePatch>>>,
    /// Nothing more is wanted.
    closed: bool,
}

impl Renderer<'_> {
    /// The patch of these changes, sorted by path.
    pub(crate) fn patch(&self, files: &[Change], keep: Keep) -> Result<Patch> {
        let sources = self.renames(files)?;
        let mut is_moved = vec![false; files.len()];
        for rename in sources.values() {
            is_moved[rename.from] = true;
        }
        let jobs: Vec<Job> = (0..files.len())
            .filter(|at| !is_moved[*at])
            .map(|at| {
                let change = &files[at];
                let source = sources.get(&at).map(|rename| (&files[rename.from], rename.percent));
                let before = source.map_or(change, |(source, _)| source);
                Job {
                    old: before.old.map(|(mode, id)| (before.path.as_slice(), mode, id)),
                    new: change.new.map(|(mode, id)| (change.path.as_slice(), mode, id)),
                    percent: source.map(|(_, percent)| percent),
                }
            })
            .collect();
        self.expect(jobs.len());
        let mut collector = Collector::new(keep);
        let mut collect = |parts: Vec<FilePatch>| parts.into_iter().all(|part| collector.push(part));
        if jobs.len() < MANY || *THREADS == 1 {
            let worker = Worker::new(self, self.engine, keep);
            for job in &jobs {
                if !collect(worker.file(job)?) {
                    break;
                }
            }
        } else {
            self.in_parallel(&jobs, keep, &mut collect)?;
        }
        Ok(collector.finish())
    }

    fn in_parallel(&self, jobs: &[Job], keep: Keep, collect: &mut dyn FnMut(Vec<FilePatch>) -> bool) -> Result<()> {
        let queue = Mutex::new(Queue { next: 0, wanted: 0, done: BTreeMap::new(), closed: false });
        let changed = Condvar::new();
        let (settings, style, written, forced, cancel) = (self.settings, &self.style, self.written, &self.forced, self.cancel);
        std::thread::scope(|scope| {
            for _ in 0..(*THREADS).min(jobs.len()) {
                let engine = self.engine.clone();
                let (queue, changed) = (&queue, &changed);
                scope.spawn(move || {
                    let parts = Renderer {
                        engine: &engine,
                        settings,
                        style: style.clone(),
                        written,
                        forced: forced.clone(),
                        packs: RefCell::default(),
                        cancel,
                    };
                    parts.expect(jobs.len());
                    let worker = Worker::new(&parts, &engine, keep);
                    while let Some(at) = take(queue, changed, jobs.len()) {
                        let result = worker.file(&jobs[at]);
                        let mut queue = queue.lock();
                        queue.done.insert(at, result);
                        changed.notify_all();
                    }
                });
            }
            let result = gather(&queue, &changed, jobs.len(), collect);
            queue.lock().closed = true;
            changed.notify_all();
            result
        })
    }

    /// The rename of each added file that has one, by index.
    pub(crate) fn renames(&self, files: &[Change]) -> Result<HashMap<usize, Rename>> {
        if self.settings.renames { self.all_renames(files) } else { Ok(HashMap::new()) }
    }

    /// The same, whatever `diff.renames` is.
    pub(crate) fn all_renames(&self, files: &[Change]) -> Result<HashMap<usize, Rename>> {
        let lone = |wanted: fn(&Change) -> Option<(u32, ObjectId)>| -> (Vec<usize>, Vec<Lone>) {
            let sides = files.iter().enumerate().filter_map(|(at, change)| wanted(change).map(|side| (at, change, side)));
            sides
                .map(|(at, change, (mode, id))| (at, Lone { path: &change.path, mode, id, binary: self.forced.get(&change.path).copied() }))
                .unzip()
        };
        let (from, deleted) = lone(|change| change.old.filter(|_| change.new.is_none()));
        let (to, added) = lone(|change| change.new.filter(|_| change.old.is_none()));
        let found = renames::find(&deleted, &added, self.settings.rename_limit, self, self.cancel)?;
        Ok(found.into_iter().map(|rename| (to[rename.to], Rename { from: from[rename.from], ..rename })).collect())
    }

    /// Prepares for reading the content of this many files.
    pub(crate) fn expect(&self, files: usize) {
        if files >= WORTH_PACKS && self.packs.borrow().is_none() {
            self.packs.replace(Some(Packs::open(self.engine, true)));
        }
    }

    pub(crate) fn content(&self, id: ObjectId) -> Result<Content> {
        if let Some(written) = self.written.get(&id) {
            return Ok(Arc::clone(written));
        }
        let packed = self.packs.borrow_mut().as_mut().and_then(|packs| packs.find(&id));
        if let Some((gix::objs::Kind::Blob, content)) = packed {
            return if content.len() as u64 > MAX_BLOB { Err(only_git("a file too large to be compared here")) } else { Ok(content) };
        }
        if self.engine.find_header(id).map_err(Error::engine)?.size() > MAX_BLOB {
            return Err(only_git("a file too large to be compared here"));
        }
        Ok(Arc::new(self.engine.find_object(id).map_err(Error::engine)?.detach().data))
    }
}

impl Contents for Renderer<'_> {
    fn size(&self, file: &Lone) -> engine::Result<u64> {
        if let Some(written) = self.written.get(&file.id) {
            return Ok(written.len() as u64);
        }
        Ok(self.engine.find_header(file.id).map_err(engine::Error::corrupt)?.size())
    }

    fn read(&self, file: &Lone) -> engine::Result<Vec<u8>> {
        match self.content(file.id) {
            Ok(content) => Ok(Arc::unwrap_or_clone(content)),
            Err(err) => Err(engine::Error::corrupt(err)),
        }
    }
}

/// The next job, once the collector is close enough. `None` if all are started.
fn take(queue: &Mutex<Queue>, changed: &Condvar, jobs: usize) -> Option<usize> {
    let mut queue = queue.lock();
    loop {
        if queue.closed || queue.next >= jobs {
            return None;
        }
        if queue.next < queue.wanted + AHEAD {
            queue.next += 1;
            return Some(queue.next - 1);
        }
        changed.wait(&mut queue);
    }
}

/// Collects the results in order until enough are there.
fn gather(queue: &Mutex<Queue>, changed: &Condvar, jobs: usize, collect: &mut dyn FnMut(Vec<FilePatch>) -> bool) -> Result<()> {
    for at in 0..jobs {
        let result = {
            let mut queue = queue.lock();
            queue.wanted = at;
            changed.notify_all();
            loop {
                if let Some(result) = queue.done.remove(&at) {
                    break result;
                }
                changed.wait(&mut queue);
            }
        };
        if !collect(result?) {
            break;
        }
    }
    Ok(())
}

/// Renders files on one thread.
struct Worker<'a> {
    parts: &'a Renderer<'a>,
    abbreviate: Abbreviator,
    keep: Keep,
}

/// The content of one side, and its abbreviated id.
struct Loaded {
    content: Content,
    abbreviated: String,
}

impl<'a> Worker<'a> {
    fn new(parts: &'a Renderer<'a>, engine: &gix::Repository, keep: Keep) -> Self {
        Self { parts, abbreviate: Abbreviator::of(engine), keep }
    }

    /// The patches of a file; two if its type changes.
    fn file(&self, job: &Job) -> Result<Vec<FilePatch>> {
        self.parts.cancel.check()?;
        // Only the header is shown.
        let is_same = matches!((job.old, job.new), (Some(old), Some(new)) if old.2 == new.2 && old.1 & 0o170_000 == new.1 & 0o170_000);
        let load = |side: Option<(&[u8], u32, ObjectId)>| match side {
            Some((_, mode, id)) if !is_same => self.load(mode, id).map(Some),
            Some(_) => Ok(Some(Loaded { content: Content::default(), abbreviated: String::new() })),
            None => Ok(None),
        };
        let (old, new) = (load(job.old)?, load(job.new)?);
        let (old, new) = (self.side(job.old, old.as_ref()), self.side(job.new, new.as_ref()));
        let type_changed = matches!((job.old, job.new), (Some(a), Some(b)) if a.1 & 0o170_000 != b.1 & 0o170_000);
        if type_changed {
            Ok(vec![self.part(old, None, None)?, self.part(None, new, None)?])
        } else {
            Ok(vec![self.part(old, new, job.percent)?])
        }
    }

    fn load(&self, mode: u32, id: ObjectId) -> Result<Loaded> {
        let content =
            if mode == SUBMODULE { Arc::new(format!("Subproject commit {id}\n").into_bytes()) } else { self.parts.content(id)? };
        Ok(Loaded { content, abbreviated: self.abbreviate.short(id) })
    }

    fn side<'s>(&self, side: Option<(&'s [u8], u32, ObjectId)>, loaded: Option<&'s Loaded>) -> Option<Side<'s>> {
        let ((path, mode, id), loaded) = (side?, loaded?);
        // Attributes do not apply to links and submodules.
        let binary = self.parts.forced.get(path).copied().filter(|_| mode & 0o170_000 == 0o100_000);
        Some(Side { path, mode, id, abbreviated: &loaded.abbreviated, content: &loaded.content, binary })
    }

    fn part(&self, old: Option<Side>, new: Option<Side>, percent: Option<u32>) -> Result<FilePatch> {
        let mut out = Output::keeping(self.keep.skip, self.keep.per_file);
        write(&mut out, old.as_ref(), new.as_ref(), percent, &self.parts.style, self.parts.cancel)?;
        let kind = match (old, new) {
            (None, _) => 'A',
            (_, None) => 'D',
            _ if percent.is_some() => 'R',
            _ => 'M',
        };
        let path = new.or(old).map_or(&[][..], |side| side.path);
        Ok(file_patch(out, old.map_or(path, |side| side.path), path, kind))
    }
}

/// The patch of a file that is written.
pub(crate) fn file_patch(out: Output, old_path: &[u8], path: &[u8], kind: char) -> FilePatch {
    FilePatch {
        old_path: old_path.to_vec(),
        path: path.to_vec(),
        text: out.text,
        hunks: out.hunks,
        size: out.size,
        added: out.added,
        removed: out.removed,
        kind,
        binary: out.binary,
    }
}
