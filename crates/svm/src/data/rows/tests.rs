use super::*;

type Kept = (String, Vec<(usize, f64)>);

fn read(bytes: &[u8]) -> Result<Vec<Kept>, RowError> {
    let mut reader = RowReader::new(bytes);
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row()? {
        rows.push((row.label.to_owned(), row.entries.to_vec()));
    }
    Ok(rows)
}

#[test]
fn line_ends_comments_and_byte_order_marks_do_not_matter() {
    let wanted = vec![("+1".to_owned(), vec![(1, 0.5), (3, -2e-3)]), ("0".to_owned(), vec![])];
    for text in [
        "+1 1:0.5 3:-2e-3\n0\n",
        "+1 1:0.5 3:-2e-3\n0",
        "+1 1:0.5 3:-2e-3\r\n0\r\n",
        "\u{feff}+1 1:0.5 3:-2e-3\n0\n",
        "+1\t1:0.5   3:-2e-3  # 48 is the id: 7:1\n\n# nothing\n  0 # 532\n",
        "\u{feff}# made by hand\n+1 1:.5 3:-0.002\n0",
    ] {
        assert_eq!(read(text.as_bytes()).unwrap(), wanted, "{text:?}");
    }
    assert_eq!(read(b"").unwrap(), vec![]);
}

#[test]
fn faults_name_their_line_and_the_fix() {
    let long = format!("1 1:1\n1 {}", "1:1 ".repeat(1 << 19));
    for (bytes, message) in [
        (&b"1 1:1\nyes 1:1"[..], "line 2: `yes` is not a label; a row starts with a number"),
        (b"nan 1:1", "line 1: `nan` is not a label"),
        (b"1:1 2:1", "line 1: `1:1` is not a label"),
        (b"1 0:1", "line 1: `0` is not a feature index; indices are whole numbers from 1"),
        (b"1 -1:1", "`-1` is not a feature index"),
        (b"1 +1:1", "`+1` is not a feature index"),
        (b"1 99999999999999999999999:1", "is not a feature index"),
        (b"1 1000001:1", "line 1: index 1000001 is more than the 1000000 features"),
        (b"1 2:1 1:1", "line 1: index 1 comes after 2; write indices in ascending order"),
        (b"1 2:1 2:1", "line 1: index 2 appears twice"),
        (b"1 1:nan", "line 1: `nan` at index 1 is not a finite number"),
        (b"1 1:inf", "`inf` at index 1"),
        (b"1 1:1e999", "`1e999` at index 1"),
        (b"1 1:", "`` at index 1"),
        (b"1 1 2", "line 1: `1` is not index:value"),
        (b"0.29,0.21", "is not a label"),
        (b"\xff\xfe1\0", "line 1: not UTF-8 text"),
        (long.as_bytes(), "line 2: longer than"),
    ] {
        let reported = read(bytes).unwrap_err().to_string();
        assert!(reported.contains(message), "{message:?} not in {reported:?}");
    }
}

/// A buffer of one byte never holds a whole line: every row is read by the slow path.
fn read_by_the_slow_path(bytes: &[u8]) -> Result<Vec<Kept>, RowError> {
    let mut reader = RowReader::new(std::io::BufReader::with_capacity(1, bytes));
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row()? {
        rows.push((row.label.to_owned(), row.entries.to_vec()));
    }
    Ok(rows)
}

fn as_text(read: Result<Vec<Kept>, RowError>) -> Result<String, String> {
    // As text, zero and negative zero are not the same.
    read.map(|rows| format!("{rows:?}")).map_err(|error| error.to_string())
}

#[test]
fn row_wider_than_the_model_is_refused() {
    let mut reader = RowReader::new(&b"1 3:0.5\n1 7:1"[..]);
    let mut dense = [9.0; 6];
    reader.next_row().unwrap().unwrap().fill(&mut dense).unwrap();
    assert_eq!(dense, [0.0, 0.0, 0.5, 0.0, 0.0, 0.0]);
    let reported = reader.next_row().unwrap().unwrap().fill(&mut dense).unwrap_err().to_string();
    assert!(reported.starts_with("line 2: index 7 is beyond the model's 6 features"), "{reported}");
}

proptest::proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn malformed_rows_never_panic(text in "[-+0-9:.# einaf\r\n\u{feff}]{0,80}") {
        let _ = read(text.as_bytes());
    }

    #[test]
    fn fast_and_slow_path_read_the_same_rows(
        text in "([-+ ]{0,2}[0-9.]{0,3}( {1,2}[1-4]:-?[0-9.]{1,9}(e-?[0-9]{1,3})?){0,3}[ \t]{0,1}(#[ -~é]{0,3})?\r?\n){0,4}"
    ) {
        proptest::prop_assert_eq!(as_text(read(text.as_bytes())), as_text(read_by_the_slow_path(text.as_bytes())));
    }

    #[test]
    fn fast_and_slow_path_agree_on_any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
        let line = [&b"1 1:0.5"[..], &bytes, b"\n0 2:3\n"].concat();
        proptest::prop_assert_eq!(as_text(read(&line)), as_text(read_by_the_slow_path(&line)));
    }

    #[test]
    fn values_come_back_exactly(values in proptest::collection::vec(-1e300f64..1e300, 1..20)) {
        let text = values.iter().enumerate().fold("1".to_owned(), |text, (i, v)| format!("{text} {}:{v:e}", i + 1));
        let rows = read(text.as_bytes()).unwrap();
        let back: Vec<f64> = rows[0].1.iter().map(|entry| entry.1).collect();
        proptest::prop_assert_eq!(back, values);
    }
}
