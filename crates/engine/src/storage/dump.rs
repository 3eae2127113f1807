//! All that a directory holds, read without an engine and without changing anything.

use std::sync::Arc;

use upbeat_core::encoding::{DecodeError, Decoder};
use upbeat_core::event::Id;
use upbeat_core::profile::ImpressionSource;
use upbeat_journal::disk::Disk;
use upbeat_journal::snapshot::{Snapshot, find};
use upbeat_journal::{Record, Start};

use super::OpenError;
use super::blocks::{Head, Part, account, answer, customer, kind, placed_tombstone};
use crate::log::{Entry, Started, decode_track, decode_version, kind as log_kind};

/// What reading all of a directory came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dumped {
    /// The damage of newer snapshots than the one that was read.
    pub damaged: Vec<String>,
    /// Every record at a position below was in the log: where a process uses the directory some of those above were not yet.
    pub watermark: u64,
}

/// Gives all that a directory holds to `visit`: first what the newest sound snapshot holds, without a position, then the records
/// of the log from there on, with theirs. Doing them again in this order gives the state; records that the snapshot holds
/// already come twice, and change nothing the second time.
///
/// Of the snapshot's impressions those that no event reported are given as shown; fingerprints of plays that were dropped
/// are not given.
///
/// # Errors
/// The directory cannot be read, or `visit` refused: see [`OpenError`].
pub fn dump<D: Disk>(
    disk: Arc<D>,
    visit: &mut dyn FnMut(Option<u64>, Entry) -> Result<(), String>,
) -> Result<Dumped, OpenError> {
    let found = find(Arc::clone(&disk))?;
    let mut start = Start::BEGINNING;
    if let Some(snapshot) = &found.newest {
        start = snapshot.start();
        dump_snapshot(snapshot, &mut |entry| visit(None, entry))?;
    }
    let watermark = dump_log(&*disk, start, &|_, _| Ok(true), visit)?;
    Ok(Dumped { damaged: found.damaged.iter().map(ToString::to_string).collect(), watermark })
}

/// Gives all that a directory holds to `visit` as it happened: the whole log where its beginning is still there, whole, else as [`dump`]
/// does, with the newest snapshot in place of what is gone.
///
/// # Errors
/// As those of [`dump`].
pub fn history<D: Disk>(
    disk: Arc<D>,
    visit: &mut dyn FnMut(Option<u64>, Entry) -> Result<(), String>,
) -> Result<Dumped, OpenError> {
    let mut start = upbeat_journal::oldest_whole(&*disk).map_err(upbeat_journal::OpenError::from)?;
    if start.from > Start::BEGINNING.from {
        return dump(disk, visit);
    }
    // A log that a snapshot has outrun has lost its end.
    let found = find(Arc::clone(&disk))?;
    start.reached = found.newest.map_or(1, |snapshot| snapshot.reached());
    let watermark = dump_log(&*disk, start, &|_, _| Ok(true), visit)?;
    Ok(Dumped { damaged: found.damaged.iter().map(ToString::to_string).collect(), watermark })
}

/// Says of a record's kind and payload whether it is wanted.
pub(super) type Wanted<'a> = &'a dyn Fn(u16, &[u8]) -> Result<bool, DecodeError>;

/// Gives the records of the log that are wanted by kind and payload to `visit`; returns the watermark.
pub(super) fn dump_log<D: Disk>(
    disk: &D,
    start: Start,
    is_wanted: Wanted<'_>,
    visit: &mut dyn FnMut(Option<u64>, Entry) -> Result<(), String>,
) -> Result<u64, OpenError> {
    let mut refused = None;
    let read = upbeat_journal::read(disk, start, &mut |record: Record<'_>| {
        let position = record.position;
        let entry = is_wanted(record.kind, record.payload)
            .and_then(|is_wanted| is_wanted.then(|| Entry::decode(record.kind, record.payload)).transpose());
        match entry {
            Ok(None) => Ok(()),
            Ok(Some(entry)) => visit(Some(position), entry),
            Err(error) => {
                let text = error.to_string();
                refused = Some(OpenError::Record { position, error });
                Err(text)
            }
        }
    });
    match refused {
        Some(refused) => Err(refused),
        None => Ok(read.map_err(upbeat_journal::OpenError::from)?.watermark),
    }
}

