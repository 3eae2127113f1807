use proptest::prelude::*;
use upbeat_core::campaign::Bill;
use upbeat_core::decision::Reason;
use upbeat_core::event::{CUSTOMER_FILE_ID, ClickOf, EventKind, ImpressionOf, Membership, Time};
use upbeat_core::feature::Counts;

use super::super::decided::Coins;
use super::*;
use crate::campaigns::CampaignVersion;
use crate::campaigns::NamedModel;
use crate::ledger::{Budgets, Charge, Confirmed, Terms, Voided};

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        3 => (0u64..300).prop_map(Id::Number),
        1 => any::<u64>().prop_map(Id::Number),
        1 => "[A-Za-z_:-][A-Za-z0-9._:-]{0,63}".prop_map(|text| Id::Text(text.into())),
        1 => Just(Id::Text(CUSTOMER_FILE_ID.into())),
    ]
}

fn ms() -> impl Strategy<Value = i64> {
    prop_oneof![
        (0i64..1 << 32).prop_map(|seconds| seconds * 1000),
        -62_135_596_800_000i64..253_402_300_799_999
    ]
}

fn time() -> impl Strategy<Value = Time> {
    let offset = prop_oneof![2 => Just(0), 1 => (-1439i32..1439).prop_map(|minutes| minutes * 60), 1 => -86_399..86_399];
    (ms(), offset, any::<bool>())
        .prop_map(|(ms, offset_s, written)| Time::from_parts(ms, offset_s, written).expect("in range"))
}

fn level() -> impl Strategy<Value = Membership> {
    prop::sample::select(vec![Membership::Free, Membership::Silver, Membership::Gold])
}

fn event() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        4 => (id(), any::<bool>()).prop_map(|(track, mobile)| EventKind::Play { track, mobile }),
        1 => id().prop_map(EventKind::click),
        1 => (any::<u64>(), prop::option::of(id())).prop_map(|(id, ad)| EventKind::Click {
            of: ClickOf::Decision { decision: DecisionId(id), ad },
        }),
        1 => any::<u64>().prop_map(|id| EventKind::Void { decision: DecisionId(id) }),
        1 => id().prop_map(|campaign| EventKind::Impression(ImpressionOf::Campaign(campaign))),
        1 => any::<u64>().prop_map(|id| EventKind::Impression(ImpressionOf::Decision(DecisionId(id)))),
        1 => level().prop_map(EventKind::Membership),
    ];
    (id(), id(), time(), kind, any::<u32>()).prop_map(|(customer, id, time, kind, last_event_s)| {
        Entry::Event { event: Event { customer, id, time, kind }, last_event_s }
    })
}

fn answer() -> impl Strategy<Value = Answered> {
    let score = (-9.0f64..9.0, prop::option::of(0.0f64..1.0))
        .prop_map(|(value, probability)| Score { value, probability });
    let model = "[0-9a-f]{1,15}".prop_map(|text| ModelId::new(&text));
    (ms(), "[a-zA-Z0-9é ]{1,64}", prop::option::of(score), prop::option::of(model)).prop_map(
        |(made_ms, request, score, model)| Answered {
            request: RequestId::parse(&request).expect("it may be one"),
            made_ms,
            score,
            model,
        },
    )
}

fn tombstone() -> impl Strategy<Value = Tombstone> {
    (any::<[u8; 16]>(), any::<i64>(), any::<i64>()).prop_map(|(digest, erased_until_ms, made_ms)| Tombstone {
        digest,
        erased_until_ms,
        made_ms,
        position: 0,
    })
}

