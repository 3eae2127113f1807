//! A disk in memory that behaves as badly as disks may: it loses what was not synced in any subset, tears writes at any
//! byte, fails calls, runs full, and forgets names whose directory was not synced. One seed gives one behaviour.
//!
//! Three states of a file's bytes are kept apart: what is on the platter, what was written since the last sync, and what the
//! page cache shows. A killed process leaves the cache ([`SimulatedDisk::kill`]); a power loss leaves the platter
//! and any part of what was written ([`SimulatedDisk::lose_power`]). A sync that fails drops what was written from the list of what is to be
//! written, as Linux does: the cache shows bytes that will never be on the platter.

mod contents;
mod dice;
mod file;
mod hang;
mod lanes;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Disk;
use crate::memory::Memory;
use contents::{Contents, Written, apply_some};
pub use dice::Dice;
pub use file::SimulatedFile;
pub use hang::Hang;

/// A call that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`super::File::write_at`]
    Write,
    /// [`super::File::sync`]
    Sync,
    /// [`super::File::read_at`]
    Read,
    /// [`Disk::create`]
    Create,
    /// [`Disk::open`]
    Open,
    /// [`Disk::rename`]
    Rename,
    /// [`Disk::remove`]
    Remove,
    /// [`Disk::sync_names`]
    SyncNames,
    /// [`super::File::release`]
    Release,
    /// [`super::LaneFiles::size`]
    OpenLane,
    /// [`super::LaneFiles::map`]
    MapLane,
}

type Names = BTreeMap<String, u64>;

#[derive(Debug, Clone)]
enum NameChange {
    Added(String, u64),
    Renamed(String, String),
    Removed(String),
}

fn change(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Added(name, file) => {
            names.insert(name.clone(), *file);
        }
        NameChange::Renamed(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        NameChange::Removed(name) => {
            names.remove(name);
        }
    }
}

#[derive(Debug)]
struct State {
    dice: Dice,
    files: BTreeMap<u64, Contents>,
    next_file: u64,
    /// As the running system sees them.
    names: Names,
    /// As they are on the platter.
    durable_names: Names,
    changes: Vec<NameChange>,
    capacity: u64,
    /// What removed segments held, where new files show it.
    old_blocks: Option<Vec<Vec<u8>>>,
    /// Calls until the next failure, by kind, and the error's number.
    failures: BTreeMap<Call, (u64, i32)>,
    /// The life in which syncing the names failed.
    names_failed: Option<u64>,
    /// Raised by each end of the process: files of a former process answer nothing.
    life: u64,
    calls: u64,
    /// The call that never returns, and how many of its kind do before.
    hang: Option<(Call, u64)>,
    /// One has not returned, and what its thread had is being dropped.
    is_unwinding: bool,
    lanes: BTreeMap<usize, Memory>,
}

impl State {
    fn fail(&mut self, call: Call) -> io::Result<()> {
        if self.is_unwinding {
            return Err(io::Error::other("this thread is stuck in another call"));
        }
        self.calls += 1;
        match &mut self.hang {
            Some((kind, 0)) if *kind == call => {
                (self.hang, self.is_unwinding) = (None, true);
                std::panic::resume_unwind(Box::new(Hang));
            }
            Some((kind, left)) if *kind == call => *left -= 1,
            _ => {}
        }
        if let Some((left, error)) = self.failures.get_mut(&call) {
            if *left == 0 {
                let error = *error;
                self.failures.remove(&call);
                return Err(io::Error::from_raw_os_error(error));
            }
            *left -= 1;
        }
        Ok(())
    }

    fn heal(&mut self) {
        self.failures.clear();
        self.hang = None;
    }

    fn used(&self) -> u64 {
        self.names.values().filter_map(|file| self.files.get(file)).map(|file| file.cache.len() as u64).sum()
    }

