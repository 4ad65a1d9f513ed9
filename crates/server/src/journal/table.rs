//! Journal lines as rows of the store, and files of lines as a fallback while the store is unavailable.

use super::row::{Begun, Ended, Line};
use crate::{
    persistence::{Failed, Persistence, now_ms},
    process::{is_running, own_start},
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use store::{OperationEnd, OperationRow, Store};

/// Size at which a file is rotated. One older file is kept.
const ROTATE: u64 = 4 << 20;
/// Maximum number of rows read.
const MAX_ROWS: i64 = 1_000;

/// Which lines to read.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// The last changes, up to this number.
    Last(i64),
    /// The newest change of this worktree.
    Newest(&'a Path),
    /// The changes with this key of this principal.
    Key(&'a str, &'a str),
}

/// The journal's storage.
pub(super) struct Table {
    dir: PathBuf,
    persistence: Option<Arc<Persistence>>,
    /// Repositories whose files were imported into the store.
    imported: Mutex<HashSet<String>>,
}

impl Table {
    pub(super) fn new(dir: PathBuf, persistence: Option<Arc<Persistence>>) -> Self {
        Self { dir, persistence, imported: Mutex::default() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Adds a line. If `durable`, it is on disk on return.
    pub(super) fn append(&self, repository: &str, line: &Line, durable: bool) -> io::Result<()> {
        if let Some(persistence) = &self.persistence {
            self.import(persistence, repository);
            match persistence.run_here(|store| write(store, repository, persistence.node(), line)) {
                Ok(true) => return Ok(()),
                // The operation's `Begun` line went into the file.
                Ok(false) | Err(Failed::Unavailable(_)) => {}
                Err(Failed::Refused(why)) => return Err(io::Error::other(why)),
            }
            self.imported.lock().remove(repository);
        }
        self.append_to_file(repository, line, durable)
    }

    /// Whether there is a store that no other machine shares.
    pub(super) fn is_ours(&self) -> bool {
        self.persistence.as_ref().is_some_and(|persistence| !persistence.is_shared())
    }

    /// Adds a line on the runtime's threads; it needs a blocking thread only if the store fails.
    pub(super) async fn append_aside(self: Arc<Self>, repository: String, line: Line, durable: bool) -> io::Result<()> {
        if let Some(persistence) = &self.persistence
            && let Ok(true) = persistence.run(|store| write(store, &repository, persistence.node(), &line)).await
        {
            return Ok(());
        }
        let written = tokio::task::spawn_blocking(move || self.append(&repository, &line, durable)).await;
        written.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    }

    /// Lines of a repository, oldest first.
    pub(super) fn lines(&self, repository: &str, wanted: Wanted<'_>) -> Result<Vec<Line>, Failed> {
        let mut lines = Vec::new();
        if let Some(persistence) = &self.persistence {
            self.import(persistence, repository);
            let rows = persistence.run_here(|store| async move {
                match wanted {
                    Wanted::Last(count) => {
                        let mut rows = store.operations_of(repository, count.min(MAX_ROWS)).await?;
                        rows.reverse();
                        Ok(rows)
                    }
                    Wanted::Newest(worktree) => {
                        let newest = store.newest_operation_in(repository, &worktree.to_string_lossy()).await?;
                        Ok(newest.into_iter().collect())
                    }
                    Wanted::Key(key, principal) => store.operations_with_key(repository, key, principal).await,
                }
            });
            lines.extend(rows?.into_iter().flat_map(lines_of));
        }
        let [older, newer] = self.files(repository);
        for path in self.claimed(repository).into_iter().chain([older, newer]) {
            let text = read_tail(&path, ROTATE).unwrap_or_default();
            lines.extend(text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
        }
        Ok(lines)
    }

    /// The files of a repository, older one first.
    fn files(&self, repository: &str) -> [PathBuf; 2] {
        ["jsonl.1", "jsonl"].map(|extension| self.dir.join(repository).with_extension(extension))
    }

    fn append_to_file(&self, repository: &str, line: &Line, durable: bool) -> io::Result<()> {
        let [older, newer] = self.files(repository);
        fs::create_dir_all(&self.dir)?;
        if fs::metadata(&newer).is_ok_and(|meta| meta.len() > ROTATE) {
            fs::rename(&newer, older)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&newer)?;
        // In one write, so that lines of several processes do not interleave.
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        file.write_all(&text)?;
        if durable {
            file.sync_data()?;
        }
        Ok(())
    }

    /// Imports files into the store: lines written before it existed, or while it was unavailable.
    fn import(&self, persistence: &Persistence, repository: &str) {
        if !self.imported.lock().insert(repository.to_owned()) {
            return;
        }
        if !self.files(repository).iter().any(|file| file.exists()) && self.claimed(repository).is_empty() {
            return;
        }
        // Files are not renamed while they are in use.
        if persistence.run_here(|store| async move { store.ping().await }).is_err() {
            self.imported.lock().remove(repository);
            return;
        }
        self.claim(repository);
        for file in self.claimed(repository) {
            let text = fs::read(&file).unwrap_or_default();
            let lines: Vec<Line> = text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
            let count = lines.len();
            let taken = persistence.run_here(|store| async move {
                for line in &lines {
                    write(store.clone(), repository, persistence.node(), line).await?;
                }
                Ok(())
            });
            match taken {
                Ok(()) => {
                    tracing::info!(count, "journal file imported into the store");
                    fs::remove_file(&file).ok();
                }
                Err(why) => {
                    tracing::warn!(%why, "the journal file cannot be imported yet");
                    self.imported.lock().remove(repository);
                }
            }
        }
    }

    /// Renames a repository's files so that no other process imports them.
    fn claim(&self, repository: &str) {
        let (pid, start) = (std::process::id(), own_start().unwrap_or_default());
        for path in self.files(repository) {
            let claimed = self.dir.join(format!("{repository}.taken-{pid}-{start}-{:019}", now_ns()));
            // A missing file needs no claim.
            fs::rename(&path, &claimed).ok();
        }
    }

    /// Files claimed by this process, or by one that died before importing them; oldest first.
    fn claimed(&self, repository: &str) -> Vec<PathBuf> {
        let prefix = format!("{repository}.taken-");
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let mut parts = name.strip_prefix(&prefix).into_iter().flat_map(|rest| rest.splitn(3, '-'));
            let (pid, start) = (parts.next().and_then(|pid| pid.parse().ok()), parts.next().and_then(|start| start.parse().ok()));
            let Some(pid) = pid else { continue };
            if pid == std::process::id() || !is_running(pid, start) {
                found.push((parts.next().unwrap_or_default().to_owned(), entry.path()));
            }
        }
        found.sort();
        found.into_iter().map(|(_, path)| path).collect()
    }
}

/// Writes a line into the store. False if its operation is missing.
async fn write(store: Store, repository: &str, node: &str, line: &Line) -> Result<bool, store::Error> {
    match line {
        Line::Begun(begun) => begin(&store, repository, node, begun).await.map(|()| true),
        Line::Noted { id, saved } => store.note_operation(id, saved).await,
        Line::Undone { id } => store.mark_undone(id).await,
        Line::Ended(ended) => {
            let end = OperationEnd {
                state: if ended.done { "done" } else { "failed" }.to_owned(),
                ended_ms: now_ms(),
                after: serde_json::to_string(ended).ok(),
                result: ended.text.clone(),
            };
            if store.end_operation(&ended.begun.id, &end).await? {
                return Ok(true);
            }
            if store.operation(&ended.begun.id).await?.is_some() {
                // Already recorded.
                return Ok(true);
            }
            begin(&store, repository, node, &ended.begun).await?;
            store.end_operation(&ended.begun.id, &end).await
        }
    }
}

async fn begin(store: &Store, repository: &str, node: &str, begun: &Begun) -> Result<(), store::Error> {
    let row = OperationRow {
        id: begun.id.clone(),
        repository: repository.to_owned(),
        worktree: begun.worktree.to_string_lossy().into_owned(),
        principal: begun.by.clone().unwrap_or_else(|| crate::caller::Caller::LOCAL.to_owned()),
        tool: begun.tool.clone(),
        key: begun.key.clone(),
        digest: begun.digest.clone(),
        state: "running".to_owned(),
        node: node.to_owned(),
        pid: i64::from(begun.pid),
        pid_start: begun.pid_start.unwrap_or_default(),
        started_ms: i64::try_from(begun.at).unwrap_or(i64::MAX),
        before: serde_json::to_string(begun).unwrap_or_default(),
        ..OperationRow::default()
    };
    match store.begin_operation(&row).await {
        // Already imported.
        Err(store::Error::Exists(_)) => Ok(()),
        done => done,
    }
}

/// The lines of a row.
fn lines_of(row: OperationRow) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(serde_json::from_str::<Begun>(&row.before).ok().map(|begun| Line::Begun(Box::new(begun))));
    lines.extend(row.saved.map(|saved| Line::Noted { id: row.id.clone(), saved }));
    let ended = row.after.as_deref().and_then(|after| serde_json::from_str::<Ended>(after).ok());
    lines.extend(ended.map(|ended| Line::Ended(Box::new(ended))));
    if row.state == "undone" {
        lines.push(Line::Undone { id: row.id });
    }
    lines
}

fn now_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

fn read_tail(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut text = Vec::new();
    file.take(bytes).read_to_end(&mut text)?;
    Ok(text)
}

/// Marks running operations of dead servers as interrupted, and returns them by id.
pub(super) async fn interrupt_dead(persistence: &Persistence) -> Result<HashMap<String, OperationRow>, Failed> {
    let node = persistence.node().to_owned();
    persistence
        .run(|store| async move {
            let mut found = HashMap::new();
            for row in store.running_operations().await? {
                let pid = u32::try_from(row.pid).unwrap_or_default();
                if row.node != node || is_running(pid, Some(row.pid_start)) {
                    continue;
                }
                let why = "its server exited before it finished";
                if store.interrupt_operation(&row.id, now_ms(), why).await? {
                    found.insert(row.id.clone(), row);
                }
            }
            Ok(found)
        })
        .await
}
