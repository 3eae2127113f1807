//! A file in blocks of whole lines.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use memchr::memrchr;

/// What rows are read from.
pub(super) enum Input<'a> {
    /// A plain file, or bytes in memory: can be read again from any place.
    Seekable(Box<dyn ReadSeek + 'a>),
    /// Standard input, a pipe: comes once.
    Stream(Box<dyn Read + Send + 'a>),
}

/// A reader that can be set to any place.
pub(super) trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

impl From<File> for Input<'_> {
    fn from(file: File) -> Self {
        if file.metadata().is_ok_and(|data| data.is_file()) {
            Self::Seekable(Box::new(file))
        } else {
            Self::Stream(Box::new(file))
        }
    }
}

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first byte, counted from the start of the input.
    pub(super) offset: u64,
    /// Whether nothing follows.
    pub(super) last: bool,
}

/// Whole lines of an input; its memory is used again for the next block.
#[derive(Default)]
pub(super) struct Block {
    buffer: Vec<u8>,
    length: usize,
}

impl Block {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// Room for `more` bytes after those that are there.
    fn room(&mut self, more: usize) -> &mut [u8] {
        let end = self.length + more;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.length..end]
    }
}

/// Cuts an input into blocks that end after a line's end, or where the input ends.
pub(super) struct Blocks<'a> {
    input: Input<'a>,
    /// Bytes of a block, about; longer lines make longer blocks.
    size: usize,
    /// A line of so many bytes is cut, as if it ended.
    longest: usize,
    /// Read, but not yet part of a block.
    rest: Vec<u8>,
    offset: u64,
    ended: bool,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(input: Input<'a>, size: usize) -> Self {
        Self { input, size: size.max(1), longest: usize::MAX, rest: Vec::new(), offset: 0, ended: false }
    }

    /// The same, for a caller who takes no line of `bytes` or more: such a line is given unended.
    pub(super) fn with_longest_line(self, bytes: usize) -> Self {
        Self { longest: bytes, ..self }
    }

    pub(super) fn is_seekable(&self) -> bool {
        matches!(self.input, Input::Seekable(_))
    }

    /// Fills `block` with the next block; none at the end.
    pub(super) fn next(&mut self, block: &mut Block) -> io::Result<Option<Place>> {
        block.length = 0;
        block.room(self.rest.len()).copy_from_slice(&self.rest);
        block.length = self.rest.len();
        self.rest.clear();
        let mut searched = 0;
        while !self.ended {
            // What was put back and is still too short doubles, so that reading it again costs twice in all.
            self.fill(block)?;
            if let Some(end) = memrchr(b'\n', &block.bytes()[searched..]).filter(|_| !self.ended) {
                self.rest.extend_from_slice(&block.bytes()[searched + end + 1..]);
                block.length = searched + end + 1;
                break;
            }
            searched = block.length;
            if searched >= self.longest {
                break;
            }
        }
        if block.length == 0 {
            return Ok(None);
        }
        let place = Place { offset: self.offset, last: self.ended };
        self.offset += block.length as u64;
        Ok(Some(place))
    }

    /// Reads on to a block's size, or to twice of what there is.
    fn fill(&mut self, block: &mut Block) -> io::Result<()> {
        let wanted = self.size.max(2 * block.length);
        let reader: &mut dyn Read = match &mut self.input {
            Input::Seekable(reader) => reader,
            Input::Stream(reader) => reader,
        };
        while block.length < wanted {
            match reader.read(block.room(wanted - block.length)) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => block.length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives back the end of the last block, to be at the start of the next one.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.offset -= bytes.len() as u64;
        self.rest.splice(..0, bytes.iter().copied());
    }

    /// Goes on at `offset`. For an input that can be read again.
    pub(super) fn seek(&mut self, offset: u64) -> io::Result<()> {
        if let Input::Seekable(reader) = &mut self.input {
            reader.seek(SeekFrom::Start(offset))?;
            (self.offset, self.ended) = (offset, false);
            self.rest.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_join_to_the_input_and_end_with_lines(
            text in "[ab\n]{0,60}",
            size in 1usize..20,
            kept in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        ) {
            let mut blocks = Blocks::new(Input::Stream(Box::new(text.as_bytes())), size);
            let (mut joined, mut block, mut turn) = (Vec::new(), Block::default(), 0);
            while let Some(place) = blocks.next(&mut block).expect("bytes") {
                prop_assert_eq!(place.offset, joined.len() as u64);
                prop_assert!(place.last || block.bytes().ends_with(b"\n"));
                // The last block is all there is: nothing is put back.
                let all = block.bytes();
                let used = if place.last { all.len() } else { kept[turn % kept.len()].index(all.len() + 1) };
                joined.extend_from_slice(&all[..used]);
                blocks.put_back(&all[used..]);
                turn += 1;
                prop_assert!(turn < 1000);
            }
            prop_assert_eq!(joined, text.as_bytes());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept() {
        let endless = Input::Stream(Box::new(io::repeat(b'x')));
        let mut blocks = Blocks::new(endless, 10).with_longest_line(100);
        let mut block = Block::default();
        assert!(blocks.next(&mut block).expect("bytes").is_some_and(|place| !place.last));
        assert!((100..=200).contains(&block.bytes().len()), "{}", block.bytes().len());
    }

    #[test]
    fn an_input_can_be_read_again() {
        let mut blocks = Blocks::new(Input::Seekable(Box::new(io::Cursor::new(b"one\ntwo\nthree"))), 5);
        let mut block = Block::default();
        while blocks.next(&mut block).expect("bytes").is_some() {}
        blocks.seek(4).expect("in memory");
        let place = blocks.next(&mut block).expect("bytes");
        assert_eq!((place, block.bytes()), (Some(Place { offset: 4, last: false }), &b"two\n"[..]));
    }
}
