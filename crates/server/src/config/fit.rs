//! Limits that fit into the memory that the process may have.

use super::{Bytes, Config, Limits};

/// What the process takes beside what the limits bound: code and stacks, lanes, the heap's reserve.
const BESIDE: u64 = 96 << 20;

/// The allocator takes up to a fifth more than what profiles are counted as.
const ALLOCATOR: (u64, u64) = (6, 5);

/// What a connection takes that is not idle, in bytes: its head, and what the kernel holds of it.
const OF_A_CONNECTION: u64 = 32 << 10;

/// What became of the limits where memory is bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// Keys that had their defaults and have less now, with what they have.
    pub lowered: Vec<(&'static str, usize)>,
    /// What the process may take at most as it is configured now, in bytes.
    pub most: u64,
}

impl Config {
    /// Lowers those limits that have their defaults to what fits into so many bytes of memory: two thirds of what is left beside the
    /// process itself for profiles, a tenth for bodies, a twentieth for answers that are not taken, a fortieth for those
    /// that are kept for retries. What is configured otherwise stays.
    pub fn fit(&mut self, memory: Bytes) -> Fitted {
        let memory = memory.0;
        let left = memory - beside(memory);
        let default = Limits::default();
        let limits = &mut self.limits;
        let mut lowered = Vec::new();
        let mut lower = |key, value: &mut usize, default: usize, share: u64, least: u64| {
            let share = usize::try_from(share.max(least)).unwrap_or(usize::MAX);
            if *value == default && share < default {
                *value = share;
                lowered.push((key, share));
            }
        };
        lower(
            "limits.profile_bytes",
            &mut limits.profile_bytes,
            default.profile_bytes,
            left / 3 * 2,
            1 << 20,
        );
        lower("limits.retry_bytes", &mut limits.retry_bytes, default.retry_bytes, left / 40, 1 << 20);
        let (bodies, bulk) = (left / 10, left / 20);
        lower(
            "limits.bulk_bytes",
            &mut limits.bulk_bytes,
            default.bulk_bytes,
            bulk,
            limits.event_bytes as u64,
        );
        let least = limits.bulk_bytes as u64;
        lower(
            "limits.body_memory_bytes",
            &mut limits.body_memory_bytes,
            default.body_memory_bytes,
            bodies,
            least,
        );
        lower(
            "limits.response_memory_bytes",
            &mut limits.response_memory_bytes,
            default.response_memory_bytes,
            left / 20,
            4 << 20,
        );
        lower(
            "limits.connections",
            &mut limits.connections,
            default.connections,
            left / 8 / OF_A_CONNECTION,
            64,
        );
        // 0 reserves nothing, and the table grows as it has to.
        let expected = memory / (16 << 10);
        lower(
            "limits.expected_customers",
            &mut limits.expected_customers,
            default.expected_customers,
            expected,
            0,
        );
        Fitted { lowered, most: self.most_bytes(memory) }
    }

    /// What the process may take at most, where so much is there.
    fn most_bytes(&self, memory: u64) -> u64 {
        let limits = &self.limits;
        let profiles = (limits.profile_bytes as u64).saturating_mul(ALLOCATOR.0) / ALLOCATOR.1;
        [limits.retry_bytes, limits.body_memory_bytes, limits.response_memory_bytes]
            .iter()
            .fold(profiles.saturating_add(beside(memory)), |sum, bytes| sum.saturating_add(*bytes as u64))
    }
}

/// What is put by for the process itself.
fn beside(memory: u64) -> u64 {
    BESIDE.min(memory / 8 * 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_lowered_to_what_fits_and_stay_in_their_ranges() {
        for mib in [100, 256, 1024, 4096, 12_000, 1 << 20] {
            let mut config = Config::default();
            let memory = Bytes(mib << 20);
            let fitted = config.fit(memory);
            assert!(fitted.most <= memory.0, "{mib} MiB: {fitted:?}");
            config.validate().expect("all are in their ranges");
            assert_eq!(fitted.lowered.is_empty(), config == Config::default(), "{mib} MiB: {fitted:?}");
        }
        let mut config = Config::default();
        assert_eq!(config.fit(Bytes(1 << 40)).lowered, [], "where there is enough all stays");
        assert_eq!(config, Config::default());
    }

    #[test]
    fn configured_limits_stay_and_are_summed_up() {
        let mut config = Config::default();
        config.limits.profile_bytes = 1 << 30;
        let fitted = config.fit(Bytes(256 << 20));
        assert_eq!(config.limits.profile_bytes, 1 << 30);
        assert!(fitted.most > 1 << 30, "{fitted:?}");
        assert!(fitted.lowered.iter().all(|(key, _)| *key != "limits.profile_bytes"), "{fitted:?}");
    }
}
