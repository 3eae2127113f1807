//! Where the log ends, for whoever copies it.

use super::Writer;
use crate::copy::LogEnd;
use crate::disk::Disk;

impl<D: Disk> Writer<D> {
    /// Where the log ends, with everything that was written so far; `None` between two files.
    #[must_use]
    pub fn end(&self) -> Option<LogEnd> {
        let open = self.segment.as_ref()?;
        let (segment, complete) = (self.next_segment - 1, self.watermark);
        Some(LogEnd { segment, bytes: open.end, complete, top: self.top })
    }
}
