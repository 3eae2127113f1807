//! The seed inputs of the fuzz targets are valid for the readers; outdated ones would only reach their first checks.
//!
//! Made with `upbeat train` and `upbeat model export` on the rows of `fuzz/seeds/problem/shares`, and with
//! `svm-train -b 1` and `liblinear-train -s 0 -B 1`; when the formats change, make them again.

use std::fs;
use std::path::Path;

use upbeat_core::event::Zone;
use upbeat_ingest::decode::{Context, Format, csv, encoding, rows};
use upbeat_svm::{Import, Model, Problem};

/// Reads every file of a folder of seeds; a failure names the file.
fn each(folder: &str, read: impl Fn(&[u8]) -> Result<(), String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(folder);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a folder of seeds") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a seed");
        read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        count += 1;
    }
    assert!(count >= 3, "only {count} seeds in {}", folder.display());
}

#[test]
fn fuzz_seeds_are_readable() {
    each("problem", |bytes| Problem::read(bytes).map(drop).map_err(|error| error.to_string()));
    each("model_json", |bytes| Model::read(bytes).map(drop).map_err(|error| error.to_string()));
    each("model_text", |bytes| Import::default().read(bytes).map(drop).map_err(|error| error.to_string()));
}

/// Whether at least one row of a body is an event or a track.
fn has_a_row(format: Format, body: &[u8]) -> Result<(), String> {
    let context = Context { zone: Zone::utc(), as_of: None, columns: None, max_event_bytes: 1 << 12 };
    let mut rows = rows(format, body, &context).map_err(|error| error.to_string())?.rows;
    if rows.any(|row| row.is_ok()) { Ok(()) } else { Err("no row is read".to_owned()) }
}

/// Whether at least one row of a body is an impression to train on.
fn has_an_impression(body: &[u8]) -> Result<(), String> {
    let (layout, zone) = (csv::Layout::of(csv::Kind::Impressions), Zone::utc());
    let mut reader = csv::RowReader::new(body, layout);
    match reader.impression_row(&zone) {
        Some(Ok(_)) => Ok(()),
        other => Err(format!("{other:?} is the first row")),
    }
}

#[test]
fn fuzz_seeds_of_events_have_rows() {
    each("csv", |bytes| {
        // The first two bytes are settings of the target.
        let kinds = [csv::Kind::Plays, csv::Kind::Clicks, csv::Kind::Customers, csv::Kind::Tracks];
        match kinds.get(usize::from(bytes[0])) {
            Some(kind) => has_a_row(Format::Csv(*kind), &bytes[2..]),
            None => has_an_impression(&bytes[2..]),
        }
    });
    each("json", |bytes| has_a_row(Format::Ndjson, bytes));
    each("cloudevents", |bytes| {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        has_a_row(
            Format::CloudEventBatch,
            &[&b"["[..], &lines.collect::<Vec<_>>().join(&b','), &b"]"[..]].concat(),
        )
    });
    each("encoding", |bytes| {
        let encoding = encoding::Encoding::of_file(bytes);
        let plain = encoding::decode(encoding, bytes, 1 << 20).map_err(|error| error.to_string())?;
        has_a_row(Format::Csv(csv::Kind::Plays), &plain)
    });
}
