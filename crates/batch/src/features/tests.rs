//! On any bytes, blocks and number of threads the rows are those that the server reads in a body, and the features those of
//! a plain implementation.

mod impressions;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::io::{Cursor, Write};

use proptest::prelude::*;

use super::*;
use crate::blocks::Input;
use upbeat_core::event::{ClickOf, Event, EventKind, Id, Row, Zone};
use upbeat_core::feature;
use upbeat_core::profile::{Play, RecentEntry, Window};
use upbeat_ingest::decode::csv::{Kind, report};
use upbeat_ingest::decode::{self, Context, Format};

/// The flags that change the result.
#[derive(Debug, Clone)]
struct Options {
    keep_repeats: bool,
    precise: bool,
    window: Window,
    /// Of impressions alone.
    min_plays: usize,
}

/// Rows and reports.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    text: String,
    bad_rows: Vec<String>,
    bad: u64,
    repeats: u64,
    has_plays: bool,
}

/// The plain implementation: all of it in memory, row by row, customer by customer.
fn expected(tracks: &[u8], clicks: &[u8], options: &Options) -> Outcome {
    let mut bad_rows = Vec::new();
    let mut plays: BTreeMap<Id, Vec<Play>> = BTreeMap::new();
    let mut newest_ms = i64::MIN;
    records("tracks", Kind::Plays, tracks, &mut bad_rows, |Event { customer, id: event_id, time, kind }| {
        if let EventKind::Play { track, mobile } = kind {
            newest_ms = newest_ms.max(time.unix_ms);
            plays.entry(customer).or_default().push(Play { time, event_id, track, mobile });
        }
    });
    let mut clicked = HashSet::new();
    records("clicks", Kind::Clicks, clicks, &mut bad_rows, |event| {
        if matches!(&event.kind, EventKind::Click { of: ClickOf::Ad(ad) } if ad.to_string() == "AD") {
            clicked.insert(event.customer);
        }
    });
    let (mut text, mut repeats) = (Vec::new(), 0);
    for (customer, own) in &mut plays {
        let smaller = |a: &Play, b: &Play| match (a.precedes(b), b.precedes(a)) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Greater,
            _ => Ordering::Equal,
        };
        own.sort_by(|a, b| a.key().cmp(&b.key()).then(smaller(a, b)));
        let distinct = own.chunk_by(|a, b| a.key() == b.key()).count();
        repeats += (own.len() - distinct) as u64;
        if !options.keep_repeats {
            own.dedup_by(|later, first| later.key() == first.key());
        }
        let start_ms = options.window.start_ms(newest_ms);
        let counted: Vec<_> = own.iter().filter(|play| play.time.unix_ms >= start_ms).collect();
        let counted = &counted[counted.len().saturating_sub(options.window.plays as usize)..];
        let Some(vector) = feature::vector(counted.iter().map(|play| play.view().into())) else { continue };
        write!(text, "{}", u8::from(clicked.contains(customer))).expect("memory");
        for (index, value) in (1..).zip(vector) {
            let written = if options.precise { format!("{value}") } else { format!("{value:.2}") };
            write!(text, " {index}:{written}").expect("memory");
        }
        writeln!(text, " # {customer}").expect("memory");
    }
    let bad = bad_rows.len() as u64;
    let text = String::from_utf8(text).expect("text");
    Outcome { text, bad_rows, bad, repeats, has_plays: !plays.is_empty() }
}

fn records(name: &str, kind: Kind, bytes: &[u8], bad_rows: &mut Vec<String>, mut take: impl FnMut(Event)) {
    let context = Context { zone: Zone::utc(), as_of: None, columns: None, max_event_bytes: 1000 };
    for row in decode::rows(Format::Csv(kind), bytes, &context).expect("a list").rows {
        match row {
            Ok(Row::Event(event)) => take(event),
            Ok(row) => panic!("{row:?}"),
            Err(reason) => bad_rows.push(format!("{name}: {reason}")),
        }
    }
}

/// How the pipeline is run.
#[derive(Debug, Clone)]
struct Execution {
    threads: usize,
    block_bytes: usize,
    plays_bytes: usize,
    stream: bool,
}

