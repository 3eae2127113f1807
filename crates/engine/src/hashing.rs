//! How the tables that others can fill hash what they hold.

/// Keyed at random, so that nobody can choose ids that meet in a shard.
#[cfg(not(any(test, feature = "loom")))]
pub(crate) type Hasher = foldhash::fast::RandomState;
/// In tests by a key that can be chosen: the order of customers in a snapshot depends on it, and what a test has found has to
/// be found again by the same seed. Loom replays orders of threads.
#[cfg(any(test, feature = "loom"))]
pub(crate) type Hasher = foldhash::fast::FixedState;

/// The hasher of another table.
#[cfg(not(any(test, feature = "loom")))]
pub(crate) fn hasher() -> Hasher {
    Hasher::default()
}

#[cfg(feature = "loom")]
pub(crate) fn hasher() -> Hasher {
    Hasher::default()
}

#[cfg(all(test, not(feature = "loom")))]
pub(crate) use keyed::{hasher, use_hash_key};

#[cfg(all(test, not(feature = "loom")))]
mod keyed {
    use std::cell::Cell;
    use std::hash::{BuildHasher, RandomState};

    thread_local! {
        static KEY: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// Tables that the calling thread makes from now on have this key, or random ones.
    pub(crate) fn use_hash_key(key: Option<u64>) {
        KEY.set(key);
    }

    pub(crate) fn hasher() -> super::Hasher {
        super::Hasher::with_seed(KEY.get().unwrap_or_else(|| RandomState::new().hash_one(0)))
    }
}
