//! Trains on a file of libSVM text and writes a model file.
//!
//! ```text
//! cargo run --release --example train -- ROWS MODEL [C [GAMMA]]
//! ```
//!
//! With GAMMA the kernel is RBF, without it linear.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Write};

use upbeat_svm::{Kernel, Model, Parameters, Problem};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (rows, output, numbers) = match arguments.as_slice() {
        [rows, output, numbers @ ..] if numbers.len() <= 2 => (rows, output, numbers),
        _ => return Err("usage: train ROWS MODEL [C [GAMMA]]".into()),
    };
    let mut parameters = Parameters::default();
    if let Some(c) = numbers.first() {
        parameters.c = c.parse()?;
    }
    if let Some(gamma) = numbers.get(1) {
        parameters.kernel = Kernel::Rbf { gamma: gamma.parse()? };
    }
    let file = File::open(rows).map_err(|error| format!("{rows}: {error}"))?;
    let problem = Problem::read(BufReader::new(file)).map_err(|error| format!("{rows}: {error}"))?;
    let model = Model::train(&problem, &parameters)?;
    std::fs::write(output, model.to_bytes())?;

    let mut said = std::io::stdout().lock();
    writeln!(
        said,
        "{}: {}, C={}, {} rows",
        model.id(),
        model.parts().machine.kernel(),
        parameters.c,
        problem.len()
    )?;
    if let Some(measured) = model.parts().training.as_ref().and_then(|training| training.measured.as_ref()) {
        writeln!(said, "{}: {:.2} % wrong", measured.method, 100.0 * measured.metrics.error)?;
    }
    Ok(())
}
