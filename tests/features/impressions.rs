//! `upbeat features --label impression`: a row for each impression, of the plays in the window that ends just before it.

use std::process::{Command, Output};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::reference::{Asked, Impression, rows_of_impressions as expected};
use super::same_as_reference::{Style, play, style, tracks_file};
use super::{features_from_stdin, rows, text};

const AD: &str = "ADV_REDUCED_1DAY";

/// Runs it on two files of these contents.
fn labelled(flags: &[&str], tracks: &[u8], impressions: &[u8]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = ["tracks.csv", "impressions.csv"].map(|name| directory.path().join(name));
    std::fs::write(&paths[0], tracks).expect("a file");
    std::fs::write(&paths[1], impressions).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_upbeat"));
    command.args(["features", "--label", "impression", "--tracks"]).arg(&paths[0]);
    command.arg("--impressions").arg(&paths[1]).args(flags).output().expect("it runs")
}

fn impression() -> impl Strategy<Value = Impression> {
    let customer = prop_oneof![
        (0u64..6).prop_map(|number| number.to_string()),
        Just("0048".to_owned()),
        "[a-c]{1}",
        Just("nobody".to_owned()),
    ];
    let event_id = prop_oneof![4 => (0u64..40).prop_map(|number| number.to_string()), 1 => "[e-g]{1,2}"];
    let ad = prop_oneof![3 => Just(AD), 1 => Just("ADV_LIKE_FACEBOOK")];
    let time = (0u32..31, 0u32..24, 0u32..3);
    (event_id, customer, ad, time, any::<bool>()).prop_map(
        |(event_id, customer, ad, (day, hour, minute), clicked)| Impression {
            event_id,
            customer,
            ad,
            day,
            hour,
            minute,
            clicked,
        },
    )
}

fn impressions_file(style: Style, header: bool, impressions: &[Impression]) -> Vec<u8> {
    let head = ["event_id", "customer_id", "ad", "time", "clicked"].map(str::to_owned);
    let rows = impressions.iter().map(|impression| {
        let clicked = u8::from(impression.clicked).to_string();
        let Impression { event_id, customer, ad, .. } = impression.clone();
        [event_id, customer, ad.to_owned(), impression.time(), clicked]
    });
    style.file(header.then_some(head).into_iter().chain(rows))
}

#[test]
fn rows_of_impressions_equal_the_reference_on_any_files() {
    let windows = (prop::option::of(1usize..12), prop::option::of(1u32..31), prop::option::of(1usize..5));
    let asked = (any::<bool>(), any::<bool>(), windows).prop_map(
        |(keep_repeats, precise, (window_plays, window_days, min_plays))| Asked {
            keep_repeats,
            precise,
            window_plays,
            window_days,
            min_plays,
        },
    );
    let cases = (
        prop::collection::vec(play(), 0..100),
        prop::collection::vec(impression(), 0..60),
        prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..20),
        style(),
        style(),
        any::<bool>(),
        asked,
    );
    let config = Config { cases: 96, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result =
        runner.run(&cases, |(mut plays, mut impressions, repeats, tracks_style, style, header, asked)| {
            for (index, clicked) in repeats {
                // Parts of either file may have been sent again; a click may have become known in the meantime.
                if !plays.is_empty() {
                    plays.push(index.get(&plays).clone());
                }
                if !impressions.is_empty() {
                    impressions.push(Impression { clicked, ..index.get(&impressions).clone() });
                }
            }
            let mut flags = vec!["--ids".to_owned()];
            flags.extend(asked.keep_repeats.then(|| "--keep-repeats".to_owned()));
            flags.extend(asked.precise.then(|| "--precise".to_owned()));
            flags.extend(asked.window_plays.map(|plays| format!("--window-plays={plays}")));
            flags.extend(asked.window_days.map(|days| format!("--window-days={days}")));
            flags.extend(asked.min_plays.map(|plays| format!("--min-plays={plays}")));
            let flags: Vec<_> = flags.iter().map(String::as_str).collect();
            let (tracks, file) =
                (tracks_file(tracks_style, &plays), impressions_file(style, header, &impressions));
            let output = labelled(&flags, &tracks, &file);
            prop_assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
            let (wanted, left_out) = expected(&plays, &impressions, AD, asked);
            prop_assert_eq!(text(&output.stdout), wanted);
            let said = format!("{left_out} of ");
            prop_assert_eq!(text(&output.stderr).contains("left out"), left_out > 0);
            prop_assert!(left_out == 0 || text(&output.stderr).contains(&said), "{}", text(&output.stderr));
            Ok(())
        });
    result.unwrap_or_else(|error| panic!("{error}"));
}

const TRACKS: &str = "0,48,453,2014-10-23 03:00:00,0,1\n1,48,7,2014-10-23 13:00:00,1,1\n";

