//! A customer's membership changes: a single one of the usual form in 20 bytes, otherwise a list.

use super::recent::{Recent, RecentEntry};
use super::{Applied, MembershipChange};
use crate::event::{CUSTOMER_FILE_ID, Id, Membership, PackedTime, Time};

/// How many membership changes a profile keeps.
pub(super) const HISTORY_LIMIT: usize = 16;

/// Where a customer's membership changes are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Storage {
    /// There are none.
    #[default]
    None,
    /// In place, with a decimal event id.
    Number,
    /// In place, with the event id of a customer file.
    CustomerFile,
    /// In a list, which the caller holds.
    Listed,
}

/// The latest level, and the change itself where there is only one, as most customers have.
#[derive(Debug, Clone, Copy)]
pub(super) struct LatestMembership {
    storage: Storage,
    level: Membership,
    time: PackedTime,
    /// The two halves of a decimal event id, the lower one first; a `u64` would need padding.
    event_id: [u32; 2],
}

impl Default for LatestMembership {
    fn default() -> Self {
        Self {
            storage: Storage::None,
            level: Membership::Free,
            time: PackedTime::default(),
            event_id: [0; 2],
        }
    }
}

impl LatestMembership {
    /// The latest level; `None` if none was ever reported.
    pub(super) fn level(&self) -> Option<Membership> {
        (self.storage != Storage::None).then_some(self.level)
    }

    /// The latest change; `list` is the one that [`LatestMembership::insert`] has filled.
    pub(super) fn change(&self, list: Option<&Recent<MembershipChange>>) -> Option<MembershipChange> {
        match self.storage {
            Storage::Listed => list.and_then(|list| list.as_slice().last().cloned()),
            _ => self.single(),
        }
    }

    /// All changes that are kept, oldest first.
    pub(super) fn changes(&self, list: Option<&Recent<MembershipChange>>) -> Vec<MembershipChange> {
        match self.storage {
            Storage::Listed => list.map_or_else(Vec::new, |list| list.as_slice().to_vec()),
            _ => self.single().into_iter().collect(),
        }
    }

    fn single(&self) -> Option<MembershipChange> {
        let [low, high] = self.event_id;
        let event_id = match self.storage {
            Storage::Number => Id::Number(u64::from(high) << 32 | u64::from(low)),
            Storage::CustomerFile => Id::Text(CUSTOMER_FILE_ID.into()),
            Storage::None | Storage::Listed => return None,
        };
        Some(MembershipChange { time: self.time.into(), event_id, level: self.level })
    }

    /// The change of this time and event id, if it is kept.
    pub(super) fn find(
        &self,
        list: Option<&Recent<MembershipChange>>,
        time: Time,
        event_id: &Id,
    ) -> Option<MembershipChange> {
        match self.storage {
            Storage::Listed => list.and_then(|list| list.get(time, event_id).cloned()),
            _ => self.single().filter(|change| change.key() == (time, event_id)),
        }
    }

    /// Whether adding a change would take memory.
    pub(super) fn would_grow(
        &self,
        list: Option<&Recent<MembershipChange>>,
        change: &MembershipChange,
    ) -> bool {
        match self.storage {
            Storage::None => Self::pack(change).is_none(),
            _ => self.find(list, change.time, &change.event_id).is_none(),
        }
    }

    /// Adds a change; `list` is called only when a list is needed.
    pub(super) fn insert<'a>(
        &mut self,
        change: MembershipChange,
        list: impl FnOnce() -> &'a mut Recent<MembershipChange>,
    ) -> Applied {
        if self.storage == Storage::None
            && let Some(single) = Self::pack(&change)
        {
            *self = single;
            return Applied::Accepted;
        }
        let single = self.single();
        if let Some(single) = single.as_ref().filter(|single| single.key() == change.key()) {
            if !change.precedes(single) {
                return Applied::Duplicate;
            }
            if let Some(smaller) = Self::pack(&change) {
                *self = smaller;
                return Applied::Replaced;
            }
        }
        let list = list();
        if let Some(single) = single {
            list.insert(single, HISTORY_LIMIT);
        }
        let applied = list.insert(change, HISTORY_LIMIT);
        if let Some(latest) = list.as_slice().last() {
            *self = Self { storage: Storage::Listed, level: latest.level, ..Self::default() };
        }
        applied
    }

    fn pack(change: &MembershipChange) -> Option<Self> {
        let (storage, event_id) = match &change.event_id {
            Id::Number(number) => (Storage::Number, [*number as u32, (*number >> 32) as u32]),
            Id::Text(text) if **text == *CUSTOMER_FILE_ID => (Storage::CustomerFile, [0; 2]),
            Id::Text(_) => return None,
        };
        Some(Self { storage, level: change.level, time: change.time.pack()?, event_id })
    }
}

impl super::Profile {
    /// When the customer signed up, by the customer files, in Unix milliseconds; `None` where none told it.
    #[must_use]
    pub fn signed_up_ms(&self) -> Option<i64> {
        let mut signed_up_ms = None;
        self.visit_memberships(|change| {
            if signed_up_ms.is_none() && is_of_customer_file(change) {
                signed_up_ms = Some(change.time.unix_ms);
            }
        });
        signed_up_ms
    }

    /// When the level last rose, in Unix milliseconds; `None` where it never did. The first level that is known is a rise
    /// above Free, but for one of a customer file: that tells what is, not that it changed.
    #[must_use]
    pub fn upgraded_ms(&self) -> Option<i64> {
        match self.membership.storage {
            Storage::Listed => self.digest()?.upgraded_ms(),
            _ => last_rise_ms(self.membership.single().as_slice()),
        }
    }

    /// The same from the list of memberships; `None` where they are not in one.
    pub(super) fn listed_upgrade_ms(&self) -> Option<i64> {
        last_rise_ms(self.memberships())
    }

    /// Visits the membership changes that are kept, oldest first.
    fn visit_memberships(&self, mut visit: impl FnMut(&MembershipChange)) {
        match self.membership.single() {
            Some(single) => visit(&single),
            None => self.memberships().iter().for_each(visit),
        }
    }
}

fn last_rise_ms(changes: &[MembershipChange]) -> Option<i64> {
    let mut before = None;
    let rises = changes.iter().filter(|change| match before.replace(change.level) {
        Some(before) => change.level > before,
        None => change.level > Membership::Free && !is_of_customer_file(change),
    });
    rises.map(|change| change.time.unix_ms).last()
}

fn is_of_customer_file(change: &MembershipChange) -> bool {
    matches!(&change.event_id, Id::Text(text) if **text == *CUSTOMER_FILE_ID)
}
