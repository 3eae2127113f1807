//! Bodies of requests for the router: collected as they arrive, bounded in size and in the memory of all of them
//! together, or read past where nobody wants them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::chunked::{Chunked, Malformed, Piece};
use super::{BODY_READ_BYTES, HEAD_READ_BYTES};

/// A body is collected in blocks, so that nothing is moved while it grows: of so many bytes at least, then of as many as
/// have arrived, up to the largest.
const SMALLEST_BLOCK_BYTES: usize = 4 << 10;
const LARGEST_BLOCK_BYTES: usize = 256 << 10;

/// What nobody wants is read past for so long at most, however busy the sender, so that it hears the answer: closing a
/// socket with unread bytes resets the connection.
const LONGEST_DISCARD: Duration = Duration::from_secs(10);

/// A sender silent for so long is not waited for.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

/// So many bytes are read past at most.
pub(super) const MOST_DISCARDED_BYTES: u64 = 64 << 20;

/// Where a body ends.
#[derive(Debug, Clone)]
pub(super) enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// Where its chunks say.
    Chunked(Chunked),
}

impl Framing {
    /// How long the body is, as far as its head announces it.
    pub(super) fn announced(&self) -> Option<u64> {
        match self {
            Self::Length(length) => Some(*length),
            Self::Chunked(_) => None,
        }
    }

    /// Whether nothing of the body is left.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Length(length) => *length == 0,
            Self::Chunked(chunked) => chunked.is_ended(),
        }
    }

    /// Gives `take` the body's bytes at the front of `input`; how many bytes of input that took, and whether the body
    /// is whole.
    pub(super) fn read(
        &mut self,
        input: &[u8],
        mut take: impl FnMut(&[u8]),
    ) -> Result<(usize, bool), Malformed> {
        match self {
            Self::Length(remaining) => {
                let length = usize::try_from(*remaining).unwrap_or(usize::MAX).min(input.len());
                take(&input[..length]);
                *remaining -= length as u64;
                Ok((length, *remaining == 0))
            }
            Self::Chunked(chunked) => {
                let mut at = 0;
                loop {
                    match chunked.next(&input[at..])? {
                        Piece::Data(data, length) => {
                            take(data);
                            at += length;
                        }
                        Piece::More => return Ok((input.len(), false)),
                        Piece::End(length) => return Ok((at + length, true)),
                    }
                }
            }
        }
    }
}

/// Why a body did not arrive; a request goes to the router with it in the body's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It has more bytes than the route takes.
    TooLarge {
        /// What the route takes.
        limit: usize,
    },
    /// It did not arrive in time.
    TimedOut,
    /// The client ended it after so many bytes.
    Ended {
        /// Bytes of the body that had arrived.
        bytes: usize,
    },
    /// After so many bytes its chunks are not framed as RFC 9112 says.
    Malformed {
        /// Bytes of the body that had arrived.
        bytes: usize,
    },
    /// All bodies together would take too much memory.
    NoMemory,
}

/// A body as it arrives.
#[derive(Debug)]
pub(super) struct Collector {
    framing: Framing,
    blocks: Vec<Vec<u8>>,
    length: usize,
    limit: usize,
    budget: Arc<Semaphore>,
    memory: Option<OwnedSemaphorePermit>,
}

impl Collector {
    /// For a body of at most `limit` bytes, whose memory comes out of `budget`, a permit a byte.
    pub(super) fn new(framing: Framing, limit: usize, budget: Arc<Semaphore>) -> Self {
        Self { framing, blocks: Vec::new(), length: 0, limit, budget, memory: None }
    }

