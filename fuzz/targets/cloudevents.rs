//! CloudEvents: each line of the input that is JSON is read alike by itself and in a batch, and its `data` with all fields means
//! what it means as plain JSON.

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
    let lines = text.split('\n').map(str::trim_ascii);
    let events: Vec<&str> = lines.filter(|line| serde_json::from_str::<&RawValue>(line).is_ok()).collect();
    let batch = format!("[{}]", events.join(","));
    let together = read(Format::CloudEventBatch, &batch).expect("an array");
    assert_eq!(together.len(), events.len());
    for (event, row) in events.iter().zip(&together) {
        match read(Format::CloudEvent, event) {
            Some(alone) => assert_eq!(alone, [row.as_str()]),
            None => assert!(!event.starts_with('{')),
        }
        // Whatever is an event as plain JSON is the same one as data.
        let envelope = format!(r#"{{"specversion":"1.0","id":"i","source":"s","type":"t","data":{event}}}"#);
        if let Some(plain) =
            read(Format::Json, event).filter(|_| event.starts_with('{') && event.len() < 3000)
            && plain[0].starts_with("Event")
        {
            assert_eq!(read(Format::CloudEvent, &envelope), Some(plain));
        }
    }
});
