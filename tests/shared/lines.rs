//! What a process writes, line by line.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc;

/// Reads lines on a thread of its own, so that whoever waits for one can give up, and the process never waits.
pub fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
