//! Heads of requests, and where their bodies end: fast path and router agree, and how bytes are cut changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| upbeat_server::check_head(bytes));
