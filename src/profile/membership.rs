//! A customer's membership changes: one of the usual form in 20 bytes, else a list.

use super::recent::{Recent, RecentEntry};
use super::{Applied, MembershipChange};
use crate::event::{CUSTOMER_FILE_ID, Id, Membership, PackedTime, Time};

/// How many membership changes a profile remembers.
const HISTORY_LIMIT: usize = 16;

/// Where a customer's membership changes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kept {
    /// None was told.
    #[default]
    None,
    /// Here, under a decimal event id.
    Number,
    /// Here, from a customer file.
    CustomerFile,
    /// In a list, which is kept elsewhere.
    Listed,
}

/// The latest level, and the change itself where there is only one, as most customers have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latest {
    kept: Kept,
    level: Membership,
    time: PackedTime,
    /// The two halves of a decimal event id, the lower one first; as words they need no padding.
    event_id: [u32; 2],
}

impl Default for Latest {
    fn default() -> Self {
        Self { kept: Kept::None, level: Membership::Free, time: PackedTime::default(), event_id: [0; 2] }
    }
}

impl Latest {
    /// The latest level; `None` if none was ever told.
    pub(super) fn level(&self) -> Option<Membership> {
        (self.kept != Kept::None).then_some(self.level)
    }

    /// The latest change.
    pub(super) fn change(&self, list: Option<&Recent<MembershipChange>>) -> Option<MembershipChange> {
        match self.kept {
            Kept::Listed => list.and_then(|list| list.as_slice().last().cloned()),
            _ => self.single(),
        }
    }

    fn single(&self) -> Option<MembershipChange> {
        let [low, high] = self.event_id;
        let event_id = match self.kept {
            Kept::Number => Id::Number(u64::from(high) << 32 | u64::from(low)),
            Kept::CustomerFile => Id::Text(CUSTOMER_FILE_ID.into()),
            Kept::None | Kept::Listed => return None,
        };
        Some(MembershipChange { time: self.time.into(), event_id, level: self.level })
    }

    /// The change told under this time and id, if it is remembered.
    pub(super) fn find(
        &self,
        list: Option<&Recent<MembershipChange>>,
        time: Time,
        event_id: &Id,
    ) -> Option<MembershipChange> {
        match self.kept {
            Kept::Listed => list.and_then(|list| list.get(time, event_id).cloned()),
            _ => self.single().filter(|change| change.key() == (time, event_id)),
        }
    }

    /// Whether adding a change would take memory.
    pub(super) fn grows_by(
        &self,
        list: Option<&Recent<MembershipChange>>,
        change: &MembershipChange,
    ) -> bool {
        match self.kept {
            Kept::None => Self::pack(change).is_none(),
            _ => self.find(list, change.time, &change.event_id).is_none(),
        }
    }

    /// Adds a change; `list` is made where it is first needed.
    pub(super) fn insert<'a>(
        &mut self,
        change: MembershipChange,
        list: impl FnOnce() -> &'a mut Recent<MembershipChange>,
    ) -> Applied {
        if self.kept == Kept::None
            && let Some(single) = Self::pack(&change)
        {
            *self = single;
            return Applied::Accepted;
        }
        let single = self.single();
        if single.as_ref().is_some_and(|single| single.key() == change.key()) {
            return Applied::Duplicate;
        }
        let list = list();
        if let Some(single) = single {
            list.insert(single, HISTORY_LIMIT);
        }
        let applied = list.insert(change, HISTORY_LIMIT);
        if let Some(latest) = list.as_slice().last() {
            *self = Self { kept: Kept::Listed, level: latest.level, ..Self::default() };
        }
        applied
    }

    fn pack(change: &MembershipChange) -> Option<Self> {
        let (kept, event_id) = match &change.event_id {
            Id::Number(number) => (Kept::Number, [*number as u32, (*number >> 32) as u32]),
            Id::Text(text) if **text == *CUSTOMER_FILE_ID => (Kept::CustomerFile, [0; 2]),
            Id::Text(_) => return None,
        };
        Some(Self { kept, level: change.level, time: change.time.pack()?, event_id })
    }
}
