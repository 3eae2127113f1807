//! The reader of libSVM's and LIBLINEAR's models: it never panics, what it reads scores, and written in each
//! format that can hold it, it reads as the same machine.

#![no_main]

use libfuzzer_sys::fuzz_target;
use upbeat_svm::{Import, Machine, Model, Scorer, liblinear, libsvm, onnx};

fuzz_target!(|bytes: &[u8]| {
    let Ok((_, model)) = Import::default().read(bytes) else { return };
    let again = Model::read(&model.to_bytes()).expect("an imported model is a model file");
    assert_eq!(again.parts(), model.parts());
    let scorer = Scorer::new(&model);
    let _ = scorer.probability(scorer.score(&vec![0.5; scorer.features()]));
    // A line may name the millionth feature; writing a million weights four times over would take all of the time.
    if model.parts().features.count > 10_000 {
        return;
    }
    let _ = onnx::export(&model, std::io::sink());

    let mut text = Vec::new();
    if libsvm::export(&model, &mut text).is_ok() {
        let back = reread(&model, &text);
        assert_eq!(back.parts().calibration, model.parts().calibration);
        // The vectors of one class come first; after that their order stays.
        let mut twice = Vec::new();
        libsvm::export(&back, &mut twice).expect("what was exported can be exported");
        assert_eq!(twice, text);
    }
    let mut text = Vec::new();
    if liblinear::export(&model, &mut text).is_ok() {
        assert_eq!(reread(&model, &text).parts().machine, model.parts().machine);
    }
});

/// The model of an export; it has the same kernel and as many features and vectors.
fn reread(model: &Model, text: &[u8]) -> Model {
    let features = model.parts().features.count;
    let wanted = Import { features: Some(features), ..Import::default() };
    let (_, back) = wanted.read(text).expect("an export can be imported");
    let (before, after) = (&model.parts().machine, &back.parts().machine);
    assert_eq!((before.kernel(), before.bias()), (after.kernel(), after.bias()));
    assert_eq!(before.support_vectors(), after.support_vectors());
    if let Machine::Linear { .. } = before {
        assert_eq!(before, after);
    }
    back
}
