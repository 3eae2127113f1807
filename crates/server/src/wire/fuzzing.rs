//! What must hold of any bytes at the front of a connection, for the fuzz target of heads (`fuzz/targets/head.rs`).

use super::body::Framing;
use super::chunked::Malformed;
use super::head::{self, Action, AnyHead, FastHead, RoutedHead};

/// As `limits.header_bytes` by default.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// So many places at most at which bytes are cut.
const MOST_CUTS: usize = 64;

/// Reads `bytes` as both ways do.
///
/// # Panics
/// A rule is broken: the ways disagree on a request, part of a head is taken for a whole one, what follows a head changes
/// what is read, or a body depends on how its bytes arrive.
pub fn check_head(bytes: &[u8]) {
    let any = head::read_any(bytes, MAX_HEAD_BYTES);
    let mut headers = head::fast_headers();
    match (head::read_fast(bytes, MAX_HEAD_BYTES, &mut headers), &any) {
        (FastHead::Other, _) => {}
        (FastHead::Incomplete(None), any) => {
            assert!(!matches!(any, AnyHead::Request(_)), "the router would have a request by now");
        }
        (FastHead::Incomplete(Some(needed)), AnyHead::Request(head)) => {
            assert!(needed > bytes.len());
            assert_eq!(head.framing.announced(), Some((needed - head.length) as u64));
        }
        (FastHead::Request(fast), AnyHead::Request(head)) => {
            let body = fast.length - head.length;
            assert_eq!(head.framing.announced(), Some(body as u64));
            assert_eq!((head.request.method().as_str(), head.wants_close), (fast.method, false));
            assert_eq!(head.request.uri().path_and_query().map(|target| target.as_str()), Some(fast.target));
            assert_eq!(head.request.headers().len(), fast.headers.len());
            assert_eq!(matches!(fast.action, Action::Event(_)), fast.method == "POST");
            assert!(!head.expects_continue, "its body is not waited for");
        }
        (fast, any) => panic!("the fast path reads {fast:?}, the router {any:?}"),
    }
    if let AnyHead::Request(head) = any {
        check_cuts(bytes, &head);
        check_body(&bytes[head.length..], &head.framing);
    }
}

/// A head is the same whatever follows, and none while it is not whole.
fn check_cuts(bytes: &[u8], head: &RoutedHead) {
    let alone = head::read_any(&bytes[..head.length], MAX_HEAD_BYTES);
    assert!(matches!(alone, AnyHead::Request(alone) if alone.length == head.length));
    for cut in (0..head.length).step_by(head.length.div_ceil(MOST_CUTS)) {
        let part = head::read_any(&bytes[..cut], MAX_HEAD_BYTES);
        assert!(matches!(part, AnyHead::Incomplete), "{cut} of {} bytes are {part:?}", head.length);
    }
}

/// A body is the same however its bytes arrive.
fn check_body(bytes: &[u8], framing: &Framing) {
    let whole = read_body(bytes, framing, bytes.len());
    for size in [1, 2, 3, 17] {
        assert_eq!(read_body(bytes, framing, size), whole, "by {size}");
    }
}

/// The data of a body whose bytes arrive in pieces of `size` bytes, and how many bytes it took if it is whole.
fn read_body(bytes: &[u8], framing: &Framing, size: usize) -> Result<(Vec<u8>, Option<usize>), Malformed> {
    let (mut framing, mut data, mut taken) = (framing.clone(), Vec::new(), 0);
    for piece in bytes.chunks(size.max(1)) {
        let (length, is_whole) = framing.read(piece, |more| data.extend_from_slice(more))?;
        taken += length;
        if is_whole {
            return Ok((data, Some(taken)));
        }
        assert_eq!(length, piece.len(), "bytes of a body that is not whole are its own");
    }
    Ok((data, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_of_every_seed_and_all_that_begins_like_one() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/head");
        let mut requests = 0;
        for entry in std::fs::read_dir(folder).expect("a folder of seeds") {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a seed");
            (0..=bytes.len()).for_each(|length| check_head(&bytes[..length]));
            requests += usize::from(matches!(head::read_any(&bytes, MAX_HEAD_BYTES), AnyHead::Request(_)));
        }
        assert!(requests >= 10, "only {requests} seeds reach what is behind the parser");
    }
}