#[derive(Clone, Default)]
struct BadRows(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl Watch for BadRows {
    fn advance(&mut self, _: u64) {}

    fn bad_row(&mut self, name: &str, lines: (u64, u64), reason: &str) {
        self.0.lock().expect("no panic").push(format!("{name}: line {}", report(lines, reason)));
    }
}

fn actual(tracks: &[u8], clicks: &[u8], options: &Options, execution: &Execution) -> Outcome {
    let directory = tempfile::tempdir().expect("a directory");
    let resources = Resources {
        threads: execution.threads,
        block_bytes: execution.block_bytes,
        plays_bytes: execution.plays_bytes,
        spill_directory: directory.path().to_owned(),
    };
    let bad_rows = BadRows::default();
    let open = |name: &str, bytes: &[u8]| -> anyhow::Result<Source<'static>> {
        let reader = Cursor::new(bytes.to_vec());
        let input = if execution.stream {
            Input::Stream(Box::new(reader))
        } else {
            Input::Seekable(Box::new(reader))
        };
        Ok(Source { input, name: name.to_owned(), zone: Zone::utc(), watch: Box::new(bad_rows.clone()) })
    };
    let ad = Id::parse("AD").expect("an id");
    let history = read([&|| open("tracks", tracks), &|| open("clicks", clicks)], &ad, &resources);
    let history = history.expect("bytes in memory");
    let aggregated = history
        .aggregate(options.window, options.keep_repeats, execution.threads, || ())
        .expect("a good disk");
    let mut text = Vec::new();
    let style = Style { ids: true, precise: options.precise };
    aggregated.write(style, execution.threads, &mut text).expect("memory");
    let files = std::fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(files, 0, "no file is left behind");
    Outcome {
        text: String::from_utf8(text).expect("text"),
        bad_rows: bad_rows.0.lock().expect("no panic").clone(),
        bad: history.bad(),
        repeats: aggregated.repeats(),
        has_plays: history.has_plays(),
    }
}

fn execution() -> impl Strategy<Value = Execution> {
    let plays_bytes = prop_oneof![1 => Just(0), 3 => 1usize..6_000, 1 => Just(usize::MAX)];
    let block_bytes = prop_oneof![1usize..300, Just(1 << 20)];
    (1usize..5, block_bytes, plays_bytes, any::<bool>()).prop_map(
        |(threads, block_bytes, plays_bytes, stream)| Execution { threads, block_bytes, plays_bytes, stream },
    )
}

fn options() -> impl Strategy<Value = Options> {
    let plays = prop_oneof![1u32..6, Just(u32::MAX)];
    let days = prop_oneof![1u32..20, Just(36_500), Just(u32::MAX)];
    (any::<bool>(), any::<bool>(), plays, days, 1usize..4).prop_map(
        |(keep_repeats, precise, plays, days, min_plays)| Options {
            keep_repeats,
            precise,
            window: Window { plays, days },
            min_plays,
        },
    )
}

/// An id: mostly a number of few, so that plays meet.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0u64..3).prop_map(|number| number.to_string()),
        2 => prop_oneof![
            Just("12345678"), Just("123456789"), Just("18446744073709551615"), Just("18446744073709551616"),
            Just("007"), Just("00000000"), Just("100000000000000000000000"), Just("99999999"), Just("99999999a"),
        ].prop_map(str::to_owned),
        2 => "[a-c:._-]{1,2}",
        1 => prop_oneof![Just(""), Just("é"), Just(" 4"), Just("4 "), Just("-1"), Just("4.5"), Just("\t")]
            .prop_map(str::to_owned),
    ]
}

/// A time: mostly one of few, so that plays under one id and time but of different tracks meet.
fn time() -> impl Strategy<Value = String> {
    let hour = prop::sample::select(&[4, 11, 21][..]);
    let good = (1u32..4, hour).prop_map(|(day, hour)| format!("2014-10-{:02} {hour:02}:30:00", day * 5));
    let odd = prop_oneof![
        Just("2014-10-05T07:30:00"),
        Just("2014-10-05t07:30:00"),
        Just("2014-10-05 07:30:00.250"),
        Just("2014-10-05 07:30:00Z"),
        Just("2014-10-05 07:30:00+02:00"),
        Just("2014-10-05 05:30:00.5-02:00"),
        Just("0001-01-01 00:00:00+23:59"),
        Just("9999-12-31 23:59:59.999-23:59"),
        Just("2014-10-05 24:00:00"),
        Just("2014-10-05 23:60:00"),
        Just("2014-10-05 23:59:60"),
        Just("2014-10-05 2:03:04 "),
        Just("2014-10-05 23:5::00"),
        Just("2014-02-29 00:00:00"),
        Just("2012-02-29 00:00:00"),
        Just("0000-01-01 00:00:00"),
        Just(" 2014-10-05 07:30:00 "),
        Just("tomorrow"),
    ];
    prop_oneof![5 => good, 1 => odd.prop_map(str::to_owned)]
}

