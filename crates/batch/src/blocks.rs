//! A file in blocks of whole lines, which threads can work on independently.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use memchr::memrchr;

/// What rows are read from.
pub enum Input<'a> {
    /// A plain file, or bytes in memory: can be read again from any place.
    Seekable(Box<dyn ReadSeek + 'a>),
    /// Standard input, a pipe: can be read only once.
    Stream(Box<dyn Read + Send + 'a>),
}

/// A reader that can be set to any place, and moved to another thread.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

impl From<File> for Input<'_> {
    /// Seekable where it is a plain file.
    fn from(file: File) -> Self {
        if file.metadata().is_ok_and(|data| data.is_file()) {
            Self::Seekable(Box::new(file))
        } else {
            Self::Stream(Box::new(file))
        }
    }
}

/// The position of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its first byte, counted from the start of the input.
    pub(crate) offset: u64,
    /// Whether nothing follows.
    pub(crate) last: bool,
}

/// Whole lines of an input; its memory is reused for the next block.
#[derive(Default)]
pub(crate) struct Block {
    buffer: Vec<u8>,
    length: usize,
}

impl Block {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// `more` bytes of buffer after those of the block.
    fn spare(&mut self, more: usize) -> &mut [u8] {
        let end = self.length + more;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.length..end]
    }
}

/// Cuts an input into blocks that end after a line's end, or where the input ends.
pub(crate) struct Blocks<'a> {
    input: Input<'a>,
    /// Approximate bytes of a block; longer lines make longer blocks.
    size: usize,
    /// A block ends within a line that reaches this many bytes.
    longest: usize,
    /// Whether a block ends at a CR rather than within a line that reaches the longest.
    cr_ends_lines: bool,
    /// Bytes that were read and belong to the next block.
    rest: Vec<u8>,
    offset: u64,
    ended: bool,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(input: Input<'a>, size: usize) -> Self {
        Self {
            input,
            size: size.max(1),
            longest: usize::MAX,
            cr_ends_lines: false,
            rest: Vec::new(),
            offset: 0,
            ended: false,
        }
    }

    /// The same for a caller that refuses lines of `bytes` or more: a block may end within such a line.
    pub(crate) fn with_longest_line(self, bytes: usize) -> Self {
        Self { longest: bytes, ..self }
    }

    /// The same for a caller to whom CR ends a line as well.
    pub(crate) fn with_lines_ending_in_cr(self) -> Self {
        Self { cr_ends_lines: true, ..self }
    }

    pub(crate) fn is_seekable(&self) -> bool {
        matches!(self.input, Input::Seekable(_))
    }

    /// Fills `block` with the next block; none at the end.
    pub(crate) fn next(&mut self, block: &mut Block) -> io::Result<Option<Place>> {
        block.length = 0;
        block.spare(self.rest.len()).copy_from_slice(&self.rest);
        block.length = self.rest.len();
        self.rest.clear();
        let mut searched = 0;
        while !self.ended {
            // The block doubles while no line ends in it, so that searching it again at most doubles the cost.
            self.fill(block)?;
            if let Some(end) = memrchr(b'\n', &block.bytes()[searched..]).filter(|_| !self.ended) {
                self.rest.extend_from_slice(&block.bytes()[searched + end + 1..]);
                block.length = searched + end + 1;
                break;
            }
            searched = block.length;
            if searched >= self.longest {
                if self.cr_ends_lines && !self.ended {
                    self.cut_at_cr(block);
                }
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

    /// Ends a block without LF behind its last CR. Of a CR at its very end it is not known whether an LF follows, so a block
    /// never ends with that.
    fn cut_at_cr(&mut self, block: &mut Block) {
        let bytes = block.bytes();
        let known = &bytes[..bytes.len() - usize::from(bytes.ends_with(b"\r"))];
        let end = memrchr(b'\r', known).map_or(known.len(), |cr| cr + 1);
        self.rest.extend_from_slice(&bytes[end..]);
        block.length = end;
    }

    /// Reads up to a block's size, or to twice the block's present length.
    fn fill(&mut self, block: &mut Block) -> io::Result<()> {
        let wanted = self.size.max(2 * block.length);
        let reader: &mut dyn Read = match &mut self.input {
            Input::Seekable(reader) => reader,
            Input::Stream(reader) => reader,
        };
        while block.length < wanted {
            match reader.read(block.spare(wanted - block.length)) {
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

    /// Returns the end of the last block, which becomes the start of the next one.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        self.offset -= bytes.len() as u64;
        self.rest.splice(..0, bytes.iter().copied());
    }

    /// Continues at `offset`. Does nothing for a stream.
    pub(crate) fn seek(&mut self, offset: u64) -> io::Result<()> {
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
                // Nothing is put back of the last block.
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
    fn overlong_line_ends_its_block() {
        let endless = Input::Stream(Box::new(io::repeat(b'x')));
        let mut blocks = Blocks::new(endless, 10).with_longest_line(100);
        let mut block = Block::default();
        assert!(blocks.next(&mut block).expect("bytes").is_some_and(|place| !place.last));
        assert!((100..=200).contains(&block.bytes().len()), "{}", block.bytes().len());
    }

    #[test]
    fn seekable_input_is_read_again_from_an_offset() {
        let mut blocks = Blocks::new(Input::Seekable(Box::new(io::Cursor::new(b"one\ntwo\nthree"))), 5);
        let mut block = Block::default();
        while blocks.next(&mut block).expect("bytes").is_some() {}
        blocks.seek(4).expect("in memory");
        let place = blocks.next(&mut block).expect("bytes");
        assert_eq!((place, block.bytes()), (Some(Place { offset: 4, last: false }), &b"two\n"[..]));
    }
}
