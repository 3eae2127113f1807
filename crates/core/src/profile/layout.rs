//! The columns of plays of the usual form, and how many plays have room in them.

/// Columns that every profile has.
pub(super) const USUAL_COLUMNS: usize = 3;

/// How many plays the columns have room for, and which columns there are in addition to the usual ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) capacity: usize,
    pub(super) wide_events: bool,
    pub(super) fine_times: bool,
}

impl Layout {
    pub(super) const EMPTY: Self = Self { capacity: 0, wide_events: false, fine_times: false };

    pub(super) fn columns(self) -> usize {
        USUAL_COLUMNS + usize::from(self.wide_events) + usize::from(self.fine_times)
    }

    pub(super) fn words(self) -> usize {
        self.capacity * self.columns()
    }

    /// The column of the upper halves of event ids.
    pub(super) fn upper_events(self) -> Option<usize> {
        self.wide_events.then_some(USUAL_COLUMNS)
    }

    /// The column of what is finer than a second.
    pub(super) fn fine_times(self) -> Option<usize> {
        self.fine_times.then_some(USUAL_COLUMNS + usize::from(self.wide_events))
    }

    pub(super) fn pack(self) -> PackedLayout {
        // A window holds at most 65,535 plays.
        PackedLayout(
            (self.capacity as u32) << 2 | u32::from(self.wide_events) << 1 | u32::from(self.fine_times),
        )
    }
}

/// A [`Layout`] in four bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackedLayout(u32);

impl PackedLayout {
    pub(super) fn unpack(self) -> Layout {
        let Self(bits) = self;
        Layout { capacity: (bits >> 2) as usize, wide_events: bits & 2 != 0, fine_times: bits & 1 != 0 }
    }
}
