//! Records of the log, blocks of a snapshot and profiles: never a panic, and what is read is the same when it is written and read
//! again. The first byte of the input chooses what it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use upbeat_engine::fuzzing::{check_block, check_profile, check_record};

fuzz_target!(|bytes: &[u8]| {
    let [what, rest @ ..] = bytes else { return };
    match what {
        0 => check_block(rest),
        1 => check_profile(rest),
        kind => check_record(u16::from(kind - 2), rest),
    }
});
