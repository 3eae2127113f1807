//! Files that are read again and again while the server runs: campaigns and models.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads an ordinary file, up to so many bytes of it. A pipe is refused, and not waited for: whoever changes campaigns or models
/// next would wait with it, and so would the end of the server.
///
/// # Errors
/// The file cannot be opened or read, or is none.
pub(super) fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from(ErrorKind::IsADirectory));
    }
    if !metadata.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is a pipe or a device; name an ordinary file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether something has this name. A link to nothing has, and so has what may not be looked at: reading it says what is wrong,
/// where a look that followed the link would take it for a file that was never there.
pub(super) fn is_there(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn ordinary_file_is_read_and_nothing_else_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "0123456789").expect("a file");
        symlink(path("file"), path("link")).expect("a link");
        for name in ["file", "link"] {
            assert_eq!(read_at_most(&path(name), 4).expect("a file"), b"0123", "{name}");
            assert_eq!(read_at_most(&path(name), 40).expect("a file").len(), 10, "{name}");
        }
        let pipe = std::ffi::CString::new(path("pipe").to_str().expect("text")).expect("no zero");
        // SAFETY: the path ends with a zero and is alive.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        let _socket = UnixListener::bind(path("socket")).expect("a socket");
        symlink(path("nothing"), path("dangling")).expect("a link");
        symlink(path("round"), path("round")).expect("a link");
        for name in ["pipe", "socket", "dangling", "round", "."] {
            assert!(is_there(&path(name)), "{name}");
            read_at_most(&path(name), 4).expect_err(name);
        }
        let said = read_at_most(Path::new("/dev/zero"), 4).expect_err("a device").to_string();
        assert!(said.contains("ordinary file"), "{said}");
        for name in ["nothing", "file/within"] {
            assert!(!is_there(&path(name)), "{name}");
        }
    }
}
