//! What showing a campaign does to customers, against those whom its holdout keeps it from.
//!
//! A customer belongs to a group by the first decision that would show the campaign: shown, or held out. From then on what they do
//! counts, whether a show led to it or not. Holdouts take caps and cooldowns as shows do, so that the groups are alike.

use std::collections::HashMap;

use upbeat_core::decision::Reason;
use upbeat_core::event::{ClickOf, DAY_MS, Event, EventKind, Id, Membership, StableHash};
use upbeat_engine::Entry;

use super::Found;
use super::interval::{Moments, difference};
use super::rows::decided;

/// The most customers of whom is remembered what they did, some 64 bytes each. Where there are more, half of them are left out, by
/// a hash that nothing else goes by.
const MOST_CUSTOMERS: usize = 1 << 20;

const KEY: u64 = 0x6c69_6674;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Clicks on the ad, by whatever way.
    Clicks,
    /// Whether the membership rose.
    Upgrades,
    /// Plays a day, of customers who have been followed for a day at least.
    Plays,
}

impl Outcome {
    /// All.
    pub const ALL: [Self; 3] = [Self::Clicks, Self::Upgrades, Self::Plays];

    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clicks => "clicks",
            Self::Upgrades => "upgrades",
            Self::Plays => "plays a day",
        }
    }
}

/// A difference between customers who were shown a campaign, and those who were held out; each figure a customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// What is compared.
    pub outcome: Outcome,
    /// Customers who were shown it.
    pub treated: u64,
    /// Customers who were held out.
    pub held_out: u64,
    /// The mean of those who were shown it.
    pub with: f64,
    /// The mean of those who were held out.
    pub without: f64,
    /// The 95 % interval of the difference.
    pub interval: (f64, f64),
}

struct Followed {
    is_held_out: bool,
    from_ms: i64,
    clicks: u32,
    is_upgraded: bool,
    plays: u32,
}

/// Follows customers through a log.
pub struct Lift {
    slots: Vec<u16>,
    followed: HashMap<(u16, u64), Followed>,
    levels: HashMap<u64, Membership>,
    /// The newest decision, in Unix milliseconds: until then customers are followed.
    newest_ms: i64,
    /// Customers whose hashes are above this are left out.
    most_hash: u64,
}

impl Lift {
    /// Of these campaigns, by their slots.
    #[must_use]
    pub fn new(slots: &[u16]) -> Self {
        Self {
            slots: slots.to_vec(),
            followed: HashMap::new(),
            levels: HashMap::new(),
            newest_ms: i64::MIN,
            most_hash: u64::MAX,
        }
    }

    /// Takes the next record of the log.
    pub fn entry(&mut self, position: u64, entry: &Entry, found: &Found) {
        let customer = match entry {
            Entry::Event { event, .. } => &event.customer,
            Entry::Decided { customer, .. } | Entry::ShownInPlan { customer, .. } => customer,
            _ => return,
        };
        let hash = StableHash::with_key(KEY).id(customer.as_ref()).finish();
        if hash > self.most_hash || !found.is_kept(position, customer) {
            return;
        }
        if let Entry::Event { event, .. } = entry {
            self.event(hash, event, &|slot| found.campaigns.ad(&found.campaigns.id(slot)).cloned());
        }
        if let Some(facts) = decided(entry) {
            self.newest_ms = self.newest_ms.max(facts.time_ms);
        }
        if let Some(facts) = decided(entry)
            && found.has_events_after(position)
            && (facts.reason.shows() || facts.reason == Reason::HeldOut)
            && let Some(slot) = facts.campaign.filter(|slot| self.slots.contains(slot))
        {
            let is_held_out = facts.reason == Reason::HeldOut;
            let from_ms = facts.time_ms.div_euclid(1000) * 1000;
            self.followed.entry((slot, hash)).or_insert(Followed {
                is_held_out,
                from_ms,
                clicks: 0,
                is_upgraded: false,
                plays: 0,
            });
            self.bound();
        }
    }

    fn event(&mut self, hash: u64, event: &Event, ad_of: &dyn Fn(u16) -> Option<Id>) {
        let ms = event.time.unix_ms;
        match &event.kind {
            EventKind::Play { .. } => {
                for slot in &self.slots {
                    let followed = self.followed.get_mut(&(*slot, hash));
                    if let Some(followed) = followed.filter(|followed| ms >= followed.from_ms) {
                        followed.plays += 1;
                    }
                }
            }
            EventKind::Click { of: ClickOf::Ad(ad) | ClickOf::Decision { ad: Some(ad), .. } } => {
                for slot in &self.slots {
                    let Some(followed) = self.followed.get_mut(&(*slot, hash)) else { continue };
                    if ms >= followed.from_ms && ad_of(*slot).as_ref() == Some(ad) {
                        followed.clicks += 1;
                    }
                }
            }
            EventKind::Membership(level) => {
                let before = self.levels.insert(hash, *level).unwrap_or(Membership::Free);
                for slot in self.slots.iter().filter(|_| *level > before) {
                    let followed = self.followed.get_mut(&(*slot, hash));
                    if let Some(followed) = followed.filter(|followed| ms >= followed.from_ms) {
                        followed.is_upgraded = true;
                    }
                }
                self.bound();
            }
            _ => {}
        }
    }

    fn bound(&mut self) {
        while self.followed.len().max(self.levels.len()) > MOST_CUSTOMERS {
            self.most_hash /= 2;
            let most = self.most_hash;
            self.followed.retain(|(_, hash), _| *hash <= most);
            self.levels.retain(|hash, _| *hash <= most);
        }
    }

    /// The differences of a campaign; none where nobody was held out, or nobody shown it.
    #[must_use]
    pub fn of(&self, slot: u16) -> Vec<Difference> {
        let differences = Outcome::ALL.map(|outcome| {
            let (mut with, mut without) = (Moments::default(), Moments::default());
            for (_, followed) in self.followed.iter().filter(|((of, _), _)| *of == slot) {
                let days = self.newest_ms.saturating_sub(followed.from_ms) as f64 / DAY_MS as f64;
                let value = match outcome {
                    Outcome::Clicks => f64::from(followed.clicks),
                    Outcome::Upgrades => f64::from(u8::from(followed.is_upgraded)),
                    Outcome::Plays if days < 1.0 => continue,
                    Outcome::Plays => f64::from(followed.plays) / days,
                };
                if followed.is_held_out { without.add(value) } else { with.add(value) }
            }
            Difference {
                outcome,
                treated: with.count as u64,
                held_out: without.count as u64,
                with: with.mean(),
                without: without.mean(),
                interval: difference(with, without),
            }
        });
        differences.into_iter().filter(|of| of.treated > 0 && of.held_out > 0).collect()
    }
}
