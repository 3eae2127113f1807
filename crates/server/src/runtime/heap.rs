//! Keeps the C library's heap on huge pages.
//!
//! Profiles are read in random order. With pages of 4 KiB nearly every profile is a TLB miss, which at a million
//! customers is a fifth of a decision's time (docs/decisions/allocator.md). glibc can request huge pages itself, but
//! only if an environment variable says so at the start of the program, and version 2.36 then uses uninitialised bytes
//! to find out whether the kernel has any. So the server keeps its heap in one piece that grows in large steps, and
//! advises the kernel itself.
//!
//! The first access to a huge page takes as long as clearing 2 MiB, and 5 ms or more in a virtual machine whose host
//! allocates memory at the first access. So a thread of its own touches new pages before a decision needs them.

use std::time::Duration;

/// The heap grows by this many bytes, which are populated ahead of their use: at most this much resident memory is
/// unused.
const STEP_BYTES: usize = 32 << 20;

/// Larger allocations are mapped separately, and returned to the system as soon as they are freed. This is the highest
/// threshold that glibc allows; tables of customers are smaller and stay on the heap.
const MAPPED_FROM_BYTES: usize = 32 << 20;

/// How often the end of the heap is read. Pages that were used in the meantime are collapsed by the kernel later.
const PERIOD: Duration = Duration::from_millis(20);

/// Keeps the heap on huge pages from now on, on Linux with glibc if the system has huge pages; does nothing elsewhere.
/// Call it once per process, before other threads are started.
pub fn keep_on_huge_pages() {
    if system::set_up(STEP_BYTES, MAPPED_FROM_BYTES) {
        let mut advised_to = None;
        let advise = move || loop {
            advised_to = system::advise_huge_pages(advised_to);
            std::thread::sleep(PERIOD);
        };
        // If the thread cannot be started, the heap uses small pages.
        let _ = std::thread::Builder::new().name("heap".to_owned()).spawn(advise);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system {
    use std::ffi::c_int;

    const HUGE_PAGE_BYTES: usize = 2 << 20;

    /// Configures the allocator; returns whether it accepted every setting.
    pub(super) fn set_up(step_bytes: usize, mapped_from_bytes: usize) -> bool {
        let settings = [
            // Only the main arena is in the program's heap.
            (libc::M_ARENA_MAX, 1),
            // Freed small blocks are merged with their neighbours at once. Otherwise they stay in lists that a later
            // large allocation processes: with millions of profiles that have grown, for a fifth of a second.
            (libc::M_MXFAST, 0),
            (libc::M_TOP_PAD, step_bytes),
            // Memory that is returned and requested again at each bulk body would consist of small pages.
            (libc::M_TRIM_THRESHOLD, 4 * step_bytes),
            (libc::M_MMAP_THRESHOLD, mapped_from_bytes),
        ];
        settings.into_iter().all(|(parameter, value)| {
            let Ok(value) = c_int::try_from(value) else { return false };
            // SAFETY: `mallopt` only changes settings of the allocator, under its own lock.
            unsafe { libc::mallopt(parameter, value) == 1 }
        })
    }

    /// Advises and populates huge pages from `from` (or else the last [`super::STEP_BYTES`] of the heap) to the end of
    /// the heap; returns that end.
    pub(super) fn advise_huge_pages(from: Option<usize>) -> Option<usize> {
        // SAFETY: an increment of 0 returns the end of the heap without moving it.
        let end = unsafe { libc::sbrk(0) } as usize;
        let end = end & !(HUGE_PAGE_BYTES - 1);
        let start = from.unwrap_or(end.saturating_sub(super::STEP_BYTES)).next_multiple_of(HUGE_PAGE_BYTES);
        if start < end {
            advise(start, end - start, libc::MADV_HUGEPAGE);
        }
        // Page by page, so that a thread that grows the heap meanwhile waits for one page at most.
        for page in (start..end).step_by(HUGE_PAGE_BYTES) {
            advise(page, HUGE_PAGE_BYTES, libc::MADV_POPULATE_WRITE);
        }
        Some(end)
    }

    fn advise(start: usize, bytes: usize, advice: c_int) {
        // SAFETY: this changes how memory is backed, not its contents. The kernel refuses where the heap has shrunk
        // meanwhile or does not begin so low, or if it does not know the advice.
        unsafe { libc::madvise(start as *mut libc::c_void, bytes, advice) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod system {
    pub(super) fn set_up(_step_bytes: usize, _mapped_from_bytes: usize) -> bool {
        false
    }

    pub(super) fn advise_huge_pages(_from: Option<usize>) -> Option<usize> {
        None
    }
}
