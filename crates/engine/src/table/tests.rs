use std::collections::HashMap;

use proptest::prelude::*;

use super::shard::Shard;
use super::*;

#[test]
fn full_table_refuses_new_ids_and_serves_known_ones() {
    let table = Table::new(10, 1);
    assert_eq!(push(&table, 1, 7), Ok(1));
    assert_eq!(push(&table, 2, 7), Err(UpdateError::Full));
    assert_eq!(push(&table, 1, 8), Ok(2));
    assert_eq!(table.remove(&Id::Number(1)), Some(vec![7, 8]));
    assert_eq!(push(&table, 2, 7), Ok(1));
    assert_eq!(table.len(), 1);
}

#[test]
fn refused_first_update_leaves_nothing_behind() {
    for expected in [0, 10] {
        let table: Table<Vec<u8>> = Table::new(expected, 10);
        let refused = table.update(Id::Number(1), |_| Err::<(), _>("no"));
        assert_eq!(refused, Err(UpdateError::Refused("no")));
        assert_eq!(table.with(&Id::Number(1), Vec::len), None);
        assert!(table.is_empty());
    }
}

fn push(table: &Table<Vec<u8>>, id: u64, value: u8) -> Result<usize, UpdateError<()>> {
    table.update(Id::Number(id), |values| {
        values.push(value);
        Ok(values.len())
    })
}

#[test]
fn sweep_visits_every_value_once_removes_some_and_frees_memory() {
    let table = Table::new(0, 100_000);
    for id in 0..50_000 {
        push(&table, id, id as u8).expect("room");
    }
    let slots =
        |table: &Table<Vec<u8>>| table.shards.iter().map(|shard| lock(shard).slots.len()).sum::<usize>();
    let before = slots(&table);
    let mut shown = std::collections::HashSet::new();
    for shard in 0..table.shards() {
        table.sweep(shard, |id, _| {
            assert!(shown.insert(id.clone()), "{id} was shown twice");
            let Id::Number(number) = id else { panic!("{id}") };
            if number % 5 == 0 { Sweep::Keep } else { Sweep::Remove }
        });
    }
    assert_eq!((shown.len(), table.len()), (50_000, 10_000));
    assert!(slots(&table) < before / 3, "{} of {before} slots are left", slots(&table));
    for id in 0..50_000 {
        let held = (id % 5 == 0).then_some(1);
        assert_eq!(table.with(&Id::Number(id), Vec::len), held, "{id}");
    }
}

#[test]
fn concurrent_updates_are_not_lost() {
    let table = Table::new(0, 1_000_000);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let table = &table;
            scope.spawn(move || (0..20_000).for_each(|id| drop(push(table, id, thread))));
        }
    });
    assert_eq!(table.len(), 20_000);
    assert!((0..20_000).all(|id| table.with(&Id::Number(id), Vec::len) == Some(4)));
}

#[test]
fn record_never_lies_on_three_cache_lines() {
    const LINE: usize = 64;
    let shard: Shard<crate::Customer> = Shard::with_slots(101);
    for slot in &shard.slots {
        let first = std::ptr::from_ref(slot).addr();
        let last = first + size_of_val(slot) - 1;
        assert_eq!((size_of_val(slot), last / LINE - first / LINE), (96, 1), "at {first:#x}");
    }
}

#[test]
fn threads_together_never_exceed_the_limit() {
    const LIMIT: usize = 64;
    for _ in 0..50 {
        let table: Table<Vec<u8>> = Table::new(0, LIMIT);
        let start = std::sync::Barrier::new(4);
        let accepted = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (table, start, accepted) = (&table, &start, &accepted);
                scope.spawn(move || {
                    start.wait();
                    for id in (0..LIMIT as u64).map(|id| 1000 * thread + id) {
                        let pushed = push(table, id, 0).is_ok();
                        accepted.fetch_add(pushed.into(), std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!((table.len(), accepted.into_inner()), (LIMIT, LIMIT));
    }
}

#[test]
fn length_is_right_after_a_panic_in_a_sweep_or_a_first_update() {
    let table: Table<Vec<u8>> = Table::new(0, 5000);
    (0..5000).for_each(|id| assert_eq!(push(&table, id, 0), Ok(1)));
    let panics = |work: &mut dyn FnMut()| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        assert!(caught.is_err());
    };
    let mut seen = 0;
    panics(&mut || {
        table.sweep(0, |_, _| {
            seen += 1;
            assert!(seen < 10, "a fault in a sweep");
            Sweep::Remove
        });
    });
    assert_eq!(table.len(), 5000 - 9);
    panics(&mut || {
        drop(table.update(Id::Number(9999), |_| -> Result<(), ()> { panic!("a fault in an update") }))
    });
    assert_eq!(table.len(), 5000 - 9);
    let held = (0..5000).filter(|id| table.with(&Id::Number(*id), |_| ()).is_some()).count();
    assert_eq!(held, table.len());
    (10_000..10_009).for_each(|id| assert_eq!(push(&table, id, 0), Ok(1), "the places are free again"));
    assert!(table.is_full());
}

#[derive(Debug, Clone)]
enum Step {
    Push(u8),
    Remove(u8),
    Sweep(u8),
}

proptest! {
    /// Few slots and a weak hash, so that runs collide, wrap around and are split by removals.
    #[test]
    fn shard_holds_what_a_map_holds(
        steps in prop::collection::vec(
            prop_oneof![
                5 => any::<u8>().prop_map(Step::Push),
                3 => any::<u8>().prop_map(Step::Remove),
                1 => any::<u8>().prop_map(Step::Sweep),
            ],
            0..300,
        ),
        bits in 1u32..9,
    ) {
        let hash = |id: &Id| match id {
            Id::Number(number) => (number << (u64::BITS - 8)) >> (8 - bits) << (8 - bits),
            Id::Text(_) => 0,
        };
        let mut shard = Shard::with_slots(0);
        let mut expected = HashMap::new();
        for step in steps {
            match step {
                Step::Push(number) => {
                    let id = Id::Number(number.into());
                    if shard.find(&id, hash(&id)).is_err() {
                        shard.insert(id.clone(), number, hash(&id), hash);
                    }
                    expected.insert(id, number);
                }
                Step::Remove(number) => {
                    let id = Id::Number(number.into());
                    let removed = shard.find(&id, hash(&id)).ok().and_then(|slot| shard.remove(slot, hash));
                    prop_assert_eq!(removed, expected.remove_entry(&id));
                }
                Step::Sweep(divisor) => {
                    let kept = |number: u8| number.is_multiple_of(divisor.max(1));
                    let visit = |_: &Id, number: &mut u8| match kept(*number) {
                        true => Sweep::Keep,
                        false => Sweep::Remove,
                    };
                    shard.sweep(visit, hash);
                    expected.retain(|_, number| kept(*number));
                }
            }
            prop_assert_eq!(shard.len, expected.len());
        }
        for (id, number) in &expected {
            let slot = shard.find(id, hash(id)).expect("held");
            prop_assert_eq!(shard.slots[slot].0.as_ref(), Some(&(id.clone(), *number)));
        }
    }
}
