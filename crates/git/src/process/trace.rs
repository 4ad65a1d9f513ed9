//! The children git starts during a change and their exit codes, read from git's trace, as its messages are ambiguous.
//!
//! The trace is a file in its own directory below the git directory: background processes of a hook may write to it later,
//! and cannot once the directory is removed.

use crate::error::{Child, Signer};
use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Prefix of the directory name; the id of the creating process follows.
pub(crate) const SCRATCH: &str = "trace.mcp-";
const FILE: &str = "events";
/// Maximum size of the trace. Hooks that start git a thousand times also write to it.
const MAX_SIZE: u64 = 8 << 20;
/// Maximum bytes read, from its end.
const MAX_READ: u64 = 1 << 20;
/// The setting whose value git adds to the trace.
const FORMAT: &str = "gpg.format";
/// Interval between checks of its size.
const LOOK: Duration = Duration::from_secs(1);
/// Maximum length of a name.
const MAX_NAME: usize = 60;

/// Hooks whose failure aborts git's operation.
const STOPPING: [&str; 10] = [
    "pre-commit",
    "pre-merge-commit",
    "prepare-commit-msg",
    "commit-msg",
    "pre-rebase",
    "pre-push",
    "reference-transaction",
    "applypatch-msg",
    "pre-applypatch",
    "push-to-checkout",
];

/// A trace being written.
pub(crate) struct Trace {
    folder: TempDir,
    look_at: Cell<Instant>,
}

/// The processes git started, in order, each with its nesting depth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children(Vec<Started>);

#[derive(Clone, Debug)]
struct Started {
    depth: u32,
    number: u32,
    child: Child,
    /// Number of processes started before it ended.
    until: usize,
}

