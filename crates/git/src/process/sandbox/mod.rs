//! Landlock domains, which restrict the git processes and in-process reads of a repository.
//!
//! A thread enters the domain and does the work there. Its threads and processes inherit the domain, the rest of the
//! server does not. Whatever a repository configures, and whatever changes meanwhile, a domain executes only git's own
//! programs and reads only the repository, the operator's git configuration and the system files git needs.

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

/// Which repositories are sandboxed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Repositories the operator has not named.
    #[default]
    Untrusted,
    /// Named repositories as well: their hooks and filters run, with access to the repository and read-only access to the
    /// system.
    Always,
    /// No repositories.
    Off,
}

/// Name of threads in a domain.
const THREAD: &str = "sandbox";

/// A set of access rights that threads enter.
#[derive(Debug)]
pub(crate) struct Domain {
    ruleset: kernel::Ruleset,
    id: u64,
    /// A thread that stays inside: creating one and entering costs more than most steps of a call.
    resident: OnceLock<ThreadPool>,
    /// Whether the resident thread is busy.
    busy: AtomicBool,
    /// Whether it is for one step and needs no resident thread.
    once: bool,
}

thread_local! {
    /// The domain this thread is in; 0 if none.
    static INSIDE: Cell<u64> = const { Cell::new(0) };
}

impl Domain {
    /// Prepares a domain with `rules`. A rule applies to the file now at its path.
    ///
    /// # Errors
    ///
    /// If the kernel does not enforce all rules.
    pub(crate) fn new(rules: &Rules) -> io::Result<Self> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let ruleset = kernel::Ruleset::new(rules)?;
        Ok(Self { ruleset, id: IDS.fetch_add(1, Ordering::Relaxed), resident: OnceLock::new(), busy: AtomicBool::new(false), once: false })
    }

    /// Prepares a domain for one step: its thread ends with the step.
    pub(crate) fn for_one_step(rules: &Rules) -> io::Result<Self> {
        Ok(Self { once: true, ..Self::new(rules)? })
    }

    /// Runs `work` inside the domain.
    ///
    /// # Errors
    ///
    /// If the thread could not be created or could not enter; `work` was not started.
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
        // While the resident is busy, possibly forever, other work gets its own thread. So does work from inside
        // another domain, as a resident created there would stay in both.
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

/// Guard that frees the resident, even if its work panics.
struct AtWork<'a>(&'a AtomicBool);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Checks whether the kernel supports domains.
///
/// # Errors
///
/// The reason if it does not.
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

    /// The oldest Landlock ABI that also restricts TCP and signals to the outside.
    const NEEDED: ABI = ABI::V6;

    #[derive(Debug)]
    pub(super) struct Ruleset(RulesetCreated);

    impl Ruleset {
        pub(super) fn new(rules: &Rules) -> io::Result<Self> {
            let read = held(&rules.own_read, AccessFs::ReadFile | AccessFs::ReadDir)?;
            let write = held(&rules.own_write, write())?;
            create(rules, read.into_iter().chain(write)).map(Self).map_err(io::Error::other)
        }

        /// Restricts the current thread, permanently.
        pub(super) fn restrict(&self) -> io::Result<()> {
            let status = self.0.try_clone()?.restrict_self().map_err(io::Error::other)?;
            match status.ruleset {
                RulesetStatus::FullyEnforced => Ok(()),
                _ => Err(io::Error::other("the kernel did not enforce the whole sandbox")),
            }
        }
    }

    /// Access rights for the paths a change may write.
    fn write() -> BitFlags<AccessFs> {
        use AccessFs::{MakeDir, MakeReg, MakeSym, ReadDir, ReadFile, Refer, RemoveDir, RemoveFile, Truncate, WriteFile};
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir | Refer
    }

    /// Rules for these paths, without following links. The crate's own `path_beneath_rules` follows links, and so would
    /// allow a link swapped in since the path was checked.
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
        // A hard requirement: on an older kernel "best effort", the default, would succeed and restrict nothing.
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
#[allow(clippy::disallowed_methods, reason = "these files belong to the test")]
mod tests {
    use super::*;
    use std::{fs, path::PathBuf};

    #[test]
    fn a_domain_restricts_its_threads_but_not_the_caller() -> io::Result<()> {
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
        // A symbolic link in place of the directory allows nothing.
        let own = |path: &std::path::Path| Domain::new(&Rules { own_read: vec![path.to_owned()], ..Rules::default() });
        let path = allowed.join("file");
        assert_eq!(own(&fs::canonicalize(&allowed)?)?.run(move || fs::read(path))??, b"here");
        std::os::unix::fs::symlink(dir.path(), dir.path().join("other"))?;
        assert!(own(&dir.path().join("other")).is_err() && own(&dir.path().join("nothing")).is_ok());
        // Threads created inside inherit it, and a thread enters only once.
        let nested = domain.run(|| domain.run(|| thread::scope(|scope| scope.spawn(|| fs::read(&secret).is_err()).join())))??;
        assert!(nested.unwrap_or(false));
        // While the resident waits for this work, another thread does it inside.
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
        // A panic reaches the caller, and the resident keeps working.
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| domain.run(|| resume_unwind(Box::new(()))))).is_err());
        assert!(domain.run(|| fs::read(&secret).is_err())?);
        assert_eq!(fs::read(&secret)?, b"secret");
        Ok(())
    }
}
