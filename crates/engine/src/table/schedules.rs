//! The table's protocol of shards, places and claims in every order of two or three threads, by loom:
//! `cargo test -p upbeat-engine --features loom schedules`.

use std::collections::HashMap;

use loom::thread;

use super::*;
use crate::claims::Claims;

const ONE: Id = Id::Number(1);
const TWO: Id = Id::Number(2);

fn push(table: &Table<Vec<u8>>, id: Id, value: u8) -> Result<(), UpdateError<()>> {
    table.update(id, |values| {
        values.push(value);
        Ok(())
    })
}

fn shard_of(table: &Table<Vec<u8>>, id: &Id) -> usize {
    (table.hasher.hash_one(id) >> (u64::BITS - table.shards.len().trailing_zeros())) as usize
}

/// An id other than [`ONE`] in the same shard.
fn neighbour(table: &Table<Vec<u8>>) -> Id {
    let shard = shard_of(table, &ONE);
    (2..100).map(Id::Number).find(|id| shard_of(table, id) == shard).expect("there are two shards")
}

/// Whether the table's count of ids is the sum over its shards, and within its limit.
fn is_counted(table: &Table<Vec<u8>>) -> bool {
    let held: usize = table.shards.iter().map(|shard| lock(shard).len).sum();
    held == table.len() && held <= table.limit()
}

#[test]
fn two_new_ids_never_take_the_last_place_both() {
    loom::model(|| {
        let table = Arc::new(Table::new(0, 1));
        let other = Arc::clone(&table);
        let second = thread::spawn(move || push(&other, TWO, 2).is_ok());
        let first = push(&table, ONE, 1).is_ok();
        assert!(first ^ second.join().expect("no panic"), "one of them finds room");
        assert!(is_counted(&table));
    });
}

#[test]
fn updates_removals_and_sweeps_count_every_id_once() {
    loom::model(|| {
        let table = Arc::new(Table::new(0, 2));
        push(&table, ONE, 0).expect("room");
        let (removing, sweeping) = (Arc::clone(&table), Arc::clone(&table));
        let remover = thread::spawn(move || removing.remove(&ONE).is_some());
        let sweeper = thread::spawn(move || {
            let mut removed = false;
            sweeping.sweep(shard_of(&sweeping, &ONE), |_, _| {
                removed = true;
                Sweep::Remove
            });
            removed
        });
        push(&table, ONE, 1).expect("room");
        remover.join().expect("no panic");
        sweeper.join().expect("no panic");
        assert!(is_counted(&table));
    });
}

/// The first insertion makes the shard's slots, and the removal may move the other id.
#[test]
fn ids_of_one_shard_are_inserted_removed_and_found_side_by_side() {
    loom::model(|| {
        let table = Arc::new(Table::new(0, 2));
        let beside = neighbour(&table);
        let (inserting, id) = (Arc::clone(&table), beside.clone());
        let inserter = thread::spawn(move || push(&inserting, id, 2).expect("room"));
        push(&table, ONE, 1).expect("room");
        assert_eq!(table.remove(&ONE), Some(vec![1]));
        inserter.join().expect("no panic");
        assert_eq!(table.with(&beside, Vec::clone), Some(vec![2]));
        assert!(is_counted(&table) && table.len() == 1);
    });
}

#[test]
fn two_new_ids_of_one_shard_never_take_the_last_place_both() {
    loom::model(|| {
        let table = Arc::new(Table::new(0, 1));
        let (other, id) = (Arc::clone(&table), neighbour(&table));
        let second = thread::spawn(move || push(&other, id, 2).is_ok());
        let first = push(&table, ONE, 1).is_ok();
        assert!(first ^ second.join().expect("no panic"), "one of them finds room");
        assert!(is_counted(&table));
    });
}

/// An atomic body checks that a value is empty and then fills it, in two steps without a lock between them. Nobody else
/// fills the value in between.
#[test]
fn what_a_claim_has_checked_still_holds_when_it_is_applied() {
    loom::model(|| {
        let table = Arc::new(Table::<Vec<u8>>::new(0, 2));
        let claims = Arc::new(Claims::default());
        let (other_table, other_claims) = (Arc::clone(&table), Arc::clone(&claims));
        let single = thread::spawn(move || {
            let pushed = other_table.update(ONE, |values| {
                if !values.is_empty() || other_claims.can_be_contradicted(&ONE) {
                    return Err(());
                }
                values.push(2);
                Ok(())
            });
            pushed.is_ok()
        });
        let claim = Claims::claim(&claims, HashMap::from([(ONE, true)]));
        let is_free = table.with(&ONE, Vec::is_empty).unwrap_or(true);
        let mut reserved = table.reservation();
        let applied = is_free && reserved.add_one();
        if applied {
            let pushed = table.update_reserved(ONE, &mut reserved, |values| {
                assert!(values.is_empty(), "filled between check and apply");
                values.push(1);
                Ok::<(), ()>(())
            });
            assert!(pushed.is_ok());
        }
        drop(reserved);
        drop(claim);
        let single = single.join().expect("no panic");
        assert!(!(single && applied), "one of them was refused");
        assert!(is_counted(&table));
    });
}

#[test]
fn second_claim_waits_for_the_first() {
    loom::model(|| {
        let claims = Arc::new(Claims::default());
        let other = Arc::clone(&claims);
        let second = thread::spawn(move || {
            let claim = Claims::claim(&other, HashMap::from([(TWO, true)]));
            assert!(other.holds(&TWO) && !other.holds(&ONE));
            drop(claim);
        });
        let claim = Claims::claim(&claims, HashMap::from([(ONE, true)]));
        assert!(claims.holds(&ONE) && !claims.holds(&TWO));
        drop(claim);
        second.join().expect("no panic");
        assert!(!claims.holds(&ONE) && !claims.holds(&TWO));
    });
}
