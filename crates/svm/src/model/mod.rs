//! A model: everything that scoring needs, checked once and then trusted.

pub(crate) mod check;
mod constant;
mod json;
pub(crate) mod machine;
pub(crate) mod metadata;
pub(crate) mod training;

use serde::{Deserialize, Serialize};

use crate::calibrate::{Calibration, Method};
use crate::data::labels::Labels;
use crate::data::problem::Problem;
use crate::data::scaling::Scaling;
use crate::model::check::check;
use crate::model::machine::Machine;
use crate::model::metadata::Metadata;
use crate::model::training::Training;
use crate::score::Scorer;
use crate::solve::NoProgress;
use crate::train::parameters::{Parameters, TrainError};
use crate::train::{Choice, Plan, train};

/// What a model's input is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Name and version of the code that makes the features; none when it is not known.
    pub definition: Option<String>,
    /// A name per feature, in order; none when they are not known.
    pub names: Option<Vec<String>>,
    /// How many there are, `1..=1_000_000`.
    pub count: usize,
}

impl Features {
    /// So many features, of which nothing else is known.
    pub fn of_count(count: usize) -> Self {
        Self { definition: None, names: None, count }
    }
}

/// The parts of a model before they are checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// A name for people, 1–64 of `A-Z a-z 0-9 . _ : -`.
    pub name: Option<String>,
    /// What the input is.
    pub features: Features,
    /// How the rows were made; the caller's own, at most 4 KiB. The file's field `window`.
    pub window: Metadata,
    /// The labels.
    pub labels: Labels,
    /// Applied to rows before the machine; none when rows are taken as they are.
    pub scaling: Option<Scaling>,
    /// The decision function.
    pub machine: Machine,
    /// From score to probability.
    pub calibration: Option<Calibration>,
    /// How the model came to be.
    pub training: Option<Training>,
}

/// A checked model with its identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    parts: Parts,
    id: String,
}

/// Why bytes or parts are not a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// More bytes than a model may have.
    #[error(
        "a model file has at most {limit} bytes, this one has {bytes}; a linear kernel, fewer columns or fewer support \
         vectors make a smaller one"
    )]
    TooLarge {
        /// Bytes of the file.
        bytes: usize,
        /// Most it may have.
        limit: usize,
    },
    /// Not JSON, or JSON of another shape; the reason names the field or the place.
    #[error("not an Upbeat model file: {0}")]
    Syntax(String),
    /// A field's value is out of range or does not fit the others.
    #[error("field {field}: {problem}")]
    Field {
        /// Path of the field in the file.
        field: String,
        /// What is wrong and what is wanted.
        problem: String,
    },
}

impl ModelError {
    /// An error about one field of the file, whose path is as in `scaling.scale[2]`; the message is
    /// `field {field}: {problem}`.
    pub fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }
}

impl Model {
    /// Trains on all rows of a problem, calibrates by Platt's method, and measures by a cross-validation: the short
    /// way from [`Problem`] to [`Model`]. [`train()`](crate::train()) has the long one, with a search for parameters,
    /// holdouts, other calibrations, progress, and machines that did not converge or score all rows alike.
    ///
    /// The same problem and parameters give the same bytes, whatever the number of threads; kernel machines may differ
    /// in the last digits between processors with different vector instructions.
    ///
    /// ```
    /// use upbeat_svm::{Kernel, Model, Parameters, Problem};
    ///
    /// let rows = "1 1:0.9 2:0.1\n1 1:0.8\n0 2:0.8\n0 1:0.1 2:0.9\n";
    /// let problem = Problem::read(rows.as_bytes())?;
    /// let parameters = Parameters { kernel: Kernel::Rbf { gamma: 0.5 }, ..Parameters::default() };
    /// let model = Model::train(&problem, &parameters)?;
    /// assert_eq!(model.predict(&[0.7, 0.2]), "1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A parameter out of range; rows of one class only; values too great for the solver's arithmetic; a solver that
    /// did not converge; a machine that scores all rows alike.
    pub fn train(problem: &Problem, parameters: &Parameters) -> Result<Self, TrainError> {
        let choice = Choice::Parameters(*parameters);
        let trained = train(problem, &choice, Plan::All, Some(Method::Platt), &NoProgress)?;
        if !trained.fitted.solve.converged && !parameters.allow_unconverged {
            return Err(TrainError::Unconverged { iterations: trained.fitted.solve.iterations.unwrap_or(0) });
        }
        if trained.constant {
            return Err(TrainError::Constant { loss: parameters.loss });
        }
        Ok(Self::new(trained.into_parts(problem))?)
    }

    /// Checks the parts; the id is that of the file [`Model::to_bytes`] writes.
    ///
    /// # Errors
    /// The first field that is out of range; a file of more than 64 MiB, which [`Model::read`] would refuse.
    pub fn new(parts: Parts) -> Result<Self, ModelError> {
        check(&parts)?;
        let bytes = json::to_bytes(&parts);
        json::check_size(&bytes)?;
        Ok(Self { id: json::id(&bytes), parts })
    }

