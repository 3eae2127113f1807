//! On any bytes, however they are cut and on however many threads: what the obvious way through the csv crate gives.

use std::collections::{BTreeMap, HashSet};
use std::io::{Cursor, Write};

use csv::{ByteRecord, ReaderBuilder};
use proptest::prelude::*;

use super::make::{self, Means};
use super::read::{Pace, Source, Watch};
use super::*;
use crate::event::{Event, EventKind, Id, Zone};
use crate::feature;
use crate::ingest::csv as rows;
use crate::profile::{Play, RecentEntry};

/// What is asked for.
#[derive(Debug, Clone)]
struct Asked {
    keep_repeats: bool,
    precise: bool,
    window: Window,
}

/// What comes of it.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    text: String,
    notes: Vec<String>,
    bad: u64,
    repeats: u64,
    has_plays: bool,
}

/// The obvious way: all of it in memory, record by record, customer by customer.
fn slowly(tracks: &[u8], clicks: &[u8], asked: &Asked) -> Answer {
    let mut notes = Vec::new();
    let mut plays: BTreeMap<Id, Vec<Play>> = BTreeMap::new();
    let mut newest_ms = i64::MIN;
    records(
        "tracks",
        tracks,
        |record| rows::play(record, &Zone::utc()).map(Event::from),
        &mut notes,
        |Event { customer, id: event_id, time, kind }| {
            if let EventKind::Play { track, mobile } = kind {
                newest_ms = newest_ms.max(time.unix_ms);
                plays.entry(customer).or_default().push(Play { time, event_id, track, mobile });
            }
        },
    );
    let mut clicked = HashSet::new();
    records(
        "clicks",
        clicks,
        |record| rows::click(record, &Zone::utc()).map(Event::from),
        &mut notes,
        |event| {
            if matches!(&event.kind, EventKind::Click { ad } if ad.to_string() == "AD") {
                clicked.insert(event.customer);
            }
        },
    );
    let (mut text, mut repeats) = (Vec::new(), 0);
    for (customer, own) in &mut plays {
        own.sort_by(|a, b| a.key().cmp(&b.key()));
        let distinct = own.chunk_by(|a, b| a.key() == b.key()).count();
        repeats += (own.len() - distinct) as u64;
        if !asked.keep_repeats {
            own.dedup_by(|later, first| later.key() == first.key());
        }
        let start_ms = asked.window.start_ms(newest_ms);
        let counted: Vec<_> = own.iter().filter(|play| play.time.unix_ms >= start_ms).collect();
        let counted = &counted[counted.len().saturating_sub(asked.window.plays as usize)..];
        let Some(vector) = feature::vector(counted.iter().map(|play| play.view().into())) else { continue };
        write!(text, "{}", u8::from(clicked.contains(customer))).expect("memory");
        for (index, value) in (1..).zip(vector) {
            let written = if asked.precise { format!("{value}") } else { format!("{value:.2}") };
            write!(text, " {index}:{written}").expect("memory");
        }
        writeln!(text, " # {customer}").expect("memory");
    }
    let bad = notes.len() as u64;
    let text = String::from_utf8(text).expect("text");
    Answer { text, notes, bad, repeats, has_plays: !plays.is_empty() }
}

fn records(
    name: &str,
    bytes: &[u8],
    parse: fn(&ByteRecord) -> Result<Event, String>,
    notes: &mut Vec<String>,
    mut take: impl FnMut(Event),
) {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).expect("bytes in memory") {
        match parse(&record) {
            Ok(event) => take(event),
            Err(reason) => {
                // The reader's own count of lines is behind after blank lines and after CRLF.
                let told = record.position().expect("it was read").byte() as usize;
                let blank = bytes[told..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                let line = 1 + bytes[..told + blank].iter().filter(|byte| **byte == b'\n').count();
                notes.push(format!("{name}:{line}: {reason}"));
            }
        }
    }
}

/// How the command itself is to do it.
#[derive(Debug, Clone)]
struct Way {
    threads: usize,
    block_bytes: usize,
    plays_bytes: usize,
    stream: bool,
}

