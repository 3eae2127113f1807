use proptest::prelude::*;

use super::*;
use upbeat_core::event::{Event, Zone};

/// A row's line, and its event in every detail or its error.
type NumberedRow = (u64, Result<String, String>);

fn detailed(event: Event) -> String {
    format!("{event:?}")
}

/// The reference: rows as the csv crate separates them.
fn by_the_csv_crate(bytes: &[u8], read: impl Fn(&ByteRecord) -> Result<Event, String>) -> Vec<NumberedRow> {
    let (mut reader, mut lines) = (reader(bytes), LineCount::new(bytes));
    let mut record = ByteRecord::new();
    let mut rows = Vec::new();
    while reader.read_byte_record(&mut record).expect("memory") {
        rows.push((lines.of(&record), read(&record).map(detailed)));
    }
    rows
}

fn read_play(record: &ByteRecord) -> Result<Event, String> {
    play(record, &Zone::utc()).map(Event::from)
}

fn read_click(record: &ByteRecord) -> Result<Event, String> {
    click(record, &Zone::utc()).map(Event::from)
}

/// The next row's offset, and its event or error.
type Next = fn(&mut RowReader<'_>, &Zone) -> Option<(usize, Result<Event, String>)>;

/// The rows of parts that are cut near some offsets and read independently, as by threads, then checked and read again.
fn in_parts(bytes: &[u8], near: &[usize], next: Next) -> Vec<NumberedRow> {
    let mut starts: Vec<usize> = near.iter().map(|near| RowReader::cut(bytes, *near)).collect();
    starts.extend([RowReader::cut(bytes, 0), bytes.len()]);
    starts.sort_unstable();
    let mut rows = Vec::new();
    let mut position = starts[0];
    for part in starts.windows(2) {
        let mut reader = RowReader::part(bytes, part[0]..part[1]);
        let mut read = Vec::from_iter(std::iter::from_fn(|| next(&mut reader, &Zone::utc())));
        if position != part[0] {
            reader = RowReader::part(bytes, position..part[1].max(position));
            read = Vec::from_iter(std::iter::from_fn(|| next(&mut reader, &Zone::utc())));
        }
        position = reader.position();
        rows.extend(read);
    }
    let mut lines = LineCount::new(bytes);
    rows.into_iter().map(|(start, read)| (lines.at(start), read.map(detailed))).collect()
}

/// Bytes similar to files of plays and clicks.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop_oneof![
            Just("1,2,3,2014-10-23 03:26:20,0,x\n".to_owned()),
            Just("1.0,4.8e1,3,2014-10-23 03:26:20,0,x\n".to_owned()),
            Just("1,a-2,\"3\",\"2014-10-23T03:26:20\",1,\"72132\"\n".to_owned()),
            Just("7,48,\"ADV\",\"2014-10-23 03:26:20\"\n".to_owned()),
            Just("7,48,ADV,2014-10-23 03:26:20.5+02:00\r\n".to_owned()),
            "[0-9]{1,3},[0-9]{1,9},[0-9]{1,21},2014-10-2[0-9] 03:26:20,[01],[0-9a-z ]{0,17}\r?\n?",
        ],
        8 => proptest::sample::select(vec![
            ",", ",", "\"", "\"", "\"\"", "\r", "\n", "\r\n", " ", "\t", "\u{a0}", "\u{feff}", "é", "0", "1", "48", "x",
            "007", "0,", "1,", "\",", ",\"", "\"\n", "2014-10-23 03:26:20", "2014-02-29 03:26:20", "99999999999999999999",
        ])
        .prop_map(str::to_owned),
    ];
    let stray = proptest::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
    (proptest::collection::vec(piece, 0..24), stray).prop_map(|(pieces, stray)| {
        let mut bytes = pieces.concat().into_bytes();
        if let Some((at, byte)) = stray
            && !bytes.is_empty()
        {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn rows_are_those_of_the_csv_crate(bytes in bytes()) {
        prop_assert_eq!(in_parts(&bytes, &[], |reader, zone| reader.play(zone)), by_the_csv_crate(&bytes, read_play));
        prop_assert_eq!(in_parts(&bytes, &[], |reader, zone| reader.click(zone)), by_the_csv_crate(&bytes, read_click));
    }

    /// Blocks of whole lines, as from a stream: the unread rest of a block is put before the next.
    #[test]
    fn blocks_have_the_rows_of_the_whole(bytes in bytes(), size in 1usize..60) {
        let (mut read, mut left, mut rest, mut first) = (Vec::new(), Vec::new(), &bytes[..], true);
        while !rest.is_empty() || !left.is_empty() {
            let (more, others) = rest.split_at(size.min(rest.len()));
            rest = others;
            left.extend_from_slice(more);
            let last = rest.is_empty();
            let end = memchr::memrchr(b'\n', &left).filter(|_| !last).map_or(0, |end| end + 1);
            let block = &left[..if last { left.len() } else { end }];
            let mut reader = RowReader::block(block, first, last);
            while let Some((_, row)) = reader.play(&Zone::utc()) {
                read.push(row.map(detailed));
            }
            let used = reader.position();
            prop_assert!(!last || used == left.len());
            first &= used == 0;
            left.drain(..used);
        }
        let whole = by_the_csv_crate(&bytes, read_play);
        prop_assert_eq!(read, whole.into_iter().map(|(_, row)| row).collect::<Vec<_>>());
    }

    #[test]
    fn parallel_parts_have_the_rows_of_the_whole(
        bytes in bytes(),
        near in proptest::collection::vec(0usize..400, 0..6),
    ) {
        prop_assert_eq!(in_parts(&bytes, &near, |reader, zone| reader.play(zone)), by_the_csv_crate(&bytes, read_play));
    }
}
