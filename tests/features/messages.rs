//! The messages and the exit status of the command.

use super::{features, features_from_stdin, rows, text};

const GOOD: &str = "0,48,453,\"2014-10-23 03:26:20\",0,\"72132\"\n";
const ROW: &str = "0 1:0.00 2:0.00 3:0.00 4:1.00 5:0.00 6:1.00\n";

#[test]
fn repeats_count_once_and_are_reported() {
    let output = features(&[], GOOD.repeat(3).as_bytes(), b"");
    assert_eq!(rows(&output), ROW);
    assert!(text(&output.stderr).contains("2 plays are repeats"), "{}", text(&output.stderr));
    let other = GOOD.replace("453", "7").replace("0,48", "1,48");
    let output = features(&["--keep-repeats"], format!("{GOOD}{GOOD}{other}").as_bytes(), b"");
    assert_eq!(rows(&output), ROW.replace("6:1.00", "6:0.67"));
    assert!(text(&output.stderr).contains("1 plays are repeats"), "{}", text(&output.stderr));
    let output = features(&[], GOOD.as_bytes(), b"");
    assert!(output.stderr.is_empty(), "no message without repeats: {}", text(&output.stderr));
}

#[test]
fn bad_lines_are_reported_by_file_and_line_and_end_the_run() {
    let bad = "1,48,453,tomorrow,0,1";
    for end in ["\n", "\r\n"] {
        let tracks = [GOOD.trim_end(), "", bad, "2,48", GOOD.trim_end(), "\"3", "4\",48,1"].join(end);
        let clicks = ["1,48,ADV_REDUCED_1DAY,2014-10-23 03:26:20", "nonsense"].join(end);
        let output = features(&[], tracks.as_bytes(), clicks.as_bytes());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for part in [
            "tracks.csv:3: ",
            "tracks.csv:4: 2 columns",
            "tracks.csv:6: (lines 6 to 7) 3 columns",
            "clicks.csv:2: ",
            "4 bad lines",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(output.stdout.is_empty(), "an incomplete output would look like a complete one");

        let output = features(&["--skip-bad"], tracks.as_bytes(), clicks.as_bytes());
        assert_eq!(rows(&output), ROW.replacen('0', "1", 1));
        assert!(text(&output.stderr).contains("4 bad lines left out"), "{}", text(&output.stderr));
    }
}

#[test]
fn bad_line_is_reported_with_its_reason() {
    for (line, said) in [
        ("1,48,453,2014-02-29 03:26:20,0,1", "day 29"),
        ("1,48,453,2014-10-23 24:26:20,0,1", "hour 24"),
        ("1,48,453,0000-10-23 03:26:20,0,1", "year 0"),
        ("1,48,453,2014-10-23 03:26:20,NaN,1", "mobile"),
        ("1,48 ,4 53,2014-10-23 03:26:20,0,1", "track id"),
        ("1,,453,2014-10-23 03:26:20,0,1", "customer id"),
        ("1,48,453,2014-10-23 03:26:20,0,1,9", "7 columns"),
        ("\"1,48,453,2014-10-23 03:26:20,0,1", "column 1 is not closed"),
        ("1;48;453;2014-10-23 03:26:20;0;1", "1 columns"),
    ] {
        let output = features(&[], format!("{GOOD}{line}\n").as_bytes(), b"");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {stderr}");
        assert!(stderr.contains("tracks.csv:2: ") && stderr.contains(said), "{line}: {stderr}");
    }
    let long = format!("1,{},453,2014-10-23 03:26:20,0,1\n", "x".repeat(65));
    assert!(text(&features(&[], long.as_bytes(), b"").stderr).contains("65 characters"));
    for bytes in [&b"1,4\xff8,453,2014-10-23 03:26:20,0,1\n"[..], b"\xfe\xfd1\0,\0", b"\0\0\0"] {
        let output = features(&[], bytes, b"");
        assert_eq!(output.status.code(), Some(1), "{bytes:?}");
        assert!(text(&output.stderr).contains("tracks.csv:1: "));
    }
}

#[test]
fn empty_file_has_no_rows() {
    for tracks in ["", "\n\n", "\r\n", "\u{feff}"] {
        let output = features(&[], tracks.as_bytes(), b"");
        assert_eq!(rows(&output), "");
        assert!(text(&output.stderr).contains("no plays"), "{}", text(&output.stderr));
    }
}

#[test]
fn either_file_may_be_standard_input_but_not_both() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.display().to_string()
    };
    let clicks = "1,48,ADV_REDUCED_1DAY,2014-10-23 03:26:20\n";
    let (tracks_file, clicks_file) = (file("tracks.csv", GOOD), file("clicks.csv", clicks));
    let from_tracks = features_from_stdin(&["--tracks", "-", "--clicks", &clicks_file], GOOD.as_bytes());
    let from_clicks = features_from_stdin(&["--tracks", &tracks_file, "--clicks", "-"], clicks.as_bytes());
    assert_eq!(rows(&from_tracks), ROW.replacen('0', "1", 1));
    assert_eq!(rows(&from_clicks), rows(&from_tracks));
    let bad = features_from_stdin(&["--tracks", "-", "--clicks", &clicks_file], b"nonsense\n");
    assert!(text(&bad.stderr).contains("standard input:1: "), "{}", text(&bad.stderr));
    let both = features_from_stdin(&["--tracks", "-", "--clicks", "-"], b"");
    assert_eq!(both.status.code(), Some(2));
    assert!(text(&both.stderr).contains("only one"), "{}", text(&both.stderr));
}

#[test]
fn output_file_is_written_whole_or_not_at_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("features.txt");
    let flags = ["-o", out.to_str().expect("a path")];
    assert_eq!(rows(&features(&flags, GOOD.as_bytes(), b"")), "");
    assert_eq!(std::fs::read_to_string(&out).expect("a file"), ROW);
    let output = features(&flags, format!("{}nonsense\n", GOOD.replace("48", "49")).as_bytes(), b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&out).expect("a file"), ROW, "the old content stays");
    let left: Vec<_> = std::fs::read_dir(directory.path()).expect("a directory").collect();
    assert_eq!(left.len(), 1, "no temporary file remains: {left:?}");
}

#[test]
fn wrong_call_ends_with_status_2_and_missing_file_with_1() {
    for arguments in [
        &["--tracks", "x"][..],
        &["--tracks", "x", "--clicks", "y", "--window-plays", "0"],
        &["--tracks", "x", "--clicks", "y", "--window-days", "many"],
        &["--tracks", "x", "--clicks", "y", "--ad", "AN AD"],
        &["--tracks", "x", "--clicks", "y", "--volume"],
    ] {
        assert_eq!(features_from_stdin(arguments, b"").status.code(), Some(2), "{arguments:?}");
    }
    let output =
        features_from_stdin(&["--tracks", "/no/such/tracks.csv", "--clicks", "/no/such/clicks.csv"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/no/such/tracks.csv"), "{}", text(&output.stderr));
}
