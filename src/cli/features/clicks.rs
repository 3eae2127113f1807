//! Who clicked the ad.

use super::rows::TakeRows;
use super::settle::Clicked;
use crate::event::{Event, EventKind, Id, Zone};
use crate::ingest::csv::RowReader;

/// Takes the clicks of a block.
pub(super) struct ClickRows<'a> {
    ad: &'a Id,
    found: Vec<Id>,
}

impl<'a> ClickRows<'a> {
    /// For clicks on `ad`; others are passed over.
    pub(super) fn new(ad: &'a Id) -> Self {
        Self { ad, found: Vec::new() }
    }

    /// The customers of the clicks since the last call.
    pub(super) fn customers(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.found)
    }
}

impl TakeRows for ClickRows<'_> {
    #[inline]
    fn next(reader: &mut RowReader<'_>, zone: &Zone) -> Option<(usize, Result<Event, String>)> {
        reader.click(zone)
    }

    #[inline]
    fn take(&mut self, event: Event) {
        if matches!(&event.kind, EventKind::Click { ad } if ad == self.ad) {
            self.found.push(event.customer);
        }
    }
}

impl Extend<Id> for Clicked {
    fn extend<T: IntoIterator<Item = Id>>(&mut self, customers: T) {
        for customer in customers {
            match customer {
                Id::Number(number) => drop(self.numbers.insert(number)),
                Id::Text(text) => drop(self.texts.insert((*text).into())),
            }
        }
    }
}
