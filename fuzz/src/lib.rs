//! Upbeat's core by itself: it imports nothing of the server (tests/layout.rs), so that fuzzing it need not build
//! a server once more, with coverage.

#[path = "../../src/event/mod.rs"]
pub mod event;
#[path = "../../src/feature.rs"]
pub mod feature;
#[path = "../../src/profile/mod.rs"]
pub mod profile;
#[path = "../../src/svm/mod.rs"]
pub mod svm;
