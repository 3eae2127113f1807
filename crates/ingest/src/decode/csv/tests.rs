mod headers;
mod impressions;

use proptest::prelude::*;

use super::*;
use upbeat_core::event::{EventKind, Id, Membership, Zone};

fn context() -> Context {
    Context { zone: Zone::utc(), as_of: None, columns: None, max_event_bytes: 1000 }
}

fn read(kind: Kind, body: &[u8]) -> Vec<Result<Row, String>> {
    super::super::rows(super::super::Format::Csv(kind), body, &context()).expect("a list").rows.collect()
}

/// What is wrong with the rows of a body that are refused, and how many are read.
fn refused(kind: Kind, body: impl AsRef<[u8]>) -> (usize, Vec<String>) {
    let rows = read(kind, body.as_ref());
    let read = rows.iter().filter(|row| row.is_ok()).count();
    (read, rows.into_iter().filter_map(Result::err).collect())
}

/// A row's first and last line, and whether it was refused for its form.
type Form = (u64, u64, bool);

/// The rule of rows and quotes once more, byte by byte and without bounds.
fn by_the_rule(bytes: &[u8]) -> Vec<Form> {
    let (mut rows, mut at) = (Vec::new(), if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 });
    let is_end = |at: usize| matches!(bytes.get(at), None | Some(b'\r' | b'\n'));
    let line_end = |from: usize| (from..).find(|at| is_end(*at)).unwrap_or(bytes.len());
    while is_end(at) && at < bytes.len() {
        at += 1;
    }
    while at < bytes.len() {
        let (start, mut good, mut end) = (at, true, None);
        while end.is_none() {
            let field = at;
            if bytes.get(at) == Some(&b'"') {
                at += 1;
                while at < bytes.len() && !(bytes[at] == b'"' && bytes.get(at + 1) != Some(&b'"')) {
                    at += if bytes[at] == b'"' { 2 } else { 1 };
                }
                let is_closed = at < bytes.len();
                let close = at.min(bytes.len());
                at = (close + 1).min(bytes.len());
                while matches!(bytes.get(at), Some(b' ' | b'\t')) {
                    at += 1;
                }
                let is_followed = is_closed && !is_end(at) && bytes[at] != b',';
                if !is_closed || is_followed && line_end(field) < close {
                    (good, end) = (false, Some(line_end(field)));
                    break;
                }
                good &= !is_followed;
            }
            while !is_end(at) && bytes[at] != b',' {
                at += 1;
            }
            if is_end(at) {
                end = Some(at);
            }
            at += 1;
        }
        let end = end.expect("the loop ends with one");
        if !bytes[start..end].iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            let first = 1 + line_ends(&bytes[..start]);
            rows.push((first, first + line_ends(&bytes[start..end]), !good));
        }
        at = end;
        while matches!(bytes.get(at), Some(b'\r' | b'\n')) {
            at += 1;
        }
    }
    rows
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
            Just("7,48,3,2014-10-23 03:26:20+00,t,\"72132\"\n".to_owned()),
            Just("7,48,3,2014-10-23 03:26:60 UTC,\"FALSE\",72132\n".to_owned()),
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

