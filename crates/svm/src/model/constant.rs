//! Models that score all rows alike.

use crate::evaluate::ties::constant;
use crate::model::Model;
use crate::model::machine::Machine;

impl Model {
    /// Whether the model scores all rows alike ([`SCORE_TIE`](crate::SCORE_TIE)), so that it tells no row from another.
    ///
    /// One whose weights or coefficients are all 0 does. A file of version 3 records whether it did so on its training rows. Of others the machine itself is judged: a
    /// kernel machine by the scores of its support vectors and of the origin; weights of standardised features by the
    /// scores of rows one standard deviation off; other weights only where all are 0, since features may have any unit.
    ///
    /// ```
    /// use upbeat_svm::{Model, Parameters, Problem};
    ///
    /// let problem = Problem::read("1 1:0.9\n0 1:0.1\n".as_bytes())?;
    /// assert!(!Model::train(&problem, &Parameters::default())?.is_constant());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_constant(&self) -> bool {
        let parts = self.parts();
        let machine = &parts.machine;
        let factors = match machine {
            Machine::Linear { weights, .. } => weights,
            Machine::Kernel { coefficients, .. } => coefficients,
        };
        // Whatever is recorded of it, such a machine has its bias for a score.
        if factors.iter().all(|&factor| factor == 0.0) {
            return true;
        }
        if let Some(recorded) = parts.training.as_ref().and_then(|training| training.constant) {
            return recorded;
        }
        match machine {
            Machine::Kernel { vectors, .. } => {
                let origin = vec![0.0; vectors.columns()];
                let rows = std::iter::once(origin.as_slice()).chain(vectors.rows());
                // What a server asks at every reload must not take the square of the vectors.
                constant(rows.take(256).map(|row| machine.score(row)))
            }
            Machine::Linear { weights, bias } => {
                let reach: f64 = weights.iter().map(|weight| weight.abs()).sum();
                parts.scaling.is_some() && constant([bias - reach, bias + reach])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;
    use crate::solve::linear::Loss;
    use crate::testing::{blobs, few_clicks};
    use crate::train::parameters::{Parameters, TrainError};
    use crate::{Choice, Method, NoProgress, Parts, Plan, train};

    /// The model without its record, as a tool that keeps none would have written it.
    fn unrecorded(model: &Model) -> Model {
        Model::new(Parts { training: None, ..model.parts().clone() }).unwrap()
    }

    #[test]
    fn model_that_scores_all_rows_alike_is_refused_and_recorded() {
        let problem = few_clicks(300, 1);
        let hinge = Parameters { loss: Loss::Hinge, ..Parameters::default() };
        let refused = Model::train(&problem, &hinge).unwrap_err();
        assert!(matches!(refused, TrainError::Constant { loss: Loss::Hinge }), "{refused}");
        for part in ["scores all rows alike", "2p − 1", "--loss squared-hinge", "--class-weight"] {
            assert!(refused.to_string().contains(part), "{refused}");
        }
        let choice = Choice::Parameters(hinge);
        let trained = train(&problem, &choice, Plan::All, Some(Method::Platt), &NoProgress).unwrap();
        assert!(trained.constant);
        assert_eq!(trained.measured.as_ref().unwrap().metrics.recall, Some(0.0));
        let model = Model::new(trained.into_parts(&problem)).unwrap();
        assert!(model.is_constant() && unrecorded(&model).is_constant());
        assert!(Model::read(&model.to_bytes()).unwrap().is_constant());

        let squared = Parameters { loss: Loss::SquaredHinge, ..hinge };
        let model = Model::train(&problem, &squared).unwrap();
        assert!(!model.is_constant() && !unrecorded(&model).is_constant());
        let auc = model.parts().training.as_ref().unwrap().measured.as_ref().unwrap().metrics.auc;
        assert!(auc > Some(0.6), "{auc:?}");
    }

    #[test]
    fn machines_without_a_record_are_judged_by_themselves() {
        let problem = blobs(40, 0.1, 3);
        for (kernel, standardise) in
            [(Kernel::Linear, true), (Kernel::Linear, false), (Kernel::Rbf { gamma: 0.2 }, true)]
        {
            let parameters = Parameters { kernel, standardise, loss: Loss::Hinge, ..Parameters::default() };
            let model = unrecorded(&Model::train(&problem, &parameters).unwrap());
            assert!(!model.is_constant(), "{kernel} {standardise}");
            let mut parts = model.parts().clone();
            match &mut parts.machine {
                Machine::Linear { weights, .. } if standardise => weights.iter_mut().for_each(|w| *w *= 1e-9),
                Machine::Linear { weights, .. } => weights.iter_mut().for_each(|w| *w *= 0.0),
                Machine::Kernel { coefficients, .. } => coefficients.iter_mut().for_each(|c| *c *= 1e-9),
            }
            assert!(Model::new(parts).unwrap().is_constant(), "{kernel} {standardise}");
        }
    }
}
