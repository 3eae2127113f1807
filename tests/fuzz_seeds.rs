//! The seed inputs of the fuzz targets are valid for the readers; outdated ones would only reach their first checks.
//!
//! Made with `upbeat train` and `upbeat model export` on the rows of `fuzz/seeds/problem/shares`, and with
//! `svm-train -b 1` and `liblinear-train -s 0 -B 1`; when the formats change, make them again.

use std::fs;
use std::path::Path;

use upbeat_svm::{Import, Model, Problem};

/// Reads every file of a folder of seeds; a failure names the file.
fn each(folder: &str, read: impl Fn(&[u8]) -> Result<(), String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(folder);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("a folder of seeds") {
        let path = entry.expect("an entry").path();
        let bytes = fs::read(&path).expect("a seed");
        read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        count += 1;
    }
    assert!(count >= 3, "only {count} seeds in {}", folder.display());
}

#[test]
fn fuzz_seeds_are_readable() {
    each("problem", |bytes| Problem::read(bytes).map(drop).map_err(|error| error.to_string()));
    each("model_json", |bytes| Model::read(bytes).map(drop).map_err(|error| error.to_string()));
    each("model_text", |bytes| Import::default().read(bytes).map(drop).map_err(|error| error.to_string()));
}
