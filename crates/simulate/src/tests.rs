//! What the crate promises as a whole: determinism, proportions, the planted truth.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::*;

/// A twentieth of the original data set, with as many plays for each customer.
fn small() -> Settings {
    Settings { customers: 1_000, plays: 200_000, ..Settings::default() }
}

fn simulate(settings: Settings) -> Simulation {
    Simulation::new(settings).unwrap()
}

/// The five files of `settings`, as text.
fn files(settings: Settings) -> [String; 5] {
    let simulation = simulate(settings);
    let mut files = [const { Vec::new() }; 5];
    let [customers, music, tracks, clicks, impressions] = &mut files;
    write::customers(&simulation, customers).unwrap();
    write::music(music).unwrap();
    let files_of_events = write::EventFiles { tracks, clicks, impressions };
    write::events(&simulation, files_of_events, |_| ()).unwrap();
    files.map(|file| String::from_utf8(file).unwrap())
}

/// The six shares of every customer who played, computed the slow and obvious way.
fn shares(simulation: &Simulation) -> HashMap<u32, [f64; 6]> {
    let mut plays: HashMap<u32, Vec<Play>> = HashMap::new();
    for event in simulation.events() {
        plays.entry(event.play.customer).or_default().push(event.play);
    }
    let of = |plays: Vec<Play>| {
        let share = |count: usize| count as f64 / plays.len() as f64;
        let in_hours = |hours: &[i64]| {
            let hour = |play: &&Play| hours.contains(&(play.civil_s % 86_400 / 3_600));
            share(plays.iter().filter(hour).count())
        };
        [
            in_hours(&[5, 6, 7, 8, 9, 10, 11]),
            in_hours(&[12, 13, 14, 15, 16]),
            in_hours(&[17, 18, 19, 20, 21]),
            in_hours(&[22, 23, 0, 1, 2, 3, 4]),
            share(plays.iter().filter(|play| play.mobile).count()),
            share(plays.iter().map(|play| play.track).collect::<HashSet<_>>().len()),
        ]
    };
    plays.into_iter().map(|(customer, plays)| (customer, of(plays))).collect()
}

/// Who clicked the offer at or after `from_s`.
fn offer_clickers(simulation: &Simulation, from_s: i64) -> HashSet<u32> {
    let clicks = simulation.events().filter_map(|event| event.click);
    let offers = clicks.filter(|click| click.ad == Ad::Offer && click.civil_s >= from_s);
    offers.map(|click| click.customer).collect()
}

#[test]
fn equal_settings_write_equal_bytes() {
    let settings =
        Settings { customers: 50, plays: 2_000, drift: true, resend: 0.1, late: 0.1, ..Settings::default() };
    let first = files(settings.clone());
    assert_eq!(first, files(settings.clone()));
    let [customers, music, tracks, clicks, impressions] = files(Settings { seed: 2, ..settings });
    assert_ne!(first[0], customers);
    assert_eq!(first[1], music, "the catalogue is the same for every seed");
    assert_ne!(first[2], tracks);
    assert_ne!(first[3], clicks);
    assert_ne!(first[4], impressions);
}

