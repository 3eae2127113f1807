//! The customers who clicked the ad.

use super::aggregate::Clicked;
use super::rows::ReadRows;
use upbeat_core::event::{Id, IdRef, Zone};
use upbeat_ingest::decode::csv::{ClickRow, Kind, Refusal, RowReader};

/// Collects the clicks of a block.
pub(super) struct ClickRows<'a> {
    ad: IdRef<'a>,
    found: Vec<Id>,
}

impl<'a> ClickRows<'a> {
    /// For clicks on `ad`; others are ignored.
    pub(super) fn new(ad: &'a Id) -> Self {
        Self { ad: ad.as_ref(), found: Vec::new() }
    }

    /// The customers of the clicks since the last call.
    pub(super) fn customers(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.found)
    }
}

impl ReadRows for ClickRows<'_> {
    const KIND: Kind = Kind::Clicks;

    #[inline]
    fn read_row(&mut self, reader: &mut RowReader<'_>, zone: &Zone) -> Option<Result<(), Refusal>> {
        let row = reader.click_row(zone)?;
        let on_ad =
            |click: ClickRow<'_>| self.found.extend((click.ad == self.ad).then(|| click.customer.to_id()));
        Some(row.map(on_ad))
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
