//! Compressed bodies: never more than the limit, the same however the bytes arrive, and what was compressed comes back.

#![no_main]

use std::io::{BufReader, Read, Write};

use libfuzzer_sys::fuzz_target;
use upbeat_ingest::decode::encoding::{DecodeError, Decoder, Encoding, decode};

const LIMIT: usize = 1 << 20;

/// Gives one byte at a time.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(1);
        self.0.read(&mut buffer[..most])
    }
}

fuzz_target!(|bytes: &[u8]| {
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let Ok(decoded) = decode(encoding, bytes, LIMIT) else { continue };
        assert!(decoded.len() <= LIMIT);
        let mut slowly = Vec::new();
        let read = Decoder::new(encoding, BufReader::with_capacity(1, Slow(bytes))).read_to_end(&mut slowly);
        assert_eq!(read.expect("the same bytes"), decoded.len());
        assert_eq!(slowly, *decoded);
        if let Some(less) = decoded.len().checked_sub(1) {
            assert_eq!(decode(encoding, bytes, less), Err(DecodeError::TooLarge(less)));
        }
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).expect("memory");
    let zstd = ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    for (encoding, compressed) in [(Encoding::Gzip, gzip.finish().expect("memory")), (Encoding::Zstd, zstd)] {
        assert_eq!(decode(encoding, &compressed, bytes.len()).as_deref(), Ok(bytes));
        for end in [0, compressed.len() / 2, compressed.len() - 1] {
            // Whole frames may be followed by nothing.
            assert!(end == 0 || decode(encoding, &compressed[..end], bytes.len()).is_err());
        }
    }
});
