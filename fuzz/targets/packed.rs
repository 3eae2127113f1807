//! Records that are packed in one, decisions above all: never a panic, nothing is read that is not there, and what is read is the same
//! when it is packed and read again. The input is a position (u64) and the payload of a packed record.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| upbeat_engine::fuzzing::check_packed(bytes));
