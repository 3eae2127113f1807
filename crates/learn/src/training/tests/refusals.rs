//! Examples that give no candidate, each with a sentence that says why.

use super::*;

#[track_caller]
fn refused(examples: Vec<Example>) -> NoCandidate {
    train(examples, &PLAN).map(|candidate| candidate.sentence).expect_err("no candidate")
}

#[test]
fn one_class_alone_is_refused() {
    for clicked in [false, true] {
        let examples = shown(2_000, 1, |_, _| f64::from(u8::from(clicked)));
        let error = refused(examples);
        assert_eq!(error, NoCandidate::OneClass { examples: 2_000, clicked });
        let said = error.to_string();
        assert!(said.contains(if clicked { "sent once" } else { "POST /events" }), "{said}");
    }
    assert_eq!(refused(Vec::new()), NoCandidate::OneClass { examples: 0, clicked: false });
}

#[test]
fn ten_clicks_of_a_million_ads_are_refused_in_bounded_memory() {
    let mut examples = Examples::new(0, None);
    let one = shown(1, 1, |_, _| 0.0)[0];
    for number in 0..1_000_000_u64 {
        let clicked = number % 100_000 == 99_999;
        examples.keep(Example { time_ms: number as i64, id: DecisionId(number), clicked, ..one });
    }
    let kept = examples.take();
    assert_eq!((kept.len(), kept[0].time_ms), (MOST_EXAMPLES, 900_000));
    let error = refused(kept);
    assert!(matches!(error, NoCandidate::TooFew { clicks: 1, .. }), "{error:?}");
    assert!(error.to_string().contains("20 clicks are needed"), "{error}");
    // The same of 100,000 with ten.
    let ten = (0..100_000_u64).map(|number| Example {
        time_ms: number as i64,
        id: DecisionId(number),
        clicked: number % 10_000 == 1,
        ..one
    });
    assert!(matches!(refused(ten.collect()), NoCandidate::TooFew { clicks: 10, .. }));
}

#[test]
fn few_ads_are_refused_with_how_many_are_needed() {
    let error = refused(shown(300, 1, |_, mobile| truth(mobile)));
    assert!(error.to_string().contains("300 ads and 20 clicks are needed"), "{error}");
}

#[test]
fn listeners_who_are_all_alike_are_refused() {
    let one = shown(1, 1, |_, _| 0.0)[0].counts;
    let alike = shown(1_500, 2, |_, _| 0.3).into_iter().map(|example| Example { counts: one, ..example });
    let error = refused(alike.collect());
    assert!(matches!(error, NoCandidate::NoneFit { .. }), "{error:?}");
    assert!(error.to_string().contains("scores all listeners alike"), "{error}");
}

#[test]
fn listeners_whose_plays_say_nothing_of_their_clicks_get_no_candidate_that_pretends_to_know() {
    let mut refusals = 0;
    for seed in 0..4 {
        match train(shown(1_500, seed, |_, _| 0.3), &PLAN) {
            Err(NoCandidate::TellsNothing { .. } | NoCandidate::NoneFit { .. }) => refusals += 1,
            Err(error) => panic!("{error}"),
            // By chance one is better on the few ads that choose; it says nearly the same of all.
            Ok(candidate) => {
                let [(expected, found), _] =
                    held_against(&candidate.model, &shown(20_000, 50, |_, _| 0.3), 0.3);
                assert!((0.85..1.15).contains(&(expected / found)), "{expected} and {found}");
            }
        }
    }
    assert!(refusals >= 1, "{refusals}");
}