fn money() -> impl Strategy<Value = Change> {
    let amount = || prop_oneof![0i64..1_000_000, 0..=i64::MAX];
    let day = || prop_oneof![20_000i32..21_000, any::<i32>()];
    let bill = || prop::sample::select(vec![Bill::Show, Bill::Impression]);
    let charge = (-1i64 << 40..1 << 40, day(), bill(), amount())
        .prop_map(|(expires_s, day, bill, cost)| Charge { expires_s, day, bill, cost });
    let confirmed =
        prop::sample::select(vec![Confirmed::Held, Confirmed::Late, Confirmed::Overrun, Confirmed::Found]);
    let terms = (any::<i64>(), "[A-Za-z/_]{0,64}", amount(), bill(), amount(), amount()).prop_map(
        |(from_ms, zone, cost, bill, reserve_ms, click_value)| Terms {
            from_ms,
            zone: zone.into(),
            cost,
            bill,
            reserve_ms,
            click_value,
        },
    );
    let limit = || prop::option::of(amount());
    let budgets = (limit(), limit(), prop::option::of(day())).prop_map(|(daily, total, from_day)| Budgets {
        daily,
        total,
        from_day,
    });
    prop_oneof![
        any::<i64>().prop_map(|through_s| Change::Expired { through_s }),
        (charge.clone(), confirmed).prop_map(|(charge, whence)| Change::Confirmed(charge, whence)),
        (charge, any::<bool>()).prop_map(|(charge, held)| {
            Change::Voided(charge, if held { Voided::Held } else { Voided::Spent })
        }),
        (day(), amount()).prop_map(|(day, value)| Change::Clicked { day, value }),
        day().prop_map(|day| Change::Upgraded { day }),
        (terms, budgets).prop_map(|(terms, budgets)| Change::Configured(Box::new(terms), budgets)),
        (day(), amount()).prop_map(|(day, until)| Change::Leased { day, until }),
        (day(), amount()).prop_map(|(day, amount)| Change::Lost { day, amount }),
    ]
}

fn shown_in_plan() -> impl Strategy<Value = Entry> {
    let charge = (0_i64..=i64::MAX, -1_i64..86_400, -1_i64..=1, any::<bool>());
    (decided(), charge, prop::option::of(answer())).prop_map(
        |(decided, (cost, held_s, day, is_show), answer)| {
            let Entry::Decided { customer, facts, .. } = decided else { unreachable!("a decision") };
            let bill = if is_show { Bill::Show } else { Bill::Impression };
            let (day, expires_s) =
                (facts.time_ms.div_euclid(86_400_000) + day, facts.time_ms.div_euclid(1000) + held_s);
            let charge = Charge { expires_s, day: day as i32, bill, cost };
            Entry::ShownInPlan { customer, facts, charge, answer }
        },
    )
}

fn campaigns() -> impl Strategy<Value = Entry> {
    let (texts, digests) = (prop::collection::vec(".{0,30}", 0..4), prop::array::uniform32(any::<u8>()));
    let model =
        (".{1,20}", "[0-9a-f]{1,15}").prop_map(|(name, id)| NamedModel { name, id: ModelId::new(&id) });
    let models = prop::option::of(prop::collection::vec(model, 0..4));
    let rest = (prop::collection::vec(id(), 0..4), ".{0,200}", prop::option::of(digests), models);
    (any::<u64>(), ms(), ".{0,30}", texts, digests, rest).prop_map(
        |(version, time_ms, who, changed, digest, (slots, toml, file_digest, models))| {
            let version = CampaignVersion { version, time_ms, who, changed, digest };
            let kept = KeptCampaigns { version, toml: toml.into(), file_digest, slots, models };
            Entry::Campaigns(Box::new(kept))
        },
    )
}

fn coins() -> impl Strategy<Value = Coins<'static>> {
    let (rates, shares) =
        ((any::<u16>(), any::<u16>()), (any::<u16>(), prop_oneof![any::<u64>(), Just(u64::MAX)]));
    prop_oneof![
        3 => Just(Coins::None),
        1 => prop::collection::vec(rates, 1..9).prop_map(|of| Coins::Pacing(of.into())),
        1 => prop::collection::vec(shares, 1..9).prop_map(|of| Coins::Exploration(of.into())),
    ]
}

