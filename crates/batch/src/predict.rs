//! Predictions for rows of libSVM text: a line for each row, in memory that does not grow with the file.

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;

use crate::blocks::{Block, Blocks};
use crate::in_order::in_order;
use upbeat_svm::{Explanation, G17, Labels, MAX_LINE_BYTES, Model, RowError, RowReader, Scorer, explain};

/// Bytes of a file that one thread works on at a time.
const BLOCK_BYTES: usize = 128 << 10;

/// Writes the predicted label and the decision value (17 significant digits) of each row, and its explanation where
/// that is asked for.
pub struct Predictor<'a> {
    labels: &'a Labels,
    scorer: Scorer,
    /// The average training row, where each row is to be explained.
    mean: Option<&'a [f64]>,
}

/// Why rows could not be predicted.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// A row is bad or cannot be read; its line is counted from 1 in the whole file.
    #[error(transparent)]
    Row(#[from] RowError),
    /// What was predicted cannot be written.
    #[error("predictions cannot be written")]
    Write(#[from] io::Error),
    /// The model has a kernel and more features than can be explained.
    #[error("{0} features are too many to explain a kernel's decision value")]
    TooManyFeatures(usize),
}

impl<'a> Predictor<'a> {
    /// Predictions of `model` without explanations.
    #[must_use]
    pub fn new(model: &'a Model) -> Self {
        Self { labels: &model.parts().labels, scorer: Scorer::new(model), mean: None }
    }

    /// Predictions of `model` with the contribution of each feature to the difference between the row's decision value
    /// and that of `mean`, the average training row: ` base:B 1:C 2:C …` after the decision value.
    ///
    /// # Errors
    /// [`PredictError::TooManyFeatures`].
    ///
    /// # Panics
    /// When `mean` has not as many values as the model has features.
    pub fn explaining(model: &'a Model, mean: &'a [f64]) -> Result<Self, PredictError> {
        let predictor = Self { mean: Some(mean), ..Self::new(model) };
        // Whether a row can be explained depends on the model alone.
        predictor.explanation(mean, mean)?;
        Ok(predictor)
    }

    /// Writes a line for each row as it is read.
    ///
    /// # Errors
    /// A row is bad or cannot be read, after the lines of the rows before it; `output` fails.
    pub fn predict(
        &self,
        mut rows: RowReader<impl BufRead>,
        output: &mut (impl Write + ?Sized),
    ) -> Result<(), PredictError> {
        let mut cells = vec![0.0; self.scorer.features()];
        let mut line = Vec::new();
        while let Some(row) = rows.next_row()? {
            let score = self.scorer.score_row(&row, &mut cells)?;
            line.clear();
            write!(line, "{} {}", self.labels.predicted(score), G17(score))?;
            if let Some(mean) = self.mean {
                row.fill(&mut cells)?;
                let explanation = self.explanation(mean, &cells)?;
                cells.fill(0.0);
                write_explanation(&explanation, &mut line)?;
            }
            line.push(b'\n');
            output.write_all(&line)?;
        }
        Ok(())
    }

    /// Writes the lines of a plain file, which is read in blocks on `threads` threads: the same bytes, and at a bad row
    /// the same error, as [`Predictor::predict`]. `progress` is called with the bytes read since its last call.
    ///
    /// # Errors
    /// As [`Predictor::predict`].
    pub fn predict_file(
        &self,
        file: File,
        threads: usize,
        output: &mut (dyn Write + Send),
        progress: impl FnMut(u64) + Send,
    ) -> Result<(), PredictError> {
        self.predict_blocks(Blocks::new(file.into(), BLOCK_BYTES), threads, output, progress)
    }

    fn predict_blocks(
        &self,
        blocks: Blocks<'_>,
        threads: usize,
        output: &mut (dyn Write + Send),
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<(), PredictError> {
        let mut blocks = blocks.with_longest_line(2 * MAX_LINE_BYTES);
        let (mut lines_before, mut outcome) = (0, Ok(()));
        in_order(
            threads,
            Block::default,
            |block| blocks.next(block).transpose(),
            |block, place| {
                let (mut text, mut lines) = (Vec::new(), 0);
                let predicted =
                    place.map_err(|reason| RowError::Io { line: 1, reason }.into()).and_then(|place| {
                        lines = memchr::memchr_iter(b'\n', block.bytes()).count() as u64;
                        self.predict(RowReader::part(block.bytes(), place.offset == 0), &mut text)
                    });
                (text, block.bytes().len() as u64, lines, predicted)
            },
            |(text, bytes, lines, predicted)| {
                progress(bytes);
                let written = output.write_all(&text).map_err(PredictError::from);
                outcome =
                    written.and_then(|()| predicted.map_err(|error: PredictError| error.after(lines_before)));
                lines_before += lines;
                if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        );
        outcome
    }

    fn explanation(&self, mean: &[f64], row: &[f64]) -> Result<Explanation, PredictError> {
        explain(&self.scorer, mean, row).ok_or(PredictError::TooManyFeatures(row.len()))
    }
}

impl PredictError {
    /// The error of part of a file that `lines` lines precede.
    fn after(self, lines: u64) -> Self {
        match self {
            Self::Row(error) => Self::Row(error.after(lines)),
            other => other,
        }
    }
}

fn write_explanation(explanation: &Explanation, output: &mut Vec<u8>) -> io::Result<()> {
    write!(output, " base:{}", G17(explanation.base))?;
    for (i, contribution) in explanation.contributions.iter().enumerate() {
        // Zero has no sign here: a contribution of -0 would read like one below zero.
        write!(output, " {}:{}", i + 1, G17(*contribution + 0.0))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::blocks::Input;
    use upbeat_svm::{Features, Kernel, Machine, Matrix, Metadata, Parts};

    fn model(machine: Machine) -> Model {
        Model::new(Parts {
            name: None,
            features: Features::of_count(machine.features()),
            window: Metadata::default(),
            labels: Labels { positive: "1".to_owned(), negative: "-1".to_owned() },
            scaling: None,
            machine,
            calibration: None,
            training: None,
        })
        .expect("a sound model")
    }

    fn linear() -> Model {
        model(Machine::Linear { weights: vec![1.0, -2.0], bias: 0.5 })
    }

    fn rows() -> String {
        (0..200).map(|i| format!("{} 1:{} 2:0.{i} # row {i}\n", i % 2, f64::from(i) / 7.0)).collect()
    }

    /// Predicts `text` in blocks of about `size` bytes.
    fn in_blocks(model: &Model, text: &str, size: usize, threads: usize) -> (String, Option<String>) {
        let mut output = Vec::new();
        let blocks = Blocks::new(Input::Seekable(Box::new(Cursor::new(text.as_bytes()))), size);
        let error = Predictor::new(model).predict_blocks(blocks, threads, &mut output, |_| ()).err();
        (String::from_utf8(output).expect("text"), error.map(|error| error.to_string()))
    }

    #[test]
    fn line_has_label_and_decision_value() {
        let mut output = Vec::new();
        let rows = RowReader::new(&b"7 1:1.5 2:0.25\n7 2:1\n"[..]);
        Predictor::new(&linear()).predict(rows, &mut output).expect("good rows");
        assert_eq!(String::from_utf8_lossy(&output), "1 1.5\n-1 -1.5\n");
    }

    #[test]
    fn blocks_and_threads_do_not_change_lines_and_errors() {
        let model = linear();
        let good = rows();
        let bad = format!("{good}1 1:x\n{good}");
        for text in [good.as_str(), &bad, ""] {
            let expected = in_blocks(&model, text, 1 << 20, 1);
            for size in [1, 100, 1000] {
                for threads in [1, 3] {
                    assert_eq!(in_blocks(&model, text, size, threads), expected, "{size} {threads}");
                }
            }
        }
        let (lines, error) = in_blocks(&model, &bad, 100, 2);
        assert_eq!(lines.lines().count(), 200);
        assert!(error.as_deref().is_some_and(|error| error.starts_with("line 201: ")), "{error:?}");
    }

    #[test]
    fn contributions_and_base_sum_to_the_decision_value() {
        let (model, mean) = (linear(), [0.5, 0.5]);
        let mut output = Vec::new();
        let rows = RowReader::new(&b"1 1:1.5 2:0.25\n"[..]);
        let predictor = Predictor::explaining(&model, &mean).expect("a linear model");
        predictor.predict(rows, &mut output).expect("a good row");
        assert_eq!(String::from_utf8_lossy(&output), "1 1.5 base:0 1:1 2:0.5\n");
    }

    #[test]
    fn kernel_with_many_features_is_not_explained() {
        let mut vectors = Matrix::new(13);
        vectors.push(&[1.0; 13]);
        let machine = Machine::Kernel {
            kernel: Kernel::Rbf { gamma: 0.1 },
            vectors,
            coefficients: vec![1.0],
            bias: -0.5,
        };
        let model = model(machine);
        let refused = Predictor::explaining(&model, &[0.0; 13]);
        assert!(matches!(refused.err(), Some(PredictError::TooManyFeatures(13))));
    }
}
