//! What a calibration is fitted to.

/// Parts that rows are divided into, to see whether a fit holds on rows that it was not made of.
const PARTS: usize = 5;

/// Scores of rows, their truth and what each counts.
#[derive(Clone, Copy)]
pub(crate) struct Pairs<'a> {
    pub(crate) scores: &'a [f64],
    pub(crate) positive: &'a [bool],
    pub(crate) weights: Option<&'a [f64]>,
    /// How many rows each of these stands for in what holds a calibration back from certainty: 1, and more where they
    /// are a part of the rows, so that the calibration of a part is held back as that of all rows is.
    pub(crate) stands_for: f64,
}

/// [`Pairs`] of their own.
pub(crate) struct SomePairs {
    scores: Vec<f64>,
    positive: Vec<bool>,
    weights: Option<Vec<f64>>,
    stands_for: f64,
}

impl SomePairs {
    pub(crate) fn pairs(&self) -> Pairs<'_> {
        let Self { scores, positive, weights, stands_for } = self;
        Pairs { scores, positive, weights: weights.as_deref(), stands_for: *stands_for }
    }
}

impl<'a> Pairs<'a> {
    /// All rows that there are, each of which stands for itself.
    pub(crate) fn all(scores: &'a [f64], positive: &'a [bool], weights: Option<&'a [f64]>) -> Self {
        Self { scores, positive, weights, stands_for: 1.0 }
    }

    /// Those of the rows that are `among` the wanted ones; they stand for all.
    pub(crate) fn among(&self, among: impl Fn(usize) -> bool) -> SomePairs {
        let rows: Vec<usize> = (0..self.scores.len()).filter(|&row| among(row)).collect();
        SomePairs {
            scores: rows.iter().map(|&row| self.scores[row]).collect(),
            positive: rows.iter().map(|&row| self.positive[row]).collect(),
            weights: self.weights.map(|weights| rows.iter().map(|&row| weights[row]).collect()),
            stands_for: self.stands_for * self.scores.len() as f64 / rows.len().max(1) as f64,
        }
    }

    /// The part of each row, and how many there are: each class is dealt out in turn. A part has a row of each class;
    /// 0 or 1 part where a class has too few rows to be divided.
    pub(super) fn parts(&self) -> (Vec<usize>, usize) {
        let positives = self.positive.iter().filter(|&&positive| positive).count();
        let parts = PARTS.min(positives).min(self.positive.len() - positives);
        let mut dealt = [0; 2];
        let part_of = self.positive.iter().map(|&positive| {
            let dealt = &mut dealt[usize::from(positive)];
            *dealt += 1;
            (*dealt - 1) % parts.max(1)
        });
        (part_of.collect(), parts)
    }

    /// Negative log likelihood of all rows together, in rows' weights that are 1 in the mean; `probability` is given a
    /// row and its score.
    pub(super) fn loss(&self, probability: impl Fn(usize, f64) -> f64) -> f64 {
        const EDGE: f64 = 1e-15;
        let rows = self.scores.len() as f64;
        let unit = self.weights.map_or(1.0, |weights| rows / weights.iter().sum::<f64>());
        let loss = |(row, (&score, &positive)): (usize, (&f64, &bool))| {
            let p = probability(row, score);
            let weight = self.weights.map_or(1.0, |weights| weights[row] * unit);
            -weight * (if positive { p } else { 1.0 - p }).max(EDGE).ln()
        };
        self.scores.iter().zip(self.positive).enumerate().map(loss).sum()
    }
}
