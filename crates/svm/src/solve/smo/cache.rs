//! Kernel rows that were computed, as many as fit a bounded number of bytes; the least recently used are evicted first.

/// What a row in the cache spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    /// All rows, in their order: good for every solve.
    All = 0,
    /// The rows that are active now.
    Active = 1,
}

/// No slot.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Slot {
    row: u32,
    span: Span,
    values: Vec<f32>,
    newer: u32,
    older: u32,
}

/// Kernel rows by their number. Memory is allocated row by row, never ahead.
#[derive(Debug)]
pub(super) struct RowCache {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The slot of each row, for each span.
    slot_of: [Vec<u32>; 2],
    newest: u32,
    oldest: u32,
    bytes: usize,
    limit: usize,
}

impl RowCache {
    /// A cache for rows numbered below `rows`, of up to `width` values each. It holds two rows, which an
    /// iteration needs, even where `limit` (bytes) is less.
    pub(super) fn new(rows: usize, width: usize, limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            slot_of: [vec![NONE; rows], vec![NONE; rows]],
            newest: NONE,
            oldest: NONE,
            bytes: 0,
            limit: limit.max(2 * width * size_of::<f32>()),
        }
    }

    /// The slot of a row, which becomes the most recently used; none where it has to be computed.
    pub(super) fn find(&mut self, row: u32, span: Span) -> Option<u32> {
        let slot = self.slot_of[span as usize][row as usize];
        if slot == NONE {
            return None;
        }
        if slot != self.newest {
            self.unlink(slot);
            self.link(slot);
        }
        Some(slot)
    }

    /// The values of a row that spans all, where they are here; its place in the order of use stays.
    pub(super) fn peek(&self, row: u32) -> Option<&[f32]> {
        let slot = self.slot_of[Span::All as usize][row as usize];
        (slot != NONE).then(|| self.values(slot))
    }

    /// The values in a slot.
    pub(super) fn values(&self, slot: u32) -> &[f32] {
        &self.slots[slot as usize].values
    }

    /// Makes room for a row of `width` values and lets `fill` write them.
    pub(super) fn insert(
        &mut self,
        row: u32,
        span: Span,
        width: usize,
        fill: impl FnOnce(&mut [f32]),
    ) -> u32 {
        let mut values = Vec::new();
        while self.oldest != NONE && self.bytes + width * size_of::<f32>() > self.limit {
            values = self.remove(self.oldest);
        }
        // The buffer of an evicted row is used again: new pages from the system cost more than the row.
        if values.len() != width {
            values = vec![0.0; width];
        }
        fill(&mut values);
        self.bytes += width * size_of::<f32>();
        let filled = Slot { row, span, values, newer: NONE, older: NONE };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = filled;
                slot
            }
            None => {
                self.slots.push(filled);
                (self.slots.len() - 1) as u32
            }
        };
        self.slot_of[span as usize][row as usize] = slot;
        self.link(slot);
        slot
    }

    /// Drops the rows that span the active rows.
    pub(super) fn clear_active(&mut self) {
        self.each_active(|cache, slot| drop(cache.remove(slot)));
    }

    /// Keeps of each row that spans the active rows the values at these places, ascending, filled up to `width`.
    pub(super) fn narrow_active(&mut self, kept: &[u32], width: usize) {
        self.each_active(|cache, slot| {
            let values = &mut cache.slots[slot as usize].values;
            let before = values.len();
            for (to, &from) in kept.iter().enumerate() {
                values[to] = values[from as usize];
            }
            values.truncate(width);
            values[kept.len()..].fill(0.0);
            values.shrink_to_fit();
            cache.bytes -= (before - width) * size_of::<f32>();
        });
    }

    fn each_active(&mut self, mut change: impl FnMut(&mut Self, u32)) {
        let mut slot = self.newest;
        while slot != NONE {
            let older = self.slots[slot as usize].older;
            if self.slots[slot as usize].span == Span::Active {
                change(self, slot);
            }
            slot = older;
        }
    }

    fn remove(&mut self, slot: u32) -> Vec<f32> {
        self.unlink(slot);
        self.free.push(slot);
        let Slot { row, span, values, .. } = &mut self.slots[slot as usize];
        self.slot_of[*span as usize][*row as usize] = NONE;
        self.bytes -= values.len() * size_of::<f32>();
        std::mem::take(values)
    }

    fn link(&mut self, slot: u32) {
        self.slots[slot as usize].newer = NONE;
        self.slots[slot as usize].older = self.newest;
        match self.newest {
            NONE => self.oldest = slot,
            newest => self.slots[newest as usize].newer = slot,
        }
        self.newest = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let (newer, older) = (self.slots[slot as usize].newer, self.slots[slot as usize].older);
        match newer {
            NONE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
    }
}
