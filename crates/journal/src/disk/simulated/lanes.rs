//! Lanes of a simulated process: memory that outlives a kill, and no loss of power.

use std::io;

use super::{Call, SimulatedDisk};
use crate::disk::LaneFiles;
use crate::memory::Memory;

impl SimulatedDisk {
    /// The memory of the lanes is lost, as that of a container is.
    pub fn lose_lanes(&self) {
        self.state().lanes.clear();
    }
}

impl LaneFiles for SimulatedDisk {
    fn size(&self, lane: usize) -> io::Result<Option<u64>> {
        let mut state = self.state();
        state.fail(Call::OpenLane)?;
        Ok(state.lanes.get(&lane).map(|memory| memory.len() as u64))
    }

    fn map(&self, lane: usize, bytes: usize) -> io::Result<Memory> {
        let mut guard = self.state();
        let state = &mut *guard;
        let failed = state.fail(Call::MapLane);
        let is_new = state.lanes.get(&lane).is_none_or(|memory| memory.len() != bytes);
        // A file may be made and not mapped.
        if is_new && (failed.is_ok() || state.dice.one_in(2)) {
            state.lanes.insert(lane, Memory::anonymous(bytes));
        }
        failed.map(|()| state.lanes[&lane].clone())
    }
}
