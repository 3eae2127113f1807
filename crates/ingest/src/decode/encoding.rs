//! Compressed bytes: gzip and zstd, as bodies of requests and as files.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The largest window of a zstd frame in a body, in bytes; what RFC 9659 allows senders of `Content-Encoding: zstd`.
const BODY_WINDOW_BYTES: u64 = 8 << 20;

/// The largest window of a zstd frame in a file, in bytes; that of the `zstd` command without `--long`.
const FILE_WINDOW_BYTES: u64 = 128 << 20;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not compressed.
    Identity,
    /// gzip (RFC 1952), one member or several, zero bytes after a member, as tapes and block devices pad them.
    Gzip,
    /// Zstandard (RFC 8878), one frame or several, skippable frames among them, as pzstd writes them.
    Zstd,
}

/// Why compressed bytes cannot be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes are not in this format at all.
    #[error("it does not begin as {0} data does")]
    Foreign(Encoding),
    /// So many whole members or frames are followed by something else.
    #[error("after {1} whole {0} parts come bytes that are not {0} data")]
    Trailing(Encoding, u64),
    /// The bytes end within a member or frame.
    #[error("the {0} data ends too early; send it whole")]
    CutShort(Encoding),
    /// A member or frame breaks the rules of its format, or its checksum does not fit.
    #[error("the {0} data is damaged; compress it again")]
    Broken(Encoding),
    /// A frame needs a dictionary, or a larger window than is allowed.
    #[error(
        "a zstd frame needs a dictionary, or a window of more than {} MiB; compress it without a dictionary and without \
         --long or --ultra",
        .0 >> 20
    )]
    Demanding(u64),
}

/// Why a body could not be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not in the format that the header names, or end early.
    #[error("the body is not what Content-Encoding says: {0}")]
    Broken(Damage),
    /// The decompressed body would have more than this many bytes.
    #[error("the body has more than {0} bytes when decompressed; send it in parts")]
    TooLarge(usize),
}

