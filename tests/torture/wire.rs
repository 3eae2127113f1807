//! A client of HTTP/1.1 that takes a server's death as an answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::Value;

/// A server that does not answer for so long has failed the test.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// How a body is sent.
#[derive(Debug, Clone, Copy)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn of(self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Identity => body.to_vec(),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(body).expect("memory");
                encoder.finish().expect("memory")
            }
            Self::Zstd => compress_to_vec(body, CompressionLevel::Fastest),
        }
    }
}

/// One connection that is opened again where the server closes it.
#[derive(Debug)]
pub struct Wire {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub retry_after: bool,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The last part of a problem's type; empty where the answer is none.
    pub fn problem(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let slug = problem["type"].as_str().and_then(|name| name.strip_prefix("/problems/"));
        slug.unwrap_or_default().to_owned()
    }
}

impl Wire {
    pub fn to(address: &str) -> Self {
        Self { address: address.to_owned(), stream: None }
    }

    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, "", "", b"")
    }

    pub fn delete(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("DELETE", path, "", "", b"")
    }

    pub fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> io::Result<Answer> {
        self.post_as(path, content_type, Encoding::Identity, body)
    }

    /// Posts a body as `encoding` has it.
    pub fn post_as(
        &mut self,
        path: &str,
        content_type: &str,
        encoding: Encoding,
        body: &[u8],
    ) -> io::Result<Answer> {
        self.ask("POST", path, content_type, encoding.name(), &encoding.of(body))
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        encoding: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let answered = self.try_ask(method, path, content_type, encoding, body);
        if answered.is_err() {
            self.stream = None;
        }
        answered
    }

    fn try_ask(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        encoding: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        if self.stream.as_ref().is_none_or(is_closed) {
            let stream = TcpStream::connect(&self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            self.stream = Some(BufReader::new(stream));
        }
        let stream = self.stream.as_mut().expect("it was just opened");
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n").into_bytes();
        if method == "POST" {
            let length = body.len();
            request.extend(format!("content-type: {content_type}\r\ncontent-length: {length}\r\n").bytes());
            request.extend(format!("content-encoding: {encoding}\r\n").bytes());
        }
        request.extend(b"\r\n");
        request.extend(body);
        stream.get_mut().write_all(&request)?;

        let mut line = String::new();
        let closed = || io::Error::from(io::ErrorKind::UnexpectedEof);
        if stream.read_line(&mut line)? == 0 {
            return Err(closed());
        }
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
        let (mut length, mut retry_after, mut closes) = (0, false, false);
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(closed());
            }
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            retry_after |= header.starts_with("retry-after:");
            closes |= header == "connection: close";
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        if closes {
            self.stream = None;
        }
        Ok(Answer { status, retry_after, body })
    }
}

/// Whether the server has closed an idle connection.
fn is_closed(stream: &BufReader<TcpStream>) -> bool {
    let stream = stream.get_ref();
    let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let is_blocking = stream.set_nonblocking(false).is_ok();
    !is_blocking || !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
