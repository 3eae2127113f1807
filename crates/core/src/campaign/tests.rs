//! What documents may say, what is refused, and where.

pub(crate) mod plans;
mod schedules;

use proptest::prelude::*;

use super::*;
use crate::event::{Id, Membership};

/// A campaign of the issue's example, with every key.
pub(super) const EXAMPLE: &str = r#"{
    "currency": "USD",
    "holdout_all": 0.01,
    "cap": [{ "impressions": 3, "hours": 24 }],
    "campaign": [{
        "id": "gold-one-day", "ad": "ADV_REDUCED_1DAY", "paused": false, "priority": 0,
        "audience": ["free", "silver"], "signed_up_days": { "min": 7 },
        "start": "2026-11-01T00:00:00", "end": "2027-01-01T00:00:00", "time_zone": "Asia/Seoul",
        "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "hours": ["07:00-23:00"],
        "min_plays": 10, "caps": [{ "impressions": 1, "hours": 24 }, { "impressions": 3, "days": 7 }],
        "cooldown_after_impression": "30m", "cooldown_after_click": "72h", "cooldown_after_upgrade": "30d",
        "impression_cost": 0.02, "click_value": 0.50, "daily_budget": 100.00, "total_budget": 5000.00,
        "pacing": "traffic", "bill": "show", "reserve": "30m", "threshold": "profit", "model": "default",
        "mode": "frozen", "holdout": 0.05, "exploration": 0.02,
        "creative": { "title": "Gold", "text": "Half price", "media_url": "https://a.example/x.mp3",
                      "click_url": "http://a.example/" }
    }]
}"#;

pub(super) fn example() -> Document {
    serde_json::from_str(EXAMPLE).expect("a document")
}

fn campaign(id: &str) -> Campaign {
    Campaign::new(id.parse().expect("an id"), "AD".parse().expect("an id"))
}

#[test]
fn every_key_of_the_example_is_read_and_written_again() {
    let document = example();
    assert_eq!(document.check(), Ok(()));
    let campaign = &document.campaign[0];
    assert_eq!(
        (campaign.impression_cost, campaign.click_value),
        (Money::from_micro(20_000), Money::from_micro(500_000))
    );
    assert_eq!(campaign.daily_budget, Some(Money::from_micro(100_000_000)));
    assert_eq!((campaign.caps[1].period_ms(), campaign.reserve.ms()), (7 * 86_400_000, 1_800_000));
    assert_eq!(
        (campaign.threshold, campaign.pacing, campaign.bill),
        (Threshold::Profit, Pacing::Traffic, Bill::Show)
    );
    let text = serde_json::to_string(&document).expect("JSON");
    assert_eq!(serde_json::from_str::<Document>(&text).expect("a document"), document);
}