/// The forms of all rows of a file that is read in blocks of about `size` bytes, as from a stream.
fn in_blocks(bytes: &[u8], size: usize) -> Vec<Form> {
    let (mut forms, mut layout, mut begin) = (Vec::new(), Layout::of(Kind::Plays), Begin::FILE);
    let (mut start, mut end, mut lines) = (0, 0, 0);
    loop {
        end = bytes.len().min(end + size);
        let block = &bytes[start..end];
        let mut reader = RowReader::block(block, layout, begin, end == bytes.len());
        let mut count = reader.line_count();
        while let Some(row) = reader.row() {
            let (row, refused) = match row {
                Ok(row) => (row, false),
                Err(refusal) => (refusal.row, true),
            };
            let (first, last) = count.of(&row);
            forms.push((lines + first, lines + last, refused));
        }
        lines += reader.lines();
        (begin, layout) = (reader.end(), reader.layout().clone());
        start += reader.position();
        if end == bytes.len() {
            return forms;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn rows_are_split_by_the_rule(bytes in bytes()) {
        prop_assert_eq!(in_blocks(&bytes, bytes.len().max(1)), by_the_rule(&bytes));
    }

    #[test]
    fn blocks_of_any_size_have_the_rows_of_the_whole(bytes in bytes(), size in 1usize..60) {
        prop_assert_eq!(in_blocks(&bytes, size), by_the_rule(&bytes));
    }

    /// Rows of the usual form are read in one pass; the same row with quotes, or in a file with another column, is not.
    #[test]
    fn rows_of_the_usual_form_are_read_as_others_are(bytes in bytes()) {
        let plain = read(Kind::Plays, &bytes);
        let mut reader = RowReader::new(&bytes, Layout::of(Kind::Plays));
        let mut lines = reader.line_count();
        let split = std::iter::from_fn(|| {
            let row = reader.read_split(&Zone::utc())?;
            Some(row.map(|play| Row::Event(play.into())).map_err(|refusal| lines.report(&refusal)))
        });
        prop_assert_eq!(plain, Vec::from_iter(split));
    }

    #[test]
    fn what_the_csv_crate_writes_is_read_back(
        rows in proptest::collection::vec(proptest::collection::vec("[a\",\r\n \t]{0,5}", 2..5), 1..6),
        always in any::<bool>(),
    ) {
        let style = if always { ::csv::QuoteStyle::Always } else { ::csv::QuoteStyle::Necessary };
        let mut writer = ::csv::WriterBuilder::new().flexible(true).quote_style(style).from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).expect("memory");
        }
        let bytes = writer.into_inner().expect("memory");
        let mut splitter = split::Splitter::default();
        let mut rest = &bytes[..];
        for row in &rows {
            let found = splitter.split(rest, true);
            let split::Found::Row { length } = found else { panic!("{found:?}") };
            let record = splitter.record(&rest[..length]);
            let read: Vec<_> = (0..record.columns()).filter_map(|index| record.get(index)).collect();
            prop_assert_eq!(&read, &row.iter().map(String::as_bytes).collect::<Vec<_>>());
            rest = rest[length..].strip_prefix(b"\n").expect("a line end");
        }
    }
}

const PLAY: &str = "1,48,3,2014-10-23 03:26:20,0,\"72132\"\n";

#[test]
fn open_quote_costs_only_the_row_where_it_opens() {
    // The quote is closed by none, by the first one of the next row, and by the first one of a later row.
    let bare = PLAY.replace('"', "");
    for (rest, count) in
        [(bare.repeat(5000), 5000), (PLAY.repeat(3), 3), (bare.repeat(3) + PLAY, 4), (String::new(), 0)]
    {
        let body = format!("{PLAY}2,48,3,2014-10-23 03:26:20,0,\"72132\n{rest}");
        let (read, reasons) = refused(Kind::Plays, &body);
        assert_eq!((read, reasons.len()), (1 + count, 1), "{reasons:?}");
        assert!(reasons[0].starts_with("line 2: the quote that opens column 6 is not closed"), "{reasons:?}");
    }
}

#[test]
fn open_quote_in_each_kind_leaves_later_rows() {
    for (kind, bad, good) in [
        (Kind::Clicks, "7,48,\"ADV,2014-10-23 03:26:20", "8,48,\"ADV\",2014-10-23 03:26:20"),
        (Kind::Customers, "48,06/04/2013,2,\"Easy", "49,06/04/2013,2,\"Easy, 1\""),
        (Kind::Tracks, "1,\"Blue, Green,X,1", "2,\"A, b\",X,1"),
    ] {
        let header = match kind {
            Kind::Customers => "CustID,SignDate,Level,Address\n",
            Kind::Tracks => "TrackId,Title,Artist,Length\n",
            _ => "",
        };
        let (read, reasons) = refused(kind, format!("{header}{bad}\n{good}\n{good}"));
        assert_eq!((read, reasons.len()), (2, 1), "{kind:?}: {reasons:?}");
    }
}

#[test]
fn rows_that_an_open_quote_took_are_reported_by_their_lines() {
    // The quote of line 2 is closed at the end of line 4, as if its text had three lines.
    let body = format!(
        "{PLAY}2,48,3,2014-10-23 03:26:20,0,\"7\n{}4,48,3,2014-10-23 03:26:20,0,7\"\n{PLAY}",
        PLAY.replace('"', "")
    );
    let (read, reasons) = refused(Kind::Plays, body);
    assert_eq!((read, reasons.len()), (2, 1), "{reasons:?}");
    assert!(reasons[0].starts_with("line 2: (lines 2 to 4) zip"), "{reasons:?}");
}

#[test]
fn row_with_a_backslash_before_its_quotes_is_refused() {
    // As Spark writes a name with quotes. Read as RFC 4180 has it, the level would be another column.
    for name in [r#""Rob \"Bobby\" Gordon""#, r#""Gordon, \"Rob\", 2""#, r#""a \"",2,"b""#, r#""\"""#] {
        let row = format!("48,{name},1");
        let (read, reasons) =
            refused(Kind::Customers, format!("CustID,SignDate,Level\n{row}\n49,06/04/2013,2\n"));
        assert_eq!((read, reasons.len()), (1, 1), "{name}: {reasons:?}");
    }
}

