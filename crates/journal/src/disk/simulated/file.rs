//! An open file of the simulated disk.

use std::io;

use super::contents::{Written, apply, apply_some};
use super::{Call, SimulatedDisk};
use crate::disk::File;

/// A file of a [`SimulatedDisk`].
#[derive(Debug)]
pub struct SimulatedFile {
    pub(super) disk: SimulatedDisk,
    pub(super) number: u64,
    pub(super) life: u64,
}

impl File for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().contents(self)?.cache.len() as u64)
    }

    fn space(&self) -> io::Result<u64> {
        self.size()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.fail(Call::Read)?;
        let cache = &state.contents(self)?.cache;
        let from = (at as usize).min(cache.len());
        let bytes = into.len().min(cache.len() - from);
        into[..bytes].copy_from_slice(&cache[from..from + bytes]);
        Ok(bytes)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut guard = self.disk.state();
        let state = &mut *guard;
        let failed = state.fail(Call::Write);
        let size = state.contents(self)?.cache.len() as u64;
        let grown = (at + bytes.len() as u64).saturating_sub(size);
        let full = grown > 0 && state.used() + grown > state.capacity;
        let mut some = bytes.len();
        if failed.is_err() || full {
            some = state.dice.below(bytes.len() as u64 + 1) as usize;
        }
        let part = Written::Bytes { at: at as usize, bytes: bytes[..some].to_vec() };
        if !full {
            state.contents(self)?.write(part);
        }
        failed?;
        if full {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut guard = self.disk.state();
        let state = &mut *guard;
        let failed = state.fail(Call::Sync);
        let mut dice = state.dice.clone();
        dice.draw();
        state.dice.draw();
        let contents = state.contents(self)?;
        let has_bytes = contents.written.iter().any(Written::is_data);
        if let Some(old) = contents.old.take_if(|_| failed.is_ok() && has_bytes) {
            contents.cache.clone_from(&old);
            contents.platter = old;
            // A disk may take zeros for blocks that are free.
            contents.written.retain(Written::is_data);
            contents.written.iter().for_each(|each| apply(&mut contents.cache, each));
        }
        for each in std::mem::take(&mut contents.written) {
            match &failed {
                Ok(()) => apply(&mut contents.platter, &each),
                // The pages are clean now, whether they were written or not.
                Err(_) => apply_some(&mut contents.platter, &each, &mut dice),
            }
        }
        failed
    }

    fn release(&self, from: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.fail(Call::Release)?;
        let contents = state.contents(self)?;
        let released = contents.cache.len().saturating_sub(from as usize);
        contents.write(Written::Bytes { at: from as usize, bytes: vec![0; released] });
        Ok(())
    }

    fn modified_ms(&self) -> io::Result<u64> {
        Ok(self.disk.state().contents(self)?.modified_ms)
    }

    fn set_modified_ms(&self, ms: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.fail(Call::Write)?;
        state.contents(self)?.modified_ms = ms;
        Ok(())
    }
}