impl Encoding {
    /// Reads the value of a `Content-Encoding` header; `None` if the encoding is not supported.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The encoding of a file by its first four bytes.
    #[must_use]
    pub fn of_file(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Identity,
        }
    }

    /// Whether a member or frame may begin with this byte.
    fn begins_with(self, byte: u8) -> bool {
        match self {
            Self::Identity => true,
            Self::Gzip => byte == 0x1f,
            Self::Zstd => matches!(byte, 0x28 | 0x50..=0x5f),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Decompresses `body` to at most `limit` bytes; an uncompressed body is borrowed, and not measured.
///
/// # Errors
/// The body is not in its encoding's format, or larger than `limit` when decompressed.
pub fn decode(encoding: Encoding, body: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, DecodeError> {
    if encoding == Encoding::Identity {
        return Ok(Cow::Borrowed(body));
    }
    let mut decoded = Vec::new();
    let decoder = Decoder::with_window(encoding, body, BODY_WINDOW_BYTES);
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut decoded)
        .map_err(|error| DecodeError::Broken(Damage::of(&error).unwrap_or(Damage::Broken(encoding))))?;
    if decoded.len() > limit {
        return Err(DecodeError::TooLarge(limit));
    }
    Ok(Cow::Owned(decoded))
}

impl Damage {
    /// The damage that a [`Decoder`] failed with; `None` for an error of its source.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        Self::new(io::ErrorKind::InvalidData, damage)
    }
}

/// Decompresses while it is read, in memory that the window of a zstd frame bounds.
///
/// It fails with the errors of its source, and with a [`Damage`] inside an error of the kind `InvalidData`.
pub struct Decoder<R> {
    encoding: Encoding,
    max_window_bytes: u64,
    /// Whole members or frames so far.
    parts: u64,
    state: State<R>,
}

enum State<R> {
    /// Before a member or frame, or at the end.
    Between(Source<R>),
    Gzip(Box<GzDecoder<Source<R>>>),
    Zstd(Source<R>, Box<FrameDecoder>),
    /// It has failed.
    Failed,
}

impl<R: BufRead> Decoder<R> {
    /// Decompresses a file.
    pub fn new(encoding: Encoding, source: R) -> Self {
        Self::with_window(encoding, source, FILE_WINDOW_BYTES)
    }

    fn with_window(encoding: Encoding, source: R, max_window_bytes: u64) -> Self {
        let source = Source { inner: source, at_end: false, error: None };
        Self { encoding, max_window_bytes, parts: 0, state: State::Between(source) }
    }

    /// Begins the next member or frame, or skips one without content; `None` at the end.
    fn begin(&mut self, mut source: Source<R>) -> io::Result<Option<State<R>>> {
        let encoding = self.encoding;
        if encoding == Encoding::Gzip && self.parts > 0 {
            skip_zeros(&mut source)?;
        }
        match source.fill_buf()?.first() {
            None if encoding == Encoding::Gzip && self.parts == 0 => {
                return Err(Damage::CutShort(encoding).into());
            }
            None => {
                self.state = State::Between(source);
                return Ok(None);
            }
            Some(byte) if !encoding.begins_with(*byte) => return Err(self.foreign().into()),
            Some(_) => {}
        }
        if encoding == Encoding::Gzip {
            return Ok(Some(State::Gzip(Box::new(GzDecoder::new(source)))));
        }
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(self.max_window_bytes);
        match frame.init(&mut source) {
            Ok(()) => Ok(Some(State::Zstd(source, Box::new(frame)))),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let skipped = io::copy(&mut source.by_ref().take(length.into()), &mut io::sink())?;
                if skipped < length.into() {
                    return Err(Damage::CutShort(encoding).into());
                }
                self.parts += 1;
                Ok(Some(State::Between(source)))
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_))) => {
                Err(self.foreign().into())
            }
            Err(FrameDecoderError::WindowSizeTooBig { .. } | FrameDecoderError::DictNotProvided { .. }) => {
                Err(Damage::Demanding(self.max_window_bytes).into())
            }
            Err(_) => Err(source.failure(encoding)),
        }
    }

    fn foreign(&self) -> Damage {
        match self.parts {
            0 => Damage::Foreign(self.encoding),
            parts => Damage::Trailing(self.encoding, parts),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let encoding = self.encoding;
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            // An error leaves the state as failed; all else puts the next state in its place.
            match std::mem::replace(&mut self.state, State::Failed) {
                State::Failed => return Err(Damage::Broken(encoding).into()),
                State::Between(mut source) if encoding == Encoding::Identity => {
                    let count = source.read(buffer)?;
                    self.state = State::Between(source);
                    return Ok(count);
                }
                State::Between(source) => match self.begin(source)? {
                    Some(begun) => self.state = begun,
                    None => return Ok(0),
                },
                State::Gzip(mut member) => match member.read(buffer) {
                    Ok(0) => {
                        self.parts += 1;
                        self.state = State::Between(member.into_inner());
                    }
                    Ok(count) => {
                        self.state = State::Gzip(member);
                        return Ok(count);
                    }
                    Err(_) => return Err(member.get_mut().failure(encoding)),
                },
                State::Zstd(mut source, mut frame) => {
                    let count =
                        read_frame(&mut frame, &mut source, buffer).map_err(|()| source.failure(encoding))?;
                    if count > 0 {
                        self.state = State::Zstd(source, frame);
                        return Ok(count);
                    }
                    // The decoder computes the checksum, but does not compare it with the one that the frame may have.
                    let stored = frame.get_checksum_from_data();
                    if stored.is_some() && stored != frame.get_calculated_checksum() {
                        return Err(Damage::Broken(encoding).into());
                    }
                    self.parts += 1;
                    self.state = State::Between(source);
                }
            }
        }
    }
}

/// Reads more of a frame's content; 0 bytes at its end.
fn read_frame(frame: &mut FrameDecoder, source: impl Read, buffer: &mut [u8]) -> Result<usize, ()> {
    let mut source = source;
    while frame.can_collect() == 0 && !frame.is_finished() {
        frame.decode_blocks(&mut source, BlockDecodingStrategy::UptoBlocks(1)).map_err(|_| ())?;
    }
    frame.read(buffer).map_err(|_| ())
}

fn skip_zeros(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = source.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let more = zeros > 0 && zeros == bytes.len();
        source.consume(zeros);
        if !more {
            return Ok(());
        }
    }
}

/// A source that remembers whether it ended or failed: the decoders wrap what it says in errors of their own.
struct Source<R> {
    inner: R,
    at_end: bool,
    error: Option<io::Error>,
}

impl<R> Source<R> {
    /// The error to report after a decoder has failed on this source.
    fn failure(&mut self, encoding: Encoding) -> io::Error {
        match self.error.take() {
            Some(error) => error,
            None if self.at_end => Damage::CutShort(encoding).into(),
            None => Damage::Broken(encoding).into(),
        }
    }

