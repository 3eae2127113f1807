//! The reader of training problems: it never panics, and what it reads, written as text, reads the same.

#![no_main]

use std::fmt::Write;

use libfuzzer_sys::fuzz_target;
use upbeat_svm::Problem;

fuzz_target!(|bytes: &[u8]| {
    let Ok(problem) = Problem::read(bytes) else { return };
    assert_eq!(problem.len(), problem.x.len());
    assert!((1..problem.len()).contains(&problem.positives()), "both labels occur");
    // Zeros that are left out must not matter; the last one is written where no row has a value in the last column.
    let mut text = String::new();
    let last = problem.x.columns() - 1;
    for (row, &positive) in problem.positive.iter().enumerate() {
        text += if positive { &problem.labels.positive } else { &problem.labels.negative };
        let mut has_last = false;
        for (column, value) in problem.x.entries(row).filter(|entry| entry.1 != 0.0) {
            let _ = write!(text, " {}:{value:e}", column + 1);
            has_last |= column == last;
        }
        if !has_last {
            let _ = write!(text, " {}:0", last + 1);
        }
        text += "\n";
    }
    let again = Problem::read(text.as_bytes()).expect("what was read and written reads");
    assert_eq!(again, problem);
});
