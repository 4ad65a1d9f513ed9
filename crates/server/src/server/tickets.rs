//! Tickets for the admin API over HTTP: the owner of the server makes them over its Unix socket.

use crate::{
    caller::{Caller, Right},
    persistence::now_ms,
};
use mcp::{Identity, http::Tokens};
use parking_lot::Mutex;
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

/// How long a ticket is valid.
pub(crate) const VALID: Duration = Duration::from_hours(12);
/// Maximum number of tickets; the oldest one ends when another is made.
const MAX_TICKETS: usize = 16;
/// Maximum size of the file, in bytes.
const MAX_FILE: u64 = 4096;
/// The beginning of the names of files with tickets.
const PREFIX: &str = "tickets-";

/// The tickets that are valid. Their hashes are kept in a file of this server, so that they outlive a restart.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    file: OnceLock<PathBuf>,
    known: Mutex<Vec<Known>>,
}

/// A ticket, by its hash.
#[derive(Clone, Copy, Debug)]
struct Known {
    hash: [u8; 32],
    /// Its end, in milliseconds since 1970.
    until_ms: i64,
}

impl Tickets {
    /// Keeps tickets in a file in `folder`, and reads those that are there. Servers that share the folder have a file for
    /// each place where one listens.
    pub(crate) fn keep_in(&self, folder: &Path, place: &str) {
        let file = folder.join(format!("{PREFIX}{}", &git::digest(place.as_bytes())[..16]));
        for other in fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_old = || other.metadata().and_then(|meta| meta.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age > VALID));
            if other.file_name().to_string_lossy().starts_with(PREFIX) && is_old() {
                fs::remove_file(other.path()).ok();
            }
        }
        let is_own = fs::symlink_metadata(&file).is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_FILE);
        let text = if is_own { fs::read_to_string(&file).unwrap_or_default() } else { String::new() };
        let known = text.lines().filter_map(|line| {
            let (hash, until_ms) = line.split_once(' ')?;
            let mut known = Known { hash: [0; 32], until_ms: until_ms.parse().ok()? };
            hex::decode_to_slice(hash, &mut known.hash).ok()?;
            Some(known)
        });
        *self.known.lock() = known.take(MAX_TICKETS).collect();
        self.file.set(file).ok();
    }

    /// Makes a ticket. Writes a file.
    ///
    /// # Errors
    ///
    /// If the system has no random bytes.
    pub(crate) fn make(&self) -> Result<String, getrandom::Error> {
        let ticket = hex::encode(crate::random::bytes::<32>()?);
        let now = now_ms();
        let mut known = self.known.lock();
        known.retain(|one| one.until_ms > now);
        if known.len() >= MAX_TICKETS {
            known.remove(0);
        }
        known.push(Known { hash: Tokens::hash(&ticket), until_ms: now + i64::try_from(VALID.as_millis()).unwrap_or_default() });
        if let Err(err) = self.save(&known) {
            tracing::warn!(%err, "could not save the tickets: a restart ends them");
        }
        Ok(ticket)
    }

    fn save(&self, known: &[Known]) -> io::Result<()> {
        let lines: String = known.iter().map(|one| hex::encode(one.hash) + &format!(" {}\n", one.until_ms)).collect();
        let Some(file) = self.file.get() else { return Ok(()) };
        let new = file.with_extension("new");
        fs::remove_file(&new).ok();
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?.write_all(lines.as_bytes())?;
        fs::rename(&new, file)
    }

    /// The identity of a ticket. Compares hashes, so that the time it takes reveals nothing of the ticket.
    pub(crate) fn identify(&self, ticket: &str) -> Option<Identity> {
        let (hash, now) = (Tokens::hash(ticket), now_ms());
        let is_valid = self.known.lock().iter().any(|known| known.hash == hash && known.until_ms > now);
        is_valid.then(|| Identity {
            principal: Arc::from(Caller::OPERATOR),
            scopes: Right::ALL.map(|right| right.name().to_owned()).to_vec(),
            until: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tickets_are_valid_and_outlive_the_process() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let at = |place: &str| {
            let tickets = Tickets::default();
            tickets.keep_in(folder.path(), place);
            tickets
        };
        let tickets = at("a");
        let first = tickets.make()?;
        assert!(tickets.identify(&first).is_some_and(|operator| operator.scopes.iter().any(|scope| scope == "admin")));
        let later = (0..MAX_TICKETS).map(|_| tickets.make()).collect::<Result<Vec<_>, _>>()?;
        assert_eq!(tickets.identify(&first), None, "the oldest one ended");
        let (reopened, other) = (at("a"), at("b"));
        assert!(later.iter().all(|ticket| tickets.identify(ticket).is_some() && reopened.identify(ticket).is_some()));
        assert!(later.iter().all(|ticket| other.identify(ticket).is_none()), "tickets are of one server");
        assert_eq!((tickets.identify(""), tickets.identify("0")), (None, None));
        let file = tickets.file.get().ok_or("no file")?;
        let text = fs::read_to_string(file)?;
        assert!(later.iter().all(|ticket| !text.contains(ticket.as_str())), "only hashes are kept");
        // Neither a damaged file nor one that is no file has tickets.
        fs::write(file, format!("{}\nnothing\n{} 9\n", later.join("\n"), "0".repeat(64)))?;
        assert!(at("a").identify(&later[0]).is_none());
        fs::remove_file(file)?;
        rustix::fs::mknodat(rustix::fs::CWD, file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)?;
        assert!(at("a").identify(&later[0]).is_none());
        Ok(())
    }
}
