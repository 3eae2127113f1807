//! Rows as text, customer by customer: in memory up to a bound, beyond it in an unnamed file.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::spill::unnamed_file;

/// The rows of some customers, each customer's in one piece.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) text: Vec<u8>,
    /// Customers whose ids are numbers, with the bytes of their rows, in the order of the text.
    pub(super) numbers: Vec<(u64, usize)>,
    /// As `numbers`, of other ids; these follow in the text.
    pub(super) texts: Vec<(Box<str>, usize)>,
}

/// Where the rows of a customer are, in the bytes in memory and then those in the file.
#[derive(Debug, Clone, Copy)]
struct Extent {
    offset: u64,
    bytes: usize,
}

/// The rows of all customers.
#[derive(Debug)]
pub(super) struct RowTexts {
    numbers: Vec<(u64, Extent)>,
    texts: Vec<(Box<str>, Extent)>,
    memory: Vec<u8>,
    /// Bytes that `memory` may take.
    budget: usize,
    directory: PathBuf,
    file: Option<File>,
    file_bytes: u64,
}

impl RowTexts {
    /// No rows. Beyond `budget` bytes they are written to a file in `directory`.
    pub(super) fn new(budget: usize, directory: PathBuf) -> Self {
        let (numbers, texts, memory) = (Vec::new(), Vec::new(), Vec::new());
        Self { numbers, texts, memory, budget, directory, file: None, file_bytes: 0 }
    }

    /// Adds the rows of other customers.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn add(&mut self, part: Part) -> io::Result<()> {
        let mut offset = self.memory.len() as u64 + self.file_bytes;
        if self.file.is_none() && self.memory.len() + part.text.len() <= self.budget {
            self.memory.extend_from_slice(&part.text);
        } else {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(unnamed_file(&self.directory)?),
            };
            file.write_all(&part.text)?;
            self.file_bytes += part.text.len() as u64;
        }
        let mut extent = |bytes: usize| {
            offset += bytes as u64;
            Extent { offset: offset - bytes as u64, bytes }
        };
        self.numbers.extend(part.numbers.into_iter().map(|(customer, bytes)| (customer, extent(bytes))));
        self.texts.extend(part.texts.into_iter().map(|(customer, bytes)| (customer, extent(bytes))));
        Ok(())
    }

    /// Brings the customers into the order of ids: numbers, then other ids as text.
    pub(super) fn sort(&mut self) {
        self.numbers.sort_unstable_by_key(|(customer, _)| *customer);
        self.texts.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    }

    /// Writes all rows, customer by customer.
    ///
    /// # Errors
    /// What `out` fails with; the file cannot be read.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let numbers = self.numbers.iter().map(|(_, extent)| *extent);
        let texts = self.texts.iter().map(|(_, extent)| *extent);
        let mut buffer = Vec::new();
        for Extent { offset, bytes } in numbers.chain(texts) {
            match offset.checked_sub(self.memory.len() as u64) {
                None => out.write_all(&self.memory[offset as usize..][..bytes])?,
                Some(offset) => {
                    buffer.resize(bytes, 0);
                    if let Some(file) = &self.file {
                        file.read_exact_at(&mut buffer, offset)?;
                    }
                    out.write_all(&buffer)?;
                }
            }
        }
        Ok(())
    }
}
