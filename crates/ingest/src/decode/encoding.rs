//! Compressed bodies: gzip and zstd, bounded after decompression.

use std::borrow::Cow;
use std::io::Read;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not compressed.
    Identity,
    /// gzip (RFC 1952), one member or several.
    Gzip,
    /// Zstandard (RFC 8878), one frame or several.
    Zstd,
}

/// Why a body could not be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not in the format that the header names, or end early.
    #[error("the body is not what Content-Encoding says: {0}")]
    Broken(String),
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
}

/// Decompresses `body` to at most `limit` bytes; an uncompressed body is borrowed, and not measured.
///
/// # Errors
/// The body is not in its encoding's format, or larger than `limit` when decompressed.
pub fn decode(encoding: Encoding, body: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, DecodeError> {
    let mut decoded = Vec::new();
    match encoding {
        Encoding::Identity => return Ok(Cow::Borrowed(body)),
        Encoding::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(body), &mut decoded, limit)?,
        Encoding::Zstd => {
            let mut rest = body;
            while !rest.is_empty() {
                let mut frame = ruzstd::decoding::StreamingDecoder::new(&mut rest)
                    .map_err(|error| DecodeError::Broken(error.to_string()))?;
                read_bounded(&mut frame, &mut decoded, limit)?;
                // The decoder computes the checksum, but does not compare it with the one that the frame may have.
                let stored = frame.decoder.get_checksum_from_data();
                if stored.is_some() && stored != frame.decoder.get_calculated_checksum() {
                    return Err(DecodeError::Broken("the checksum does not fit".to_owned()));
                }
            }
        }
    }
    Ok(Cow::Owned(decoded))
}

fn read_bounded(reader: impl Read, decoded: &mut Vec<u8>, limit: usize) -> Result<(), DecodeError> {
    let room = limit.saturating_sub(decoded.len()) as u64;
    reader.take(room + 1).read_to_end(decoded).map_err(|error| DecodeError::Broken(error.to_string()))?;
    if decoded.len() > limit {
        return Err(DecodeError::TooLarge(limit));
    }
    Ok(())
}
