use upbeat_core::event::{EventKind, Id};

use super::encoding::{DecodeError, Encoding, decode};
use super::*;

fn context() -> Context {
    Context { zone: Zone::utc(), as_of: None, columns: None, max_event_bytes: 1000 }
}

fn read(format: Format, body: &[u8]) -> Result<Vec<Result<Row, String>>, Malformed> {
    let context = context();
    rows(format, body, &context).map(|rows| rows.rows.collect())
}

const CLICK: &str =
    r#"{"type":"click","event_id":"a","customer_id":48,"ad":"ADV","time":"2014-10-23T03:26:20"}"#;

#[test]
fn body_is_marked_as_one_event_or_a_list() {
    let context = context();
    for (format, body, single) in [
        (Format::Json, CLICK.to_owned(), true),
        (Format::Json, format!("\u{feff} {CLICK} "), true),
        (Format::Json, format!("[{CLICK}]"), false),
        (Format::Ndjson, CLICK.to_owned(), false),
        (Format::Csv(csv::Kind::Clicks), String::new(), false),
        (Format::CloudEvent, "{}".to_owned(), true),
        (Format::CloudEventBatch, "[]".to_owned(), false),
    ] {
        assert_eq!(rows(format, body.as_bytes(), &context).expect("rows").single, single, "{body}");
    }
}

#[test]
fn escaped_text_is_unescaped() {
    let escaped =
        CLICK.replace("ADV", "\\u0041D\\u0056").replace("click", "cl\\u0069ck").replace("T03", "\\u005403");
    let rows = read(Format::Json, escaped.as_bytes()).expect("JSON");
    let Ok(Row::Event(event)) = &rows[0] else { panic!("{rows:?}") };
    assert_eq!(event.kind, EventKind::click(Id::Text("ADV".into())));
}

#[test]
fn single_line_without_a_line_break_is_read() {
    for (kind, body, count) in [
        (csv::Kind::Plays, "1,2,3,2014-10-23 03:26:20,0,x", 1),
        (csv::Kind::Clicks, "1,2,ADV,2014-10-23 03:26:20", 1),
        (csv::Kind::Customers, "Level,CustID,SignDate", 0),
        (csv::Kind::Tracks, "TrackId,Title,Artist,Length\r", 0),
    ] {
        let rows = read(Format::Csv(kind), body.as_bytes()).expect("rows");
        assert!(rows.len() == count && rows.iter().all(Result::is_ok), "{kind:?}: {rows:?}");
    }
}

#[test]
fn decompression_stops_at_its_limit() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&[b'a'; 100]).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let zstd =
        ruzstd::encoding::compress_to_vec(&[b'a'; 100][..], ruzstd::encoding::CompressionLevel::Fastest);
    for (encoding, body) in [(Encoding::Gzip, gzip), (Encoding::Zstd, zstd)] {
        assert_eq!(decode(encoding, &body, 100).expect("100 bytes").len(), 100);
        assert_eq!(decode(encoding, &body, 99), Err(DecodeError::TooLarge(99)));
        let twice = body.repeat(2);
        assert_eq!(decode(encoding, &twice, 200).expect("200 bytes").len(), 200);
        assert_eq!(decode(encoding, &twice, 199), Err(DecodeError::TooLarge(199)));
    }
}
