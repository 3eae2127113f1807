//! Reads the input of a training: rows, and weights of rows.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use super::values::above_zero;
use crate::cli::{files, output};
use upbeat_svm::Problem;

/// Longest line of a file of weights.
const MAX_WEIGHT_BYTES: u64 = 64;

/// Reads the problem and the SHA-256 of its bytes in one pass.
pub(super) fn read(path: &Path) -> anyhow::Result<(Problem, String)> {
    let mut hashing = Hashing { input: files::open(path)?, sha256: Sha256::new(), last: None };
    let problem = Problem::read(BufReader::with_capacity(256 << 10, &mut hashing))
        .with_context(|| files::shown(path))?;
    if hashing.last.is_some_and(|byte| byte != b'\n') {
        note_missing_end(&files::shown(path), "value");
    }
    let digest = hashing.sha256.finalize();
    Ok((problem, digest.iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// Reads a weight a line, for `rows` rows.
pub(super) fn read_weights(path: &Path, rows: usize) -> anyhow::Result<Vec<f64>> {
    let mut input = files::open(path)?;
    let mut weights = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        let number = weights.len() + 1;
        let at = || format!("{}: line {number}", files::shown(path));
        let read = input.by_ref().take(MAX_WEIGHT_BYTES).read_line(&mut line).with_context(at)?;
        if read == 0 {
            break;
        }
        if read as u64 == MAX_WEIGHT_BYTES && !line.ends_with('\n') {
            bail!(
                "{}: longer than {} characters; give a row a number, such as 0.5",
                at(),
                MAX_WEIGHT_BYTES - 1
            );
        }
        if weights.len() == rows {
            bail!("{}: there are only {rows} rows; give each row one weight", at());
        }
        if !line.ends_with('\n') {
            note_missing_end(&at(), "weight");
        }
        let text = line.trim();
        let weight = above_zero(text);
        weights.push(weight.map_err(|wanted| anyhow::anyhow!("{}: weight `{text}` {wanted}", at()))?);
    }
    if weights.len() < rows {
        let path = files::shown(path);
        bail!("{path}: {} weights for {rows} rows; give each row one, a line each", weights.len());
    }
    Ok(weights)
}

/// A number that is cut off is another number; many a whole file has no end of its last line, and so this is no error.
fn note_missing_end(place: &str, last: &str) {
    output::note(format_args!(
        "{place}: the last line has no end; where the file was cut short, its last {last} is another number"
    ));
}

/// Hashes what passes through, and keeps the last byte of it.
struct Hashing {
    input: Box<dyn BufRead>,
    sha256: Sha256,
    last: Option<u8>,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.sha256.update(&buffer[..count]);
        self.last = buffer[..count].last().copied().or(self.last);
        Ok(count)
    }
}