impl Trace {
    /// Starts a trace in `git_dir`. A change runs without one if that fails.
    pub(crate) fn begin(git_dir: &Path) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("{SCRATCH}{}-", std::process::id())).tempdir_in(git_dir).ok()?;
        folder.path().to_str()?;
        Some(Self { folder, look_at: Cell::new(Instant::now() + LOOK) })
    }

    /// Variables that enable the trace. Children inherit them.
    pub(crate) fn variables(&self) -> [(&'static str, String); 3] {
        let file = self.file().to_string_lossy().into_owned();
        [("GIT_TRACE2_PERF", file), ("GIT_TRACE2_PERF_BRIEF", "1".to_owned()), ("GIT_TRACE2_CONFIG_PARAMS", FORMAT.to_owned())]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Ends the trace if it is too large; returns when to check again.
    pub(crate) fn bounded(&self) -> Instant {
        let now = Instant::now();
        if now >= self.look_at.get() {
            self.look_at.set(now + LOOK);
            if fs::metadata(self.file()).is_ok_and(|file| file.len() > MAX_SIZE) {
                fs::remove_dir_all(self.folder.path()).ok();
            }
        }
        self.look_at.get()
    }

    /// The processes git started so far.
    pub(crate) fn children(&self) -> Children {
        let read = || {
            let (mut file, meta) = crate::beneath::open_own(&self.file()).ok()?;
            file.seek(SeekFrom::Start(meta.len().saturating_sub(MAX_READ))).ok()?;
            let mut text = Vec::new();
            file.take(MAX_READ).read_to_end(&mut text).ok()?;
            Some(Children::parse(&String::from_utf8_lossy(&text)))
        };
        read().unwrap_or_default()
    }
}

impl Children {
    /// Parses lines of eight columns: depth, thread, event, repository, two times, category, message.
    fn parse(text: &str) -> Self {
        let mut all: Vec<Started> = Vec::new();
        // The last value counts.
        let mut formats: BTreeMap<u32, &str> = BTreeMap::new();
        for line in text.lines() {
            let columns: Vec<&str> = line.splitn(8, '|').map(str::trim).collect();
            let &[depth, _, event, _, _, _, _, message] = columns.as_slice() else { continue };
            let Some(depth) = depth.strip_prefix('d').and_then(|depth| depth.parse().ok()) else { continue };
            let message = message.trim_start_matches('.');
            if event == "def_param" {
                formats.extend(message.strip_prefix(FORMAT).and_then(|rest| rest.strip_prefix(':')).map(|format| (depth, format)));
                continue;
            }
            let Some((number, rest)) = message.strip_prefix("[ch").and_then(|rest| rest.split_once("] ")) else { continue };
            let Ok(number) = number.parse() else { continue };
            match event {
                "child_start" => {
                    let child = child(rest, formats.get(&depth).copied());
                    all.push(Started { depth, number, child, until: usize::MAX });
                }
                "child_exit" => {
                    let code = rest.rsplit_once("code:").and_then(|(_, code)| code.parse().ok());
                    let until = all.len();
                    let is_it = |one: &&mut Started| (one.depth, one.number) == (depth, number) && one.child.code.is_none();
                    if let Some(one) = all.iter_mut().rev().find(is_it) {
                        (one.child.code, one.until) = (code, until);
                    }
                }
                _ => {}
            }
        }
        Self(all)
    }

    /// The last failed hook or signing program that could abort git.
    pub(crate) fn stopper(&self) -> Option<&Child> {
        self.last(&|child| child.code.is_some_and(|code| code != 0), &|child| {
            child.signs.is_some() || child.hook.as_deref().is_some_and(|hook| STOPPING.contains(&hook))
        })
    }

    /// The hook of this name, if it failed.
    pub(crate) fn failed_hook(&self, name: &str) -> Option<&Child> {
        self.last(&|child| child.code.is_some_and(|code| code != 0), &|child| child.hook.as_deref() == Some(name))
    }

    /// The process running when git was killed: a hook or another program, rather than the git waiting for it. The same
    /// signal may have killed it just before git.
    pub(crate) fn running(&self) -> Option<&Child> {
        self.last(&|child| child.code.is_none_or(|code| matches!(code, 137 | 143)), &|child| child.hook.is_some() || !child.is_git())
    }

    /// The last child of git, or of a git that git started, in this state and of this kind. Children of hooks are
    /// ignored.
    fn last(&self, state: &dyn Fn(&Child) -> bool, kind: &dyn Fn(&Child) -> bool) -> Option<&Child> {
        let top = self.0.iter().map(|one| one.depth).min()?;
        self.last_within(0..self.0.len(), top, state, kind)
    }

    fn last_within(
        &self,
        range: std::ops::Range<usize>,
        depth: u32,
        state: &dyn Fn(&Child) -> bool,
        kind: &dyn Fn(&Child) -> bool,
    ) -> Option<&Child> {
        range.clone().rev().filter(|&at| self.0[at].depth == depth && state(&self.0[at].child)).find_map(|at| {
            let one = &self.0[at];
            if kind(&one.child) {
                return Some(&one.child);
            }
            let inner = at + 1..one.until.min(range.end);
            if one.child.hook.is_none() && one.child.is_git() { self.last_within(inner, depth + 1, state, kind) } else { None }
        })
    }
}

/// Parses `class:hook hook:pre-commit argv:[.git/hooks/pre-commit]`, given the value of `gpg.format`.
fn child(text: &str, format: Option<&str>) -> Child {
    let (about, argv) = text.split_once("argv:[").unwrap_or((text, ""));
    let of = |key: &str| about.split(' ').find_map(|word| word.strip_prefix(key)).map(plain);
    let is_hook = of("class:").as_deref() == Some("hook");
    // A word with special characters is quoted.
    let first = argv.strip_prefix('\'').map_or_else(|| argv.split([' ', ']']).next(), |rest| rest.split('\'').next());
    let program = first.and_then(|path| path.trim_end().rsplit('/').next()).unwrap_or_default();
    let signs = match argv {
        _ if is_hook => None,
        argv if argv.contains(" -Y sign ") => Some(Signer::Ssh),
        // gpg and gpgsm have the same arguments.
        argv if argv.contains(" -bsau ") => Some(if format == Some("x509") { Signer::X509 } else { Signer::OpenPgp }),
        _ => None,
    };
    Child { hook: of("hook:").filter(|_| is_hook), program: plain(program), signs, code: None }
}

/// A name without special characters.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.+".contains(*c)).take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: &str = "\
d0 | main                     | version      |     |           |           |              | 2.47.3
d0 | main                     | child_start  |     |  0.001050 |           |              | [ch0] class:? argv:[git commit --no-edit --cleanup=strip]
d1 | main                     | child_start  |     |  0.001377 |           |              | ..[ch0] class:hook hook:pre-commit argv:[.git/hooks/pre-commit]
d2 | main                     | child_start  |     |  0.001377 |           |              | [ch0] class:hook hook:commit-msg argv:[.git/hooks/commit-msg]
d2 | main                     | child_exit   |     |  0.002348 |  0.000971 |              | [ch0] pid:1 code:9
d1 | main                     | child_exit   |     |  0.002348 |  0.000971 |              | ..[ch0] pid:1290 code:1
d0 | main                     | child_exit   |     |  0.006499 |  0.005449 |              | [ch0] pid:1288 code:1
";

    #[test]
    fn the_hook_is_found_below_the_git_that_ran_it_and_not_below_another_hook() {
        let children = Children::parse(NESTED);
        let stopper = children.stopper().map(|child| (child.hook.clone(), child.code));
        assert_eq!(stopper, Some((Some("pre-commit".to_owned()), Some(1))));
        assert_eq!((children.running(), children.failed_hook("commit-msg")), (None, None));
        let cut = Children::parse(&NESTED[..NESTED.find("d2").unwrap_or_default()]);
        assert_eq!(cut.running().and_then(|child| child.hook.as_deref()), Some("pre-commit"));
    }

    #[test]
    fn signing_programs_are_recognised() {
        let sign = child("class:? argv:[/opt/my/gpg2 --status-fd=2 -bsau 'A <a@b>']", Some("openpgp"));
        assert_eq!((sign.program.as_str(), sign.signs), ("gpg2", Some(Signer::OpenPgp)));
        let ssh = child("class:? argv:[ssh-keygen -Y sign -n git -f /k /tmp/x]", Some("ssh"));
        assert_eq!((ssh.signs, child("class:? argv:[gpg --verify x]", None).signs), (Some(Signer::Ssh), None));
        let start = "child_start  |     |  0.003 |  |  | [ch0] class:? argv:[/x/any --status-fd=2 -bsau k]";
        let exit = "child_exit   |     |  0.004 |  |  | [ch0] pid:1 code:2";
        for (formats, expect) in [(&["openpgp", "x509"][..], Signer::X509), (&["x509", "openpgp"], Signer::OpenPgp), (&[], Signer::OpenPgp)]
        {
            let params = formats
                .iter()
                .map(|format| format!("d0 | main | def_param | | | | scope:local | gpg.format:{format}\n"))
                .collect::<Vec<_>>();
            let params = params.concat();
            let children = Children::parse(&format!(
                "{params}d1 | main | def_param | | | | | gpg.format:ssh\nd0 | main | {start}\nd0 | main | {exit}\n"
            ));
            assert_eq!(children.stopper().and_then(|child| child.signs), Some(expect), "{formats:?}");
        }
        let odd = child("class:hook hook:pre-`x`\u{1b}[1m argv:['.git/my hooks/x']", None);
        assert_eq!(odd.hook.as_deref(), Some("pre-x1m"));
        assert!(Children::parse("d0|||child_start|x\n[ch|] | |").0.is_empty());
    }
}
