//! The whole way: files to rows.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::clicks::ClickRows;
use super::history::{PlayRows, Plays};
use super::read::{Pace, Source, read_rows};
use super::record::{instant, unix_ms};
use super::settle::{Clicked, Row, Rules, Settled, settle};
use super::text::{Style, push_row};
use crate::cli::in_order::in_order;
use crate::event::Id;
use crate::profile::Window;

/// Rows made into text at a time.
const ROWS_AT_A_TIME: usize = 2048;

/// How the work is done; none of it changes the result.
#[derive(Debug, Clone)]
pub(super) struct Means {
    pub(super) pace: Pace,
    /// Bytes of plays kept in memory; more of them go to a file.
    pub(super) plays_bytes: usize,
    /// Where that file goes.
    pub(super) directory: PathBuf,
}

/// What the files say.
pub(super) struct History {
    plays: Plays,
    clicked: Clicked,
    /// Rows that could not be read.
    pub(super) bad: u64,
}

/// Reads plays, then clicks on `ad`.
///
/// # Errors
/// A file cannot be opened or read, or plays cannot be put aside.
pub(super) fn read<'a>(
    open: [&dyn Fn() -> anyhow::Result<Source<'a>>; 2],
    ad: &Id,
    means: &Means,
) -> anyhow::Result<History> {
    let [open_plays, open_clicks] = open;
    let mut plays = Plays::new(means.plays_bytes, means.directory.clone());
    let mut clicked = Clicked::default();
    let add = |more| plays.add(more);
    let mut bad = read_rows(open_plays()?, means.pace, PlayRows::new, PlayRows::part, add)?;
    let rows = || ClickRows::new(ad);
    let add = |customers| {
        clicked.extend(customers);
        Ok(())
    };
    bad += read_rows(open_clicks()?, means.pace, rows, ClickRows::customers, add)?;
    Ok(History { plays, clicked, bad })
}

impl History {
    pub(super) fn has_plays(&self) -> bool {
        !self.plays.is_empty()
    }

    /// How many parts [`History::settle`] works on.
    pub(super) fn parts(&self) -> u64 {
        self.plays.parts() as u64
    }

    /// Brings each customer's plays into the order of the window and makes the rows, by ascending id. `step` is called
    /// as each part is done.
    ///
    /// # Errors
    /// Plays that were put aside cannot be read back.
    pub(super) fn settle(
        &self,
        window: Window,
        keep_repeats: bool,
        threads: usize,
        mut step: impl FnMut() + Send,
    ) -> anyhow::Result<Settled> {
        let start = instant(window.start_ms(unix_ms(self.plays.newest())));
        let rules = Rules { keep_repeats, plays: window.plays as usize, start };
        let mut parts = 0..self.plays.parts();
        let mut all = Ok(Settled::default());
        in_order(
            threads,
            || (),
            |()| parts.next(),
            |(), part| self.plays.part(part, |runs| settle(runs, &rules, &self.clicked)),
            |settled| {
                step();
                match (settled, &mut all) {
                    (Ok(settled), Ok(all)) => {
                        all.append(settled);
                        ControlFlow::Continue(())
                    }
                    (settled, all) => {
                        *all = settled;
                        ControlFlow::Break(())
                    }
                }
            },
        );
        let mut all = all?;
        all.sort();
        Ok(all)
    }
}

impl Settled {
    /// Writes all rows.
    ///
    /// # Errors
    /// What `out` fails with.
    pub(super) fn write(
        &self,
        style: Style,
        threads: usize,
        out: &mut (dyn Write + Send),
    ) -> std::io::Result<()> {
        write_rows(&self.numbers, style, threads, out)?;
        write_rows(&self.texts, style, threads, out)
    }
}

fn write_rows<K: std::fmt::Display + Sync>(
    rows: &[Row<K>],
    style: Style,
    threads: usize,
    out: &mut (dyn Write + Send),
) -> std::io::Result<()> {
    let mut chunks = rows.chunks(ROWS_AT_A_TIME);
    let mut written = Ok(());
    in_order(
        threads.min(chunks.len()),
        || (),
        |()| chunks.next(),
        |(), rows| {
            let mut text = Vec::new();
            rows.iter().for_each(|row| push_row(&mut text, row, style));
            text
        },
        |text| {
            written = out.write_all(&text);
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    );
    written
}