/// Recorded once: after a change of these bytes the shipped model must be trained again.
#[test]
fn files_of_a_seed_never_change() {
    let files = files(Settings {
        customers: 500,
        plays: 20_000,
        seed: 7,
        drift: true,
        resend: 0.05,
        late: 0.05,
        ..Settings::default()
    });
    let digest = |files: &[String]| -> String {
        Sha256::digest(files.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    // Those without impressions, which came later, have the bytes that they had before.
    assert_eq!(digest(&files[..4]), "aa541a7aeba8e54e80bcb3d7c8fb72502f34c928dc43168c40e2d0eefe5c657a");
    assert_eq!(digest(&files[4..]), "b95dc0e59d6a1b1423a78b8bad94c05ceb5ebfa3d807fb85faaf9d3d10c2527d");
}

#[test]
fn every_ad_heard_is_an_impression_and_every_click_is_one_of_them() {
    let [_, _, tracks, clicks, impressions] = files(small());
    let mut rows = impressions.lines();
    assert_eq!(rows.next(), Some("event_id,customer_id,ad,time,clicked"));
    let mut clicked = Vec::new();
    let mut heard = HashMap::new();
    for (row, play) in rows.zip(tracks.lines()) {
        let (row, flag) = row.rsplit_once(',').unwrap();
        let fields: Vec<&str> = row.split(',').collect();
        let played: Vec<&str> = play.split(',').collect();
        assert_eq!(
            [fields[0], fields[1], fields[3]],
            [played[0], played[1], played[3]],
            "{row} before {play}"
        );
        *heard.entry(fields[2].to_owned()).or_insert(0) += 1;
        match flag {
            "1" => clicked.push(fields[1..].join(",")),
            flag => assert_eq!(flag, "0"),
        }
    }
    let of_clicks: Vec<&str> = clicks.lines().map(|row| row.split_once(',').unwrap().1).collect();
    assert_eq!(clicked, of_clicks);
    assert_eq!(heard.values().sum::<i32>(), 200_000);
    for ad in Ad::ALL {
        let found = heard[&format!("\"{}\"", ad.name())];
        assert!((48_500..51_500).contains(&found), "{} {found}", ad.name());
    }
}

#[test]
fn share_of_each_ads_impressions_that_is_clicked_is_the_planted_probability() {
    let simulation = simulate(small());
    for ad in Ad::ALL {
        let (mut heard, mut clicked, mut expected) = (0.0, 0.0, 0.0);
        for impression in simulation.events().map(|event| event.impression()).filter(|one| one.ad == ad) {
            heard += 1.0;
            clicked += f64::from(u8::from(impression.clicked));
            expected += simulation.click_probability(impression.customer, ad, impression.civil_s);
        }
        // Five standard deviations of so many coins.
        assert!((clicked - expected).abs() < 5.0 * (0.25_f64 * heard).sqrt(), "{ad:?} {clicked} {expected}");
    }
}

#[test]
fn listeners_of_a_seed_are_the_same_in_a_longer_history() {
    let short = simulate(small());
    let long = simulate(Settings { plays: 400_000, weeks: 26, ..small() });
    assert_eq!(short.listeners(), long.listeners());
}

#[test]
fn every_event_lies_within_the_history_and_in_time_order() {
    for (plays, weeks) in [(1, 1), (7, 520), (50_000, 2)] {
        let simulation = simulate(Settings { plays, weeks, ..small() });
        let end_s = simulation.settings().end_s;
        assert_eq!(end_s - simulation.start_s(), i64::from(weeks) * 7 * 86_400);
        let (mut newest_s, mut clicks) = (simulation.start_s(), 0);
        for (index, Event { play, ad, click }) in simulation.events().enumerate() {
            assert_eq!(play.event_id, index as u64);
            assert!(play.civil_s >= newest_s && play.civil_s < end_s);
            assert!(play.customer < 1_000 && play.track < TRACKS);
            if let Some(click) = click {
                assert_eq!(click.event_id, clicks);
                assert_eq!((click.customer, click.ad, click.civil_s), (play.customer, ad, play.civil_s));
                clicks += 1;
            }
            newest_s = play.civil_s;
        }
        assert_eq!(simulation.events().count() as u64, plays);
    }
}

#[test]
fn proportions_are_those_of_the_original_data() {
    let simulation = simulate(Settings { customers: 5_000, ..small() });
    let share = |wanted: &dyn Fn(&Listener) -> bool| {
        let count = simulation.listeners().iter().filter(|one| wanted(one)).count();
        count as f64 / 5_000.0
    };
    for (level, expected) in [(Level::Free, 0.566), (Level::Silver, 0.328), (Level::Gold, 0.106)] {
        let found = share(&|one| one.level == level);
        assert!((found - expected).abs() < 0.02, "{level:?} {found}");
    }
    for (kind, expected) in [(Kind::Phone, 0.15), (Kind::Evening, 0.12), (Kind::Plain, 0.73)] {
        let found = share(&|one| one.kind == kind);
        assert!((found - expected).abs() < 0.02, "{kind:?} {found}");
    }
    let clicks = simulation.events().filter(|event| event.click.is_some());
    let per_play = clicks.count() as f64 / 200_000.0;
    assert!((per_play - 1.0 / 3.0).abs() < 0.02, "{per_play}");
}

#[test]
fn phone_share_separates_those_who_click_the_offer() {
    let simulation = simulate(small());
    let clickers = offer_clickers(&simulation, 0);
    let share = clickers.len() as f64 / 1_000.0;
    assert!((0.12..0.18).contains(&share), "{share}");

    let shares = shares(&simulation);
    let mean = |clicked: bool| {
        let mut sum = [0.0; 6];
        let mut count = 0.0;
        for (customer, vector) in &shares {
            if clickers.contains(customer) == clicked {
                count += 1.0;
                for (sum, value) in sum.iter_mut().zip(vector) {
                    *sum += value;
                }
            }
        }
        sum.map(|sum| sum / count)
    };
    for (clicked, expected) in
        [(true, [0.29, 0.21, 0.21, 0.29, 0.81, 0.93]), (false, [0.29, 0.21, 0.21, 0.29, 0.57, 0.90])]
    {
        let found = mean(clicked);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 0.015, "{clicked} {found:?}");
        }
    }

    // One threshold on the phone share separates nearly all of them, but not all.
    let right =
        shares.iter().filter(|(customer, vector)| (vector[4] > 0.715) == clickers.contains(customer)).count();
    let accuracy = right as f64 / shares.len() as f64;
    assert!((0.98..0.998).contains(&accuracy), "{accuracy}");
}

#[test]
fn most_customers_have_twenty_plays() {
    let simulation = simulate(small());
    let mut plays = HashMap::new();
    for event in simulation.events() {
        *plays.entry(event.play.customer).or_insert(0) += 1;
    }
    let known = plays.values().filter(|count| **count >= 20).count();
    assert!(known >= 990, "{known}");
    let most = plays.values().max().unwrap();
    assert!(*most > 400, "{most}");
}

