//! A file as a loss of power leaves it.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::trace::{Change, Instant, Trace};

const SECTOR: u64 = 512;
const PAGE: u64 = 4096;

/// How much of what was not synced is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All of it, as where the power stays on.
    Nothing,
    /// None of it.
    Everything,
    /// What was done first, the last of it torn.
    Tail,
    /// Any part.
    Any,
}

impl Loss {
    pub fn drawn(dice: &mut Dice) -> Self {
        [Self::Nothing, Self::Everything, Self::Tail, Self::Any, Self::Any][dice.place(5)]
    }
}

/// What is done to a file that is not durable yet.
#[derive(Debug, Clone)]
enum Part {
    Bytes { at: u64, bytes: Vec<u8> },
    Zeros { at: u64, end: u64 },
    Size(u64),
}

impl Part {
    /// The bytes of the file that it touches.
    fn range(&self) -> (u64, u64) {
        match self {
            Self::Bytes { at, bytes } => (*at, at + bytes.len() as u64),
            Self::Zeros { at, end } => (*at, *end),
            Self::Size(_) => (0, 0),
        }
    }

    /// What of it lies within a range.
    fn within(&self, from: u64, to: u64) -> Option<Self> {
        let (at, end) = self.range();
        let (from, to) = (from.max(at), to.min(end));
        (from < to).then(|| match self {
            Self::Bytes { bytes, .. } => {
                let bytes = bytes[(from - at) as usize..(to - at) as usize].to_vec();
                Self::Bytes { at: from, bytes }
            }
            _ => Self::Zeros { at: from, end: to },
        })
    }

    fn apply(&self, contents: &mut Contents) {
        match self {
            Self::Bytes { at, bytes } => {
                let end = *at as usize + bytes.len();
                contents.bytes.resize(contents.bytes.len().max(end), 0);
                contents.bytes[*at as usize..end].copy_from_slice(bytes);
            }
            Self::Zeros { at, end } => {
                let end = (*end as usize).min(contents.bytes.len());
                contents.bytes[(*at as usize).min(end)..end].fill(0);
            }
            Self::Size(size) => contents.size = *size,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Contents {
    /// May be longer or shorter than the file; what is missing is zeros.
    bytes: Vec<u8>,
    size: u64,
}

#[derive(Debug, Clone)]
struct Pending {
    end: Instant,
    /// A sync of it has failed.
    doomed: bool,
    part: Part,
}

/// A file: what is on the disk, and what was done since.
#[derive(Debug, Default)]
pub struct Inode {
    platter: Contents,
    pending: Vec<Pending>,
    /// The size that the running system sees.
    size: u64,
}

impl Inode {
    /// A file whose contents are on the disk.
    pub fn durable(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        Self { platter: Contents { bytes, size }, pending: Vec::new(), size }
    }

    /// The parts of a call on a file of a size, and the size after it.
    fn parts(trace: &Trace, size: u64, change: &Change) -> (Vec<Part>, u64) {
        match change {
            Change::Write { at, bytes, .. } => {
                let bytes = trace.bytes(bytes).to_vec();
                let end = at + bytes.len() as u64;
                let mut parts = vec![Part::Bytes { at: *at, bytes }];
                parts.extend((end > size).then_some(Part::Size(end)));
                (parts, size.max(end))
            }
            Change::Size(_, to) if *to < size => {
                (vec![Part::Zeros { at: *to, end: size }, Part::Size(*to)], *to)
            }
            Change::Size(_, to) | Change::Allocate(_, to) => (vec![Part::Size(size.max(*to))], size.max(*to)),
            _ => (Vec::new(), size),
        }
    }

    pub fn change(&mut self, trace: &Trace, end: Instant, change: &Change) {
        let (parts, size) = Self::parts(trace, self.size, change);
        self.size = size;
        self.pending.extend(parts.into_iter().map(|part| Pending { end, doomed: false, part }));
    }

    /// A sync that began then has returned.
    pub fn synced(&mut self, start: Instant, failed: bool) {
        let (mut left, mut later) = (Vec::new(), Vec::new());
        for mut pending in std::mem::take(&mut self.pending) {
            if failed {
                pending.doomed |= !matches!(pending.part, Part::Size(_));
                left.push(pending);
            } else if pending.doomed {
                left.push(pending);
            } else if pending.end > start {
                later.push(pending);
            } else {
                left = self.with_pages_of(left, &pending.part);
                pending.part.apply(&mut self.platter);
            }
        }
        left.append(&mut later);
        self.pending = left;
    }

    /// A page that goes to the disk takes with it what a failed sync left in it; returns what is left then.
    fn with_pages_of(&mut self, doomed: Vec<Pending>, part: &Part) -> Vec<Pending> {
        let (at, end) = part.range();
        let (from, to) = (at / PAGE * PAGE, end.next_multiple_of(PAGE));
        if doomed.is_empty() || at == end {
            return doomed;
        }
        let mut left = Vec::new();
        for pending in doomed {
            if let Some(inside) = pending.part.within(from, to) {
                inside.apply(&mut self.platter);
            }
            let around = [pending.part.within(0, from), pending.part.within(to, u64::MAX)];
            left.extend(around.into_iter().flatten().map(|part| Pending { part, ..pending }));
            if let Part::Size(_) = pending.part {
                left.push(pending);
            }
        }
        left
    }

    /// What a loss of power leaves; calls that were under way may have had their effect.
    pub fn left(&self, trace: &Trace, under_way: &[&Change], loss: Loss, dice: &mut Dice) -> Vec<u8> {
        let mut parts: Vec<Part> = self.pending.iter().map(|pending| pending.part.clone()).collect();
        for change in under_way {
            parts.append(&mut Self::parts(trace, self.size, change).0);
        }
        let mut contents = self.platter.clone();
        match loss {
            Loss::Nothing => parts.iter().for_each(|part| part.apply(&mut contents)),
            Loss::Everything => {}
            Loss::Tail => {
                let kept = dice.place(parts.len() + 1);
                parts[..kept].iter().for_each(|part| part.apply(&mut contents));
                if let Some(torn) = parts.get(kept) {
                    let units = units(torn, SECTOR);
                    let whole = dice.below(units.len() as u64 + 1) as usize;
                    units[..whole].iter().for_each(|unit| unit.apply(&mut contents));
                }
            }
            Loss::Any => {
                let unit = [SECTOR, PAGE][dice.place(2)];
                lose_any(&parts, unit, &mut contents, dice);
            }
        }
        contents.bytes.resize(contents.size as usize, 0);
        contents.bytes
    }
}

/// A part cut where sectors or pages end.
fn units(part: &Part, unit: u64) -> Vec<Part> {
    let (at, end) = part.range();
    let starts = (at / unit..end.div_ceil(unit)).map(|number| number * unit);
    starts.filter_map(|start| part.within(start, start + unit)).collect()
}

/// Leaves each sector or page as it was after any number of the changes to it, and the file with any size that it had.
fn lose_any(parts: &[Part], unit: u64, contents: &mut Contents, dice: &mut Dice) {
    let mut by_unit: BTreeMap<u64, Vec<Part>> = BTreeMap::new();
    let mut sizes = vec![contents.size];
    for part in parts {
        if let Part::Size(size) = part {
            sizes.push(*size);
        }
        for cut in units(part, unit) {
            by_unit.entry(cut.range().0 / unit).or_default().push(cut);
        }
    }
    for changes in by_unit.values() {
        let kept = dice.place(changes.len() + 1);
        changes[..kept].iter().for_each(|change| change.apply(contents));
    }
    contents.size = sizes[dice.place(sizes.len())];
}
