//! From plays and impressions to a row for each impression: the features of the plays in the window that ends just before
//! it, and whether it was clicked.

use std::collections::HashMap;
use std::io::Write;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use anyhow::Context;
use foldhash::fast::FixedState;

use super::aggregate::{Grouped, Row, arrange, vector};
use super::history::{PlayRows, Records};
use super::pipeline::Resources;
use super::read::{Source, read_rows};
use super::record::{Entry, IdKey, PARTITIONS, Partitioned, Record, Run, instant, unix_ms};
use super::row_texts::{Part, RowTexts};
use super::rows::ReadRows;
use super::text::{Style, push_row};
use crate::in_order::in_order;
use upbeat_core::event::{Id, IdRef, Zone};
use upbeat_core::feature::FeatureVector;
use upbeat_core::profile::Window;
use upbeat_ingest::decode::csv::{ImpressionRow, Kind, PlayRow, Refusal, RowReader};

/// Collects the impressions of a block.
struct ImpressionRows<'a> {
    ad: IdRef<'a>,
    records: Vec<Record>,
    text: String,
}

impl<'a> ImpressionRows<'a> {
    /// For impressions of `ad`; others are ignored.
    fn new(ad: &'a Id) -> Self {
        Self { ad: ad.as_ref(), records: Vec::new(), text: String::new() }
    }

    /// The impressions taken since the last call.
    fn partition(&mut self) -> Partitioned {
        let partitioned = Partitioned::new(&self.records, std::mem::take(&mut self.text));
        self.records.clear();
        partitioned
    }
}

impl ReadRows for ImpressionRows<'_> {
    const KIND: Kind = Kind::Impressions;

    #[inline]
    fn read_row(&mut self, reader: &mut RowReader<'_>, zone: &Zone) -> Option<Result<(), Refusal>> {
        let row = reader.impression_row(zone)?;
        Some(row.map(|impression| {
            if impression.ad == self.ad {
                self.records.push(record(&impression, &mut self.text));
            }
        }))
    }
}

/// The record of an impression. The flag of a play on the phone says here that the ad was *not* clicked, so that of copies
/// that differ the clicked one is the smallest and is kept: the click may have become known after the first copy was
/// written.
fn record(impression: &ImpressionRow<'_>, text: &mut String) -> Record {
    let ImpressionRow { event_id, customer, time, clicked, .. } = *impression;
    Record::new(&PlayRow { event_id, customer, track: IdRef::Number(0), time, mobile: !clicked }, text)
}

/// Whether the impression of a record that [`record`] made was clicked.
fn is_clicked<K>(impression: &Entry<K>) -> bool {
    !impression.moment.mobile()
}

/// All plays, and all impressions of one ad, partitioned by customer.
pub struct ImpressionHistory {
    plays: Records,
    impressions: Records,
    bad: u64,
    /// Bytes of rows that are kept in memory.
    rows_bytes: usize,
    directory: PathBuf,
}

/// Reads plays, then impressions of `ad`; each file is opened when its turn comes.
///
/// # Errors
/// What a function of `open` fails with; a file cannot be read; rows cannot be spilled.
pub fn read_impressions<'a>(
    open: [&dyn Fn() -> anyhow::Result<Source<'a>>; 2],
    ad: &Id,
    resources: &Resources,
) -> anyhow::Result<ImpressionHistory> {
    let [open_plays, open_impressions] = open;
    let directory = &resources.spill_directory;
    let records = || Records::new(resources.plays_bytes / 2, directory.clone());
    let (mut plays, mut impressions) = (records(), records());
    let add = |more| plays.add(more);
    let mut bad = read_rows(open_plays()?, resources, PlayRows::new, PlayRows::partition, add)?;
    let rows = || ImpressionRows::new(ad);
    let add = |more| impressions.add(more);
    bad += read_rows(open_impressions()?, resources, rows, ImpressionRows::partition, add)?;
    Ok(ImpressionHistory {
        plays,
        impressions,
        bad,
        rows_bytes: resources.plays_bytes / 4,
        directory: directory.clone(),
    })
}