#[test]
fn gold_customers_never_click_the_offer() {
    let simulation = simulate(small());
    for customer in offer_clickers(&simulation, 0) {
        assert_ne!(simulation.listeners()[customer as usize].level, Level::Gold);
    }
}

#[test]
fn evening_listeners_replace_phone_listeners_under_drift() {
    let simulation = simulate(Settings { drift: true, ..small() });
    let end_s = simulation.settings().end_s;
    let start_s = simulation.start_s();
    let kinds = |from_s: i64, until_s: i64| {
        let mut phone_evening = (0_u32, 0_u32);
        for click in simulation.events().filter_map(|event| event.click) {
            if click.ad == Ad::Offer && (from_s..until_s).contains(&click.civil_s) {
                match simulation.listeners()[click.customer as usize].kind {
                    Kind::Phone => phone_evening.0 += 1,
                    Kind::Evening => phone_evening.1 += 1,
                    Kind::Plain => {}
                }
            }
        }
        phone_evening
    };
    let (phone, evening) = kinds(start_s, start_s + (end_s - start_s) / 2);
    assert!(phone > 100 && evening < phone / 20, "{phone} {evening}");
    let (phone, evening) = kinds(end_s - 7 * 86_400, end_s);
    assert!(evening > 10 * phone, "{phone} {evening}");
}

#[test]
fn live_plays_follow_the_same_habits() {
    let simulation = simulate(small());
    let mut rng = Rng::new(3);
    let now_s = simulation.settings().end_s + 20 * 3_600;
    let (mut mobile, mut expected, mut evening) = (0.0, 0.0, 0);
    for event_id in 0..20_000 {
        let listener = simulation.draw_listener(now_s, &mut rng);
        let play = simulation.draw_play(listener, event_id, now_s, &mut rng);
        assert_eq!((play.event_id, play.civil_s), (event_id, now_s));
        mobile += f64::from(u8::from(play.mobile));
        expected += f64::from(listener.mobile);
        evening += u32::from(listener.kind == Kind::Evening);
    }
    assert!((mobile - expected).abs() < 300.0, "{mobile} {expected}");
    // At eight in the evening the evening listeners, 12 % of all, make about a quarter of plays.
    assert!((4_000..7_500).contains(&evening), "{evening}");
}

#[test]
fn unknown_customers_click_nothing() {
    assert_eq!(simulate(small()).click_probability(1_000, Ad::Offer, 0), 0.0);
}

#[test]
fn resent_rows_are_whole_repeats_and_late_rows_are_not_lost() {
    let plain = files(small());
    let shipped = files(Settings { resend: 0.05, late: 0.02, ..small() });
    for (plain, shipped) in plain.iter().zip(&shipped).skip(2) {
        let (rows, seen) = (plain.lines().count(), shipped.lines().count());
        assert!((rows * 105 / 100..=rows * 105 / 100 + 1).contains(&seen));
        let rows: HashSet<&str> = plain.lines().collect();
        assert_eq!(rows, shipped.lines().collect::<HashSet<_>>());
    }
    assert_eq!(plain[..2], shipped[..2], "only event files are shipped");
    assert_eq!(shipped[2].lines().count(), 210_000);
}

#[test]
fn settings_out_of_range_are_named() {
    let refused = |settings: Settings| Simulation::new(settings).unwrap_err().to_string();
    let default = Settings::default;
    for (settings, name) in [
        (Settings { customers: 0, ..default() }, "customers is 0"),
        (Settings { customers: 10_000_001, ..default() }, "customers is"),
        (Settings { plays: 0, ..default() }, "plays is 0"),
        (Settings { plays: 1_000_000_001, ..default() }, "plays is"),
        (Settings { weeks: 0, ..default() }, "weeks is 0"),
        (Settings { weeks: 521, ..default() }, "weeks is"),
        (Settings { end_s: 13 * 7 * 86_400 - 1, ..default() }, "1970"),
        (Settings { end_s: i64::MIN, ..default() }, "1970"),
        (Settings { end_s: i64::MAX, ..default() }, "9999"),
        (Settings { late: f64::NAN, ..default() }, "late is NaN"),
        (Settings { late: -0.1, ..default() }, "late is -0.1"),
        (Settings { resend: 1.5, ..default() }, "resend is 1.5"),
    ] {
        let message = refused(settings);
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn parts_of_the_history_join_to_the_whole() {
    let simulation = simulate(Settings { plays: 1_000, ..small() });
    let whole: Vec<_> = simulation.events().collect();
    let mut first_click = 0;
    let mut joined = Vec::new();
    for start in [0, 1, 400, 999] {
        let end = [1, 400, 999, 1_000].into_iter().find(|end| *end > start).unwrap();
        let part: Vec<_> = simulation.events_of(start..end).collect();
        let clicks = part.iter().filter(|event| event.click.is_some()).count() as u64;
        joined.extend(part.into_iter().map(|event| {
            let click = event.click.map(|click| Click { event_id: click.event_id + first_click, ..click });
            Event { click, ..event }
        }));
        first_click += clicks;
    }
    assert_eq!(joined, whole);
}
