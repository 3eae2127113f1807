//! Bodies in chunks (RFC 9112, section 7.1), read piece by piece as they arrive.

/// Most bytes of chunk extensions in one body, and of its trailer section; both are read past.
const MAX_IGNORED_BYTES: u32 = 16 << 10;

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The first digit of a chunk's size.
    Size,
    /// More of its digits, or what ends them.
    MoreSize,
    /// More blanks, or the semicolon of the extension that they stand before.
    Blank,
    /// More of an extension, up to CR.
    Extension,
    /// The LF that ends the size's line.
    SizeLf,
    /// Data of the chunk.
    Data,
    /// The CR behind the data.
    DataCr,
    /// The LF behind the data.
    DataLf,
    /// The first byte of a trailer field's name, or the CR of the empty line that ends the body.
    TrailerStart,
    /// More of a trailer field's name, or the colon behind it.
    TrailerName,
    /// More of a trailer field's value, up to CR.
    TrailerValue,
    /// The LF that ends a trailer line.
    TrailerLf,
    /// The LF that ends the body.
    EndLf,
    /// Nothing: the body is whole.
    End,
}

/// The state of one body in chunks.
#[derive(Debug, Clone)]
pub(super) struct Chunked {
    expected: Expected,
    /// Bytes of the chunk that are still to come.
    remaining: u64,
    /// Bytes of extensions and trailers so far.
    ignored: u32,
}

/// The bytes are not framed as the RFC says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// What [`Chunked::next`] found at the front of its input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Data of the body, and how many bytes of input it and the framing before it took.
    Data(&'a [u8], usize),
    /// Framing alone took all of the input.
    More,
    /// The body ends after so many bytes.
    End(usize),
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { expected: Expected::Size, remaining: 0, ignored: 0 }
    }

    /// Whether the end was read.
    pub(super) fn is_ended(&self) -> bool {
        self.expected == Expected::End
    }

    /// Reads up to the next data, the end of the body or of `input`.
    ///
    /// # Errors
    /// The framing is malformed; nothing more can be read on the connection.
    pub(super) fn next<'a>(&mut self, input: &'a [u8]) -> Result<Piece<'a>, Malformed> {
        let mut at = 0;
        loop {
            match self.expected {
                Expected::End => return Ok(Piece::End(at)),
                Expected::Data if at < input.len() => {
                    let rest = &input[at..];
                    let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(rest.len());
                    self.remaining -= length as u64;
                    if self.remaining == 0 {
                        self.expected = Expected::DataCr;
                    }
                    return Ok(Piece::Data(&rest[..length], at + length));
                }
                _ => {}
            }
            let Some(&byte) = input.get(at) else { return Ok(Piece::More) };
            self.framing(byte)?;
            at += 1;
        }
    }

    /// Takes one byte of framing.
    fn framing(&mut self, byte: u8) -> Result<(), Malformed> {
        self.expected = match (self.expected, byte) {
            (Expected::Size | Expected::MoreSize, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                // A hexadecimal digit has a value.
                let digit = u64::from(char::from(byte).to_digit(16).unwrap_or(0));
                let shifted = self.remaining.checked_mul(16).ok_or(Malformed)?;
                self.remaining = shifted | digit;
                Expected::MoreSize
            }
            (Expected::MoreSize, b'\r') => Expected::SizeLf,
            (Expected::MoreSize | Expected::Blank, b';') => Expected::Extension,
            (Expected::MoreSize | Expected::Blank, b' ' | b'\t') => self.ignore(Expected::Blank)?,
            (Expected::Extension, b'\r') => Expected::SizeLf,
            (Expected::Extension, byte) if is_text(byte) => self.ignore(Expected::Extension)?,
            (Expected::SizeLf, b'\n') if self.remaining == 0 => Expected::TrailerStart,
            (Expected::SizeLf, b'\n') => Expected::Data,
            (Expected::DataCr, b'\r') => Expected::DataLf,
            (Expected::DataLf, b'\n') => Expected::Size,
            (Expected::TrailerStart, b'\r') => Expected::EndLf,
            (Expected::TrailerName, b':') => Expected::TrailerValue,
            (Expected::TrailerStart | Expected::TrailerName, byte) if is_token(byte) => {
                self.ignore(Expected::TrailerName)?
            }
            (Expected::TrailerValue, b'\r') => Expected::TrailerLf,
            (Expected::TrailerValue, byte) if is_text(byte) => self.ignore(Expected::TrailerValue)?,
            (Expected::TrailerLf, b'\n') => Expected::TrailerStart,
            (Expected::EndLf, b'\n') => Expected::End,
            _ => return Err(Malformed),
        };
        Ok(())
    }

    fn ignore(&mut self, next: Expected) -> Result<Expected, Malformed> {
        self.ignored += 1;
        if self.ignored > MAX_IGNORED_BYTES { Err(Malformed) } else { Ok(next) }
    }
}

