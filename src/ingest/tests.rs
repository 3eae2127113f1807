use super::*;
use crate::campaign::Campaign;
use crate::engine::{Clock, Settings};
use crate::event::{EventKind, MINUTE_MS};
use crate::ingest::encoding::{DecodeError, Encoding, decode};
use crate::profile::Window;

const WALL_MS: i64 = 1_700_000_000_000;

fn engine() -> Engine {
    Engine::new(Settings {
        window: Window::default(),
        campaign: Campaign::default(),
        clock: Clock::Wall,
        max_future_ms: 5 * MINUTE_MS,
        expected_customers: 0,
        max_customers: 10,
        max_profile_bytes: 1 << 20,
        max_tracks: 2,
        first_decision: 1,
    })
}

fn context() -> Context {
    Context { zone: Zone::utc(), as_of: None, max_event_bytes: 1000 }
}

fn read(format: Format, body: &[u8]) -> Result<Vec<Result<Row, String>>, Malformed> {
    let context = context();
    rows(format, body, &context).map(|rows| rows.rows.collect())
}

const CLICK: &str =
    r#"{"type":"click","event_id":"a","customer_id":48,"ad":"ADV","time":"2014-10-23T03:26:20"}"#;

#[test]
fn a_body_knows_whether_it_is_one_event_or_a_list() {
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
fn text_with_escapes_reads_as_what_it_means() {
    let escaped =
        CLICK.replace("ADV", "\\u0041D\\u0056").replace("click", "cl\\u0069ck").replace("T03", "\\u005403");
    let rows = read(Format::Json, escaped.as_bytes()).expect("JSON");
    let Ok(Row::Event(event)) = &rows[0] else { panic!("{rows:?}") };
    assert_eq!(event.kind, EventKind::Click { ad: Id::Text("ADV".into()) });
}

#[test]
fn a_file_of_one_line_without_end_is_read() {
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
fn rows_of_one_atomic_body_are_held_against_each_other() {
    let membership = |customer: u64, level: u8| format!("{customer},06/04/2013,{level}\n");
    let header = "CustID,SignDate,Level\n";
    let cases = [
        (membership(1, 1) + &membership(1, 2), Some(1)),
        (membership(1, 1) + &membership(1, 1), None),
        (membership(1, 1) + &membership(2, 2), None),
        ((0..11).map(|customer| membership(customer, 1)).collect(), Some(10)),
    ];
    for (body, refused) in cases {
        let (engine, context) = (engine(), context());
        let body = format!("{header}{body}");
        let rows = rows(Format::Csv(csv::Kind::Customers), body.as_bytes(), &context).expect("rows");
        let result = apply_all(&engine, rows, WALL_MS);
        match refused {
            None => assert!(result.is_ok(), "{body}: {result:?}"),
            Some(index) => {
                let report = result.expect_err("a refusal");
                assert_eq!(
                    report.rejected.iter().map(|row| row.index).collect::<Vec<_>>(),
                    [index],
                    "{body}"
                );
                assert_eq!(engine.customer_count(), 0);
            }
        }
    }
}

#[test]
fn lines_are_counted_through_blank_ones_and_quoted_breaks() {
    let body = b"\r\n\r\na\r\n\"b\r\nb\"\r\n\r\nc\nd\n\n\ne";
    let (mut reader, mut lines) = (csv::reader(&body[..]), csv::LineCount::new(body));
    let mut record = ::csv::ByteRecord::new();
    let mut told = Vec::new();
    while reader.read_byte_record(&mut record).expect("memory") {
        told.push(lines.of(&record));
    }
    assert_eq!(told, [3, 4, 7, 8, 11]);
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

#[test]
fn the_report_tells_ten_thousand_refusals_and_counts_the_rest() {
    let (engine, context) = (engine(), context());
    let body = "[]\n".repeat(MAX_REJECTED_TOLD + 5);
    let rows = rows(Format::Ndjson, body.as_bytes(), &context).expect("rows");
    let report = apply_each(&engine, rows, WALL_MS);
    assert_eq!((report.rejected.len(), report.rejected_omitted), (MAX_REJECTED_TOLD, 5));
    assert_eq!(report.rejected[7].index, 7);
}
