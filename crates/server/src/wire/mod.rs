//! The data listener's wire: event loops that own its connections, and HTTP/1.1 on them.
//!
//! A connection has one owner for life, the event loop of one thread (`event_loop`). Decisions and single small events
//! are answered by that thread straight from the bytes that arrived (the fast path: `head`, `fast`). Any other request
//! goes to the router as a whole, its body collected within the byte budgets (`body`, `chunked`, `dispatch`), and comes
//! back as a reply that is written in order (`reply`). Meanwhile nothing later on the connection is answered, and at most
//! one read of it is held.
//!
//! Framing stands here once: RFC 9112, strictly. What is ambiguous is refused and closed.

mod body;
mod checked;
mod chunked;
mod command;
mod connection;
mod deadline;
mod dispatch;
mod event_loop;
mod fast;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod head;
mod parking;
mod reply;
mod scope;
mod slices;

#[cfg(test)]
mod differential;

use std::time::Duration;

pub(crate) use body::{Arrived, Fault};
pub(crate) use checked::{CheckedRequests, Refused, refusal};
pub(crate) use command::{Command, Handle};
pub(crate) use deadline::WriteDeadline;
pub(crate) use dispatch::RouterTasks;
pub(crate) use event_loop::EventLoop;
pub(crate) use scope::{Scope, TOO_MANY_CONNECTIONS};
pub(crate) use slices::{LoopsEnded, Slices};

/// Bytes of requests read at a time, and held at most while answers wait to be sent.
const HEAD_READ_BYTES: usize = 16 << 10;

/// Bytes of a body read at a time.
const BODY_READ_BYTES: usize = 64 << 10;

/// While the server stops, a connection that was answered and has been silent for so long is idle. A busy client sends its
/// next request sooner, and gets an answer that announces the close.
pub(crate) const IDLE_AT_STOP: Duration = Duration::from_secs(1);

/// The buffer that all connections of a thread read into.
type Input = Box<[u8; BODY_READ_BYTES]>;

/// While so many bytes of answers wait for the socket, no further request is answered. Together with one read this is
/// all that a client which does not read its answers makes a loop hold, beside the reply of one routed request.
const OUTPUT_BYTES: usize = 16 << 10;