#[derive(Clone, Default)]
struct Notes(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl Watch for Notes {
    fn add(&mut self, _: u64) {}

    fn note(&mut self, line: &str) {
        self.0.lock().expect("no panic").push(line.to_owned());
    }
}

fn as_made(tracks: &[u8], clicks: &[u8], asked: &Asked, way: &Way) -> Answer {
    let directory = tempfile::tempdir().expect("a directory");
    let means = Means {
        pace: Pace { threads: way.threads, block_bytes: way.block_bytes },
        plays_bytes: way.plays_bytes,
        directory: directory.path().to_owned(),
    };
    let notes = Notes::default();
    let open = |name: &str, bytes: &[u8]| -> anyhow::Result<Source<'static>> {
        let reader = Cursor::new(bytes.to_vec());
        let input =
            if way.stream { Input::Stream(Box::new(reader)) } else { Input::Seekable(Box::new(reader)) };
        Ok(Source { input, name: name.to_owned(), watch: Box::new(notes.clone()) })
    };
    let ad = Id::parse("AD").expect("an id");
    let history = make::read([&|| open("tracks", tracks), &|| open("clicks", clicks)], &ad, &means);
    let history = history.expect("bytes in memory");
    let settled = history.settle(asked.window, asked.keep_repeats, way.threads, || ()).expect("a good disk");
    let mut text = Vec::new();
    let style = Style { ids: true, precise: asked.precise };
    settled.write(style, way.threads, &mut text).expect("memory");
    let left = std::fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(left, 0, "a file is left behind");
    Answer {
        text: String::from_utf8(text).expect("text"),
        notes: notes.0.lock().expect("no panic").clone(),
        bad: history.bad,
        repeats: settled.repeats,
        has_plays: history.has_plays(),
    }
}

fn way() -> impl Strategy<Value = Way> {
    let plays_bytes = prop_oneof![1 => Just(0), 3 => 1usize..6_000, 1 => Just(usize::MAX)];
    let block_bytes = prop_oneof![1usize..300, Just(1 << 20)];
    (1usize..5, block_bytes, plays_bytes, any::<bool>()).prop_map(
        |(threads, block_bytes, plays_bytes, stream)| Way { threads, block_bytes, plays_bytes, stream },
    )
}

fn asked() -> impl Strategy<Value = Asked> {
    let plays = prop_oneof![1u32..6, Just(u32::MAX)];
    let days = prop_oneof![1u32..20, Just(36_500), Just(u32::MAX)];
    (any::<bool>(), any::<bool>(), plays, days).prop_map(|(keep_repeats, precise, plays, days)| Asked {
        keep_repeats,
        precise,
        window: Window { plays, days },
    })
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

/// A field as it may be written.
fn written(field: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (field, 0u8..12).prop_map(|(field, how)| match how {
        0..6 if field.contains([',', '"', '\n', '\r']) => format!("\"{}\"", field.replace('"', "\"\"")),
        0..6 | 8 => field,
        6 | 7 => format!("\"{}\"", field.replace('"', "\"\"")),
        9 => format!(" {field}"),
        10 => format!("\"{field}\" "),
        _ => format!("{field}\""),
    })
}

/// As [`written`], but plainly most of the time.
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

/// A file of plays, some of them told again, with noise between them.
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
    fn on_any_files(tracks in tracks(), clicks in clicks(), asked in asked(), ways in prop::collection::vec(way(), 2)) {
        let wanted = slowly(&tracks, &clicks, &asked);
        for way in ways {
            prop_assert_eq!(&as_made(&tracks, &clicks, &asked, &way), &wanted, "{:?}", way);
        }
    }
}

#[test]
fn a_quote_that_is_never_closed_swallows_the_rest() {
    let row = "1,2,3,2014-10-05 07:30:00,0,72132\n";
    let tracks = format!("{}1,2,3,\"2014-10-05 07:30:00,0,72132\n{}", row.repeat(50), row.repeat(50));
    let asked =
        Asked { keep_repeats: false, precise: false, window: Window { plays: u32::MAX, days: u32::MAX } };
    let wanted = slowly(tracks.as_bytes(), b"", &asked);
    assert_eq!(wanted.bad, 1);
    for threads in [1, 2, 3] {
        for stream in [false, true] {
            let way = Way { threads, block_bytes: 100, plays_bytes: 1000, stream };
            assert_eq!(as_made(tracks.as_bytes(), b"", &asked, &way), wanted, "{way:?}");
        }
    }
}
