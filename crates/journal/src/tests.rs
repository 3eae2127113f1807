//! The log on a simulated disk: a plain list beside it of what was published and what was said to be durable.

use std::collections::BTreeSet;

use super::*;
use crate::disk::simulated::{Call, Dice, SimulatedDisk};

const LANES: usize = 3;

struct Model {
    /// All that was ever published.
    published: BTreeSet<u64>,
    /// Below this everything is durable.
    durable: u64,
}

fn payload(position_hint: u64, dice: &mut Dice) -> Vec<u8> {
    let length = dice.below(200) as usize + 8;
    let mut payload = vec![position_hint as u8; length];
    payload[..8].copy_from_slice(&position_hint.to_le_bytes());
    payload
}

fn random(seed: u64) -> Box<dyn FnMut() -> u64 + Send> {
    let mut dice = Dice::new(seed);
    Box::new(move || dice.next())
}

fn memories() -> Vec<Memory> {
    (0..LANES).map(|_| Memory::anonymous(4096 + (16 << 10))).collect()
}

/// One history of a log by a seed: publishing, writing, failures, kills and losses of power.
fn history(seed: u64) {
    let mut dice = Dice::new(seed);
    let disk = SimulatedDisk::new(dice.next(), 1 << 30);
    let mut lanes = memories();
    let mut model = Model { published: BTreeSet::new(), durable: 0 };
    // What the last recovery gave.
    let mut must = BTreeSet::new();
    let mut unique = 0;
    for life in 0..4 {
        let mut seen = BTreeSet::new();
        let opened = open(
            disk.clone(),
            Options { segment_bytes: 32 << 10, group_bytes: 8 << 10 },
            lanes.clone(),
            random(dice.next()),
            |record| {
                let hint = u64::from_le_bytes(record.payload[..8].try_into().unwrap());
                assert!(record.payload[8..].iter().all(|byte| *byte == hint as u8), "seed {seed}: payload");
                assert!(seen.insert(record.position), "seed {seed}: {} comes twice", record.position);
                Ok(())
            },
        );
        let mut opened = opened.unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
        for position in &must {
            assert!(seen.contains(position), "seed {seed}, life {life}: {position} was durable and is lost");
        }
        for position in &seen {
            assert!(model.published.contains(position), "seed {seed}, life {life}: {position} was never published");
        }
        // What was recovered is durable from now on; what is lost is nobody's, and its positions are free.
        assert!(seen.iter().all(|position| *position < opened.positions.next()), "seed {seed}");
        model.published = seen.clone();
        must = seen;
        model.durable = opened.positions.durable();
        let mut published_now = BTreeSet::new();
        if dice.one_in(3) {
            let call = [Call::Write, Call::Sync, Call::Create, Call::SyncNames][dice.below(4) as usize];
            disk.fail_after(call, dice.below(6), [libc::EIO, libc::ENOSPC][dice.below(2) as usize]);
        }
        for _ in 0..dice.below(60) {
            for _ in 0..dice.below(30) {
                let lane = &mut opened.lanes[dice.below(LANES as u64) as usize];
                unique += 1;
                let payload = payload(unique, &mut dice);
                if lane.has_room(1, payload.len()) {
                    let position = lane.publish(1, 0, payload.len(), |into| into.copy_from_slice(&payload));
                    published_now.insert(position);
                    assert!(model.published.insert(position), "seed {seed}: {position} was taken twice");
                }
            }
            match dice.below(4) {
                0 => {}
                1 => drop(opened.writer.mark()),
                _ => drop(opened.writer.step()),
            }
            model.durable = opened.positions.durable();
        }
        must.extend(published_now.iter().filter(|position| **position < model.durable));
        match dice.below(3) {
            // The lanes outlive the process: nothing that was published is lost.
            0 => {
                must.extend(&published_now);
                disk.kill();
            }
            // A container's lanes do not.
            1 => {
                disk.kill();
                lanes = memories();
            }
            _ => {
                disk.lose_power();
                lanes = memories();
            }
        }
    }
}

#[test]
fn what_was_durable_is_recovered_once_and_nothing_is_invented() {
    for seed in 0..300 {
        history(seed);
    }
}
