//! A backup as one tar stream on standard output.
//!
//! `backup.json` comes last, so a stream that was cut short has none, and what it unpacks to is no backup.

use std::io::{IsTerminal, Read, Write};

use anyhow::bail;
use sha2::{Digest, Sha256};

use super::pace::Pace;
use super::remote::{Held, HeldFile, PART_BYTES, Remote};
use crate::cli::backed_up::{BackedUp, MANIFEST, Manifest, TOMBSTONES, hex, is_of_backup, tombstones};
use crate::cli::output;
use crate::cli::progress::Progress;

/// Writes what a server keeps to standard output.
pub(super) fn to_standard_output(remote: &Remote, history: bool, mut pace: Pace) -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() {
        bail!(
            "a terminal takes no tar stream: write it to a file or to another program, or name a directory with -o DIR"
        );
    }
    let mut out = output::open_one(&[], "-".as_ref())?;
    let held = remote.begin(history)?;
    let written = out.write(|out| write(remote, &held, history, &mut pace, out)).and_then(|()| out.finish());
    let ended = remote.end(&held.id);
    if let Err(error) = written {
        // Whoever closes it has not got a backup: that is no success, as it would be of other commands.
        bail!("the stream is not whole, and what it unpacks to is no backup: {error:#}");
    }
    if let Err(error) = ended {
        output::note(format_args!("upbeat backup: {error:#}; the server lets go of the files by itself"));
    }
    Ok(())
}

fn write(
    remote: &Remote,
    held: &Held,
    history: bool,
    pace: &mut Pace,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let Held { server, taken, position, snapshot, files, .. } = held.clone();
    let mut manifest = Manifest::new(server, taken, position, snapshot, history);
    let mut archive = tar::Builder::new(out);
    let mut progress = Progress::bytes(Some(files.iter().map(|file| file.size).sum()));
    for file in &files {
        anyhow::ensure!(
            is_of_backup(&file.name),
            "the server names a file {:?}, which is none of a backup",
            file.name
        );
        let mut reading = Reading {
            remote,
            id: &held.id,
            file,
            pace: &mut *pace,
            progress: &mut progress,
            next: 0,
            part: Vec::new(),
            read: 0,
            sha256: Sha256::new(),
        };
        append(&mut archive, &file.name, file.size, &mut reading)?;
        let sha256 = Some(hex(&reading.sha256.finalize()));
        manifest.files.push(BackedUp { name: file.name.clone(), bytes: file.size, sha256 });
    }
    let text = remote.tombstones()?;
    tombstones(TOMBSTONES, &text, &manifest.server)?;
    append(&mut archive, TOMBSTONES, text.len() as u64, &mut text.as_bytes())?;
    let sha256 = Some(hex(&Sha256::digest(&text)));
    manifest.files.push(BackedUp { name: TOMBSTONES.to_owned(), bytes: text.len() as u64, sha256 });
    manifest.finished = true;
    let text = manifest.text()?;
    append(&mut archive, MANIFEST, text.len() as u64, &mut text.as_bytes())?;
    archive.finish()?;
    Ok(())
}

fn append(
    archive: &mut tar::Builder<&mut (dyn Write + Send)>,
    name: &str,
    bytes: u64,
    content: &mut dyn Read,
) -> anyhow::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    header.set_mtime(since.map_or(0, |since| since.as_secs()));
    Ok(archive.append_data(&mut header, name, content)?)
}

/// The bytes of a file as they come from the server, and zeros up to its size.
struct Reading<'a> {
    remote: &'a Remote,
    id: &'a str,
    file: &'a HeldFile,
    pace: &'a mut Pace,
    progress: &'a mut Progress,
    /// As many bytes of the file were given.
    next: u64,
    /// What was last read, and how much of that was given.
    part: Vec<u8>,
    read: usize,
    sha256: Sha256,
}

impl Read for Reading<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let HeldFile { name, bytes, size } = self.file;
        if self.read == self.part.len() && self.next < *size {
            if self.next < *bytes {
                let last = (self.next + PART_BYTES).min(*bytes) - 1;
                self.part =
                    self.remote.part(self.id, name, self.next, last).map_err(std::io::Error::other)?;
                self.pace.wait(self.part.len() as u64);
            } else {
                self.part = vec![0; (size - self.next).min(PART_BYTES) as usize];
            }
            self.read = 0;
        }
        let count = into.len().min(self.part.len() - self.read);
        into[..count].copy_from_slice(&self.part[self.read..self.read + count]);
        self.sha256.update(&into[..count]);
        self.read += count;
        self.next += count as u64;
        self.progress.add(count as u64);
        Ok(count)
    }
}
