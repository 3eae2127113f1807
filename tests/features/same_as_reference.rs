//! Property tests: on any files the command writes what the reference writes.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::reference::{Asked, Play, rows as expected};
use super::{features, rows, text};

/// Plays whose content is a function of their identity, as in real histories.
pub fn play() -> impl Strategy<Value = Play> {
    let customer = prop_oneof![
        (0u64..6).prop_map(|number| number.to_string()),
        Just("0048".to_owned()),
        Just("18446744073709551616".to_owned()),
        // `.` and `..` are no ids.
        "[a-cA-C.:_-]{0,2}[a-cA-C:_-]",
    ];
    let event_id = prop_oneof![4 => (0u64..40).prop_map(|number| number.to_string()), 1 => "[e-g]{1,2}"];
    (event_id, customer, 0u32..31, 0u32..24, 0u32..3).prop_map(|(event_id, customer, day, hour, minute)| {
        let sum = event_id.bytes().map(u32::from).sum::<u32>() + day + hour;
        let track = if sum % 5 == 0 { "a:track".to_owned() } else { (sum % 9).to_string() };
        Play { event_id, customer, track, day, hour, minute, mobile: sum % 3 == 0 }
    })
}

/// The form of a CSV file: byte order mark, line endings, quotes.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    bom: bool,
    crlf: bool,
    quoted: u8,
    blank_lines: bool,
    no_final_end: bool,
}

pub fn style() -> impl Strategy<Value = Style> {
    (any::<bool>(), any::<bool>(), 0u8..4, any::<bool>(), any::<bool>()).prop_map(
        |(bom, crlf, quoted, blank_lines, no_final_end)| Style {
            bom,
            crlf,
            quoted,
            blank_lines,
            no_final_end,
        },
    )
}

impl Style {
    pub fn file<const N: usize>(self, rows: impl Iterator<Item = [String; N]>) -> Vec<u8> {
        let end = if self.crlf { "\r\n" } else { "\n" };
        let mut text = if self.bom { "\u{feff}".to_owned() } else { String::new() };
        for (index, fields) in rows.enumerate() {
            if self.blank_lines && index % 3 == 1 {
                text.push_str(end);
            }
            let field = |(place, field): (usize, String)| {
                let chosen = self.quoted > 0 && (place + index + usize::from(self.quoted)) % 4 < 2;
                let needed = field.contains([',', '"']);
                if chosen || needed { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
            };
            let fields: Vec<_> = fields.into_iter().enumerate().map(field).collect();
            text.push_str(&fields.join(","));
            text.push_str(end);
        }
        if self.no_final_end {
            text.truncate(text.trim_end().len());
        }
        text.into_bytes()
    }
}

pub fn tracks_file(style: Style, plays: &[Play]) -> Vec<u8> {
    style.file(plays.iter().map(|play| {
        let zip = if play.mobile { "7,21\"32" } else { "72132" }.to_owned();
        let mobile = u8::from(play.mobile).to_string();
        let fields = [&play.event_id, &play.customer, &play.track, &play.time(), &mobile, &zip];
        fields.map(String::clone)
    }))
}

#[test]
fn features_equal_the_reference_on_any_files() {
    let asked = (any::<bool>(), any::<bool>(), prop::option::of(1usize..12), prop::option::of(1u32..31))
        .prop_map(|(keep_repeats, precise, window_plays, window_days)| Asked {
            keep_repeats,
            precise,
            window_plays,
            window_days,
            min_plays: None,
        });
    let cases = (
        prop::collection::vec(play(), 0..120),
        prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        prop::collection::vec(0usize..9, 0..8),
        style(),
        style(),
        asked,
    );
    let config = Config { cases: 96, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&cases, |(mut plays, repeats, clicks, tracks_style, clicks_style, asked)| {
        let customers = ["0", "1", "2", "3", "4", "0048", "a", "C", "nobody"];
        if !plays.is_empty() {
            // A file is not sorted, and a shipper may have sent parts of it again.
            let again: Vec<_> = repeats.iter().map(|index| index.get(&plays).clone()).collect();
            plays.extend(again);
        }
        let click_rows = clicks.iter().enumerate().map(|(index, customer)| {
            let ad = if index % 3 == 2 { "ADV_LIKE_FACEBOOK" } else { "ADV_REDUCED_1DAY" };
            [
                index.to_string(),
                customers[*customer].to_owned(),
                ad.to_owned(),
                "2014-10-05 12:00:00".to_owned(),
            ]
        });
        let clicked: Vec<_> = clicks
            .iter()
            .enumerate()
            .filter(|(index, _)| index % 3 != 2)
            .map(|(_, customer)| customers[*customer].to_owned())
            .collect();
        let mut flags = vec!["--ids".to_owned()];
        flags.extend(asked.keep_repeats.then(|| "--keep-repeats".to_owned()));
        flags.extend(asked.precise.then(|| "--precise".to_owned()));
        flags.extend(asked.window_plays.map(|plays| format!("--window-plays={plays}")));
        flags.extend(asked.window_days.map(|days| format!("--window-days={days}")));
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let output = features(&flags, &tracks_file(tracks_style, &plays), &clicks_style.file(click_rows));
        prop_assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        prop_assert_eq!(text(&output.stdout), expected(&plays, &clicked, asked));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn ids_are_written_only_with_the_flag() {
    let tracks =
        b"0,48,453,\"2014-10-23 03:26:20\",0,\"72132\"\n1,48,453,\"2014-10-23 12:26:20\",1,\"72132\"\n";
    let clicks =
        b"0,48,ADV_REDUCED_1DAY,\"2014-10-23 03:26:20\"\n0,48,ADV_LIKE_FACEBOOK,\"2014-10-23 03:26:20\"\n";
    let row = "1:0.00 2:0.50 3:0.00 4:0.50 5:0.50 6:0.50";
    assert_eq!(rows(&features(&[], tracks, clicks)), format!("1 {row}\n"));
    assert_eq!(rows(&features(&["--ids"], tracks, clicks)), format!("1 {row} # 48\n"));
    assert_eq!(rows(&features(&["--ad", "ADV_DONATION_CHARITY"], tracks, clicks)), format!("0 {row}\n"));
    assert_eq!(rows(&features(&["--ad", "ADV_LIKE_FACEBOOK"], tracks, clicks)), format!("1 {row}\n"));
}