/// Of the usual form and of every other.
fn decided() -> impl Strategy<Value = Entry> {
    let count = || prop_oneof![3 => 0u16..60, 1 => 0u16..260, 1 => any::<u16>()];
    let counts = (prop::array::uniform6(count()), any::<bool>()).prop_map(|(parts, sums_up)| {
        let sum = parts[..4].iter().map(|part| u32::from(*part)).sum::<u32>();
        Counts { plays: if sums_up { u16::try_from(sum).unwrap_or(u16::MAX) } else { 7 }, parts }
    });
    let model =
        prop_oneof![3 => "[0-9a-f]{12}", 1 => "[0-9a-zA-Z]{1,15}"].prop_map(|text| ModelId::new(&text));
    let model = prop_oneof![5 => model.prop_map(Some), 1 => Just(None)];
    let campaign =
        prop_oneof![1 => Just(None), 3 => (0u16..9).prop_map(Some), 1 => any::<u16>().prop_map(Some)];
    let number = prop_oneof![(0u64..1 << 40).prop_map(|number| number | 1 << 63), any::<u64>()];
    let reason = prop::sample::select(Reason::ALL.to_vec());
    let time = prop_oneof![3 => 1_577_836_800_000_i64..2_600_000_000_000, 1 => ms()];
    let counts = prop_oneof![5 => counts.prop_map(Some), 1 => Just(None)];
    let rest = (model, counts, coins(), any::<u64>());
    (id(), (number, time, reason, any::<bool>(), campaign), rest, any::<bool>()).prop_map(
        |(
            customer,
            (number, time_ms, reason, eligible, campaign),
            (model, counts, coins, version),
            has_state,
        )| {
            let id = DecisionId(number);
            let facts = Facts { id, time_ms, reason, eligible, campaign, version, model, counts, coins };
            Entry::Decided { customer, facts: Box::new(facts), has_state }
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    let kept = (time(), id(), level()).prop_map(|(time, event_id, level)| MembershipChange {
        time,
        event_id,
        level,
    });
    let shown = (id(), any::<u64>(), id(), ms(), prop::option::of(answer())).prop_map(
        |(customer, decision, campaign, time_ms, answer)| Entry::Shown {
            customer,
            decision: DecisionId(decision),
            campaign,
            time_ms,
            answer,
        },
    );
    let track = (id(), ".{0,20}", ".{0,20}", any::<u32>()).prop_map(|(id, title, artist, length_s)| {
        Entry::Track { id, track: Track { title: title.into(), artist: artist.into(), length_s } }
    });
    let single = (id(), id(), prop::collection::vec(level(), 1..3)).prop_map(|(id, ad, audience)| Single {
        id,
        ad,
        audience,
        ..Single::default()
    });
    let started =
        (prop::option::of(single), 1u32..65_536, any::<u64>()).prop_map(|(campaign, plays, clock_key)| {
            let window = Window { plays, ..Window::default() };
            Entry::Started(Box::new(Started {
                window,
                campaign,
                clock_key,
                id_key: IdKey([clock_key, !clock_key]),
            }))
        });
    prop_oneof![
        6 => event(),
        3 => shown,
        3 => decided(),
        3 => shown_in_plan(),
        1 => id().prop_map(|customer| Entry::Erased { customer }),
        1 => (id(), tombstone()).prop_map(|(customer, tombstone)| Entry::Erasure { customer, tombstone }),
        1 => tombstone().prop_map(Entry::Tombstone),
        1 => (id(), prop::option::of(kept)).prop_map(|(customer, kept)| Entry::Evicted { customer, kept }),
        1 => (id(), any::<u32>()).prop_map(|(customer, last_event_s)| Entry::LastEvent { customer, last_event_s }),
        1 => track,
        1 => started,
        1 => campaigns(),
        1 => (id(), any::<u16>()).prop_map(|(customer, day)| Entry::Tossed { customer, day }),
        1 => "[0-9a-f]{1,15}".prop_map(|text| Entry::Promoted { model: ModelId::new(&text) }),
        3 => (any::<u16>(), money()).prop_map(|(slot, change)| Entry::Money { slot, change }),
        1 => any::<u64>().prop_map(|until| Entry::Leased { until, shown_until: !until }),
    ]
}

proptest! {
    #[test]
    fn every_record_reads_back_as_written_and_no_part_of_it_does(entry in entry()) {
        let (kind, bytes) = entry.encode();
        let read = Entry::decode(kind, &bytes).expect("it was encoded");
        prop_assert_eq!(&read, &entry);
        // Times are equal by their instant alone; how they were written counts too.
        prop_assert_eq!(format!("{read:?}"), format!("{entry:?}"));
        prop_assert_eq!(read.encode(), (kind, bytes.clone()));
        for length in 0..bytes.len() {
            let cut = Entry::decode(kind, &bytes[..length]);
            // An eviction of all is the beginning of one that keeps a membership, and so is a model's id of a longer one.
            let prefix = matches!(cut, Ok(Entry::Evicted { kept: None, .. } | Entry::Promoted { .. }));
            prop_assert!(cut.is_err() || prefix, "{length} of {} bytes: {cut:?}", bytes.len());
        }
        prop_assert!(Entry::decode(kind, &[bytes, vec![7]].concat()).is_err() || kind == kind::PROMOTED);
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_never_panic(kind in 0u16..24, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = (subject(kind, &bytes), customer_of(kind, &bytes));
        if let Ok(entry) = Entry::decode(kind, &bytes) {
            let _ = entry.encode();
        }
    }

    #[test]
    fn records_of_one_customer_have_one_subject(entry in entry()) {
        let (kind, bytes) = entry.encode();
        let expected = match &entry {
            Entry::Event { event, .. } => Some(event.customer.clone()),
            Entry::Shown { customer, .. }
            | Entry::Erased { customer }
            | Entry::Erasure { customer, .. }
            | Entry::Evicted { customer, .. }
            | Entry::LastEvent { customer, .. }
            | Entry::Tossed { customer, .. }
            | Entry::ShownInPlan { customer, .. }
            | Entry::Decided { customer, has_state: true, .. } => Some(customer.clone()),
            Entry::Track { id, .. } => Some(id.clone()),
            Entry::Started(_)
            | Entry::Campaigns(_)
            | Entry::Promoted { .. }
            | Entry::Leased { .. }
            | Entry::Money { .. }
            | Entry::Tombstone(_)
            | Entry::Decided { .. } => None,
        };
        if let Entry::Decided { customer, .. } = &entry {
            let of = customer_of(kind, &bytes).expect("it was encoded").map(IdRef::to_id);
            prop_assert_eq!(of.as_ref(), Some(customer));
        }
        prop_assert_eq!(subject(kind, &bytes).expect("it was encoded").map(IdRef::to_id), expected);
    }
}

/// Directories of every version hold these.
#[test]
fn kinds_keep_their_numbers_and_a_play_takes_32_bytes() {
    let play = Entry::Event {
        event: Event {
            customer: Id::Number(48),
            id: Id::Number(7),
            time: Time::from_unix_ms(1_700_000_000_000),
            kind: EventKind::Play { track: Id::Number(453), mobile: true },
        },
        last_event_s: 1_700_000_001,
    };
    let expected: [u8; 32] = [
        48, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0xf1, 0x53, 0x65, 0, 0, 0, 0, 0x8b, 3, 0, 0, 1,
        0xf1, 0x53, 0x65,
    ];
    assert_eq!(play.encode(), (1, expected.to_vec()));
    assert_eq!(Entry::Erased { customer: Id::Number(48) }.encode(), (5, vec![0, 48]));
    let tombstone = Tombstone { digest: [9; 16], erased_until_ms: 258, made_ms: -1, position: 0 };
    let bytes = [[9; 16].as_slice(), &[2, 1, 0, 0, 0, 0, 0, 0], &[255; 8]].concat();
    let erasure = Entry::Erasure { customer: Id::Number(48), tombstone };
    assert_eq!(erasure.encode(), (12, [bytes.as_slice(), &[0, 48]].concat()));
    assert_eq!(Entry::Tombstone(tombstone).encode(), (13, bytes));
    let leased = Entry::Leased { until: 258, shown_until: 3 };
    assert_eq!(leased.encode(), (11, vec![2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]));
}

#[test]
fn decision_of_the_usual_form_takes_these_bytes() {
    let facts = Facts {
        id: DecisionId(1 << 63 | 300),
        time_ms: 1_577_836_800_000 + (1 << 33) + 5,
        reason: Reason::UnlikelyToClick,
        eligible: true,
        campaign: Some(3),
        version: 2,
        model: Some(ModelId::new("4017e3471abc")),
        counts: Some(Counts { plays: 10, parts: [1, 2, 3, 4, 5, 255] }),
        coins: Coins::None,
    };
    let customer = Id::Number(48);
    let decided =
        Entry::Decided { customer: customer.clone(), facts: Box::new(facts.clone()), has_state: false };
    let expected = [
        0x21, 48, 0, 0, 0, 5, 0, 0, 0, 2, 3, 1, 2, 3, 4, 5, 255, 0x40, 0x17, 0xe3, 0x47, 0x1a, 0xbc, 0xac, 2,
        2,
    ];
    assert_eq!(decided.encode(), (14, expected.to_vec()));
    let coins = Coins::Pacing(vec![(3, 0x0201), (4, u16::MAX)].into());
    let facts = Box::new(Facts { coins, ..facts });
    let (kind, bytes) = Entry::Decided { customer, facts, has_state: true }.encode();
    assert_eq!((kind, bytes[0], &bytes[26..]), (20, 0xa1, &[4, 3, 1, 2, 4, 255, 255][..]));
}

#[test]
fn record_of_an_unknown_kind_says_that_a_newer_program_wrote_it() {
    let error = Entry::decode(999, &[]).expect_err("no such kind").to_string();
    assert!(error.contains("999") && error.contains("newer"), "{error}");
}