/// With what the last process ran on a directory, `None` where nothing says so: whoever opens an engine there without a
/// configuration opens it with this. Changes nothing.
///
/// # Errors
/// The directory cannot be read: see [`OpenError`].
pub fn last_started<D: Disk>(disk: Arc<D>) -> Result<Option<Started>, OpenError> {
    let mut started = None;
    let mut start = Start::BEGINNING;
    if let Some(snapshot) = find(Arc::clone(&disk))?.newest {
        start = snapshot.start();
        started = Some(head_of(&snapshot)?.started);
    }
    let read = upbeat_journal::read(&disk, start, &mut |record: Record<'_>| {
        if matches!(record.kind, log_kind::STARTED | log_kind::BEGUN)
            && let Entry::Started(last) =
                Entry::decode(record.kind, record.payload).map_err(|error| error.to_string())?
        {
            started = Some(*last);
        }
        Ok(())
    });
    read.map_err(upbeat_journal::OpenError::from)?;
    Ok(started)
}

/// What a snapshot begins with.
pub(super) fn head_of<D: Disk>(snapshot: &Snapshot<D>) -> Result<Head, OpenError> {
    let mut block = Vec::new();
    snapshot.block(0, &mut block)?;
    let named = |error| OpenError::Block { file: snapshot.name().to_owned(), number: 0, error };
    Head::decode(&block).map_err(named)
}

pub(super) fn dump_snapshot<D: Disk>(
    snapshot: &Snapshot<D>,
    visit: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<(), OpenError> {
    let (mut block, mut state) = (Vec::new(), Dumping::default());
    for number in 0..snapshot.blocks() {
        snapshot.block(number, &mut block)?;
        let dumped = dump_block(number, &block, &mut state, visit);
        dumped.map_err(|error| OpenError::Block { file: snapshot.name().to_owned(), number, error })?;
    }
    Ok(())
}

/// What earlier blocks have said.
#[derive(Default)]
struct Dumping {
    /// The version of what is in the blocks.
    version: u8,
    campaigns: Vec<Id>,
    /// The parts so far of the customer who is larger than a block.
    parts: Vec<u8>,
}

fn dump_block(
    number: usize,
    block: &[u8],
    state: &mut Dumping,
    visit: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<(), DecodeError> {
    let mut visit = |entry| visit(entry).map_err(|refused| DecodeError::bad("an entry", refused));
    if number == 0 {
        let head = Head::decode(block)?;
        state.version = head.version;
        state.campaigns = match (&head.campaigns, &head.started.campaign) {
            (Some(kept), _) => kept.slots.clone(),
            (None, campaign) => campaign.iter().map(|campaign| campaign.id.clone()).collect(),
        };
        visit(Entry::Started(Box::new(head.started)))?;
        if let Some(campaigns) = head.campaigns {
            visit(Entry::Campaigns(Box::new(campaigns)))?;
        }
        return visit(Entry::Leased { until: head.numbers.unshown, shown_until: head.numbers.shown });
    }
    let mut from = Decoder::new(block);
    let kind = from.byte("a block")?;
    if kind == kind::PART {
        // The parts of one customer follow each other.
        let part = Part::decode(&mut from)?;
        state.parts.extend_from_slice(part.bytes);
        if part.number + 1 < part.parts {
            return Ok(());
        }
        let whole = std::mem::take(&mut state.parts);
        return dump_customer(&mut Decoder::new(&whole), state, &mut visit);
    }
    while !from.rest().is_empty() {
        match kind {
            kind::CUSTOMERS => dump_customer(&mut from, state, &mut visit)?,
            kind::TRACKS => visit(Entry::Track { id: from.id("a track")?, track: decode_track(&mut from)? })?,
            kind::ANSWERS => {
                // The impression is with the customer.
                answer(&mut from, state.version)?;
            }
            kind::VERSIONS => drop(decode_version(&mut from)?),
            kind::TOMBSTONES => visit(Entry::Tombstone(placed_tombstone(&mut from)?))?,
            kind::ACCOUNT => {
                // It is the sum of records of which none is here.
                account(&mut from)?;
            }
            kind => return Err(DecodeError::bad("the kind of a block", kind)),
        }
    }
    Ok(())
}

fn dump_customer(
    from: &mut Decoder<'_>,
    state: &Dumping,
    visit: &mut dyn FnMut(Entry) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let (id, customer) = customer(from, state.version, &state.campaigns)?;
    let (profile, last_event_s) = (&customer.profile, customer.last_event_s());
    for impression in profile.held_impressions() {
        if let ImpressionSource::Decided { decision, .. } = impression.source {
            visit(Entry::Shown {
                customer: id.clone(),
                decision,
                campaign: impression.campaign.clone(),
                time_ms: impression.time.unix_ms,
                answer: None,
            })?;
        }
    }
    for event in profile.events(&id) {
        visit(Entry::Event { event, last_event_s })?;
    }
    if customer.explored_day() > 0 {
        visit(Entry::Tossed { customer: id.clone(), day: customer.explored_day() })?;
    }
    visit(Entry::LastEvent { customer: id, last_event_s })
}
