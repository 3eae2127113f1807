//! Which machine of which look-back becomes the candidate.

use upbeat_svm::{Calibration, Kernel, Measured, Method, Metrics, TrainError, constant};

use super::examples::{Example, clicks};
use super::fit::{Fitted, out_of_fold};
use super::split::{LookBack, Split};
use super::{NoCandidate, Warm};

/// The machine that was chosen.
pub(super) struct Chosen {
    pub look_back: LookBack,
    pub machine: Fitted,
    /// Fitted to all that calibrates and all that chose.
    pub calibration: Calibration,
    /// On the examples that chose, with a calibration that had not seen them.
    pub measured: Option<Measured>,
    tried: usize,
    log_loss: f64,
    all_alike: f64,
}

/// A machine of a look-back, with the loss of each example that chooses.
struct Compared {
    look_back: LookBack,
    machine: Fitted,
    method: Method,
    calibration: Calibration,
    scores: Vec<f64>,
    losses: Vec<f64>,
    log_loss: f64,
}

/// What calibrations are of.
struct Part<'a> {
    examples: &'a [Example],
    positive: Vec<bool>,
    weights: Vec<f64>,
}

impl<'a> Part<'a> {
    fn of(examples: &'a [Example]) -> Self {
        Self {
            examples,
            positive: examples.iter().map(|example| example.clicked).collect(),
            weights: examples.iter().map(|example| example.weight).collect(),
        }
    }

    fn scores(&self, machine: &Fitted) -> Vec<f64> {
        machine.scores(self.examples)
    }

    fn calibration(&self, method: Method, scores: &[f64]) -> Option<Calibration> {
        let found = Calibration::fit(method, scores, &self.positive, Some(&self.weights));
        found.filter(|of| of.constant().is_none())
    }

    /// Why these say that a habit has changed since the examples that a model was made of, if they do: by the clicks that are expected
    /// and those that came, more than three standard deviations apart.
    fn contradicts(&self, machine: &Fitted, calibration: &Calibration) -> Option<NoCandidate> {
        let expected = self.scores(machine).into_iter().map(|score| calibration.probability(score));
        let (expected, variance) =
            expected.fold((0.0, 0.0), |(sum, variance), of| (sum + of, variance + of * (1.0 - of)));
        let clicks = clicks(self.examples);
        let is_contradicted = (expected - clicks as f64).abs() > CONTRADICTED * variance.sqrt();
        let examples = self.examples.len();
        is_contradicted.then_some(NoCandidate::Contradicted { examples, expected, clicks })
    }

    fn losses(&self, probability: impl Fn(usize) -> f64) -> Vec<f64> {
        let loss = |(place, positive): (usize, &bool)| {
            let of = probability(place).clamp(1e-15, 1.0 - 1e-15);
            -if *positive { of.ln() } else { (-of).ln_1p() }
        };
        self.positive.iter().enumerate().map(loss).collect()
    }

    fn mean(&self, of: &[f64]) -> f64 {
        let all: f64 = self.weights.iter().sum();
        of.iter().zip(&self.weights).map(|(of, weight)| of * weight).sum::<f64>() / all
    }

    /// By how much one is worse than another in the mean, and the standard error of that.
    fn difference(&self, one: &[f64], other: &[f64]) -> (f64, f64) {
        let each: Vec<f64> = one.iter().zip(other).map(|(one, other)| one - other).collect();
        let (mean, all) = (self.mean(&each), self.weights.iter().sum::<f64>());
        let squares = each.iter().zip(&self.weights).map(|(of, weight)| (weight * (of - mean)).powi(2));
        (mean, squares.sum::<f64>().sqrt() / all)
    }
}

/// See [`Part::contradicts`]: of a thousand good models three are refused by chance, and come again with the next training.
const CONTRADICTED: f64 = 3.0;

/// Of look-backs that differ by less than this many standard errors the longest is taken.
const NEAR: f64 = 0.25;

