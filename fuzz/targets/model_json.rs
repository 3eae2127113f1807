//! The reader of model files: it never panics, what it reads scores, and written again it is the same model.

#![no_main]

use libfuzzer_sys::fuzz_target;
use upbeat_svm::{Model, Scorer};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = Model::read(bytes) else { return };
    let written = model.to_bytes();
    let again = Model::read(&written).expect("what was read and written reads");
    assert_eq!(again.parts(), model.parts());
    assert_eq!(again.to_bytes(), written);
    let scorer = Scorer::new(&model);
    for value in [0.0, 0.5, -1e9] {
        let score = scorer.score(&vec![value; scorer.features()]);
        let probability = scorer.probability(score);
        assert!(
            probability.is_none_or(|p| (0.0..=1.0).contains(&p) || !score.is_finite()),
            "{probability:?}"
        );
    }
});
