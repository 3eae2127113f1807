//! JSON events: the lines of the input are read alike as NDJSON, one by one, and as the elements of an array.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use upbeat_core::event::Zone;
use upbeat_ingest::decode::{Context, Format, rows};

/// The rows of a body; none if it is refused as a whole.
fn read(format: Format, body: &str) -> Option<Vec<String>> {
    let context = Context { zone: Zone::utc(), as_of: None, columns: None, max_event_bytes: 1 << 12 };
    let rows = rows(format, body.as_bytes(), &context).ok()?.rows;
    Some(rows.map(|row| row.map_or_else(|reason| reason, |row| format!("{row:?}"))).collect())
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines: Vec<&str> = text
        .split('\n')
        .map(str::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with('\u{feff}'))
        .collect();
    let by_line = read(Format::Ndjson, &lines.join("\n")).expect("lines are never refused as a whole");
    assert_eq!(by_line.len(), lines.len());
    let (mut elements, mut wanted) = (Vec::new(), Vec::new());
    for (number, (line, row)) in (1..).zip(lines.iter().zip(&by_line)) {
        let row = row.strip_prefix(&format!("line {number}: ")).unwrap_or(row);
        if serde_json::from_str::<&RawValue>(line).is_ok() {
            elements.push(*line);
            wanted.push(row.to_owned());
        }
        if line.starts_with('{') {
            match read(Format::Json, line) {
                Some(alone) => assert_eq!(alone, [row]),
                None => {
                    assert!(serde_json::from_str::<&RawValue>(line).is_err() && !row.starts_with("Event"))
                }
            }
        }
    }
    for array in [format!("[{}]", elements.join(",")), format!(" [ {} ] ", elements.join(" ,\n"))] {
        assert_eq!(read(Format::Json, &array).as_ref(), Some(&wanted));
        assert_eq!(read(Format::Json, &format!("{array},")), None);
    }
});
