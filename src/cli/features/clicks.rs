//! Who clicked the ad.

use csv::ByteRecord;

use super::plain::PlainRows;
use super::rows::TakeRows;
use super::settle::Clicked;
use crate::event::{Event, EventKind, Id, Zone};
use crate::ingest::csv as rows;

/// Takes the clicks of a block.
pub(super) struct ClickRows<'a> {
    ad: &'a Id,
    ad_text: String,
    plain: PlainRows,
    found: Vec<Id>,
}

impl<'a> ClickRows<'a> {
    /// For clicks on `ad`; others are passed over.
    pub(super) fn new(ad: &'a Id) -> Self {
        Self { ad, ad_text: ad.to_string(), plain: PlainRows::new(), found: Vec::new() }
    }

    /// The customers of the clicks since the last call.
    pub(super) fn customers(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.found)
    }
}

impl TakeRows for ClickRows<'_> {
    #[inline]
    fn take_plain(&mut self, text: &[u8]) -> Option<usize> {
        let (customer, length) = self.plain.click(text, self.ad_text.as_bytes())?;
        self.found.extend(customer.map(Id::Number));
        Some(length)
    }

    fn take_any(&mut self, record: &ByteRecord) -> Result<(), String> {
        let Event { customer, kind, .. } = rows::click(record, &Zone::utc())?;
        if matches!(&kind, EventKind::Click { ad } if ad == self.ad) {
            self.found.push(customer);
        }
        Ok(())
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
