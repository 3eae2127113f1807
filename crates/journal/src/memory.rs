//! Memory of a lane: of the process alone, or a file in a tmpfs that outlives it.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Words of memory that threads share. Clones are the same memory.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Owned>);

#[derive(Debug)]
struct Owned {
    start: NonNull<AtomicU64>,
    len: usize,
    mapped: bool,
}

// SAFETY: the words are atomics; the bytes are handed out by unsafe functions whose callers keep readers and writers apart.
unsafe impl Send for Owned {}
// SAFETY: as above.
unsafe impl Sync for Owned {}

impl Memory {
    /// Zeros of the process's own, `len` bytes; `len` is a multiple of 8.
    #[must_use]
    pub fn anonymous(len: usize) -> Self {
        let words: Box<[AtomicU64]> = (0..len / 8).map(|_| AtomicU64::new(0)).collect();
        let start = NonNull::from(Box::leak(words)).cast();
        Self(Arc::new(Owned { start, len, mapped: false }))
    }

    /// The memory of a file that is made, or grown, to `len` bytes, all of them allocated: where the file system runs full
    /// later, a store does not kill the process.
    ///
    /// # Errors
    /// The file cannot be made or mapped, or there is no space.
    pub fn of_file(path: &Path, len: usize) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.set_len(len as u64)?;
        // SAFETY: the descriptor is open; the call has no other precondition.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len as libc::off_t) } {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new mapping of an open file; the kernel chooses the address.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self(Arc::new(Owned { start, len, mapped: true })))
    }

    /// Its length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "memory of no bytes is of no use")]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// The word that begins at byte `at`.
    pub(crate) fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= self.0.len, "the word lies within the memory");
        // SAFETY: aligned and within the memory, as asserted; it lives as long as `self`.
        unsafe { self.0.start.add(at / 8).as_ref() }
    }

    /// Bytes for reading.
    ///
    /// # Safety
    /// Nobody writes them while the slice lives.
    pub(crate) unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        assert!(at + len <= self.0.len, "the bytes lie within the memory");
        // SAFETY: within the memory, as asserted, which is initialised; the caller keeps writers away.
        unsafe { std::slice::from_raw_parts(self.0.start.cast::<u8>().add(at).as_ptr(), len) }
    }

    /// Bytes for writing.
    ///
    /// # Safety
    /// Nobody else reads or writes them while the slice lives.
    #[expect(clippy::mut_from_ref, reason = "the memory is shared; the caller has this part alone")]
    pub(crate) unsafe fn bytes_mut(&self, at: usize, len: usize) -> &mut [u8] {
        assert!(at + len <= self.0.len, "the bytes lie within the memory");
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.start.cast::<u8>().add(at).as_ptr(), len) }
    }

    /// Has the cache line of the byte at `at` on its way to this processor, to be written.
    #[inline]
    pub(crate) fn prefetch_to_write(&self, at: usize) {
        debug_assert!(at < self.0.len, "the byte lies within the memory");
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            // SAFETY: prefetching changes nothing and never faults.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(self.0.start.as_ptr().cast::<i8>().wrapping_add(at)) };
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if self.mapped {
            // SAFETY: this is the mapping that `of_file` made, and nobody has it any longer.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        } else {
            let words = std::ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.len / 8);
            // SAFETY: these are the words that `anonymous` leaked.
            drop(unsafe { Box::from_raw(words) });
        }
    }
}