#[test]
fn play_that_follows_the_ad_is_in_no_row_of_it() {
    let impressions =
        "0,48,ADV_REDUCED_1DAY,2014-10-23 13:00:00,1\n1,48,ADV_REDUCED_1DAY,2014-10-23 13:00:01,0\n";
    let output = labelled(&[], TRACKS.as_bytes(), impressions.as_bytes());
    let (first, both) =
        ("1:0.00 2:0.00 3:0.00 4:1.00 5:0.00 6:1.00", "1:0.00 2:0.50 3:0.00 4:0.50 5:0.50 6:1.00");
    assert_eq!(rows(&output), format!("1 {first}\n0 {both}\n"));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn window_of_an_impression_ends_with_it_rather_than_with_the_file() {
    let impressions = "0,48,ADV_REDUCED_1DAY,2014-10-23 14:00:00,0\n1,48,ADV_REDUCED_1DAY,2014-10-24 03:00:01,0\n\
                       2,48,ADV_REDUCED_1DAY,2014-11-24 03:00:01,1\n";
    let late = "2,48,7,2015-10-23 13:00:00,1,1\n";
    let output =
        labelled(&["--window-days", "1"], format!("{TRACKS}{late}").as_bytes(), impressions.as_bytes());
    let (both, last) =
        ("1:0.00 2:0.50 3:0.00 4:0.50 5:0.50 6:1.00", "1:0.00 2:1.00 3:0.00 4:0.00 5:1.00 6:1.00");
    assert_eq!(rows(&output), format!("0 {both}\n0 {last}\n"));
    let said = text(&output.stderr);
    assert!(said.contains("1 of 3 impressions of ADV_REDUCED_1DAY have no play"), "{said}");
}

#[test]
fn impression_with_too_few_plays_before_it_is_left_out_and_told() {
    let impressions =
        "0,48,ADV_REDUCED_1DAY,2014-10-23 13:00:00,1\n1,48,ADV_REDUCED_1DAY,2014-10-23 13:00:01,0\n";
    let output = labelled(&["--min-plays", "2"], TRACKS.as_bytes(), impressions.as_bytes());
    assert_eq!(rows(&output).lines().count(), 1);
    let said = text(&output.stderr);
    assert!(said.contains("1 of 2 impressions of ADV_REDUCED_1DAY have fewer than 2 plays"), "{said}");
}

#[test]
fn repeated_impression_is_one_row_and_clicked_if_a_copy_says_so() {
    let [not, clicked] = [0, 1].map(|flag| format!("0,48,ADV_REDUCED_1DAY,2014-10-23 13:00:00,{flag}\n"));
    for copies in [[&not, &clicked, &not], [&clicked, &not, &not], [&not, &not, &clicked]] {
        let output = labelled(&[], TRACKS.as_bytes(), copies.map(String::as_str).concat().as_bytes());
        assert_eq!(rows(&output), "1 1:0.00 2:0.00 3:0.00 4:1.00 5:0.00 6:1.00\n");
        let said = text(&output.stderr);
        assert!(said.contains("2 impressions are repeats of earlier rows and are counted once"), "{said}");
    }
}

#[test]
fn other_ads_are_no_rows_and_their_absence_is_told() {
    let impressions = "0,48,ADV_LIKE_FACEBOOK,2014-10-23 13:00:00,1\n";
    let output = labelled(&[], TRACKS.as_bytes(), impressions.as_bytes());
    assert_eq!(rows(&output), "");
    assert!(text(&output.stderr).contains("no impressions of ADV_REDUCED_1DAY"), "{}", text(&output.stderr));
    let output = labelled(&["--ad", "ADV_LIKE_FACEBOOK"], TRACKS.as_bytes(), impressions.as_bytes());
    assert_eq!(rows(&output).lines().count(), 1);
    let output = labelled(&["--ad", "ADV_LIKE_FACEBOOK"], b"", impressions.as_bytes());
    assert_eq!(rows(&output), "");
    assert!(text(&output.stderr).contains("no plays"), "{}", text(&output.stderr));
}

#[test]
fn files_that_do_not_fit_the_label_are_refused_with_what_to_do() {
    for (arguments, said) in [
        (&["--tracks", "t", "--label", "impression"][..], "--label impression needs --impressions"),
        (
            &["--tracks", "t", "--label", "impression", "--clicks", "c"],
            "--label impression needs --impressions",
        ),
        (
            &["--tracks", "t", "--clicks", "c", "--impressions", "i"],
            "--impressions is read with --label impression",
        ),
        (&["--tracks", "t", "--clicks", "c", "--min-plays", "3"], "--min-plays is for --label impression"),
        (&["--tracks", "t"], "--clicks is missing"),
        (
            &["--tracks", "-", "--label", "impression", "--impressions", "-"],
            "only one of --tracks and --impressions",
        ),
        (&["--tracks", "t", "--label", "show", "--impressions", "i"], "impression"),
    ] {
        let output = features_from_stdin(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", text(&output.stderr));
    }
    // A caller may name all three files.
    let impressions = "0,48,ADV_REDUCED_1DAY,2014-10-23 13:00:00,1\n";
    let output = labelled(&["--clicks", "no-such-file"], TRACKS.as_bytes(), impressions.as_bytes());
    assert_eq!(rows(&output).lines().count(), 1);
    assert!(text(&output.stderr).contains("--clicks is not read"), "{}", text(&output.stderr));
}

#[test]
fn bad_line_of_the_impressions_ends_the_run_unless_skipped() {
    let impressions =
        "0,48,ADV_REDUCED_1DAY,2014-10-23 13:00:00,2\n1,48,ADV_REDUCED_1DAY,2014-10-23 13:00:00,1\n";
    let output = labelled(&[], TRACKS.as_bytes(), impressions.as_bytes());
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(
        said.contains("impressions.csv:1: clicked (column 5) is \"2\"") && said.contains("1 bad lines"),
        "{said}"
    );
    let output = labelled(&["--skip-bad"], TRACKS.as_bytes(), impressions.as_bytes());
    assert_eq!(rows(&output).lines().count(), 1);
}
