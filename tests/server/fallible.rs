//! A client that takes the end of a server for an answer, and says at which step it came.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::support::{JSON, TIMEOUT};

/// What came instead of an answer.
pub enum Failure {
    /// There was no connection.
    Connect(io::Error),
    /// It ended before the answer did.
    Exchange(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Exchange(error) => write!(f, "no answer: {error}"),
        }
    }
}

/// One connection at a time.
pub struct Client {
    address: String,
    stream: Option<BufReader<TcpStream>>,
    /// Whether a connection is used again.
    keeps: bool,
}

impl Client {
    pub fn new(address: &str, keeps: bool) -> Self {
        Self { address: address.to_owned(), stream: None, keeps }
    }

    /// Whether the next request is sent on a connection that is open.
    pub fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    pub fn get(&mut self, path: &str) -> Result<(u16, Value), Failure> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
    }

    pub fn post_event(&mut self, body: &str) -> Result<(u16, Value), Failure> {
        let head = format!("host: localhost\r\ncontent-type: {JSON}\r\ncontent-length: {}", body.len());
        self.ask(&format!("POST /events HTTP/1.1\r\n{head}\r\n\r\n{body}"))
    }

    /// Status and body of an answer.
    fn ask(&mut self, request: &str) -> Result<(u16, Value), Failure> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().map_err(Failure::Connect)?,
        };
        let (status, body, closes) = exchange(&mut stream, request).map_err(Failure::Exchange)?;
        self.stream = (self.keeps && !closes).then_some(stream);
        Ok((status, body))
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(BufReader::new(stream))
    }
}

/// Status, body, and whether the connection is closed behind them.
fn exchange(stream: &mut BufReader<TcpStream>, request: &str) -> io::Result<(u16, Value, bool)> {
    stream.get_mut().write_all(request.as_bytes())?;
    let mut line = String::new();
    let mut next = |stream: &mut BufReader<TcpStream>| {
        line.clear();
        let is_over = stream.read_line(&mut line)? == 0;
        if is_over {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof))
        } else {
            Ok(line.trim_end().to_ascii_lowercase())
        }
    };
    let first = next(stream)?;
    let status = first.strip_prefix("http/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {first:?}")))?;
    let (mut length, mut closes) = (0, false);
    loop {
        let header = next(stream)?;
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        closes |= header == "connection: close";
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, serde_json::from_slice(&body).map_err(io::Error::other)?, closes))
}