/// Bytes that a field value or an extension may have.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Bytes that a field name may have (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of a body that arrives in pieces of `size` bytes, and how many bytes it took in all.
    fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, Option<usize>), Malformed> {
        let (mut chunked, mut data, mut taken) = (Chunked::new(), Vec::new(), 0);
        for piece in input.chunks(size.max(1)) {
            let mut at = 0;
            loop {
                match chunked.next(&piece[at..])? {
                    Piece::Data(more, length) => {
                        data.extend_from_slice(more);
                        at += length;
                    }
                    Piece::More => break,
                    Piece::End(length) => return Ok((data, Some(taken + at + length))),
                }
            }
            taken += piece.len();
        }
        Ok((data, None))
    }

    #[test]
    fn body_is_the_same_however_it_is_cut() {
        for (input, data) in [
            ("0\r\n\r\n", ""),
            ("2\r\n[]\r\n0\r\n\r\n", "[]"),
            ("02\r\n[]\r\n000\r\n\r\n", "[]"),
            ("2;a=b\r\n[]\r\n1 ;c\r\nx\r\n0\r\nTrailer: y\r\nother: z\r\n\r\n", "[]x"),
            ("a\r\n0123456789\r\nA;\"q\"\r\n0123456789\r\n0;x\r\n\r\n", "01234567890123456789"),
        ] {
            for size in 1..=input.len() {
                let more = format!("{input}GET /");
                assert_eq!(
                    decode(more.as_bytes(), size),
                    Ok((data.as_bytes().to_vec(), Some(input.len()))),
                    "{input:?} by {size}"
                );
                assert_eq!(decode(&input.as_bytes()[..input.len() - 1], size).map(|body| body.1), Ok(None));
            }
        }
    }

    #[test]
    fn malformed_framing_is_refused() {
        for input in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+2\r\n[]",
            " 2\r\n[]",
            "2 \r\n[]",
            "2 2\r\n[]",
            "0x2\r\n[]",
            "2\n[]",
            "2\r[]",
            "2\r\n[]0\r\n\r\n",
            "2\r\n[]\n0\r\n\r\n",
            "2\r\n[]\r0",
            "2;a\n[]",
            "2;a\0\r\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\0\r\n\r\n",
            "0\r\nA b: c\r\n\r\n",
            "0\r\n: c\r\n\r\n",
            "0\r\nA\r\n\r\n",
            "0\r\n\rx",
            "10000000000000000\r\n",
            "fffffffffffffffff\r\n",
        ] {
            for size in [1, 3, input.len()] {
                assert_eq!(decode(input.as_bytes(), size), Err(Malformed), "{input:?} by {size}");
            }
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let long = "x".repeat(MAX_IGNORED_BYTES as usize + 1);
        assert_eq!(decode(format!("1;{long}\r\n").as_bytes(), 4096), Err(Malformed));
        assert_eq!(decode(format!("0\r\na: {long}\r\n").as_bytes(), 4096), Err(Malformed));
    }
}