#[test]
fn absent_keys_cost_nothing_and_change_nothing() {
    let least: Document =
        serde_json::from_str(r#"{"campaign":[{"id":"one","ad":"AD"}]}"#).expect("a document");
    assert_eq!(least.campaign, [campaign("one")]);
    assert_eq!(least.check(), Ok(()));
    let Campaign { holdout, exploration, daily_budget, total_budget, pacing, mode, caps, threshold, .. } =
        &least.campaign[0];
    assert_eq!((*holdout, *exploration, *daily_budget, *total_budget), (0.0, 0.0, None, None));
    assert_eq!(
        (*pacing, *mode, caps.len(), *threshold),
        (Pacing::None, Mode::Frozen, 0, Threshold::Score(0.0))
    );
    assert_eq!((least.holdout_all, least.cap.len()), (0.0, 0));
}

#[test]
fn unknown_and_missing_keys_are_named() {
    for (text, said) in [
        (r#"{"campaigns":[]}"#, "unknown field `campaigns`"),
        (r#"{"campaign":[{"id":"one","ad":"AD","budget":5}]}"#, "unknown field `budget`"),
        (r#"{"campaign":[{"id":"one"}]}"#, "missing field `ad`"),
        (r#"{"campaign":[{"ad":"AD"}]}"#, "missing field `id`"),
        (r#"{"campaign":[{"id":"=1+1","ad":"AD"}]}"#, "an id has '=' at character 1"),
        (
            r#"{"campaign":[{"id":"one","ad":"AD","caps":[{"impressions":1,"weeks":1}]}]}"#,
            "unknown field `weeks`",
        ),
        (r#"{"campaign":[{"id":"one","ad":"AD","creative":{"url":"x"}}]}"#, "unknown field `url`"),
        (r#"{"campaign":[{"id":"one","ad":"AD","threshold":"money"}]}"#, "unknown variant `money`"),
        (r#"{"campaign":[{"id":"one","ad":"AD","pacing":"fast"}]}"#, "unknown variant `fast`"),
        (r#"{"campaign":[{"id":"one","ad":"AD","weekdays":["monday"]}]}"#, "unknown variant `monday`"),
        (r#"{"campaign":[{"id":"one","ad":"AD","impression_cost":5e-7}]}"#, "0.0000005 has 7 decimals"),
        (r#"{"campaign":[{"id":"one","ad":"AD","end":"tomorrow"}]}"#, "is not a local time"),
        (r#"{"campaign":[{"id":"one","ad":"AD","hours":["7-23"]}]}"#, "are not hours of the day"),
        (r#"{"campaign":[{"id":"one","ad":"AD","reserve":"soon"}]}"#, "is not a length of time"),
    ] {
        let error = serde_json::from_str::<Document>(text).expect_err(text).to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn value_out_of_range_is_named_by_its_path_and_told_how_to_be_right() {
    type Edit = fn(&mut Document);
    let cases: [(&str, &str, Edit); 42] = [
        ("currency", "three capital letters", |d| d.currency = Some("usd".into())),
        ("currency", "three capital letters", |d| d.currency = Some("=1+1".into())),
        ("holdout_all", "-0.1 is not a share", |d| d.holdout_all = -0.1),
        ("holdout_all", "not a share", |d| d.holdout_all = f64::NAN),
        ("campaign[0].holdout", "for 5 % write 0.05", |d| d.campaign[0].holdout = 5.0),
        ("campaign[0].exploration", "for 2 % write 0.02", |d| d.campaign[0].exploration = 2.0),
        ("campaign[0].exploration", "above 1 together", |d| d.campaign[0].exploration = 0.96),
        ("campaign[1].exploration", "the explorations of all campaigns are 1.02 together", |d| {
            let mut more = campaign("two");
            more.exploration = 1.0;
            d.campaign.push(more);
        }),
        ("campaign[1].id", "gold-one-day is also the id of campaign[0]", |d| {
            d.campaign.push(campaign("gold-one-day"))
        }),
        ("campaign[64]", "there are 65 campaigns; at most 64", |d| {
            d.campaign = (0..65).map(|n| campaign(&format!("c{n}"))).collect();
        }),
        ("campaign[0].end", "2026-10-01T00:00:00 is not after the start", |d| {
            d.campaign[0].end = Some("2026-10-01T00:00:00".parse().expect("a time"));
        }),
        ("campaign[0].end", "is not after the start", |d| d.campaign[0].end = d.campaign[0].start),
        ("campaign[0].time_zone", "localtime is another zone on another machine", |d| {
            d.campaign[0].time_zone = "localtime".into();
        }),
        ("campaign[0].time_zone", "etc/unknown is another zone on another machine", |d| {
            d.campaign[0].time_zone = "etc/unknown".into();
        }),
        ("campaign[0].time_zone", "\"Mars/Olympus\" is not known here", |d| {
            d.campaign[0].time_zone = "Mars/Olympus".into();
        }),
        ("campaign[0].weekdays", "empty", |d| d.campaign[0].weekdays.clear()),
        ("campaign[0].audience", "empty", |d| d.campaign[0].audience.clear()),
        ("campaign[0].hours", "at most 24", |d| {
            d.campaign[0].hours = vec!["07:00-08:00".parse().expect("hours"); 25];
        }),
        ("campaign[0].min_plays", "0 is out of range; it must be from 1 to 65535", |d| {
            d.campaign[0].min_plays = 0
        }),
        ("campaign[0].min_plays", "from 1 to 65535", |d| d.campaign[0].min_plays = 65_536),
        ("campaign[0].priority", "out of range", |d| d.campaign[0].priority = i32::MAX),
        ("campaign[0].impression_cost", "-1 is negative", |d| {
            d.campaign[0].impression_cost = Money::from_micro(-1_000_000);
        }),
        ("campaign[0].daily_budget", "is negative", |d| {
            d.campaign[0].daily_budget = Some(Money::from_micro(-1))
        }),
        ("campaign[0].total_budget", "too large; at most 1000000000", |d| {
            d.campaign[0].total_budget = Some(Money::from_micro(1_000_000_000_000_001));
        }),
        ("campaign[0].pacing", "there is no budget to spread", |d| {
            (d.campaign[0].daily_budget, d.campaign[0].total_budget) = (None, None);
        }),
        ("campaign[0].pacing", "set start and end", |d| {
            (d.campaign[0].daily_budget, d.campaign[0].end) = (None, None);
        }),
        (
            "campaign[0].caps[0].impressions",
            "65 impressions are out of range; it must be from 1 to 64",
            |d| {
                d.campaign[0].caps[0].impressions = 65;
            },
        ),
        ("campaign[0].caps[1].days", "366 is out of range; it must be from 1 to 365", |d| {
            d.campaign[0].caps[1].days = Some(366);
        }),
        ("campaign[0].caps[0].hours", "from 1 to 8760", |d| d.campaign[0].caps[0].hours = Some(8761)),
        ("campaign[0].caps[0]", "either hours or days", |d| d.campaign[0].caps[0].hours = None),
        ("campaign[0].caps[0]", "either hours or days", |d| d.campaign[0].caps[0].days = Some(1)),
        ("campaign[0].caps[8]", "there are 9 caps; at most 8", |d| {
            d.campaign[0].caps = vec![d.campaign[0].caps[0]; 9];
        }),
        ("cap[0].impressions", "0 impressions are out of range", |d| d.cap[0].impressions = 0),
        ("campaign[0].cooldown_after_click", "366d is longer than 365d", |d| {
            d.campaign[0].cooldown_after_click = Some("366d".parse().expect("a span"));
        }),
        ("campaign[0].reserve", "0s is out of range", |d| d.campaign[0].reserve = Span::seconds(0)),
        ("campaign[0].reserve", "from 1s to 24h", |d| d.campaign[0].reserve = Span::minutes(24 * 60 + 1)),
        ("campaign[0].threshold.probability", "for 20 % write 0.2", |d| {
            d.campaign[0].threshold = Threshold::Probability(20.0);
        }),
        ("campaign[0].threshold.score", "out of range", |d| {
            d.campaign[0].threshold = Threshold::Score(f64::NAN)
        }),
        ("campaign[0].model", "is not the name of a model", |d| d.campaign[0].model = "../secret".into()),
        ("campaign[0].creative.text", "1001 characters", |d| {
            d.campaign[0].creative.text = Some("é".repeat(1001))
        }),
        ("campaign[0].creative.media_url", "begins with https://", |d| {
            d.campaign[0].creative.media_url = Some("file:///etc/passwd".into());
        }),
        ("campaign[0].signed_up_days", "min 9 is above max 3", |d| {
            d.campaign[0].signed_up_days = Some(SignedUp { min: Some(9), max: Some(3) });
        }),
    ];
    for (path, said, edit) in cases {
        let mut document = example();
        edit(&mut document);
        let invalid = document.check().expect_err(path);
        assert_eq!(invalid.path, path, "{invalid}");
        assert!(invalid.reason.contains(said), "{invalid}");
    }
}

#[test]
fn urls_and_models_that_are_none_are_refused() {
    for url in
        ["javascript:alert(1)", "https://", "https:///x", "http://a b", "", "ftp://a", "//a", "https://a\n"]
    {
        let mut document = example();
        document.campaign[0].creative.click_url = Some(url.into());
        assert_eq!(document.check().expect_err(url).path, "campaign[0].creative.click_url");
    }
    for name in ["", "a/b", "a\\b", "..", ".hidden", "a b", "-x"] {
        let mut document = example();
        document.campaign[0].model = name.into();
        assert_eq!(document.check().expect_err(name).path, "campaign[0].model");
    }
}

proptest! {
    #[test]
    fn every_single_campaign_in_range_stands_for_a_document_in_range(
        (min_plays, impressions, hours) in (1u32..=65_535, 1u32..=64, 1u32..=8_760),
        threshold in -1e9..=1e9,
        (impression_cost, click_value) in (0.0..=1e9, 0.0..=1e9),
        gold in any::<bool>(),
    ) {
        let audience = if gold { vec![Membership::Gold] } else { vec![Membership::Silver, Membership::Free] };
        let cap = Cap { impressions, hours };
        let (id, ad) = (Id::Number(7), Id::Text("-ad".into()));
        let single = Single { id, ad, audience, min_plays, threshold, cap, impression_cost, click_value };
        prop_assert_eq!(single.validate(), Ok(()));
        let document = single.document();
        prop_assert_eq!(document.check(), Ok(()));
        prop_assert_eq!(document.campaign[0].caps[0].period_ms(), cap_period(&single));
    }
}

fn cap_period(single: &Single) -> i64 {
    -single.cap.start_ms(0)
}