    /// Reads a model file (JSON; the README has its fields).
    ///
    /// # Errors
    /// Anything that is not exactly such a file: other JSON, unknown fields, another version, numbers that
    /// are not finite, lengths that do not agree, values out of range.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let parts = json::from_bytes(bytes)?;
        check(&parts)?;
        Ok(Self { parts, id: json::id(bytes) })
    }

    /// The model as a file; reading it gives the same parts, bit by bit.
    pub fn to_bytes(&self) -> Vec<u8> {
        json::to_bytes(&self.parts)
    }

    /// The first 12 hex digits of the SHA-256 of the model file.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name for people, when it has one.
    pub fn name(&self) -> Option<&str> {
        self.parts.name.as_deref()
    }

    /// How the rows were made, in the caller's own terms.
    pub fn window(&self) -> &Metadata {
        &self.parts.window
    }

    /// The model compiled for speed.
    pub fn scorer(&self) -> Scorer {
        Scorer::new(self)
    }

    /// The label of one unscaled row, as the training file had it.
    ///
    /// For more than a few rows, [`Model::scorer`] is many times faster and finds the same labels.
    ///
    /// # Panics
    /// When `x.len()` is not the model's number of features.
    pub fn predict(&self, x: &[f64]) -> &str {
        assert_eq!(x.len(), self.parts.features.count, "a row has as many values as the model has features");
        let mut row = x.to_vec();
        if let Some(scaling) = &self.parts.scaling {
            scaling.apply(&mut row);
        }
        self.parts.labels.predicted(self.parts.machine.score(&row))
    }

    /// The same model with other words for its input; its id is another one.
    ///
    /// # Errors
    /// Another number of features, or names and definitions that no model may have.
    pub fn with_features(self, features: Features) -> Result<Self, ModelError> {
        let count = self.parts.features.count;
        if features.count != count {
            let problem = format!("must stay {count}, as the machine has it, not {}", features.count);
            return Err(ModelError::field("features.count", problem));
        }
        Self::new(Parts { features, ..self.parts })
    }

    /// The checked parts.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::matrix::Matrix;
    use crate::kernel::Kernel;
    use crate::solve::linear::Loss;
    use crate::testing::blobs;
    use crate::train::parameters::Solver;

    #[test]
    fn trained_model_predicts_as_its_scorer_and_its_file_do() {
        let problem = blobs(60, 0.08, 3);
        for kernel in [Kernel::Linear, Kernel::Rbf { gamma: 0.3 }] {
            let parameters = Parameters { kernel, ..Parameters::default() };
            let model = Model::train(&problem, &parameters).unwrap();
            assert_eq!(model.window(), &Metadata::default());
            let training = model.parts().training.as_ref().unwrap();
            assert_eq!((training.rows, training.positives), (60, 18));
            assert!(training.measured.is_some() && model.parts().calibration.is_some());
            let back = Model::read(&model.to_bytes()).unwrap();
            assert_eq!(back, model);
            let scorer = back.scorer();
            for row in problem.x.rows() {
                assert_eq!(model.predict(row), model.parts().labels.predicted(scorer.score(row)));
            }
        }
    }

    #[test]
    fn model_that_no_file_can_hold_is_refused_when_it_is_made() {
        let vectors = Matrix::from_rows(vec![vec![1.0 / 3.0; 1_000_000]; 4]);
        let kernel = Kernel::Rbf { gamma: 1.0 };
        let parts = Parts {
            name: None,
            features: Features::of_count(1_000_000),
            window: Metadata::default(),
            labels: Labels::default(),
            scaling: None,
            machine: Machine::Kernel { kernel, vectors, coefficients: vec![1.0; 4], bias: 0.0 },
            calibration: None,
            training: None,
        };
        let reported = Model::new(parts).unwrap_err().to_string();
        assert!(
            reported.starts_with("a model file has at most 67108864 bytes, this one has 7"),
            "{reported}"
        );
    }

    #[test]
    fn training_that_cannot_give_a_model_is_refused_with_the_reason() {
        let problem = blobs(60, 0.2, 3);
        let reported =
            |problem: &Problem, parameters| Model::train(problem, &parameters).unwrap_err().to_string();
        let rbf = Parameters { kernel: Kernel::Rbf { gamma: 1.0 }, ..Parameters::default() };
        let early = reported(&problem, Parameters { max_iterations: Some(1), ..rbf });
        assert!(early.starts_with("the solver stopped after 1 iterations without converging"), "{early}");
        assert_eq!(reported(&problem, Parameters { c: -1.0, ..rbf }), "C must be a finite number above 0");
        let positives: Vec<usize> = (0..60).filter(|&row| problem.positive[row]).collect();
        let one_class = reported(&problem.select(&positives), rbf);
        assert!(
            one_class.starts_with("training needs at least 1 rows of each label, and label 0 has 0"),
            "{one_class}"
        );
    }

    #[test]
    #[cfg(not(feature = "smartcore"))]
    fn smartcore_is_refused_by_the_name_of_its_feature() {
        let parameters = Parameters { solver: Solver::Smartcore, loss: Loss::Hinge, ..Parameters::default() };
        let reported = Model::train(&blobs(20, 0.1, 3), &parameters).unwrap_err().to_string();
        assert_eq!(
            reported,
            "the smartcore 0.7 solver is not part of this build; build upbeat-svm with its feature `smartcore`"
        );
    }

    #[test]
    #[cfg(feature = "smartcore")]
    fn smartcore_trains_where_its_feature_is_on() {
        // On some folds it ends one or two percent above the optimum.
        let parameters = Parameters {
            solver: Solver::Smartcore,
            loss: Loss::Hinge,
            allow_unconverged: true,
            ..Parameters::default()
        };
        let model = Model::train(&blobs(40, 0.1, 3), &parameters).unwrap();
        assert_eq!(model.parts().training.as_ref().unwrap().solver, "smartcore 0.7");
    }
}
