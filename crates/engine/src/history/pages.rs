//! Reads a file at any offset, block by block: large commit-graphs are neither mapped nor read as a whole.

use crate::error::{Error, Result};
use std::{collections::HashMap, fs::File, os::unix::fs::FileExt};

/// Bytes per block.
const BLOCK: u64 = 16 << 10;
/// Maximum number of blocks in memory: 32 MiB.
const MAX_BLOCKS: usize = 2048;

/// An open file and its blocks read so far.
#[derive(Debug)]
pub(super) struct Pages {
    file: File,
    len: u64,
    blocks: HashMap<u64, Box<[u8]>>,
}

impl Pages {
    pub(super) fn new(file: File, len: u64) -> Self {
        Self { file, len, blocks: HashMap::new() }
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
            let piece = block.get(start..).filter(|piece| !piece.is_empty()).ok_or_else(|| Error::corrupt("a file ends early"))?;
            let len = piece.len().min(out.len() - done);
            if let (Some(to), Some(from)) = (out.get_mut(done..done + len), piece.get(..len)) {
                to.copy_from_slice(from);
            }
            done += len;
        }
        Ok(())
    }

    /// The byte at `at`.
    pub(super) fn byte(&mut self, at: u64) -> Result<u8> {
        let mut byte = [0];
        self.read(at, &mut byte)?;
        Ok(byte[0])
    }

    /// The big-endian number at `at`.
    pub(super) fn u32(&mut self, at: u64) -> Result<u32> {
        let mut bytes = [0; 4];
        self.read(at, &mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// The same with eight bytes.
    pub(super) fn u64(&mut self, at: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn block(&mut self, number: u64) -> Result<&[u8]> {
        if !self.blocks.contains_key(&number) {
            let start = number.saturating_mul(BLOCK);
            let len = self.len.saturating_sub(start).min(BLOCK);
            let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
            self.file.read_exact_at(&mut bytes, start).map_err(Error::corrupt)?;
            if self.blocks.len() >= MAX_BLOCKS {
                self.blocks.clear();
            }
            self.blocks.insert(number, bytes.into_boxed_slice());
        }
        Ok(self.blocks.get(&number).map(|block| &**block).unwrap_or_default())
    }
}