/// How many impressions became rows, and how many rows of the files did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImpressionCounts {
    /// Impressions with a row.
    pub rows: u64,
    /// Impressions left out, because too few plays are in the window before them.
    pub few_plays: u64,
    /// Plays that repeat an earlier row of the file, by customer, event id and time.
    pub repeated_plays: u64,
    /// Impressions that do.
    pub repeated_impressions: u64,
}

/// A row for each impression with enough plays before it: by ascending id of the customer, numbers before other ids as text, and
/// of each customer by time and event id.
pub struct ImpressionTable {
    rows: RowTexts,
    counts: ImpressionCounts,
}

impl ImpressionTable {
    /// How many rows there are, and what was left out.
    #[must_use]
    pub fn counts(&self) -> ImpressionCounts {
        self.counts
    }

    /// Writes all rows as libSVM text: label 1 for impressions that were clicked, else 0, and the six shares.
    ///
    /// # Errors
    /// What `out` fails with; spilled rows cannot be read back.
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        self.rows.write(out)
    }

    fn add(&mut self, part: Part, counts: ImpressionCounts, directory: &Path) -> anyhow::Result<()> {
        self.counts.rows += counts.rows;
        self.counts.few_plays += counts.few_plays;
        self.counts.repeated_plays += counts.repeated_plays;
        self.counts.repeated_impressions += counts.repeated_impressions;
        let at = || format!("{}: rows that do not fit in memory cannot be written", directory.display());
        self.rows.add(part).with_context(at)
    }
}

impl ImpressionHistory {
    /// Rows of both files that could not be read; [`Watch`](super::Watch) was given each.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.bad
    }

    /// Whether the file of plays holds any.
    #[must_use]
    pub fn has_plays(&self) -> bool {
        !self.plays.is_empty()
    }

    /// Whether the file of impressions holds any of the ad.
    #[must_use]
    pub fn has_impressions(&self) -> bool {
        !self.impressions.is_empty()
    }

    /// How many partitions [`ImpressionHistory::aggregate`] works on.
    #[must_use]
    pub fn partitions(&self) -> u64 {
        PARTITIONS as u64
    }

    /// Computes the row of each impression from the customer's plays in the `window` that ends just before it: plays earlier
    /// than the impression, where *now* is its time; `u32::MAX` plays and days count all of them. One with fewer than
    /// `min_plays` makes no row, as a campaign of that many `min_plays` scores nobody. Repeats of a play or an
    /// impression, which share customer, event id and time, count once unless `keep_repeats`; an impression was clicked if
    /// one of its copies says so. Takes time in proportion to impressions times plays in the window. `step` is called as each
    /// partition is done.
    ///
    /// # Errors
    /// Spilled records cannot be read back, or rows cannot be spilled.
    pub fn aggregate(
        &self,
        window: Window,
        min_plays: usize,
        keep_repeats: bool,
        style: Style,
        threads: usize,
        mut step: impl FnMut() + Send,
    ) -> anyhow::Result<ImpressionTable> {
        let mut partitions = 0..PARTITIONS;
        let rules = Rules { window, min_plays, keep_repeats, style };
        let rows = RowTexts::new(self.rows_bytes, self.directory.clone());
        let mut table = Ok(ImpressionTable { rows, counts: ImpressionCounts::default() });
        in_order(
            threads,
            || (),
            |()| partitions.next(),
            |(), partition| {
                self.plays.partition(partition, |plays| {
                    self.impressions.partition(partition, |impressions| rules.label(plays, impressions))
                })?
            },
            |labelled: anyhow::Result<(Part, ImpressionCounts)>| {
                step();
                let added = match (labelled, &mut table) {
                    (Ok((part, counts)), Ok(table)) => table.add(part, counts, &self.directory),
                    (Err(error), _) => Err(error),
                    (_, Err(_)) => return ControlFlow::Break(()),
                };
                match added {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        table = Err(error);
                        ControlFlow::Break(())
                    }
                }
            },
        );
        let mut table = table?;
        table.rows.sort();
        Ok(table)
    }
}

/// What the rows are made by.
struct Rules {
    window: Window,
    /// An impression with fewer plays in the window makes no row; one without any makes none either.
    min_plays: usize,
    keep_repeats: bool,
    style: Style,
}

