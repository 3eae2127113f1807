//! A block of 32-bit words behind a thin pointer; the owner stores its length.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// 32-bit words on the heap, in 8 bytes; a boxed slice takes 16. The owner knows how many there are.
///
/// With millions of profiles, 8 bytes more in each are tens of megabytes.
#[derive(Debug)]
pub(super) struct Words {
    first: NonNull<u32>,
}

// SAFETY: the words are owned, as in a `Box<[u32]>`.
unsafe impl Send for Words {}
// SAFETY: shared references only read, as in a `Box<[u32]>`.
unsafe impl Sync for Words {}

impl Words {
    /// No words.
    pub(super) const fn none() -> Self {
        Self { first: NonNull::dangling() }
    }

    /// `length` words, all 0.
    pub(super) fn zeroed(length: usize) -> Self {
        let Some(layout) = layout(length) else {
            return Self::none();
        };
        // SAFETY: the layout's size is not 0.
        let pointer = unsafe { alloc_zeroed(layout) };
        let first = NonNull::new(pointer.cast::<u32>()).unwrap_or_else(|| handle_alloc_error(layout));
        Self { first }
    }

    /// The words.
    ///
    /// # Safety
    /// `length` is the one that this was made with.
    pub(super) unsafe fn get(&self, length: usize) -> &[u32] {
        // SAFETY: this many words were allocated and zeroed, and there is no mutable reference while `self` is
        // borrowed.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), length) }
    }

    /// The words, writable.
    ///
    /// # Safety
    /// `length` is the one that this was made with.
    pub(super) unsafe fn get_mut(&mut self, length: usize) -> &mut [u32] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), length) }
    }

    /// Frees the memory.
    ///
    /// # Safety
    /// `length` is the one that this was made with, and this is not used afterwards.
    pub(super) unsafe fn free(&mut self, length: usize) {
        if let Some(layout) = layout(length) {
            // SAFETY: allocated above with this layout, and freed once.
            unsafe { dealloc(self.first.as_ptr().cast(), layout) }
        }
    }
}

/// The layout of `length` words; `None` for no words.
fn layout(length: usize) -> Option<Layout> {
    if length == 0 {
        return None;
    }
    Some(
        Layout::array::<u32>(length)
            .unwrap_or_else(|_| unreachable!("a profile is far below half of memory")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Under miri or an address sanitizer every access is checked: see `just miri`.
    #[test]
    fn words_of_every_length_are_zero_then_hold_what_was_written() {
        for length in (0..200).chain([4096, 65_536]) {
            let mut words = Words::zeroed(length);
            // SAFETY: the length is the one that the words were made with, in all three calls, and the last use is `free`.
            unsafe {
                assert!(words.get(length).iter().all(|word| *word == 0));
                for (index, word) in words.get_mut(length).iter_mut().enumerate() {
                    *word = index as u32 + 1;
                }
                assert!(words.get(length).iter().zip(1..).all(|(word, index)| *word == index));
                words.free(length);
            }
        }
    }

    #[test]
    fn no_words_allocate_nothing_and_may_be_freed() {
        let mut words = Words::none();
        // SAFETY: there are no words.
        unsafe {
            assert!(words.get(0).is_empty() && words.get_mut(0).is_empty());
            words.free(0);
        }
    }
}
