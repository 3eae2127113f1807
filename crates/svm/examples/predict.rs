//! Predicts the rows of a file of libSVM text: a line a row with label, score and probability.
//!
//! ```text
//! cargo run --release --example predict -- ROWS MODEL
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};

use upbeat_svm::{G17, Model, RowReader};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, model] = arguments.as_slice() else {
        return Err("usage: predict ROWS MODEL".into());
    };
    let model = Model::read(&std::fs::read(model)?)?;
    let scorer = model.scorer();
    let labels = &model.parts().labels;

    let file = File::open(rows).map_err(|error| format!("{rows}: {error}"))?;
    let mut reader = RowReader::new(BufReader::new(file));
    let mut output = BufWriter::new(std::io::stdout().lock());
    let mut x = vec![0.0; scorer.features()];
    while let Some(row) = reader.next_row()? {
        row.fill(&mut x)?;
        let score = scorer.score(&x);
        write!(output, "{} {}", labels.predicted(score), G17(score))?;
        match scorer.probability(score) {
            Some(probability) => writeln!(output, " {probability:.4}")?,
            None => writeln!(output)?,
        }
    }
    Ok(output.flush()?)
}