fn zip() -> impl Strategy<Value = String> {
    const ZIPS: &[&str] = &[
        "72132",
        "",
        "7 A-b",
        "7,2",
        "7\n2",
        "7\"2",
        "7\r\n2",
        "é",
        "1234567890123456",
        "12345678901234567",
        "12345678",
        " 1",
        "\n\n0,1,2,2014-10-05 07:30:00,1,1\n",
    ];
    prop::sample::select(ZIPS).prop_map(str::to_owned)
}

/// A field in any of the forms that files have.
fn written(field: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (field, 0u8..12).prop_map(|(field, form)| match form {
        0..6 if field.contains([',', '"', '\n', '\r']) => format!("\"{}\"", field.replace('"', "\"\"")),
        0..6 | 8 => field,
        6 | 7 => format!("\"{}\"", field.replace('"', "\"\"")),
        9 => format!(" {field}"),
        10 => format!("\"{field}\" "),
        _ => format!("{field}\""),
    })
}

/// As [`written`], but mostly in the plain form.
fn mostly_plain(field: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    prop_oneof![12 => field.clone().prop_map(|field| field), 1 => written(field)]
}

fn end() -> impl Strategy<Value = &'static str> {
    prop_oneof![12 => Just("\n"), 3 => Just("\r\n"), 1 => Just("\r"), 1 => Just("\n\n"), 1 => Just("\r\n\r\n"), 1 => Just("")]
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        "[\"\n\r,01a \u{feff}]{0,12}".prop_map(String::into_bytes),
        Just(b"\xef\xbb\xbf".to_vec()),
        Just(vec![b','; 40]),
    ]
}

/// A file of plays, some of them repeated, with noise between them.
fn tracks() -> impl Strategy<Value = Vec<u8>> {
    let ids = || mostly_plain(id().boxed());
    let mobile =
        mostly_plain(prop::sample::select(&["0", "1", "1", "2", ""][..]).prop_map(str::to_owned).boxed());
    let zip =
        prop_oneof![6 => Just("72132".to_owned()), 2 => Just("\"72132\"".to_owned()), 2 => written(zip())];
    let time =
        prop_oneof![3 => time(), 3 => time().prop_map(|time| format!("\"{time}\"")), 1 => written(time())];
    let row = (ids(), ids(), ids(), time, mobile, zip, end()).prop_map(
        |(event, customer, track, time, mobile, zip, end)| {
            format!("{event},{customer},{track},{time},{mobile},{zip}{end}").into_bytes()
        },
    );
    file(row.boxed())
}

fn clicks() -> impl Strategy<Value = Vec<u8>> {
    let ids = || mostly_plain(id().boxed());
    let ad = prop::sample::select(&["AD", "AD", "ADV_LIKE_FACEBOOK", "A D", ""][..]).prop_map(str::to_owned);
    let row =
        (ids(), ids(), written(ad), written(time()), end()).prop_map(|(event, customer, ad, time, end)| {
            format!("{event},{customer},{ad},{time}{end}").into_bytes()
        });
    file(row.boxed())
}

fn file(row: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let bom = prop_oneof![4 => Just(&b""[..]), 1 => Just(&b"\xef\xbb\xbf"[..])];
    let piece = prop_oneof![14 => row.clone(), 1 => noise()];
    // Some files hold rows alone: nothing in them is as odd as noise.
    let pieces = prop_oneof![prop::collection::vec(row, 0..60), prop::collection::vec(piece, 0..60)];
    (bom, pieces, prop::collection::vec(any::<prop::sample::Index>(), 0..12)).prop_map(
        |(bom, mut pieces, again)| {
            if !pieces.is_empty() {
                let again: Vec<_> = again.iter().map(|index| index.get(&pieces).clone()).collect();
                pieces.extend(again);
            }
            [bom.to_vec(), pieces.concat()].concat()
        },
    )
}

