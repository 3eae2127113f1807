use std::collections::HashSet;

use super::*;

const KEY: IdKey = IdKey([1, 2]);

fn ids(key: IdKey, shown: u64) -> DecisionIds {
    let ids = DecisionIds::new(1);
    ids.keep(key, NextNumbers { unshown: 0, shown });
    ids
}

/// The slots of a former campaign and of the one that runs.
fn slots(key: IdKey) -> Slots {
    Slots::new(vec![Id::Text("former".into()), Id::Number(1)], key)
}

#[test]
fn id_is_known_again_for_its_customer_alone_and_in_no_altered_form() {
    let customers = [Id::Number(48), Id::Number(49), Id::Text("48x".into()), Id::Text("z".repeat(64).into())];
    for shown in [1, 1 << 32, 1 << 39] {
        let ids = ids(KEY, shown);
        for customer in &customers {
            let (number, id) = ids.shown(slots(KEY).key(Slot(1)), customer);
            assert_eq!((number_of(id), id.0 & UNSHOWN), (Some(number), 0));
            assert_eq!(NextNumbers::above(id), NextNumbers { unshown: 0, shown: number + 1 });
            for other in &customers {
                let campaign = ids.campaign_of(&slots(KEY), id, other);
                assert_eq!(campaign, (other == customer).then_some(Slot(1)), "{id} of {customer}");
            }
            for bit in 0..64 {
                let altered = DecisionId(id.0 ^ 1 << bit);
                assert_eq!(
                    ids.campaign_of(&slots(KEY), altered, customer),
                    None,
                    "{id} with bit {bit} altered"
                );
            }
        }
    }
}

#[test]
fn ids_are_known_again_by_the_next_process_and_for_a_former_campaign() {
    let (first, customer, slots) = (ids(KEY, 5), Id::Number(48), slots(KEY));
    let (_, id) = first.shown(slots.key(Slot(0)), &customer);
    let second = ids(KEY, first.next().shown);
    assert_eq!(second.campaign_of(&slots, id, &customer), Some(Slot(0)));
    let (number, later) = second.shown(slots.key(Slot(1)), &customer);
    assert!(number >= first.next().shown);
    assert_eq!(second.campaign_of(&slots, later, &customer), Some(Slot(1)));
    // Numbers that were never given, whatever their tag, and another directory's key.
    let never = slots.key(Slot(1)).id(1 << 20, &customer);
    assert_eq!(first.campaign_of(&slots, never, &customer), None);
    assert_eq!(first.campaign_of(&self::slots(IdKey([1, 3])), id, &customer), None);
}

#[test]
fn ids_of_decisions_that_show_nothing_are_never_confirmed() {
    let ids = ids(KEY, 1);
    let given: Vec<DecisionId> = (0..1000).map(|_| ids.unshown()).collect();
    assert_eq!(given.iter().collect::<HashSet<_>>().len(), 1000);
    assert!(given.iter().all(|id| ids.campaign_of(&slots(KEY), *id, &Id::Number(1)).is_none()));
    let last = given.iter().max().expect("a thousand");
    assert_eq!(NextNumbers::above(*last).unshown, (last.0 & !UNSHOWN) + 1);
}

#[test]
fn keys_of_processes_differ_and_are_not_told() {
    let (one, other) = (IdKey::of_process(), IdKey::of_process());
    assert_ne!(one, other);
    assert_eq!(format!("{one:?}"), "IdKey(…)");
}

/// Files hold ids: they may never change.
#[test]
fn ids_are_those_of_the_first_version() {
    let key = KEY.of_campaign(&Id::Text("gold-one-day".into()));
    let found =
        [(4097, Id::Number(48)), (1 << 33, Id::Number(48)), (1 << 40, Id::Text("user:7f3a-91".into()))]
            .map(|(number, customer)| key.id(number, &customer).to_string());
    assert_eq!(found, ["00000200320589b5", "20800000002166f7", "4080000000007629"]);
}
