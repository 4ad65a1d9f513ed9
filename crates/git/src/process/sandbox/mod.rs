//! Landlock domains: what the git processes and the in-process reads of a repository may touch, held by the kernel.
//!
//! A thread of the domain enters it and does the work there. Its threads and processes inherit the domain, the rest of the
//! server does not. Whatever a repository names, and whatever changes under way, a domain executes git's own
//! programs alone and reads nothing but the repository, the operator's git configuration and what git needs of the system.

mod rules;

pub(crate) use rules::{Needs, Rules, needed_by};

use rayon_core::{ThreadPool, ThreadPoolBuilder};
use std::{
    cell::Cell,
    io,
    panic::resume_unwind,
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};
use tracing::Span;

/// Which repositories the kernel guards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Those that the operator has not named.
    #[default]
    Untrusted,
    /// Named ones, too: their hooks and filters run, and see the repository and, read-only, the system.
    Always,
    /// None.
    Off,
}

/// What threads in a domain are called.
const THREAD: &str = "sandbox";

/// What a thread may touch once it has entered.
#[derive(Debug)]
pub(crate) struct Domain {
    ruleset: kernel::Ruleset,
    id: u64,
    /// A thread that stays inside: to make one and enter costs more than most steps of a call.
    resident: OnceLock<ThreadPool>,
    /// The resident is at work.
    busy: AtomicBool,
    /// It is for one step, for which no thread has to stay.
    once: bool,
}

thread_local! {
    /// The domain that this thread is in; 0 outside of any.
    static INSIDE: Cell<u64> = const { Cell::new(0) };
}

impl Domain {
    /// Prepares a domain with `rules`. A rule stands for the file that is at its path now.
    ///
    /// # Errors
    ///
    /// Where the kernel does not enforce all of it.
    pub(crate) fn new(rules: &Rules) -> io::Result<Self> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let ruleset = kernel::Ruleset::new(rules)?;
        Ok(Self { ruleset, id: IDS.fetch_add(1, Ordering::Relaxed), resident: OnceLock::new(), busy: AtomicBool::new(false), once: false })
    }

    /// The same for one step: its thread ends with the step.
    pub(crate) fn for_one_step(rules: &Rules) -> io::Result<Self> {
        Ok(Self { once: true, ..Self::new(rules)? })
    }

    /// Does `work` inside.
    ///
    /// # Errors
    ///
    /// Where the thread could not be made, or could not enter; `work` has not begun then.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        if INSIDE.get() == self.id {
            return Ok(work());
        }
        let span = Span::current();
        let inside = || {
            if INSIDE.get() != self.id {
                self.ruleset.restrict()?;
                INSIDE.set(self.id);
            }
            Ok(span.in_scope(work))
        };
        // Work beside the resident's, which may never end, has a thread of its own; work from another domain, too, as a
        // resident that is made there would stay in both.
        if self.once || INSIDE.get() != 0 || self.busy.swap(true, Ordering::Acquire) {
            return thread::scope(|scope| {
                let thread = thread::Builder::new().name(THREAD.to_owned()).spawn_scoped(scope, inside)?;
                thread.join().unwrap_or_else(|panic| resume_unwind(panic))
            });
        }
        let _at_work = AtWork(&self.busy);
        self.resident()?.install(inside)
    }

    fn resident(&self) -> io::Result<&ThreadPool> {
        if let Some(resident) = self.resident.get() {
            return Ok(resident);
        }
        let pool = ThreadPoolBuilder::new().num_threads(1).thread_name(|_| THREAD.to_owned());
        let pool = pool.build().map_err(io::Error::other)?;
        Ok(self.resident.get_or_init(|| pool))
    }
}

/// The resident is free again, whatever becomes of its work.
struct AtWork<'a>(&'a AtomicBool);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Whether the kernel can hold a domain; the reason where it cannot.
///
/// # Errors
///
/// What is missing, in words.
pub fn support() -> Result<(), &'static str> {
    static FOUND: LazyLock<Result<(), &'static str>> = LazyLock::new(|| match kernel::Ruleset::new(&Rules::default()) {
        Ok(_) => Ok(()),
        Err(_) => Err("the kernel does not enforce Landlock (ABI 6, Linux 6.12 or newer, with `landlock` among its security modules)"),
    });
    *FOUND
}

#[cfg(target_os = "linux")]
mod kernel {
    use super::Rules;
    use crate::beneath;
    use landlock::{
        ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, RulesetAttr, RulesetCreated,
        RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
    };
    use std::{io, os::fd::OwnedFd, path::PathBuf};

    /// The oldest kernel interface whose guard is complete: it refuses TCP and signals to the outside, too.
    const NEEDED: ABI = ABI::V6;

    #[derive(Debug)]
    pub(super) struct Ruleset(RulesetCreated);

    impl Ruleset {
        pub(super) fn new(rules: &Rules) -> io::Result<Self> {
            let read = held(&rules.own_read, AccessFs::ReadFile | AccessFs::ReadDir)?;
            let write = held(&rules.own_write, write())?;
            create(rules, read.into_iter().chain(write)).map(Self).map_err(io::Error::other)
        }