    /// Takes what belongs to the body off the front of `input`: how many bytes, and whether the body is whole.
    ///
    /// # Errors
    /// The body is refused, and likewise how many bytes belonged to it; of malformed ones nobody knows.
    pub(super) fn take(&mut self, input: &[u8]) -> Result<(usize, bool), (Fault, usize)> {
        let Self { framing, blocks, length, limit, budget, memory } = self;
        let announced = framing.announced().and_then(|bytes| usize::try_from(bytes).ok());
        let mut expected = announced.unwrap_or(usize::MAX);
        let mut fault = None;
        let read = framing.read(input, |mut data| {
            if *length + data.len() > *limit {
                fault.get_or_insert(Fault::TooLarge { limit: *limit });
            }
            while fault.is_none() && !data.is_empty() {
                let block = match blocks.last_mut().filter(|block| block.len() < block.capacity()) {
                    Some(block) => block,
                    None => match new_block(expected, *length, budget, memory) {
                        Ok(block) => {
                            blocks.push(block);
                            continue;
                        }
                        Err(refused) => {
                            fault = Some(refused);
                            return;
                        }
                    },
                };
                let (fits, rest) = data.split_at(data.len().min(block.capacity() - block.len()));
                block.extend_from_slice(fits);
                *length += fits.len();
                expected -= fits.len();
                data = rest;
            }
        });
        match (read, fault) {
            (Ok(read), None) => Ok(read),
            (Ok((taken, _)), Some(fault)) => Err((fault, taken)),
            (Err(Malformed), _) => Err((Fault::Malformed { bytes: self.length }, input.len())),
        }
    }

    /// How many bytes have arrived.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// How many bytes to read at a time: no more of the next request than one read of heads brings.
    pub(super) fn read_bytes(&self) -> usize {
        let most =
            self.framing.announced().map_or(u64::MAX, |left| left.saturating_add(HEAD_READ_BYTES as u64));
        usize::try_from(most).unwrap_or(usize::MAX).min(BODY_READ_BYTES)
    }

    /// What is left to read past when the body is refused.
    pub(super) fn into_framing(self) -> Framing {
        self.framing
    }

    /// The body.
    pub(super) fn finish(self) -> Collected {
        Collected { blocks: self.blocks, length: self.length, memory: self.memory }
    }
}

/// Memory for what comes next. What a head announces is asked for only as it comes, so that announcing costs nothing.
fn new_block(
    expected: usize,
    length: usize,
    budget: &Arc<Semaphore>,
    memory: &mut Option<OwnedSemaphorePermit>,
) -> Result<Vec<u8>, Fault> {
    let capacity = length.clamp(SMALLEST_BLOCK_BYTES, LARGEST_BLOCK_BYTES).min(expected);
    let permits = u32::try_from(capacity).map_err(|_| Fault::NoMemory)?;
    let more = Arc::clone(budget).try_acquire_many_owned(permits).map_err(|_| Fault::NoMemory)?;
    match memory {
        Some(memory) => memory.merge(more),
        None => *memory = Some(more),
    }
    Ok(Vec::with_capacity(capacity))
}

/// A whole body, and its share of the memory of all bodies.
#[derive(Debug)]
pub(crate) struct Collected {
    blocks: Vec<Vec<u8>>,
    length: usize,
    memory: Option<OwnedSemaphorePermit>,
}

impl Collected {
    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The bytes in one piece; their memory is given back when the last handle on them is dropped. Larger bodies are
    /// copied, which is not for the threads that answer decisions.
    pub(crate) fn join(self) -> Bytes {
        struct Held {
            bytes: Vec<u8>,
            _memory: Option<OwnedSemaphorePermit>,
        }
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }
        let mut blocks = self.blocks.into_iter();
        let mut bytes = blocks.next().unwrap_or_default();
        bytes.reserve_exact(self.length - bytes.len());
        // Each block is freed once it is copied.
        blocks.for_each(|block| bytes.extend_from_slice(&block));
        Bytes::from_owner(Held { bytes, _memory: self.memory })
    }
}

/// The body of a request on its way to a handler, which takes it once.
#[derive(Debug, Clone)]
pub(crate) struct Arrived(Arc<Mutex<Option<Result<Collected, Fault>>>>);

impl Arrived {
    pub(super) fn new(body: Result<Collected, Fault>) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// The body, or why there is none; `None` when it was taken before.
    pub(crate) fn take(&self) -> Option<Result<Collected, Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Reads past what still arrives: the rest of a body, or anything at all before a close.
#[derive(Debug)]
pub(super) struct Discard {
    /// `None` where everything is read past until the client closes.
    framing: Option<Framing>,
    remaining_bytes: u64,
    until: Instant,
    silent_until: Instant,
}

impl Discard {
    pub(super) fn new(framing: Option<Framing>, now: Instant) -> Self {
        Self {
            framing,
            remaining_bytes: MOST_DISCARDED_BYTES,
            until: now + LONGEST_DISCARD,
            silent_until: now + LONGEST_SILENCE,
        }
    }

