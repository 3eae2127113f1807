//! What must hold of any bytes in the place of a record, of a block of a snapshot or of a profile, for `fuzz/targets/kept.rs`, and of
//! records that are packed in one, for `fuzz/targets/packed.rs`.

use upbeat_core::encoding::{DecodeError, Decoder, put_id};
use upbeat_core::event::Id;
use upbeat_core::profile::Profile;

use crate::log;
use crate::log::{Entry, decode_track, encode_track, subject};
use crate::storage::blocks::{self, Head, Part};

/// Reads `bytes` as the payload of a record of this kind.
///
/// # Panics
/// What is read is not the same when it is written and read again, or whose record it is cannot be said of it.
pub fn check_record(kind: u16, bytes: &[u8]) {
    let Ok(entry) = Entry::decode(kind, bytes) else { return };
    let of = subject(kind, bytes).expect("what is read whole says whose it is");
    let (again_kind, again) = entry.encode();
    let read = Entry::decode(again_kind, &again).expect("what is written is read");
    assert_eq!(read.encode(), (again_kind, again.clone()), "{entry:?}");
    assert_eq!(subject(again_kind, &again).expect("it is read whole"), of, "{entry:?}");
    // Decisions have two forms, of which the longer is written where the usual one cannot say something.
    let has_two_forms = matches!(entry, Entry::Decided { .. } | Entry::ShownInPlan { .. });
    if has_two_forms {
        assert_eq!(read, entry);
    } else if again_kind == kind {
        assert_eq!(again, bytes, "{entry:?} is written in another form");
    }
}

/// Reads `bytes` as the position and the payload of a packed record, and each record in it as one of its kind.
///
/// # Panics
/// As [`check_record`], and where the journal packs what it unpacked in another way.
pub fn check_packed(bytes: &[u8]) {
    upbeat_journal::fuzzing::check_packed(bytes, &mut check_record);
}

/// Reads `bytes` as a block of a snapshot, as recovery does.
///
/// # Panics
/// What is read is not the same when it is written and read again.
pub fn check_block(bytes: &[u8]) {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    let again = match kind {
        blocks::kind::HEAD => Head::decode(bytes).map(|head| head.encode()),
        blocks::kind::PART => Part::decode(&mut Decoder::new(rest)).map(|part| part.encode()),
        _ => written_again(kind, rest),
    };
    let Ok(again) = again else { return };
    if matches!(kind, blocks::kind::HEAD | blocks::kind::PART) {
        assert_eq!(again, bytes);
        return;
    }
    // Profiles have several forms of which one is written.
    let twice = written_again(kind, &again[1..]).expect("what is written is read");
    assert_eq!(twice, again);
}

fn written_again(kind: u8, rest: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (mut from, mut into) = (Decoder::new(rest), vec![kind]);
    while !from.rest().is_empty() {
        match kind {
            blocks::kind::CUSTOMERS => {
                let (id, customer) = blocks::customer(&mut from, blocks::VERSION, &[Id::Number(1)])?;
                blocks::put_customer(&mut into, &id, &customer);
            }
            blocks::kind::TRACKS => {
                put_id(&mut into, from.id("a track")?.as_ref());
                encode_track(&decode_track(&mut from)?, &mut into);
            }
            blocks::kind::ANSWERS => {
                blocks::put_answer(&mut into, &blocks::answer(&mut from, blocks::VERSION)?);
            }
            blocks::kind::ACCOUNT => {
                let (slot, account) = blocks::account(&mut from)?;
                blocks::put_account(&mut into, slot, &account);
            }
            blocks::kind::VERSIONS => log::put_version(&mut into, &log::decode_version(&mut from)?),
            blocks::kind::TOMBSTONES => {
                blocks::put_placed_tombstone(&mut into, &blocks::placed_tombstone(&mut from)?);
            }
            kind => return Err(DecodeError::bad("the kind of a block", kind)),
        }
    }
    Ok(into)
}

