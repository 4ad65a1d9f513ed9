//! Operating system interface: process groups, exits, wake-ups. The crate's only platform module.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read, write},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::Child,
    sync::Arc,
    time::{Duration, Instant},
};

/// Polling interval for an exit, on systems without a handle to wait on.
const EXIT_POLL: Duration = Duration::from_millis(5);

/// A pipe that wakes a sleeping poll from another thread.
pub(crate) struct Wake {
    reader: OwnedFd,
    writer: Arc<OwnedFd>,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { reader, writer: Arc::new(writer) })
    }

    /// Returns a function that wakes the poll, from any thread, any number of times.
    pub(crate) fn waker(&self) -> impl Fn() + Send + 'static {
        let writer = Arc::clone(&self.writer);
        // If the pipe is full, a wake-up is already pending.
        move || {
            write(&*writer, &[1]).ok();
        }
    }
}

/// The process group of a child.
pub(crate) struct Group {
    pid: Pid,
    exit: Option<OwnedFd>,
}

impl Group {
    /// The group led by `child`, which was spawned with `process_group(0)`.
    pub(crate) fn of(child: &Child) -> Self {
        let pid = Pid::from_child(child);
        Self { pid, exit: exit_handle(pid) }
    }

    /// Sends `signal` to every process of the group. Valid until the leader is reaped.
    pub(crate) fn signal(&self, signal: Signal) {
        // The group may already be gone.
        kill_process_group(self.pid, signal).ok();
    }

    /// Whether the leader has exited. Does not reap it, so that the group id is not reused.
    pub(crate) fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }
}

#[cfg(target_os = "linux")]
fn exit_handle(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn exit_handle(_: Pid) -> Option<OwnedFd> {
    None
}

/// The result of a poll.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent pipe")]
pub(crate) struct Ready {
    pub(crate) woken: bool,
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// Sleeps until a pipe is ready, the group leader exits, `wake` fires or `until` is reached.
pub(crate) fn wait(wake: Option<&Wake>, group: &Group, pipes: [Option<BorrowedFd<'_>>; 3], until: Option<Instant>) -> io::Result<Ready> {
    let [stdin, stdout, stderr] = pipes;
    let watched = [
        (wake.map(|wake| wake.reader.as_fd()), PollFlags::IN),
        (group.exit.as_ref().map(AsFd::as_fd), PollFlags::IN),
        (stdin, PollFlags::OUT),
        (stdout, PollFlags::IN),
        (stderr, PollFlags::IN),
    ];
    let mut places = [None; 5];
    let mut fds = Vec::with_capacity(watched.len());
    for (place, (fd, flags)) in places.iter_mut().zip(&watched) {
        if let Some(fd) = fd {
            *place = Some(fds.len());
            fds.push(PollFd::from_borrowed_fd(*fd, *flags));
        }
    }
    let mut left = until.map(|until| until.saturating_duration_since(Instant::now()));
    if group.exit.is_none() {
        left = Some(left.map_or(EXIT_POLL, |left| left.min(EXIT_POLL)));
    }
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(err) => return Err(err.into()),
    }
    let ready = |at: usize| places[at].is_some_and(|at: usize| !fds[at].revents().is_empty());
    Ok(Ready { woken: ready(0), stdin: ready(2), stdout: ready(3), stderr: ready(4) })
}

/// Makes reads and writes on `fd` non-blocking.
pub(crate) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

/// Reads available data. `None` if none is available yet; 0 at the end.
pub(crate) fn read_some(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match read(fd, buffer) {
        Ok(n) => Ok(Some(n)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(err) => Err(err.into()),
    }
}

/// Writes as much as fits. `None` if nothing fits yet.
pub(crate) fn write_some(fd: impl AsFd, bytes: &[u8]) -> io::Result<Option<usize>> {
    match write(fd, bytes) {
        Ok(n) => Ok(Some(n)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(err) => Err(err.into()),
    }
}