    /// Keeps an error for [`Source::failure`], and gives the decoder one in its place.
    fn keep(&mut self, error: io::Error) -> io::Error {
        let kind = error.kind();
        if kind != io::ErrorKind::Interrupted {
            self.error = Some(error);
        }
        kind.into()
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer).map_err(|error| self.keep(error))?;
        self.at_end |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // The borrow of a buffer cannot be returned after an error was looked at, so it is asked for again.
        match self.inner.fill_buf() {
            Ok(bytes) => self.at_end |= bytes.is_empty(),
            Err(error) => return Err(self.keep(error)),
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// A skippable frame (RFC 8878, section 3.1.2).
    fn skippable(nibble: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).expect("short").to_le_bytes();
        [&[0x50 | nibble, 0x2a, 0x4d, 0x18], &length[..], bytes].concat()
    }

    fn decoded(encoding: Encoding, body: &[u8]) -> Result<String, String> {
        let whole = decode(encoding, body, 1000).map_err(|error| error.to_string());
        // A source that gives a byte at a time, as a slow pipe, is decoded alike.
        let mut streamed = Vec::new();
        let source = io::BufReader::with_capacity(1, Cursor::new(body));
        let read = Decoder::new(encoding, source).read_to_end(&mut streamed);
        assert_eq!(whole.as_ref().ok().map(|whole| &whole[..]), read.ok().map(|_| &streamed[..]));
        whole.map(|whole| String::from_utf8(whole.into_owned()).expect("text"))
    }

    #[test]
    fn skippable_frames_are_skipped_wherever_they_are() {
        let (a, b) = (zstd(b"one "), zstd(b"two"));
        // pzstd puts the length of each frame in a skippable one before it.
        let (first, second) = (skippable(0, &[1; 4]), skippable(15, b""));
        let body = [&first[..], &a, &second, &first, &b, &first].concat();
        assert_eq!(decoded(Encoding::Zstd, &body).as_deref(), Ok("one two"));
        assert_eq!(decoded(Encoding::Zstd, &first).as_deref(), Ok(""));
        let cut = decoded(Encoding::Zstd, &body[..body.len() - 1]).expect_err("cut short");
        assert!(cut.ends_with("the zstd data ends too early; send it whole"), "{cut}");
    }

    #[test]
    fn zeros_after_a_gzip_member_are_padding() {
        let (a, b) = (gzip(b"one "), gzip(b"two"));
        let body = [&a[..], &[0; 512], &b, &[0; 512]].concat();
        assert_eq!(decoded(Encoding::Gzip, &body).as_deref(), Ok("one two"));
        let first =
            decoded(Encoding::Gzip, &[&[0; 512], &a[..]].concat()).expect_err("no member at the start");
        assert!(first.ends_with("it does not begin as gzip data does"), "{first}");
    }

    #[test]
    fn damage_is_told_in_a_sentence() {
        let text = b"once more, and once more, and once more: ".repeat(20);
        for (encoding, name, whole) in
            [(Encoding::Gzip, "gzip", gzip(&text)), (Encoding::Zstd, "zstd", zstd(&text))]
        {
            let told = |body: &[u8]| decoded(encoding, body).expect_err("damage");
            let says = |said: &str| format!("the body is not what Content-Encoding says: {said}");
            assert_eq!(told(b"plain"), says(&format!("it does not begin as {name} data does")));
            let trailing = [&whole[..], b"plain"].concat();
            let expected = format!("after 1 whole {name} parts come bytes that are not {name} data");
            assert_eq!(told(&trailing), says(&expected));
            for length in 1..whole.len() {
                let expected = says(&format!("the {name} data ends too early; send it whole"));
                assert_eq!(told(&whole[..length]), expected, "{length} of {}", whole.len());
            }
            let mut flipped = whole.clone();
            let last = flipped.len() - 1;
            flipped[last] ^= 1;
            assert_eq!(told(&flipped), says(&format!("the {name} data is damaged; compress it again")));
        }
        // A window of 512 MiB.
        let demanding =
            decoded(Encoding::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0, 19 << 3, 1, 0, 0]).expect_err("a window");
        assert!(demanding.contains("window of more than 8 MiB"), "{demanding}");
    }

    #[test]
    fn error_of_the_source_is_passed_on() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5))
            }
        }
        for (encoding, whole) in [(Encoding::Gzip, gzip(b"one")), (Encoding::Zstd, zstd(b"one"))] {
            let source = io::BufReader::new(Cursor::new(whole[..whole.len() - 2].to_vec()).chain(Failing));
            let error =
                Decoder::new(encoding, source).read_to_end(&mut Vec::new()).expect_err("a failing disk");
            assert_eq!(error.raw_os_error(), Some(5), "{error}");
        }
    }
}
