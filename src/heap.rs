//! Keeps the C library's heap on huge pages.
//!
//! Profiles are read in no order. With pages of 4 KiB the processor misses its table of pages for nearly every one,
//! which at a million customers is a fifth of a decision's time (docs/decisions/allocator.md). glibc can ask for huge
//! pages itself, but only when the environment says so at the start of a program, and version 2.36 then looks at bytes
//! it never read to find out whether the kernel has any. So the server has its heap in one piece, growing in large
//! steps, and asks the kernel itself.
//!
//! The first use of a huge page takes as long as clearing 2 MiB, and in a virtual machine whose memory comes from the
//! host at its first use, 5 ms and more. So pages are made ready by a thread of their own rather than by a decision.

use std::time::Duration;

/// The heap grows by so many bytes, which are made ready ahead of their use: so much memory at most is resident unused.
const STEP_BYTES: usize = 32 << 20;

/// Only what is larger than this is mapped by itself, and given back at once when it is freed: the largest that glibc
/// allows. Tables of customers are smaller and stay on the heap.
const MAPPED_FROM_BYTES: usize = 32 << 20;

/// The heap's new parts are looked for so often. What was used in the meantime the kernel collapses by itself, later.
const TURN: Duration = Duration::from_millis(20);

/// From now on the heap is on huge pages, where the system has them and is Linux with glibc; elsewhere nothing happens.
/// Called once, before there are other threads, for the life of the process.
pub fn keep_on_huge_pages() {
    if system::set_up(STEP_BYTES, MAPPED_FROM_BYTES) {
        let mut asked_to = None;
        let turn = move || loop {
            asked_to = system::ask_for_huge_pages(asked_to);
            std::thread::sleep(TURN);
        };
        // Without the thread the heap is as it would have been.
        let _ = std::thread::Builder::new().name("heap".to_owned()).spawn(turn);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system {
    use std::ffi::c_int;

    const HUGE_PAGE_BYTES: usize = 2 << 20;

    /// Whether the allocator took the settings.
    pub(super) fn set_up(step_bytes: usize, mapped_from_bytes: usize) -> bool {
        let settings = [
            // Others than the main arena lie elsewhere.
            (libc::M_ARENA_MAX, 1),
            // Small blocks that are freed are joined to their neighbours at once. Otherwise they wait in lists that some
            // later, large allocation works off: with millions of profiles that have grown, for a fifth of a second.
            (libc::M_MXFAST, 0),
            (libc::M_TOP_PAD, step_bytes),
            // Memory that is given back and asked for again at each bulk body would come in small pages.
            (libc::M_TRIM_THRESHOLD, 4 * step_bytes),
            (libc::M_MMAP_THRESHOLD, mapped_from_bytes),
        ];
        settings.into_iter().all(|(parameter, value)| {
            let Ok(value) = c_int::try_from(value) else { return false };
            // SAFETY: `mallopt` only changes settings of the allocator, under its own lock.
            unsafe { libc::mallopt(parameter, value) == 1 }
        })
    }

    /// Asks for huge pages from `from`, or the heap's last step, to its end; where that is.
    pub(super) fn ask_for_huge_pages(from: Option<usize>) -> Option<usize> {
        // SAFETY: by 0 the end of the heap is told and not moved.
        let end = unsafe { libc::sbrk(0) } as usize;
        let end = end & !(HUGE_PAGE_BYTES - 1);
        let start = from.unwrap_or(end.saturating_sub(super::STEP_BYTES)).next_multiple_of(HUGE_PAGE_BYTES);
        if start < end {
            advise(start, end - start, libc::MADV_HUGEPAGE);
        }
        // Page by page, so that a thread that asks for more of the heap meanwhile waits for one at most.
        for page in (start..end).step_by(HUGE_PAGE_BYTES) {
            advise(page, HUGE_PAGE_BYTES, libc::MADV_POPULATE_WRITE);
        }
        Some(end)
    }

    fn advise(start: usize, bytes: usize, advice: c_int) {
        // SAFETY: this changes how memory is backed and not what is in it; where the heap has shrunk meanwhile, or never
        // reached so far down, and where the kernel does not know the advice, it refuses.
        unsafe { libc::madvise(start as *mut libc::c_void, bytes, advice) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod system {
    pub(super) fn set_up(_step_bytes: usize, _mapped_from_bytes: usize) -> bool {
        false
    }

    pub(super) fn ask_for_huge_pages(_from: Option<usize>) -> Option<usize> {
        None
    }
}