/// A row without its customer.
type Labelled = (FeatureVector, bool);

impl Rules {
    /// The rows of the impressions of a partition.
    fn label(&self, plays: &[Run<'_>], impressions: &[Run<'_>]) -> (Part, ImpressionCounts) {
        let mut part = Part::default();
        let counts = if plays.iter().chain(impressions).all(|run| run.text.is_empty()) {
            let all = |runs: &[Run<'_>]| -> Vec<Record> {
                runs.iter().flat_map(|run| run.records).copied().collect()
            };
            self.for_each_customer(&all(plays), &all(impressions), |customer, rows| {
                let bytes = self.push(&mut part.text, customer, rows);
                part.numbers.push((customer, bytes));
            })
        } else {
            let mut other_ids: Vec<(Box<str>, Vec<Labelled>)> = Vec::new();
            let counts =
                self.for_each_customer(&resolved(plays), &resolved(impressions), |customer, rows| {
                    match customer {
                        IdRef::Number(customer) => {
                            let bytes = self.push(&mut part.text, customer, rows);
                            part.numbers.push((customer, bytes));
                        }
                        IdRef::Text(customer) => other_ids.push((customer.into(), rows.to_vec())),
                    }
                });
            for (customer, rows) in other_ids {
                let bytes = self.push(&mut part.text, &customer, &rows);
                part.texts.push((customer, bytes));
            }
            counts
        };
        (part, counts)
    }

    /// Appends a customer's rows; returns their bytes.
    fn push<K: std::fmt::Display + Copy>(&self, text: &mut Vec<u8>, customer: K, rows: &[Labelled]) -> usize {
        let before = text.len();
        for &(vector, clicked) in rows {
            push_row(text, &Row { customer, vector, clicked }, self.style);
        }
        text.len() - before
    }

    /// Passes each customer who has rows to `take`, with them.
    fn for_each_customer<K: IdKey>(
        &self,
        plays: &[Entry<K>],
        impressions: &[Entry<K>],
        mut take: impl FnMut(K, &[Labelled]),
    ) -> ImpressionCounts {
        let mut counts = ImpressionCounts::default();
        let mut played = Grouped::new(plays);
        let mut plays_of: HashMap<K, &[Entry<K>], FixedState> = HashMap::default();
        for own in played.customers() {
            let counted = arrange(own, self.keep_repeats, &mut counts.repeated_plays);
            let own = &own[..counted];
            plays_of.insert(own[0].customer, own);
        }
        let mut heard = Grouped::new(impressions);
        let mut rows = Vec::new();
        for own in heard.customers() {
            let counted = arrange(own, self.keep_repeats, &mut counts.repeated_impressions);
            let customer = own[0].customer;
            let plays = plays_of.get(&customer).copied().unwrap_or_default();
            rows.clear();
            // Several ads may be heard between two plays.
            let mut last = (0..0, None);
            for impression in &own[..counted] {
                let range = window_before(plays, impression.moment.instant(), self.window);
                if range != last.0 {
                    last = (range.clone(), vector(&plays[range]));
                }
                match last.1.filter(|_| last.0.len() >= self.min_plays) {
                    Some(vector) => rows.push((vector, is_clicked(impression))),
                    None => counts.few_plays += 1,
                }
            }
            counts.rows += rows.len() as u64;
            if !rows.is_empty() {
                take(customer, &rows);
            }
        }
        counts
    }
}

/// All records of some runs with their ids.
fn resolved<'a>(runs: &[Run<'a>]) -> Vec<Entry<IdRef<'a>>> {
    runs.iter().flat_map(|run| run.records.iter().map(|record| record.resolve(run.text))).collect()
}

/// Of a customer's plays in their order, those in the window that ends just before the instant `heard`. A play of that very
/// instant is after the ad, which is heard before a track.
fn window_before<K: IdKey>(plays: &[Entry<K>], heard: u64, window: Window) -> Range<usize> {
    let end = plays.partition_point(|play| play.moment.instant() < heard);
    let start = instant(window.start_ms(unix_ms(heard)));
    let older = plays[..end].partition_point(|play| play.moment.instant() < start);
    window.first(end, older)..end
}
