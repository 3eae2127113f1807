//! Ways to lay out a segment: grown by each write, allocated, allocated and filled with zeros, past the page cache.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use crate::Measured;

const SEGMENT: u64 = 64 << 20;
const GROUPS: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

/// One way.
struct Layout {
    name: &'static str,
    allocate: bool,
    zeros: bool,
    direct: bool,
    /// Each write is durable when it returns.
    synchronous: bool,
}

const LAYOUTS: [Layout; 5] = [
    Layout { name: "grown, fdatasync", allocate: false, zeros: false, direct: false, synchronous: false },
    Layout { name: "allocated, fdatasync", allocate: true, zeros: false, direct: false, synchronous: false },
    Layout { name: "zeros, fdatasync", allocate: true, zeros: true, direct: false, synchronous: false },
    Layout {
        name: "zeros, O_DIRECT, fdatasync",
        allocate: true,
        zeros: true,
        direct: true,
        synchronous: false,
    },
    Layout {
        name: "zeros, O_DIRECT and O_DSYNC",
        allocate: true,
        zeros: true,
        direct: true,
        synchronous: true,
    },
];

/// Memory that a write past the page cache may begin at.
#[repr(align(4096))]
#[derive(Clone)]
struct Block(#[expect(dead_code, reason = "read as bytes of all blocks")] [u8; 4096]);

struct Open {
    file: File,
    at: u64,
    made: f64,
}

fn make(directory: &Path, layout: &Layout, number: usize) -> Open {
    let start = Instant::now();
    let path = directory.join(format!("{number}"));
    let file = OpenOptions::new().create_new(true).write(true).open(&path).unwrap();
    if layout.allocate {
        // SAFETY: the descriptor is open.
        assert_eq!(unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, SEGMENT as libc::off_t) }, 0);
    }
    if layout.zeros {
        let zeros = vec![0; 1 << 20];
        (0..SEGMENT >> 20).for_each(|at| file.write_all_at(&zeros, at << 20).unwrap());
    }
    file.sync_all().unwrap();
    let mut flags = 0;
    if layout.direct {
        flags |= libc::O_DIRECT;
    }
    if layout.synchronous {
        flags |= libc::O_DSYNC;
    }
    let file = OpenOptions::new().write(true).custom_flags(flags).open(&path).unwrap();
    Open { file, at: 0, made: start.elapsed().as_secs_f64() * 1e3 }
}

/// Measures all, in turns, and prints a table.
pub fn run(directory: &Path) {
    std::fs::create_dir_all(directory).expect("a directory of the bench's own");
    println!("### Layouts of a segment of {} MiB; microseconds until a group is durable\n", SEGMENT >> 20);
    println!("| | made in, ms | 4 KiB: median | p99 | 64 KiB: median | p99 | 1 MiB: median | p99 |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let mut rows: Vec<String> = LAYOUTS.iter().map(|layout| format!("| {}", layout.name)).collect();
    for (size_index, size) in GROUPS.into_iter().enumerate() {
        let mut open: Vec<Open> = LAYOUTS
            .iter()
            .enumerate()
            .map(|(index, layout)| make(directory, layout, size_index * LAYOUTS.len() + index))
            .collect();
        let mut measured: Vec<Measured> = LAYOUTS.iter().map(|_| Measured::default()).collect();
        let blocks = vec![Block([7; 4096]); size / 4096];
        // SAFETY: blocks are bytes without gaps, one after the other.
        let bytes = unsafe { std::slice::from_raw_parts(blocks.as_ptr().cast::<u8>(), size) };
        let groups = (SEGMENT as usize / size).min(600);
        for _ in 0..groups.div_ceil(10) {
            for ((open, layout), measured) in open.iter_mut().zip(&LAYOUTS).zip(&mut measured) {
                for _ in 0..10 {
                    if open.at + size as u64 > SEGMENT {
                        break;
                    }
                    let start = Instant::now();
                    open.file.write_all_at(bytes, open.at).unwrap();
                    if !layout.synchronous {
                        open.file.sync_data().unwrap();
                    }
                    measured.times.push(start.elapsed());
                    open.at += size as u64;
                }
            }
        }
        for ((row, open), measured) in rows.iter_mut().zip(&open).zip(&mut measured) {
            if size_index == 0 {
                row.push_str(&format!(" | {:.0}", open.made));
            }
            let (median, late) = (measured.percentile(0.5), measured.percentile(0.99));
            row.push_str(&format!(" | {} | {}", median.as_micros(), late.as_micros()));
        }
    }
    rows.iter().for_each(|row| println!("{row} |"));
}
