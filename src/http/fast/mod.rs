//! The short way: decisions and single events answered in front of hyper.
//!
//! A connection begins here, on one of a few threads with an event loop each (`event_loop`). Requests for decisions and
//! single small events are read from a buffer that all connections of a thread share, and answered into another, so
//! that an idle connection holds no memory beside its socket. The first request that is anything else hands the
//! connection over to hyper and the router, with every unread byte, for the rest of its life: errors and rare cases have
//! one implementation.

mod connection;
mod event_loop;
mod head;
mod reply;
mod work;

use std::io;
use std::net::TcpStream;

pub(super) use event_loop::{EventLoop, Mailbox, Message};

/// Bytes read at a time.
const INPUT_BYTES: usize = 16 << 10;

/// While so many bytes of answers wait for the socket, no further request is answered. Together with one read this is
/// all that a client that does not listen makes us hold.
const OUTPUT_BYTES: usize = 16 << 10;

/// How a connection's time here ended.
pub(super) enum End {
    /// As it should: the client has left, was idle for too long, or the server stops.
    Closed,
    /// Otherwise: why.
    Broken(io::Error),
    /// It goes on elsewhere, with these bytes unread.
    HandOver(TcpStream, Vec<u8>),
}

/// Whether bytes are 1–64 of `A-Z a-z 0-9 . _ : -`.
pub(super) fn is_plain_id(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
    (1..=64).contains(&bytes.len()) && bytes.iter().all(is_plain)
}
