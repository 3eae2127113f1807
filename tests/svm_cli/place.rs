//! A directory to run the binary in, with training files.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::Value;

/// A directory of its own to run the binary in.
pub struct Place {
    pub dir: tempfile::TempDir,
}

impl Place {
    /// With `features.txt`, 120 rows that are linearly separable, and `other.txt`, 60 more of the same distribution.
    pub fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.put("features.txt", blobs(120, 0.05, 1));
        place.put("other.txt", blobs(60, 0.05, 2));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs `upbeat` with arguments split at spaces.
    pub fn run(&self, call: &str) -> Ran {
        self.run_with(call, b"")
    }

    pub fn run_with(&self, call: &str, input: &[u8]) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_upbeat"))
            .args(call.split_whitespace())
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A call that is refused may end before it reads.
        let _ = child.stdin.take().unwrap().write_all(input);
        Ran::of(child.wait_with_output().unwrap())
    }

    pub fn done(&self, call: &str) -> Ran {
        let ran = self.run(call);
        assert_eq!(ran.status, 0, "{call}: {}", ran.stderr);
        ran
    }
}

pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            status: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// libSVM text of two blobs of six shares; every fifth row is positive.
pub fn blobs(rows: usize, spread: f64, seed: u64) -> String {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let mut text = String::new();
    for row in 0..rows {
        let (label, mobile, unique) = if row % 5 == 0 { ("1", 0.81, 0.93) } else { ("0", 0.57, 0.90) };
        text += label;
        for (i, mean) in [0.29, 0.21, 0.21, 0.29, mobile, unique].into_iter().enumerate() {
            text += &format!(" {}:{:.2}", i + 1, (mean + spread * normal()).clamp(0.0, 1.0));
        }
        text += "\n";
    }
    text
}
