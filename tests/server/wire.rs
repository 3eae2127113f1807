//! Plain sockets, for requests that no HTTP client would send.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use super::support::{Answer, TIMEOUT};

/// The same request with more headers than the fast path reads (32), so that the router answers it; the router takes 100
/// and ignores these.
pub fn for_the_router(request: &[u8]) -> Vec<u8> {
    let line = request.windows(2).position(|bytes| bytes == b"\r\n").expect("a request line") + 2;
    let padding: String = (0..40).map(|number| format!("x-padding-{number}: 0\r\n")).collect();
    [&request[..line], padding.as_bytes(), &request[line..]].concat()
}

/// One connection, byte by byte.
pub struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    pub fn to(address: &str) -> Self {
        Self::over(TcpStream::connect(address).expect("a connection"))
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a timeout");
        Self { stream, unread: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
        self
    }

    /// Sends to a server that may close before it has read all.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        // Its answer is read afterwards.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// The next answer, if its first byte arrives within this time.
    pub fn answer_within(&mut self, time: Duration) -> Option<Answer> {
        self.stream.set_read_timeout(Some(time)).expect("a timeout");
        let begun = matches!(self.stream.peek(&mut [0]), Ok(1));
        self.stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        (begun || !self.unread.is_empty()).then(|| self.answer())
    }

    /// Closes the sending half of the connection.
    pub fn finish(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).expect("an open connection");
        self
    }

    /// The next answer. Bodies are framed by Content-Length, as the server always writes it.
    pub fn answer(&mut self) -> Answer {
        self.read_answer(true)
    }

    /// The next answer, to a `HEAD`.
    pub fn answer_to_head(&mut self) -> Answer {
        self.read_answer(false)
    }

    fn read_answer(&mut self, with_body: bool) -> Answer {
        let head_length = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.read_more(), "closed within a head: {}", String::from_utf8_lossy(&self.unread));
        };
        let head: Vec<u8> = self.unread.drain(..head_length).collect();
        let (status, headers) = parse_head(std::str::from_utf8(&head).expect("a head of text"));
        let length = headers.get("content-length").map_or("0", |value| value.to_str().expect("digits"));
        let length: usize = if with_body { length.parse().expect("a length") } else { 0 };
        while self.unread.len() < length {
            assert!(self.read_more(), "closed within a body of {length} bytes");
        }
        Answer { status, headers, body: self.unread.drain(..length).collect() }
    }

    /// All bytes until the server closes; a reset counts as closed.
    pub fn rest(&mut self) -> String {
        while self.read_more() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.unread)).into_owned()
    }

    /// Asserts that the server closes the connection without resetting it and sends nothing more: after a reset some
    /// systems drop an answer that was not read.
    #[track_caller]
    pub fn ends_in_order(&mut self) {
        let mut rest = Vec::new();
        let read = self.stream.read_to_end(&mut rest);
        assert!(
            read.is_ok() && rest.is_empty() && self.unread.is_empty(),
            "{read:?}, {rest:?}, {:?}",
            self.unread
        );
    }

    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("reading: {error}"),
        }
    }
}

fn parse_head(head: &str) -> (u16, HeaderMap) {
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.parse::<HeaderName>().expect("a name"), value.trim().parse::<HeaderValue>().expect("a value"))
    });
    (status[..3].parse().expect("a status"), headers.collect())
}