proptest! {
    #[test]
    fn any_files_give_the_rows_of_the_plain_implementation(
        tracks in tracks(),
        clicks in clicks(),
        options in options(),
        executions in prop::collection::vec(execution(), 2),
    ) {
        let expected = expected(&tracks, &clicks, &options);
        for execution in executions {
            prop_assert_eq!(&actual(&tracks, &clicks, &options, &execution), &expected, "{:?}", execution);
        }
    }
}

const ALL: Options = Options {
    keep_repeats: false,
    precise: false,
    window: Window { plays: u32::MAX, days: u32::MAX },
    min_plays: 1,
};

/// Reads files of plays in all ways, of which each must give what the server reads.
fn in_all_ways(tracks: &str) -> Outcome {
    let expected = expected(tracks.as_bytes(), b"", &ALL);
    for threads in [1, 2, 3] {
        for stream in [false, true] {
            for block_bytes in [100, 1 << 16, 1 << 20] {
                let execution = Execution { threads, block_bytes, plays_bytes: 1000, stream };
                assert_eq!(actual(tracks.as_bytes(), b"", &ALL, &execution), expected, "{execution:?}");
            }
        }
    }
    expected
}

const ROW: &str = "1,2,3,2014-10-05 07:30:00,0,72132\n";

#[test]
fn open_quote_is_one_bad_row_and_later_rows_are_read() {
    let outcome =
        in_all_ways(&format!("{}1,2,3,\"2014-10-05 07:30:00,0,72132\n{}", ROW.repeat(50), ROW.repeat(5000)));
    assert_eq!((outcome.bad, outcome.repeats), (1, 5049), "{:?}", outcome.bad_rows);
    assert!(outcome.bad_rows[0].starts_with("tracks: line 51: "), "{:?}", outcome.bad_rows);
}

#[test]
fn header_gives_the_columns_of_all_blocks() {
    let row = "7,0,2014-10-05 07:30:00,3,2,1\n";
    let outcome =
        in_all_ways(&format!("zip,mobile,\"time\",track_id,customer_id,event_id\n{}", row.repeat(50)));
    assert_eq!((outcome.bad, outcome.repeats), (0, 49), "{:?}", outcome.bad_rows);
}

#[test]
fn overlong_line_is_one_bad_row_and_later_rows_are_read() {
    let outcome = in_all_ways(&format!("{ROW}{}\n{ROW}\n{ROW}", ",".repeat(1 << 20)));
    assert_eq!((outcome.bad, outcome.repeats), (1, 2), "{:?}", outcome.bad_rows);
    assert!(outcome.bad_rows[0].starts_with("tracks: line 2: "), "{:?}", outcome.bad_rows);
}

#[test]
fn lines_may_end_in_cr() {
    let rows = format!("{}x\r{}", ROW.replace('\n', "\r").repeat(10_000), ROW.replace('\n', "\r"));
    let outcome = in_all_ways(&rows);
    assert_eq!((outcome.bad, outcome.repeats), (1, 10_000), "{:?}", outcome.bad_rows);
    assert!(outcome.bad_rows[0].starts_with("tracks: line 10001: "), "{:?}", outcome.bad_rows);
}

#[test]
fn window_keeps_the_same_copies_of_a_play_whatever_their_order() {
    let copies = [
        "7,2,0,2014-10-05 07:30:00,1,x\n",
        "7,2,1,2014-10-05 07:30:00,0,x\n",
        "7,2,0,2014-10-05 07:30:00,0,x\n",
    ];
    let options = Options { keep_repeats: true, window: Window { plays: 2, days: u32::MAX }, ..ALL };
    let execution = Execution { threads: 1, block_bytes: 1 << 20, plays_bytes: 1 << 20, stream: false };
    let read = |order: [usize; 3]| {
        let tracks = order.map(|copy| copies[copy]).concat();
        let outcome = actual(tracks.as_bytes(), b"", &options, &execution);
        assert_eq!(outcome, expected(tracks.as_bytes(), b"", &options));
        outcome.text
    };
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(read(order), read([0, 1, 2]), "{order:?}");
    }
}
