use proptest::prelude::*;

use super::*;
use crate::event::{ClickOf, MINUTE_MS};
use crate::profile::{Applied, Bounds};

const NOW_MS: i64 = 1_700_000_000_000;
const OURS: Id = Id::Number(0);

/// Two campaigns with ads of their own, and one with that of the first.
struct Ads([(Id, Id); 3]);

impl Campaigns for Ads {
    fn ad(&self, campaign: &Id) -> Option<&Id> {
        self.0.iter().find(|(id, _)| id == campaign).map(|(_, ad)| ad)
    }

    fn reserve_ms(&self, _: &Id) -> i64 {
        10 * MINUTE_MS
    }
}

fn ads() -> Ads {
    let ad = |text: &str| Id::Text(text.into());
    Ads([(OURS, ad("A")), (Id::Number(1), ad("B")), (Id::Number(2), ad("A"))])
}

fn bounds() -> Bounds<'static> {
    Bounds { plays: 10, campaigns: &[Id::Number(0), Id::Number(1), Id::Number(2)] }
}

fn at(minute: i64) -> Time {
    Time::from_unix_ms(NOW_MS + minute * MINUTE_MS)
}

fn event(event_id: u64, minute: i64, kind: EventKind) -> Event {
    Event { customer: Id::Number(48), id: Id::Number(event_id), time: at(minute), kind }
}

fn confirm(decision: u64) -> EventKind {
    EventKind::Impression(ImpressionOf::Decision(DecisionId(decision)))
}

fn void(decision: u64) -> EventKind {
    EventKind::Void { decision: DecisionId(decision) }
}

fn click_of(decision: u64) -> EventKind {
    EventKind::Click {
        of: ClickOf::Decision { decision: DecisionId(decision), ad: Some(Id::Text("A".into())) },
    }
}

fn click_on(ad: &str) -> EventKind {
    EventKind::click(Id::Text(ad.into()))
}

/// A customer to whom decision `n` showed the ad of this campaign at this minute.
fn shown(shows: &[(u64, u64, i64)]) -> Profile {
    let mut profile = Profile::default();
    for (decision, campaign, minute) in shows {
        profile.count_decided_impression(
            DecisionId(*decision),
            Id::Number(*campaign),
            at(*minute),
            &bounds(),
        );
    }
    profile
}

/// What an event says that comes when it happens, and then applies it; its consequence with the decision.
fn say(profile: &mut Profile, event: Event) -> (Vec<&'static str>, Option<(&'static str, u64)>) {
    let feedback = Feedback::of(profile, &event, &ads(), &FeedbackPeriods::default(), event.time.unix_ms);
    profile.apply(event, &bounds());
    let consequence = feedback.consequence.map(|consequence| match consequence {
        Consequence::Confirmed(show) => ("confirmed", show.decision.0),
        Consequence::Voided(show) => ("voided", show.decision.0),
        Consequence::Clicked(show) => ("clicked", show.decision.0),
        Consequence::Upgraded(show) => ("upgraded", show.decision.0),
    });
    (feedback.kinds.iter().map(FeedbackKind::name).collect(), consequence)
}

#[test]
fn first_word_of_a_show_has_its_consequence_and_every_oddity_its_name() {
    type Case<'a> = (&'a [(u64, i64, EventKind)], &'a [&'a str], Option<(&'a str, u64)>);
    let cases: [Case<'_>; 15] = [
        (&[(1, 1, confirm(1))], &[], Some(("confirmed", 1))),
        (&[(1, -1, confirm(1))], &["early"], Some(("confirmed", 1))),
        (&[(1, 10, confirm(1))], &[], Some(("confirmed", 1))),
        (&[(1, 11, confirm(1))], &["late"], Some(("confirmed", 1))),
        (&[(1, 1, confirm(1)), (1, 1, confirm(1))], &[], None),
        (&[(1, 1, confirm(1)), (2, 2, confirm(1))], &["repeated"], None),
        (&[(1, 1, void(1))], &[], Some(("voided", 1))),
        (&[(1, 1, void(1)), (2, 11, void(1))], &["repeated", "late"], None),
        (&[(1, 1, confirm(1)), (2, 2, void(1))], &["repeated"], None),
        (&[(1, 1, void(1)), (2, 2, confirm(1))], &[], Some(("confirmed", 1))),
        (&[(1, 1, confirm(9))], &["expired"], None),
        (&[(1, 1, void(9))], &["expired"], None),
        (&[(1, 1, click_of(9))], &["expired"], None),
        (&[(1, 31, click_of(1))], &["late"], None),
        (&[(1, -1, click_of(1))], &["early"], Some(("clicked", 1))),
    ];
    for (events, kinds, consequence) in cases {
        let mut profile = shown(&[(1, 0, 0)]);
        let mut last = Default::default();
        for (event_id, minute, kind) in events {
            last = say(&mut profile, event(*event_id, *minute, kind.clone()));
        }
        let mut expected = kinds.to_vec();
        expected.sort_by_key(|name| FeedbackKind::ALL.iter().position(|kind| kind.name() == *name));
        assert_eq!(last, (expected, consequence), "{events:?}");
    }
}

#[test]
fn confirmation_of_the_second_of_its_decision_is_not_early() {
    let mut profile = Profile::default();
    let (decision, shown_ms) = (DecisionId(1), NOW_MS + 900);
    profile.count_decided_impression(decision, OURS, Time::from_unix_ms(shown_ms), &bounds());
    let whole_second = event(1, 0, confirm(1));
    assert_eq!(say(&mut profile, whole_second), (vec![], Some(("confirmed", 1))));
}