    /// Begins the time anew: the answer is sent only now, and a client may wait for it before it goes on.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.until, self.silent_until) = (now + LONGEST_DISCARD, now + LONGEST_SILENCE);
    }

    /// Reads past `input`: how many bytes of it, and whether that was the last of the body.
    ///
    /// # Errors
    /// There is too much of it, or it is malformed.
    pub(super) fn take(&mut self, input: &[u8], now: Instant) -> Result<(usize, bool), Malformed> {
        self.silent_until = now + LONGEST_SILENCE;
        let (length, is_whole) = match &mut self.framing {
            Some(framing) => framing.read(input, |_| ())?,
            None => (input.len(), false),
        };
        self.remaining_bytes = self.remaining_bytes.checked_sub(length as u64).ok_or(Malformed)?;
        Ok((length, is_whole))
    }

    /// When it is given up.
    pub(super) fn due(&self) -> Instant {
        self.until.min(self.silent_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(bytes: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(bytes))
    }

    #[test]
    fn memory_is_counted_while_the_bytes_live() {
        let budget = budget(1 << 20);
        let mut collector = Collector::new(Framing::Length(100_000), 1 << 20, Arc::clone(&budget));
        assert_eq!(collector.take(&[b'x'; 60_000]), Ok((60_000, false)));
        let held = (1 << 20) - budget.available_permits();
        assert!((60_000..=100_000).contains(&held), "{held}: what has arrived, not what is announced");
        assert_eq!(
            collector.take(&[b'x'; 60_000]),
            Ok((40_000, true)),
            "the rest belongs to the next request"
        );
        let bytes = collector.finish().join();
        assert_eq!((bytes.len(), bytes.iter().all(|byte| *byte == b'x')), (100_000, true));
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!((1 << 20) - budget.available_permits(), 100_000);
        drop(part);
        assert_eq!(budget.available_permits(), 1 << 20);
    }

    #[test]
    fn body_beyond_its_limit_or_the_budget_is_refused_and_gives_its_memory_back() {
        let budget = budget(50_000);
        let mut large = Collector::new(Framing::Chunked(Chunked::new()), 10, Arc::clone(&budget));
        assert_eq!(large.take(b"b\r\n01234567890"), Err((Fault::TooLarge { limit: 10 }, 14)));
        let mut greedy = Collector::new(Framing::Length(100_000), 1 << 20, Arc::clone(&budget));
        assert_eq!(greedy.take(&[b'x'; 30_000]), Ok((30_000, false)));
        assert_eq!(greedy.take(&[b'x'; 30_000]), Err((Fault::NoMemory, 30_000)));
        assert_eq!(greedy.into_framing().announced(), Some(40_000), "the rest can be read past");
        drop(large);
        assert_eq!(budget.available_permits(), 50_000);
    }

    #[test]
    fn body_in_chunks_that_has_ended_is_empty() {
        let mut framing = Framing::Chunked(Chunked::new());
        assert!(!framing.is_empty());
        assert_eq!(framing.read(b"1\r\nx\r\n0\r\n\r\n", |_| ()), Ok((11, true)));
        assert!(framing.is_empty());
    }

    #[test]
    fn discarding_ends_with_the_body_and_is_bounded() {
        let now = Instant::now();
        let mut body = Discard::new(Some(Framing::Length(3)), now);
        assert_eq!(body.take(b"ab", now), Ok((2, false)));
        assert_eq!(body.take(b"cGET /", now), Ok((1, true)));
        let mut endless = Discard::new(None, now);
        let piece = vec![0; 1 << 20];
        let taken = (0..100).take_while(|_| endless.take(&piece, now).is_ok()).count();
        assert_eq!(taken as u64, MOST_DISCARDED_BYTES >> 20);
        assert_eq!(endless.due(), now + LONGEST_SILENCE);
    }
}
