//! Reads a file at any offset, block by block: large commit-graphs are neither mapped nor read as a whole.

use crate::error::{Error, Result};
use std::{fs::File, os::unix::fs::FileExt};

/// Bytes per block.
const BLOCK: u64 = 4 << 10;
/// Maximum number of blocks in memory: 32 MiB.
const MAX_BLOCKS: usize = 8192;

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) len: u64,
}

/// An open file and its blocks read so far.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    len: u64,
    blocks: Vec<Option<Box<[u8]>>>,
    held: usize,
}

impl Pages {
    pub(super) fn new(file: File, len: u64) -> Self {
        Self { file, len, blocks: Vec::new(), held: 0 }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `out` with the bytes at `at`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] beyond the end of the file, or if it cannot be read.
    pub(super) fn read(&mut self, at: u64, out: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < out.len() {
            let offset = at + done as u64;
            let block = self.block(offset / BLOCK)?;
            let start = usize::try_from(offset % BLOCK).unwrap_or_default();
            let piece = block.get(start..).filter(|piece| !piece.is_empty()).ok_or_else(ends_early)?;
            let len = piece.len().min(out.len() - done);
            if let (Some(to), Some(from)) = (out.get_mut(done..done + len), piece.get(..len)) {
                to.copy_from_slice(from);
            }
            done += len;
        }
        Ok(())
    }

    /// The bytes at `at`.
    pub(super) fn bytes<const N: usize>(&mut self, at: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// The byte at `at`.
    pub(super) fn byte(&mut self, at: u64) -> Result<u8> {
        let block = self.block(at / BLOCK)?;
        block.get(usize::try_from(at % BLOCK).unwrap_or_default()).copied().ok_or_else(ends_early)
    }

    /// The big-endian number at `at`.
    pub(super) fn u32(&mut self, at: u64) -> Result<u32> {
        self.bytes(at).map(u32::from_be_bytes)
    }

    /// The same with eight bytes.
    pub(super) fn u64(&mut self, at: u64) -> Result<u64> {
        self.bytes(at).map(u64::from_be_bytes)
    }

    fn block(&mut self, number: u64) -> Result<&[u8]> {
        let start = number.saturating_mul(BLOCK);
        if start >= self.len {
            return Err(ends_early());
        }
        let at = usize::try_from(number).map_err(Error::corrupt)?;
        if self.blocks.get(at).is_none_or(Option::is_none) {
            self.load(at, start)?;
        }
        self.blocks.get(at).and_then(Option::as_deref).ok_or_else(ends_early)
    }

    fn load(&mut self, at: usize, start: u64) -> Result<()> {
        let len = (self.len - start).min(BLOCK);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, start).map_err(Error::corrupt)?;
        if self.held >= MAX_BLOCKS {
            self.blocks.clear();
            self.held = 0;
        }
        if self.blocks.len() <= at {
            self.blocks.resize(at + 1, None);
        }
        if let Some(block) = self.blocks.get_mut(at) {
            *block = Some(bytes.into_boxed_slice());
            self.held += 1;
        }
        Ok(())
    }
}

fn ends_early() -> Error {
    Error::corrupt("a file ends early")
}
