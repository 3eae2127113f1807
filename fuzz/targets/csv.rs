//! CSV rows: blocks of any size have the rows of the whole, no byte that is not blank is left out, and each row means the
//! same by itself. The first byte of the input chooses the kind, the second one the size of blocks.

#![no_main]

use std::ops::Range;

use libfuzzer_sys::fuzz_target;
use upbeat_core::event::Zone;
use upbeat_ingest::decode::csv::{Begin, Kind, Layout, RowReader};
use upbeat_ingest::decode::{Context, Format, rows};

/// Where a row is, its first and last line, and what is wrong with its form.
type Form = (Range<usize>, (u64, u64), Option<String>);

/// The forms of all rows of a file that is read in blocks of about `size` bytes, and whether it has a header.
fn forms(kind: Kind, bytes: &[u8], size: usize) -> (Vec<Form>, bool) {
    let (mut forms, mut layout, mut begin) = (Vec::new(), Layout::of(kind), Begin::FILE);
    let (mut start, mut end, mut lines) = (0, 0, 0);
    loop {
        end = bytes.len().min(end + size);
        let mut reader = RowReader::block(&bytes[start..end], layout, begin, end == bytes.len());
        let mut count = reader.line_count();
        while let Some(row) = reader.row() {
            let (row, fault) = match row {
                Ok(row) => (row, None),
                Err(refusal) => (refusal.row, Some(refusal.reason)),
            };
            let (first, last) = count.of(&row);
            forms.push((start + row.start..start + row.end, (lines + first, lines + last), fault));
        }
        lines += reader.lines();
        (begin, layout) = (reader.end(), reader.layout().clone());
        start += reader.position();
        if end == bytes.len() {
            return (forms, layout.header_line().is_some());
        }
    }
}

/// All rows of a body, without the lines in the reasons of those that are refused.
fn read(kind: Kind, body: &[u8]) -> Vec<String> {
    if matches!(kind, Kind::Impressions) {
        return read_impressions(body);
    }
    let context = Context { zone: Zone::utc(), as_of: None, columns: None, max_event_bytes: 1 << 16 };
    let rows = rows(Format::Csv(kind), body, &context).expect("CSV is never refused as a whole").rows;
    rows.map(|row| match row {
        Ok(row) => format!("{row:?}"),
        Err(reason) => {
            let reason = reason.split_once(": ").expect("a line").1;
            // A row of several lines names them all.
            let lines = reason.strip_prefix("(lines ").and_then(|rest| rest.split_once(") "));
            lines.map_or(reason, |(_, reason)| reason).to_owned()
        }
    })
    .collect()
}

/// The same of impressions, which are rows to train on and no events.
fn read_impressions(body: &[u8]) -> Vec<String> {
    let (mut reader, zone) = (RowReader::new(body, Layout::of(Kind::Impressions)), Zone::utc());
    let mut read = Vec::new();
    while let Some(row) = reader.impression_row(&zone) {
        read.push(row.map_or_else(|refusal| refusal.reason, |row| format!("{row:?}")));
    }
    read
}

fuzz_target!(|bytes: &[u8]| {
    let [kind, size, body @ ..] = bytes else { return };
    let kinds = [Kind::Plays, Kind::Clicks, Kind::Customers, Kind::Tracks, Kind::Impressions];
    let kind = kinds[usize::from(kind % 5)];
    let size = 1 + usize::from(*size) * if body.len() > 4096 { 997 } else { 1 };
    let (whole, has_header) = forms(kind, body, body.len().max(1));
    let in_blocks = forms(kind, body, size);
    // A line longer than a row may be continues in later blocks, where its end is not known.
    let ends_alike = |(one, other): (&Form, &Form)| one.0.end == other.0.end || one.0.len() > 1 << 16;
    assert_eq!(whole.len(), in_blocks.0.len());
    assert!(whole.iter().zip(&in_blocks.0).all(ends_alike));
    assert!(
        whole
            .iter()
            .zip(&in_blocks.0)
            .all(|(one, other)| one.0.start == other.0.start && one.1 == other.1 && one.2 == other.2)
    );
    assert_eq!(has_header, in_blocks.1);

    let read_whole = read(kind, body);
    // A track may be one literal line of what would be a longer quoted row.
    if !matches!(kind, Kind::Tracks) {
        assert_eq!(read_whole.len(), whole.len());
    }
    if has_header || matches!(kind, Kind::Customers | Kind::Tracks) {
        return;
    }
    let mut end = if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    for (index, (row, _, _)) in whole.iter().enumerate() {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        assert!(body[end..row.start].iter().all(blank), "bytes before {row:?} are in no row");
        end = row.end;
        let alone = &body[row.clone()];
        // What depends on the first row of the file, or on being it.
        let is_special = alone.starts_with(b"\xef\xbb\xbf")
            || ["a header line", "the header line", "the columns are not known"]
                .iter()
                .any(|reason| read_whole[index].starts_with(reason));
        if index < 100 && !is_special {
            let read_alone = read(kind, alone);
            // As the first row of a file it may be taken for a header.
            if !read_alone.iter().any(|row| row.starts_with("the header line")) {
                assert_eq!(read_alone, [read_whole[index].as_str()]);
            }
        }
    }
});