/// Reads `bytes` as a profile.
///
/// # Panics
/// What is read is not the same when it is written and read again.
pub fn check_profile(bytes: &[u8]) {
    let campaigns = [Id::Number(1)];
    let Ok(profile) = Profile::decode(&mut Decoder::new(bytes), &campaigns) else { return };
    let mut again = Vec::new();
    profile.encode(&mut again);
    let mut from = Decoder::new(&again);
    let read = Profile::decode(&mut from, &campaigns).expect("what is written is read");
    assert!(from.end().is_ok() && read == profile, "{profile:?}");
    let mut twice = Vec::new();
    read.encode(&mut twice);
    assert_eq!(twice, again, "{profile:?}");
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Without a seed of its own a kind of record is hardly found by chance.
    #[test]
    fn every_kind_of_record_of_campaigns_has_a_seed_that_is_read() {
        use crate::log::kind;
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/kept");
        let seeds = std::fs::read_dir(folder).expect("a folder of seeds");
        let seeds = seeds.map(|seed| std::fs::read(seed.expect("an entry").path()).expect("a seed"));
        let (mut records, mut of_blocks) = (Vec::new(), Vec::new());
        for seed in seeds {
            match seed.as_slice() {
                [0, block @ ..] => {
                    check_block(block);
                    of_blocks.extend(written_again(block[0], &block[1..]).map(|_| block[0]));
                }
                [1, profile @ ..] => check_profile(profile),
                [kind, payload @ ..] => {
                    let kind = u16::from(kind - 2);
                    check_record(kind, payload);
                    records.extend(Entry::decode(kind, payload).map(|_| kind));
                }
                [] => {}
            }
        }
        let of_campaigns = [
            kind::DECIDED,
            kind::SHOWN_IN_PLAN,
            kind::MONEY,
            kind::CAMPAIGNS,
            kind::BUDGET_LEASE,
            kind::DECIDED_STATE,
            kind::BEGUN,
            kind::TOSSED,
        ];
        let missing: Vec<_> = of_campaigns.iter().filter(|kind| !records.contains(kind)).collect();
        assert!(missing.is_empty(), "{missing:?} of {records:?}");
        for kind in [blocks::kind::ACCOUNT, blocks::kind::VERSIONS] {
            assert!(of_blocks.contains(&kind), "{kind} of {of_blocks:?}");
        }
    }

    #[test]
    fn packed_decisions_of_every_form_and_with_every_coin_have_a_seed_that_is_read() {
        use crate::log::Coins;
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/packed");
        let mut forms = std::collections::BTreeSet::new();
        for seed in std::fs::read_dir(folder).expect("a folder of seeds") {
            let seed = std::fs::read(seed.expect("an entry").path()).expect("a seed");
            check_packed(&seed);
            upbeat_journal::fuzzing::check_packed(&seed, &mut |kind, payload| {
                let Ok(Entry::Decided { facts, .. }) = Entry::decode(kind, payload) else { return };
                let coins = match facts.coins {
                    Coins::None => "none",
                    Coins::Pacing(_) => "pacing",
                    Coins::Exploration(_) => "exploration",
                };
                forms.insert((payload[0] & 0x40 == 0, coins));
            });
        }
        let all = [false, true].map(|usual| ["exploration", "none", "pacing"].map(|coins| (usual, coins)));
        assert_eq!(forms.into_iter().collect::<Vec<_>>(), all.concat());
    }

    proptest! {
        /// The fuzz target looks deeper, from seeds; this is what it checks.
        #[test]
        fn values_of_any_bytes_are_the_same_when_written_and_read_again(
            kind in 0u16..24,
            bytes in prop::collection::vec(prop_oneof![0u8..8, any::<u8>()], 0..60),
        ) {
            check_record(kind, &bytes);
            check_profile(&bytes);
            check_block(&[&[kind as u8 % 8], bytes.as_slice()].concat());
        }
    }
}