        /// Puts the thread inside, for ever.
        pub(super) fn restrict(&self) -> io::Result<()> {
            let status = self.0.try_clone()?.restrict_self().map_err(io::Error::other)?;
            match status.ruleset {
                RulesetStatus::FullyEnforced => Ok(()),
                _ => Err(io::Error::other("the kernel did not enforce the whole sandbox")),
            }
        }
    }

    /// What is allowed of what a change may write.
    fn write() -> BitFlags<AccessFs> {
        use AccessFs::{MakeDir, MakeReg, MakeSym, ReadDir, ReadFile, Refer, RemoveDir, RemoveFile, Truncate, WriteFile};
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir | Refer
    }

    /// Rules for what is at these paths, through no link. The crate's own `path_beneath_rules` follows links, and so would
    /// allow what a writer has put in place since the path was looked at.
    fn held(paths: &[PathBuf], access: BitFlags<AccessFs>) -> io::Result<Vec<PathBeneath<OwnedFd>>> {
        let mut held = Vec::with_capacity(paths.len());
        for path in paths {
            let opened = beneath::hold(path).map_err(|err| io::Error::new(err.kind(), format!("{}: {err}", path.display())))?;
            if let Some((place, is_folder)) = opened {
                let access = if is_folder { access } else { access & AccessFs::from_file(NEEDED) };
                held.push(PathBeneath::new(place, access));
            }
        }
        Ok(held)
    }

    fn create(rules: &Rules, own: impl Iterator<Item = PathBeneath<OwnedFd>>) -> Result<RulesetCreated, RulesetError> {
        use AccessFs::{Execute, ReadDir, ReadFile, WriteFile};
        let (read, write) = (ReadFile | ReadDir, write());
        let ports = rules.ports.iter().map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp)));
        // A hard requirement: on an older kernel "best effort", the default, would return success and restrict nothing.
        landlock::Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(NEEDED))?
            .handle_access(AccessNet::from_all(NEEDED))?
            .scope(Scope::from_all(NEEDED))?
            .create()?
            .add_rules(path_beneath_rules(&rules.execute, read | Execute))?
            .add_rules(path_beneath_rules(&rules.read, read))?
            .add_rules(path_beneath_rules(&rules.write, write))?
            .add_rules(path_beneath_rules(&rules.devices, ReadFile | WriteFile))?
            .add_rules(own.map(Ok::<_, RulesetError>))?
            .add_rules(ports)
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::Rules;
    use std::io;

    #[derive(Debug)]
    pub(super) struct Ruleset(());

    impl Ruleset {
        pub(super) fn new(_: &Rules) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) fn restrict(&self) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::disallowed_methods, reason = "what these read is the test's own")]
mod tests {
    use super::*;
    use std::{fs, path::PathBuf};

    #[test]
    fn a_thread_inside_reads_what_is_allowed_and_the_caller_reads_on() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (allowed, secret) = (dir.path().join("allowed"), dir.path().join("secret"));
        fs::create_dir(&allowed)?;
        fs::write(allowed.join("file"), "here")?;
        fs::write(&secret, "secret")?;
        std::os::unix::fs::symlink(&secret, allowed.join("link"))?;
        let domain = Domain::new(&Rules { read: vec![allowed.clone()], ..Rules::default() })?;
        let inside = |path: PathBuf| domain.run(move || fs::read(path));
        assert_eq!(inside(allowed.join("file"))??, b"here");
        assert_eq!(inside(secret.clone())?.map_err(|err| err.kind()), Err(io::ErrorKind::PermissionDenied));
        assert_eq!(inside(allowed.join("link"))?.map_err(|err| err.kind()), Err(io::ErrorKind::PermissionDenied));
        assert!(domain.run(|| fs::write(allowed.join("file"), "x").is_err())?);
        // A link in the place of the folder allows nothing.
        let own = |path: &std::path::Path| Domain::new(&Rules { own_read: vec![path.to_owned()], ..Rules::default() });
        let path = allowed.join("file");
        assert_eq!(own(&fs::canonicalize(&allowed)?)?.run(move || fs::read(path))??, b"here");
        std::os::unix::fs::symlink(dir.path(), dir.path().join("other"))?;
        assert!(own(&dir.path().join("other")).is_err() && own(&dir.path().join("nothing")).is_ok());
        // Threads made inside inherit it, and a thread inside enters it once.
        let nested = domain.run(|| domain.run(|| thread::scope(|scope| scope.spawn(|| fs::read(&secret).is_err()).join())))??;
        assert!(nested.unwrap_or(false));
        // Beside the resident's work, which waits for this one, another thread does the same inside.
        let (send, receive) = std::sync::mpsc::channel();
        let beside = thread::scope(|scope| {
            let waiting = scope.spawn(|| domain.run(move || receive.recv()));
            while !domain.busy.load(Ordering::Acquire) {
                thread::yield_now();
            }
            let beside = domain.run(|| fs::read(&secret).is_err());
            send.send(()).ok();
            waiting.join().is_ok_and(|waited| matches!(waited, Ok(Ok(())))) && beside.is_ok_and(|refused| refused)
        });
        assert!(beside && !domain.busy.load(Ordering::Acquire));
        // A panic is the caller's, and the resident works on.
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| domain.run(|| resume_unwind(Box::new(()))))).is_err());
        assert!(domain.run(|| fs::read(&secret).is_err())?);
        assert_eq!(fs::read(&secret)?, b"secret");
        Ok(())
    }
}