/// Compares machines by the weighted log loss on the examples that choose, which neither machine nor calibration has seen. Of each
/// look-back the best is taken, of the look-backs the longest whose best is within [`NEAR`] standard errors of the best of all: a shorter one
/// must show that something has changed.
pub(super) fn choose(
    examples: &[Example],
    split: &Split,
    machines: Vec<(LookBack, Result<Fitted, TrainError>)>,
) -> Result<Chosen, NoCandidate> {
    let tried = machines.len();
    let chooses = Part::of(&examples[split.choose.clone()]);
    let (mut bests, mut reason): (Vec<Compared>, Option<String>) = (Vec::new(), None);
    for (look_back, machine) in machines {
        let calibrates = Part::of(&examples[look_back.calibrate.clone()]);
        let compared = machine
            .map_err(|error| error.to_string())
            .and_then(|machine| compare(look_back, machine, &calibrates, &chooses));
        match compared {
            Err(why) => reason = reason.or(Some(why)),
            Ok(compared) => match bests.last_mut().filter(|best| best.look_back == compared.look_back) {
                Some(best) if best.log_loss <= compared.log_loss => {}
                Some(best) => *best = compared,
                None => bests.push(compared),
            },
        }
    }
    let best = bests.iter().min_by(|one, other| one.log_loss.total_cmp(&other.log_loss));
    let Some(best) = best.map(|best| best.losses.clone()) else {
        return Err(NoCandidate::NoneFit { tried, reason: reason.unwrap_or_default() });
    };
    let is_near = |of: &Compared| {
        let (worse, error) = chooses.difference(&of.losses, &best);
        worse <= NEAR * error
    };
    let place = bests.iter().position(is_near).unwrap_or(0);
    let Compared { look_back, machine, method, calibration, scores, log_loss, .. } = bests.swap_remove(place);
    // What is known without any machine: the click rate of all that it might have been calibrated on.
    let calibrates = Part::of(&examples[look_back.calibrate.clone()]);
    let clicked: Vec<f64> = calibrates.positive.iter().map(|of| f64::from(u8::from(*of))).collect();
    let rate = calibrates.mean(&clicked);
    let all_alike = chooses.mean(&chooses.losses(|_| rate));
    if log_loss >= all_alike {
        let examples = chooses.examples.len();
        return Err(NoCandidate::TellsNothing { tried, examples, found: log_loss, all_alike });
    }
    let metrics = Metrics::measure(&scores, &chooses.positive, Some(&chooses.weights), Some(&calibration));
    let measured = metrics.map(|metrics| Measured {
        method: "holdout".to_owned(),
        folds: None,
        unconverged_folds: None,
        metrics,
    });
    let calibration = last_calibration(examples, split, &look_back, &machine, method).unwrap_or(calibration);
    let newest = Part::of(&examples[split.held_out.clone()]);
    if let Some(why) = newest.contradicts(&machine, &calibration) {
        return Err(why);
    }
    Ok(Chosen { look_back, machine, calibration, measured, tried, log_loss, all_alike })
}

/// A calibration of all examples of the look-back that do not judge it: of those that calibrate or chose by the machine, of those that it
/// was fitted to by machines that have not seen them.
fn last_calibration(
    examples: &[Example],
    split: &Split,
    look_back: &LookBack,
    machine: &Fitted,
    method: Method,
) -> Option<Calibration> {
    let unseen = Part::of(&examples[look_back.calibrate.start..split.choose.end]);
    let Some(mut scores) = out_of_fold(&examples[look_back.fit.clone()], machine.parameters) else {
        return unseen.calibration(method, &unseen.scores(machine));
    };
    scores.extend(unseen.scores(machine));
    Part::of(&examples[look_back.fit.start..split.choose.end]).calibration(method, &scores)
}

fn compare(
    look_back: LookBack,
    machine: Fitted,
    calibrates: &Part,
    chooses: &Part,
) -> Result<Compared, String> {
    let scores = chooses.scores(&machine);
    if constant(scores.iter().copied()) {
        return Err("the machine scores all listeners alike".to_owned());
    }
    let calibrating = calibrates.scores(&machine);
    let calibrated = METHODS.iter().filter_map(|&method| {
        let calibration = calibrates.calibration(method, &calibrating)?;
        let losses = chooses.losses(|place| calibration.probability(scores[place]));
        Some((chooses.mean(&losses), method, calibration, losses))
    });
    let best = calibrated.min_by(|one, other| one.0.total_cmp(&other.0));
    let Some((log_loss, method, calibration, losses)) = best else {
        return Err("its scores are no higher for those who click".to_owned());
    };
    Ok(Compared { look_back, machine, method, calibration, scores, losses, log_loss })
}

/// How scores may become probabilities, the simplest first. A sigmoid rises to one, and where even those whom an ad suits best click
/// it at one show of two, it is wrong of them and of all others.
const METHODS: [Method; 2] = [Method::Platt, Method::Isotonic];

impl Chosen {
    /// What was tried, and why this one.
    pub fn sentence(
        &self,
        examples: &[Example],
        split: &Split,
        look_backs: &[LookBack],
        last: Option<Warm>,
    ) -> String {
        let Self { look_back, machine, tried, log_loss, all_alike, .. } = self;
        let what = match machine.parameters.kernel {
            Kernel::Rbf { gamma } => {
                format!("an RBF machine of {} vectors with gamma {gamma}", machine.support_vectors())
            }
            _ => "a line".to_owned(),
        };
        let calibrated = match self.calibration {
            Calibration::Platt(_) => "by Platt's sigmoid",
            Calibration::Isotonic(_) => "by isotonic regression",
        };
        let from = if last.is_some() { "round what the last training chose" } else { "on the whole grid" };
        let used = look_back.fit.start..split.choose.end;
        format!(
            "Of {tried} machines with {} look-backs, searched {from}, {what}, C {}, calibrated {calibrated}, and the newest {} of {} ads was chosen: its log loss on {} later \
             ads is {log_loss:.4}, that of one probability for all {all_alike:.4}. {} of the {} ads were clicked; the newest {} are held out for \
             the gate.",
            look_backs.len(),
            machine.parameters.c,
            used.len(),
            split.choose.end,
            split.choose.len(),
            clicks(&examples[used.clone()]),
            used.len(),
            split.held_out.len(),
        )
    }
}
