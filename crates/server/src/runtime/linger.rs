//! Lingering close: what still arrives on a connection is read past, so that its client receives the last answer.
//!
//! Closing a socket with unread bytes resets the connection, and a client that is still sending, or has not read yet,
//! loses the answer. Nothing read here is kept, and both time and bytes are bounded.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Reading ends when no bytes arrive for this long.
pub(crate) const SILENCE_TIMEOUT: Duration = Duration::from_secs(1);
/// Reading ends after this time in any case.
pub(crate) const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Reading ends after this many bytes.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// Sends `last` where it is not empty, says that nothing more will be sent, and reads past what arrives until the client
/// closes.
pub(super) async fn linger(mut stream: TcpStream, last: &[u8]) {
    let lingered = async {
        stream.write_all(last).await?;
        stream.shutdown().await?;
        let (mut left, mut buffer) = (MAX_BYTES, vec![0; 16 << 10]);
        while let Ok(read) = timeout(SILENCE_TIMEOUT, stream.read(&mut buffer)).await {
            match left.checked_sub(read?) {
                Some(less) if less < left => left = less,
                _ => break,
            }
        }
        Ok::<_, std::io::Error>(())
    };
    // A client that has gone has lost nothing that could still be sent.
    let _ = timeout(TOTAL_TIMEOUT, lingered).await;
}
