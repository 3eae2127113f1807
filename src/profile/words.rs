//! A block of words behind one pointer, with its length packed beside the owner's own numbers.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Words on the heap in 8 bytes, where a boxed slice takes 16: the owner knows how many there are.
///
/// With millions of profiles a word more in each is tens of megabytes.
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

    /// So many words, all 0.
    pub(super) fn zeroed(length: usize) -> Self {
        let Some(layout) = layout(length) else {
            return Self::none();
        };
        // SAFETY: the layout is not of size 0.
        let pointer = unsafe { alloc_zeroed(layout) };
        let first = NonNull::new(pointer.cast::<u32>()).unwrap_or_else(|| handle_alloc_error(layout));
        Self { first }
    }

    /// The words.
    ///
    /// # Safety
    /// `length` is the one that this was made with.
    pub(super) unsafe fn get(&self, length: usize) -> &[u32] {
        // SAFETY: so many words were allocated and zeroed, and nobody writes while `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), length) }
    }

    /// The words, to be written.
    ///
    /// # Safety
    /// `length` is the one that this was made with.
    pub(super) unsafe fn get_mut(&mut self, length: usize) -> &mut [u32] {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), length) }
    }

    /// Gives the memory back.
    ///
    /// # Safety
    /// `length` is the one that this was made with, and nothing is asked of it any more.
    pub(super) unsafe fn free(&mut self, length: usize) {
        if let Some(layout) = layout(length) {
            // SAFETY: allocated above with this layout, and freed once.
            unsafe { dealloc(self.first.as_ptr().cast(), layout) }
        }
    }
}

/// `None` for no words.
fn layout(length: usize) -> Option<Layout> {
    if length == 0 {
        return None;
    }
    Some(
        Layout::array::<u32>(length)
            .unwrap_or_else(|_| unreachable!("a profile is far below half of memory")),
    )
}