#[test]
fn what_comes_after_the_reservation_is_late_though_it_happened_before() {
    let profile = shown(&[(1, 0, 0)]);
    let (event, periods) = (event(1, 1, confirm(1)), FeedbackPeriods::default());
    let kinds = |now_ms| Feedback::of(&profile, &event, &ads(), &periods, now_ms).kinds;
    assert_eq!(kinds(at(10).unix_ms), FeedbackKinds::default());
    assert_eq!(kinds(at(10).unix_ms + 1), FeedbackKind::Late.into());
}

#[test]
fn click_on_an_ad_belongs_to_the_newest_show_of_it_that_has_no_click() {
    let shows = [(1, 0, 0), (2, 1, 5), (3, 2, 10), (4, 0, 60)];
    let mut profile = shown(&shows);
    let mut say = |event_id, minute, kind| say(&mut profile, event(event_id, minute, kind));
    assert_eq!(say(1, 12, click_on("C")), (vec![], None), "nobody showed it");
    assert_eq!(say(2, -1, click_on("A")), (vec![], None), "before all of them");
    assert_eq!(say(3, 12, click_on("A")), (vec![], Some(("clicked", 3))));
    assert_eq!(say(4, 13, click_on("A")), (vec![], Some(("clicked", 1))));
    assert_eq!(say(4, 13, click_on("A")), (vec![], None), "a repeat");
    assert_eq!(say(5, 14, click_on("A")), (vec!["repeated"], None));
    assert_eq!(say(6, 14, click_of(1)), (vec!["repeated"], None), "a click on the ad has it");
    assert_eq!(say(7, 14, click_on("B")), (vec![], Some(("clicked", 2))));
    assert_eq!(say(8, 50, click_on("A")), (vec!["late"], None));
    assert_eq!(say(9, 60, void(4)), (vec![], Some(("voided", 4))));
    assert_eq!(say(10, 61, click_on("A")), (vec!["late"], None), "what was given back was not shown");
}

#[test]
fn rise_of_the_membership_is_an_upgrade_of_the_newest_show_of_a_week() {
    let week = 7 * 24 * 60;
    let level = EventKind::Membership;
    let (silver, gold, free) = (level(Membership::Silver), level(Membership::Gold), level(Membership::Free));
    let mut profile = shown(&[(1, 0, 0), (2, 1, 5), (3, 1, 7)]);
    let mut say =
        |event_id, minute, kind: &EventKind| say(&mut profile, event(event_id, minute, kind.clone()));
    assert_eq!(say(1, 6, &void(3)).1, Some(("voided", 3)));
    assert_eq!(say(2, -1, &silver), (vec![], None), "before all of them");
    assert_eq!(say(3, 8, &silver), (vec![], None), "no rise");
    assert_eq!(say(4, 9, &gold), (vec![], Some(("upgraded", 2))));
    assert_eq!(say(4, 9, &gold), (vec![], None), "a repeat");
    assert_eq!(say(5, 10, &free), (vec![], None));
    assert_eq!(say(6, 5 + week, &silver), (vec![], Some(("upgraded", 2))));
    assert_eq!(say(7, 6 + week, &gold), (vec![], None), "a week is over");
}

#[test]
fn customer_file_that_says_the_first_of_a_customer_is_no_upgrade() {
    let mut profile = shown(&[(1, 0, 0)]);
    let file = |minute, level| Event {
        id: Id::Text(CUSTOMER_FILE_ID.into()),
        ..event(0, minute, EventKind::Membership(level))
    };
    assert_eq!(say(&mut profile, file(1, Membership::Silver)), (vec![], None));
    assert_eq!(say(&mut profile, file(2, Membership::Gold)), (vec![], Some(("upgraded", 1))));
}

proptest! {
    /// In any order of arrival as many shows are clicked, and each at most once.
    #[test]
    fn shows_that_are_clicked_are_a_function_of_the_set_of_clicks(
        shows in prop::collection::vec((0u64..3, 0i64..60), 0..10),
        clicks in prop::collection::vec((0u64..40, 0i64..90, 0u64..12), 0..30),
        turn in any::<prop::sample::Index>(),
    ) {
        let numbered = (0..).zip(&shows).map(|(decision, (campaign, minute))| (decision, *campaign, *minute));
        let start = shown(&numbered.collect::<Vec<_>>());
        let events: Vec<Event> = clicks.iter().map(|(event_id, minute, of)| {
            let kind = match of {
                0..=3 if (*of as usize) < shows.len() => click_of(*of),
                4..=7 => click_on("B"),
                _ => click_on("A"),
            };
            event(*event_id, *minute, kind)
        }).collect();
        let mut other = events.clone();
        other.rotate_left(if events.is_empty() { 0 } else { turn.index(events.len()) });
        let count = |events: &[Event]| {
            let mut profile = start.clone();
            let mut clicked = 0;
            for event in events {
                let before = profile.clicks().len();
                let (_, consequence) = say(&mut profile, event.clone());
                prop_assert!(consequence.is_none() || profile.clicks().len() > before);
                clicked += usize::from(consequence.is_some());
            }
            prop_assert!(clicked <= shows.len());
            Ok(clicked)
        };
        // Copies of one click that differ are for the smallest of them, which may come last.
        let mut identities: Vec<_> = clicks.iter().map(|(event_id, minute, _)| (event_id, minute)).collect();
        identities.sort();
        identities.dedup();
        if identities.len() == clicks.len() {
            prop_assert_eq!(count(&events)?, count(&other)?);
        }
    }
}

#[test]
fn click_is_kept_with_or_without_a_show() {
    let mut profile = Profile::default();
    let click = event(1, 1, click_on("A"));
    assert_eq!(
        Feedback::of(&profile, &click, &ads(), &FeedbackPeriods::default(), NOW_MS),
        Feedback::default()
    );
    assert_eq!(profile.apply(click, &bounds()), Applied::Accepted);
}
