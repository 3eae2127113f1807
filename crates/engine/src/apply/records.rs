//! The records of an event that is applied.

use upbeat_core::event::Event;
use upbeat_core::profile::Applied;

use crate::Customer;
use crate::customer::Lost;
use crate::log::{MOST_GROWTH, Payload, Room};

/// The records of an event: its own, before it that of a decision whose own was lost, and behind it what becomes of money.
pub(super) struct Records<'a> {
    shown: Option<Payload>,
    event: &'a Payload,
    money: Option<&'a Payload>,
}

impl<'a> Records<'a> {
    #[inline]
    pub(super) fn new(
        event_payload: &'a Payload,
        lost: Option<&Lost>,
        event: &Event,
        money: Option<&'a Payload>,
    ) -> Self {
        let of = |lost: &Lost| {
            Payload::of_show(&event.customer, lost.decision, &lost.campaign, event.time.unix_ms, None)
        };
        Self { shown: lost.map(of), event: event_payload, money }
    }

    pub(super) fn count(&self) -> usize {
        1 + usize::from(self.shown.is_some()) + usize::from(self.money.is_some())
    }

    pub(super) fn bytes(&self) -> usize {
        let others = self.shown.iter().chain(self.money);
        self.event.bytes().len() + MOST_GROWTH + others.map(|payload| payload.bytes().len()).sum::<usize>()
    }

    /// In the order in which they are done again.
    pub(super) fn publish(&self, room: &mut Room<'_>, unit: u16, applied: Applied, customer: &Customer) {
        if let Some(shown) = &self.shown {
            room.publish(shown, unit);
        }
        match applied {
            Applied::Replaced => room.publish(&self.event.of_replacement(customer.last_event_s()), unit),
            _ => room.publish(self.event, unit),
        };
        if let Some(money) = self.money {
            room.publish(money, unit);
        }
    }
}
