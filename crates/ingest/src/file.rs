//! Files as users give them: plain text, or compressed with gzip or zstd.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::path::Path;

use crate::decode::encoding::{Decoder, Encoding};

/// Bytes that are read from a source at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// A file whose bytes are not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// It is UTF-16, as some Windows programs write it.
    #[error("it is UTF-16 text, and UTF-8 is read here; convert it, as with `iconv -f UTF-16 -t UTF-8`")]
    Utf16,
}

impl From<NotText> for io::Error {
    fn from(reason: NotText) -> Self {
        Self::new(io::ErrorKind::InvalidData, reason)
    }
}

/// A file of text, at its beginning.
pub enum Text {
    /// A plain file that is not compressed; it can be read in parts, from any place.
    Plain(File),
    /// What a compressed plain file holds.
    Compressed(Box<dyn Read + Send>),
    /// Standard input, a pipe or a device, decompressed where its first bytes say so; it may pause anywhere.
    Stream(Box<dyn Read + Send>),
}

impl Text {
    /// Opens a file; `-` is standard input. A stream is not read from yet.
    ///
    /// # Errors
    /// The file cannot be opened, is a folder, or is not text: [`NotText`], inside an error of the kind `InvalidData`.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stream(Box::new(Lazy::Source(Some(Box::new(io::stdin()))))));
        }
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder; name a file in it"));
        }
        if !metadata.is_file() {
            return Ok(Self::Stream(Box::new(Lazy::Source(Some(Box::new(file))))));
        }
        let start = Start::read(&mut file)?;
        file.rewind()?;
        Ok(match start.encoding()? {
            Encoding::Identity => Self::Plain(file),
            Encoding::Gzip | Encoding::Zstd => Self::Compressed(text(file)?),
        })
    }

    /// How many bytes will be read, where that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Plain(file) => file.metadata().ok().map(|metadata| metadata.len()),
            Self::Compressed(_) | Self::Stream(_) => None,
        }
    }
}

/// A stream whose first bytes are not waited for before they are needed.
enum Lazy {
    Source(Option<Box<dyn Read + Send>>),
    Text(Box<dyn Read + Send>),
}

impl Read for Lazy {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Source(source) = self {
            // A source that failed is at its end.
            let Some(source) = source.take() else { return Ok(0) };
            *self = Self::Text(text(source)?);
        }
        match self {
            Self::Text(text) => text.read(buffer),
            Self::Source(_) => Ok(0),
        }
    }
}

/// The first bytes of a file, which tell its encoding.
#[derive(Debug, Clone, Copy)]
struct Start {
    bytes: [u8; 4],
    length: usize,
}

impl Start {
    /// Reads up to four bytes; fewer only at the end.
    ///
    /// # Errors
    /// `source` cannot be read.
    fn read(source: &mut impl Read) -> io::Result<Self> {
        let mut start = Self { bytes: [0; 4], length: 0 };
        while start.length < start.bytes.len() {
            match source.read(&mut start.bytes[start.length..]) {
                Ok(0) => break,
                Ok(count) => start.length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(start)
    }

    /// How the file is compressed.
    ///
    /// # Errors
    /// The file is not text: [`NotText`], inside an error of the kind `InvalidData`.
    fn encoding(&self) -> io::Result<Encoding> {
        let bytes = &self.bytes[..self.length];
        check_text(bytes)?;
        Ok(Encoding::of_file(bytes))
    }
}

/// UTF-16 begins with a byte order mark, or else has a zero byte in each character of ASCII; text in UTF-8 has neither.
fn check_text(start: &[u8]) -> Result<(), NotText> {
    match start {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=255, ..] | [1..=255, 0, 1..=255, ..] => {
            Err(NotText::Utf16)
        }
        _ => Ok(()),
    }
}

/// The text of a file, decompressed where its first bytes say that it is compressed, in bounded memory.
///
/// # Errors
/// The file cannot be read, or is not text. Reading on fails with the errors of `source`, and of [`Decoder`].
pub fn text<'a>(mut source: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let start = Start::read(&mut source)?;
    let encoding = start.encoding()?;
    let whole = Cursor::new(start.bytes).take(start.length as u64).chain(source);
    if encoding == Encoding::Identity {
        return Ok(Box::new(whole));
    }
    let mut decoder = Decoder::new(encoding, BufReader::with_capacity(BUFFER_BYTES, whole));
    let start = Start::read(&mut decoder)?;
    check_text(&start.bytes[..start.length])?;
    Ok(Box::new(Cursor::new(start.bytes).take(start.length as u64).chain(decoder)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::encoding::tests::{gzip, zstd};

    fn read(bytes: &[u8]) -> io::Result<String> {
        let mut read = String::new();
        text(bytes)?.read_to_string(&mut read).map(|_| read)
    }

    #[test]
    fn compressed_file_reads_as_its_text() {
        for plain in ["", "1", "1,2,3\n", "\u{feff}1,48\n", &"7,8,9\n".repeat(100_000)] {
            for bytes in [plain.as_bytes().to_vec(), gzip(plain.as_bytes()), zstd(plain.as_bytes())] {
                assert_eq!(read(&bytes).expect("text"), plain);
            }
        }
    }

    #[test]
    fn utf16_is_refused_with_the_cure() {
        let utf16 = |text: &str, mark: bool, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            mark.then_some(0xfeff).into_iter().chain(text.encode_utf16()).flat_map(unit).collect()
        };
        for mark in [true, false] {
            for unit in [u16::to_le_bytes, u16::to_be_bytes] {
                let bytes = utf16("1,48,7\n", mark, unit);
                for bytes in [gzip(&bytes), zstd(&bytes), bytes] {
                    let error = read(&bytes).expect_err("UTF-16").to_string();
                    assert!(error.contains("UTF-16") && error.contains("iconv"), "{error}");
                }
            }
        }
    }

    #[test]
    fn damaged_file_says_so_in_a_sentence() {
        for (whole, name) in [(gzip(b"1,2,3\n"), "gzip"), (zstd(b"1,2,3\n"), "zstd")] {
            let error = read(&whole[..whole.len() - 3]).expect_err("cut short").to_string();
            assert_eq!(error, format!("the {name} data ends too early; send it whole"));
        }
    }
}