#[test]
fn row_has_as_many_columns_as_the_header() {
    for kind in [Kind::Customers, Kind::Tracks, Kind::Plays, Kind::Clicks] {
        let names = kind.columns().join(",");
        let good = match kind {
            Kind::Customers => "48,06/04/2013,2",
            Kind::Tracks => "1,a,b,10",
            Kind::Plays => "1,48,3,2014-10-23 03:26:20,0,7",
            Kind::Clicks => "1,48,ADV,2014-10-23 03:26:20",
            Kind::Impressions => unreachable!("no events"),
        };
        let less = good.rsplit_once(',').expect("columns").0;
        for bad in [format!("{good},"), format!(",{good}"), format!("{good},1"), less.to_owned()] {
            let (read, reasons) = refused(kind, format!("{names}\n{bad}\n{good}\n"));
            assert_eq!((read, reasons.len()), (1, 1), "{bad}: {reasons:?}");
            assert!(reasons[0].contains("columns where the header names"), "{reasons:?}");
        }
    }
}

#[test]
fn row_is_bounded_in_bytes_and_columns() {
    for bad in [
        ",".repeat(8 << 20),
        ",".repeat(MAX_COLUMNS + 1),
        "x".repeat(MAX_ROW_BYTES + 1),
        format!("\"{}\"", "x".repeat(MAX_ROW_BYTES - 1)),
        format!("\"{}\"", "\"\"".repeat(MAX_ROW_BYTES)),
        format!("\"{}", "x".repeat(1 << 20)),
        format!("1,{}\"", " ".repeat(MAX_ROW_BYTES)),
    ] {
        let (read, reasons) = refused(Kind::Plays, format!("{PLAY}{bad}\n{PLAY}{bad}"));
        assert_eq!((read, reasons.len()), (2, 2), "{:.30}: {reasons:?}", bad);
        assert!(reasons[0].starts_with("line 2: ") && reasons[1].starts_with("line 4: "), "{reasons:?}");
    }
    let (_, reasons) = refused(Kind::Plays, "x".repeat(MAX_ROW_BYTES));
    assert!(reasons[0].contains("1 columns"), "{reasons:?}");
    for size in [1000, MAX_ROW_BYTES, MAX_ROW_BYTES + 1, MAX_ROW_BYTES + 2] {
        let body =
            format!("{PLAY}{}\r\n\"{}\n{PLAY}", ",".repeat(3 * MAX_ROW_BYTES), "y\n".repeat(MAX_ROW_BYTES));
        let forms = in_blocks(body.as_bytes(), size);
        assert_eq!(forms, in_blocks(body.as_bytes(), body.len()), "{size}");
        assert_eq!((forms[1], forms[2]), ((2, 2, true), (3, 3, true)), "{size}");
    }
}

#[test]
fn doubled_quotes_of_titles_are_read_as_one() {
    let body = b"TrackId,Title,Artist,Length\n1,\"C \"\"d\"\"\",\"\"\"X\"\"\",100\n2,\"A\" b,\"Y\",1\n3,\"One\nTwo\",Z,1\n";
    let titles: Vec<_> = read(Kind::Tracks, body)
        .into_iter()
        .map(|row| match row {
            Ok(Row::Track(_, track)) => (track.title.to_string(), track.artist.to_string()),
            other => panic!("{other:?}"),
        })
        .collect();
    let wanted = [("C \"d\"", "\"X\""), ("\"A\" b", "Y"), ("One\nTwo", "Z")];
    assert_eq!(titles, wanted.map(|(title, artist)| (title.to_owned(), artist.to_owned())));
}

#[test]
fn one_byte_order_mark_is_skipped() {
    assert_eq!(refused(Kind::Plays, format!("\u{feff}{PLAY}")), (1, vec![]));
    let (read, reasons) = refused(Kind::Plays, format!("\u{feff}\u{feff}{PLAY}"));
    assert_eq!((read, reasons.len()), (0, 1), "{reasons:?}");
}

#[test]
fn lines_end_in_lf_crlf_or_cr() {
    for end in ["\n", "\r\n", "\r"] {
        let body = format!("{PLAY}\n  \n\tx\n{PLAY}\"a\nb\",c\nd").replace('\n', end);
        let (read, reasons) = refused(Kind::Plays, &body);
        assert_eq!(read, 2);
        let lines: Vec<_> = reasons.iter().map(|reason| reason.split(": ").next().expect("a line")).collect();
        assert_eq!(lines, ["line 4", "line 6", "line 8"], "{end:?}");
        let quoted = "\"TrackId\",Title,Artist,Length\n1,a,b,10\n".replace('\n', end);
        assert_eq!(refused(Kind::Tracks, quoted), (1, vec![]));
    }
}