    fn named(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_names(&mut self, by: NameChange) {
        change(&mut self.names, &by);
        self.changes.push(by);
    }

    fn keep_blocks(&mut self, number: u64) {
        if let Some(old) = &mut self.old_blocks {
            old.push(self.files[&number].cache.clone());
            let many = old.len().saturating_sub(4);
            old.drain(..many);
        }
    }

    fn old_block(&mut self, bytes: u64) -> Option<Vec<u8>> {
        let old = self.old_blocks.as_ref().filter(|old| bytes > 0 && !old.is_empty())?;
        let which = self.dice.below(2 * old.len() as u64) as usize;
        old.get(which).cloned()
    }

    fn contents(&mut self, file: &SimulatedFile) -> io::Result<&mut Contents> {
        if self.life != file.life {
            return Err(io::Error::other("the process of this file has ended"));
        }
        self.files.get_mut(&file.number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    /// An empty disk with space for `capacity` bytes; all that happens by chance follows from `seed`.
    #[must_use]
    pub fn new(seed: u64, capacity: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            dice: Dice::new(seed),
            files: BTreeMap::new(),
            next_file: 0,
            names: Names::new(),
            durable_names: Names::new(),
            changes: Vec::new(),
            capacity,
            old_blocks: None,
            failures: BTreeMap::new(),
            names_failed: None,
            life: 0,
            calls: 0,
            hang: None,
            is_unwinding: false,
            lanes: BTreeMap::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes all files for good, as making a file system does. From now on a new file may show, once something in it is
    /// synced, what its blocks held before in files that were removed, also in place of zeros that were written: no file system
    /// should, and nothing depends on it.
    pub fn format(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.life += 1;
        state.heal();
        state.changes.clear();
        state.durable_names.clear();
        state.old_blocks.get_or_insert_default();
        for number in std::mem::take(&mut state.names).into_values() {
            state.keep_blocks(number);
        }
    }

    /// Makes a call of this kind fail once, after `calls` more that work, with the system's error `error` (as `libc::EIO`).
    pub fn fail_after(&self, call: Call, calls: u64, error: i32) {
        self.state().failures.insert(call, (calls, error));
    }

    /// No call fails any longer that was to fail.
    pub fn heal(&self) {
        self.state().heal();
    }

    /// Changes the space of the disk.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// The number of calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The process is killed: open files answer nothing more, and what was written is seen by the next process.
    pub fn kill(&self) {
        let mut state = self.state();
        state.life += 1;
        state.heal();
    }

    /// The machine loses power: of what was not synced any part is there.
    pub fn lose_power(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.life += 1;
        state.heal();
        state.lanes.clear();
        for by in std::mem::take(&mut state.changes) {
            if state.dice.one_in(2) {
                change(&mut state.durable_names, &by);
            }
        }
        state.names = state.durable_names.clone();
        for contents in state.files.values_mut() {
            let mut written = std::mem::take(&mut contents.written);
            // In any order: writes that overlap are as likely to be seen old over new.
            for last in (1..written.len()).rev() {
                if state.dice.one_in(4) {
                    written.swap(last, state.dice.below(last as u64 + 1) as usize);
                }
            }
            for each in &written {
                apply_some(&mut contents.platter, each, &mut state.dice);
            }
            contents.cache = contents.platter.clone();
        }
        let named: Vec<u64> = state.names.values().copied().collect();
        state.files.retain(|file, _| named.contains(file));
    }

    /// Changes a file's bytes on the platter and in the cache, as damage does.
    ///
    /// # Panics
    /// There is no such file.
    pub fn damage(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.named(name).expect("the file exists");
        let contents = state.files.get_mut(&file).expect("a named file has contents");
        change(&mut contents.platter);
        change(&mut contents.cache);
    }

    /// Changes when a file was last written.
    ///
    /// # Panics
    /// There is no such file.
    pub fn set_modified(&self, name: &str, ms: u64) {
        let mut state = self.state();
        let file = state.named(name).expect("the file exists");
        state.files.get_mut(&file).expect("a named file has contents").modified_ms = ms;
    }

    /// What the cache shows of a file.
    ///
    /// # Panics
    /// There is no such file.
    #[must_use]
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        let file = state.named(name).expect("the file exists");
        state.files[&file].cache.clone()
    }

    /// Another disk with the same files, all of them durable.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        let state = self.state();
        let files = state.names.values().map(|number| {
            let cache = state.files[number].cache.clone();
            (*number, Contents { platter: cache.clone(), cache, ..Contents::default() })
        });
        let copy = Self::new(seed, state.capacity);
        {
            let mut other = copy.state();
            other.files = files.collect();
            other.next_file = state.next_file;
            other.names = state.names.clone();
            other.durable_names = state.names.clone();
        }
        copy
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<SimulatedFile> {
        let mut state = self.state();
        state.fail(Call::Create)?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.used() + bytes > state.capacity {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let number = state.next_file;
        state.next_file += 1;
        let mut old = state.old_block(bytes);
        old.iter_mut().for_each(|old| old.resize(bytes as usize, 0));
        let mut contents = Contents { old, ..Contents::default() };
        contents.write(Written::Size(bytes as usize));
        state.files.insert(number, contents);
        state.change_names(NameChange::Added(name.to_owned(), number));
        Ok(SimulatedFile { disk: self.clone(), number, life: state.life })
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut state = self.state();
        state.fail(Call::Open)?;
        let number = state.named(name)?;
        Ok(SimulatedFile { disk: self.clone(), number, life: state.life })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.fail(Call::Rename)?;
        state.named(from)?;
        state.change_names(NameChange::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.fail(Call::Remove)?;
        let number = state.named(name)?;
        state.keep_blocks(number);
        state.change_names(NameChange::Removed(name.to_owned()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut guard = self.state();
        let state = &mut *guard;
        let failed = if state.names_failed == Some(state.life) {
            Err(io::Error::other("syncing the names has failed before"))
        } else {
            state.fail(Call::SyncNames).inspect_err(|_| state.names_failed = Some(state.life))
        };
        for by in std::mem::take(&mut state.changes) {
            if failed.is_ok() || state.dice.one_in(2) {
                change(&mut state.durable_names, &by);
            }
        }
        failed
    }

    fn free(&self) -> io::Result<u64> {
        let state = self.state();
        Ok(state.capacity.saturating_sub(state.used()))
    }
}
