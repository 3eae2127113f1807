//! Listening sockets: how many connections the kernel completes ahead of us, and how none of them is lost at the end.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// The shortest backlog that is asked for, as much as the standard library asks for.
const LEAST_BACKLOG: usize = 128;

/// The longest backlog that every kernel takes.
const MOST_BACKLOG: usize = u16::MAX as usize;

/// The backlog for at most this many open connections: as many may come at once, and none of them should wait for its
/// client to send its first packet again, a second later.
fn backlog(connections: usize) -> u32 {
    connections.clamp(LEAST_BACKLOG, MOST_BACKLOG) as u32
}

/// Listens on `address` with a backlog for `connections` at once.
///
/// # Errors
/// The address is taken or not ours.
pub fn listen(address: SocketAddr, connections: usize) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections that the last server closed may linger in the kernel; they do not keep the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog(connections))
}

/// Serves on a socket that was passed, which does not block, with the same backlog.
///
/// # Errors
/// The system has no room for it, or it is none to listen on.
pub fn listen_on(socket: std::net::TcpListener, connections: usize) -> io::Result<TcpListener> {
    socket2::SockRef::from(&socket).listen(backlog(connections) as i32)?;
    TcpListener::from_std(socket)
}

/// What the kernel makes of the backlog for `connections`: the one asked for, and the most that it gives where that is
/// less (Linux, `net.core.somaxconn`).
#[must_use]
pub fn capped_backlog(connections: usize) -> Option<(u32, u32)> {
    let most: u32 = std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()?;
    let asked = backlog(connections);
    (most < asked).then_some((asked, most))
}

/// So many bytes of answers at most the kernel holds for a client beyond those that its window takes. A client that does
/// not read would have it hold megabytes; what waits in our own memory is counted and has a deadline. It is twice
/// what a loop offers at a time, so that the socket does not run dry between two turns.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 256 << 10;

/// Bounds what the kernel holds unsent for each connection of this listener; connections inherit it.
///
/// # Errors
/// The kernel does not have the option; it then holds as much as its buffers may grow to.
#[cfg(target_os = "linux")]
pub(super) fn bound_unsent_bytes(listener: &TcpListener) -> io::Result<()> {
    socket2::SockRef::from(listener).set_tcp_notsent_lowat(UNSENT_BYTES)
}

/// On other systems the kernel's buffers have bounds of their own.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps)]
pub(super) fn bound_unsent_bytes(_listener: &TcpListener) -> io::Result<()> {
    Ok(())
}

/// From now on the kernel begins no connection on this listener. Those that have begun can still be accepted; whoever
/// comes later sends the first packet again after a second, and finds the port closed. Otherwise a connection could be
/// completed between our last accept and the close of the listener, which would reset it.
#[cfg(target_os = "linux")]
pub(super) fn begin_no_more(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};
    /// Where a TCP header has its flags, and the one that begins a connection (RFC 9293, section 3.1).
    const FLAGS_AT: u32 = 13;
    const SYN: u32 = 0x02;
    const DROP: u32 = 0;
    const KEEP: u32 = u32::MAX;
    let code = |parts: &[u32]| parts.iter().sum::<u32>() as u16;
    let filter = [
        SockFilter::new(code(&[libc::BPF_LD, libc::BPF_B, libc::BPF_ABS]), 0, 0, FLAGS_AT),
        SockFilter::new(code(&[libc::BPF_JMP, libc::BPF_JSET, libc::BPF_K]), 0, 1, SYN),
        SockFilter::new(code(&[libc::BPF_RET, libc::BPF_K]), 0, 0, DROP),
        SockFilter::new(code(&[libc::BPF_RET, libc::BPF_K]), 0, 0, KEEP),
    ];
    SockRef::from(listener).attach_filter(&filter)
}

/// Other systems have no such filter.
#[cfg(not(target_os = "linux"))]
pub(super) fn begin_no_more(_listener: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn connection_inherits_the_bound_on_what_the_kernel_holds_unsent() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), 1).expect("a port");
        bound_unsent_bytes(&listener).expect("Linux has the option");
        let address = listener.local_addr().expect("an address");
        let _client = tokio::net::TcpStream::connect(address).await.expect("a connection");
        let (stream, _) = listener.accept().await.expect("a connection");
        let bound = socket2::SockRef::from(&stream).tcp_notsent_lowat();
        assert_eq!(bound.expect("Linux has the option"), UNSENT_BYTES);
    }
}
