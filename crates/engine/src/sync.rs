//! The locks and atomic numbers of what is held against every order of threads: the standard library's, or loom's where
//! the feature `loom` is on, for the tests in `schedules.rs` alone.

#[cfg(not(feature = "loom"))]
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};

#[cfg(feature = "loom")]
pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
