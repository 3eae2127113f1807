//! What a log must have kept: plain sets of what was published and of what was said to be durable.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Record, Rewrite, Start, Visitor};

/// Records are applied to things; a snapshot copies one thing after the other.
pub(super) const THINGS: u64 = 6;
/// Ids of records by thing.
pub(super) type State = BTreeMap<u64, BTreeSet<u64>>;

pub(super) fn ids(state: &State) -> BTreeSet<u64> {
    state.values().flatten().copied().collect()
}

pub(super) fn apply(state: &mut State, id: u64) {
    state.entry(id % THINGS).or_default().insert(id);
}

pub(super) fn write_payload(into: &mut [u8], id: u64, tag: u64) {
    into.fill(id as u8);
    into[..8].copy_from_slice(&id.to_le_bytes());
    into[8..16].copy_from_slice(&tag.to_le_bytes());
}

/// Each third record is forgotten where history is rewritten.
pub(super) fn forget(record: Record<'_>) -> Result<Rewrite, String> {
    let id = u64::from_le_bytes(record.payload[..8].try_into().unwrap());
    Ok(if id.is_multiple_of(3) { Rewrite::Drop } else { Rewrite::Keep })
}

/// Applies records, and checks that they come in order, as they were written.
pub(super) struct Applying<'a> {
    pub seed: u64,
    pub start: Start,
    pub state: &'a mut State,
    pub last: u64,
    pub finished: bool,
}

impl Visitor for Applying<'_> {
    fn record(&mut self, record: Record<'_>) -> Result<(), String> {
        let seed = self.seed;
        assert!(record.position > self.last && record.position >= self.start.from, "seed {seed}: order");
        self.last = record.position;
        let word = |at: usize| u64::from_le_bytes(record.payload[at..at + 8].try_into().unwrap());
        let id = word(0);
        assert!(record.payload[16..].iter().all(|byte| *byte == id as u8), "seed {seed}: payload");
        assert_eq!(record.unit != 0, word(8) != 0, "seed {seed}: unit");
        apply(self.state, id);
        Ok(())
    }

    fn finished(&mut self) -> Result<(), String> {
        self.finished = true;
        Ok(())
    }
}

/// What must hold, whatever happens.
pub(super) struct Model {
    pub seed: u64,
    /// What was published and applied, and what was recovered before.
    pub may: BTreeSet<u64>,
    /// What was said to be durable.
    pub must: BTreeSet<u64>,
    /// What is in lanes that outlive the process.
    pub in_lanes: BTreeSet<u64>,
    /// The records of each unit that was ever complete.
    pub units: BTreeMap<u64, BTreeSet<u64>>,
    /// Records of units that never were.
    pub open: BTreeSet<u64>,
    pub next_id: u64,
    /// Syncing the names was made to fail: files that were removed may come back, with a gap in the history behind them.
    pub names_fail: bool,
}

impl Model {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            may: BTreeSet::new(),
            must: BTreeSet::new(),
            in_lanes: BTreeSet::new(),
            units: BTreeMap::new(),
            open: BTreeSet::new(),
            next_id: 0,
            names_fail: false,
        }
    }

    /// All that was recovered is durable, and nothing else is there any longer.
    pub fn accept(&mut self, state: &State) {
        self.may = ids(state);
        self.must.clone_from(&self.may);
        self.in_lanes.clear();
        self.open.clear();
        let may = &self.may;
        self.units.retain(|_, unit| unit.iter().all(|id| may.contains(id)));
    }

    pub fn check(&self, recovered: &BTreeSet<u64>) {
        let seed = self.seed;
        let lost: Vec<_> = self.must.difference(recovered).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?} were durable and are lost");
        let lost: Vec<_> = self.in_lanes.difference(recovered).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?} were in lanes and are lost");
        let invented: Vec<_> = recovered.difference(&self.may).collect();
        assert!(invented.is_empty(), "seed {seed}: {invented:?} were never published");
        let open: Vec<_> = recovered.intersection(&self.open).collect();
        assert!(open.is_empty(), "seed {seed}: {open:?} are of units that were not completed");
        for unit in self.units.values() {
            let there = unit.intersection(recovered).count();
            assert!(there == 0 || there == unit.len(), "seed {seed}: a unit is divided: {unit:?}");
        }
    }
}
