//! Whether as many click as the candidate says.

use super::row::Row;
use super::verdict::{Check, Finding, Outcome, Verdict};

/// Between these must lie the whole interval of clicks expected to clicks that came.
const LOW: f64 = 1.0 - MOST_APART;
const HIGH: f64 = 1.0 + MOST_APART;
const MOST_APART: f64 = 0.1;

/// Of a normal variable, this many deviations on either side hold 95 %.
const DEVIATIONS: f64 = 1.96;

/// A challenger is given up where calibration is off by this many deviations. It is asked after every row, and a calibrated one that
/// is given up by chance promotes nobody.
const REFUTED: f64 = 3.0;

/// Sums over ads that were shown. Whether an ad is shown is, given its features, a matter of coins, so that shown rows need
/// no weights: the candidate's probability is right on them or it is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Calibration {
    shown: u64,
    clicks: u64,
    expected: f64,
    /// Sums of p², and of p over the rows that were clicked.
    squares: f64,
    expected_clicked: f64,
}

impl Calibration {
    pub fn observe(&mut self, probability: f64, clicked: bool) {
        self.shown += 1;
        self.clicks += u64::from(clicked);
        self.expected += probability;
        self.squares += probability * probability;
        self.expected_clicked += if clicked { probability } else { 0.0 };
    }

    /// Adds what was summed up of other ads.
    pub fn merge(&mut self, other: &Self) {
        self.shown += other.shown;
        self.clicks += other.clicks;
        self.expected += other.expected;
        self.squares += other.squares;
        self.expected_clicked += other.expected_clicked;
    }

    /// Ads that were shown.
    pub fn shown(&self) -> u64 {
        self.shown
    }

    /// Those that were clicked.
    pub fn clicks(&self) -> u64 {
        self.clicks
    }

    /// Σp.
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// Σp / Σclicks with its 95 % interval; `None` without clicks or where none is expected. The logarithm of a ratio of sums
    /// has the variance Σ(click − p/ratio)² / clicks², by linearisation (Cochran, Sampling Techniques, 1977, section 6.4).
    pub fn ratio(&self) -> Option<[f64; 3]> {
        let clicks = self.clicks as f64;
        let ratio = self.expected / clicks;
        if self.clicks == 0 || ratio <= 0.0 {
            return None;
        }
        let residuals = clicks - 2.0 * self.expected_clicked / ratio + self.squares / (ratio * ratio);
        let deviations = DEVIATIONS * residuals.max(0.0).sqrt() / clicks;
        Some([ratio, ratio * (-deviations).exp(), ratio * deviations.exp()])
    }

    /// Whether clicks are so far from what is expected that no more rows will bring them within the limits: by [`REFUTED`] deviations
    /// of the clicks that there would be at the nearer limit, whose variance is at most their number.
    pub(super) fn is_refuted(&self) -> bool {
        let (clicks, [most, least]) = (self.clicks as f64, [self.expected / LOW, self.expected / HIGH]);
        // Few clicks are not normal: nine is the least that three deviations are told of.
        let deviation = |of: f64| of.max(REFUTED * REFUTED).sqrt();
        least - clicks > REFUTED * deviation(least) || clicks - most > REFUTED * deviation(most)
    }

    /// That it is refuted, in words.
    pub(super) fn refutation(&self) -> String {
        let Self { shown, clicks, expected, .. } = self;
        format!(
            "of {shown} ads shown, {expected:.1} clicks were expected and {clicks} came, which is not within {LOW} to {HIGH}"
        )
    }

    pub(super) fn finding(&self) -> Finding {
        let limit = MOST_APART;
        let Some([_, low, high]) = self.ratio() else { return Finding::not_computed(limit) };
        let outcome = Outcome::passed_if(low >= LOW && high <= HIGH);
        Finding { outcome, value: Some(f64::max(1.0 - low, high - 1.0)), limit }
    }

    pub(super) fn verdict(&self, check: Check) -> Verdict {
        let finding = self.finding();
        let place = match check {
            Check::CalibrationNearBreakEven => " where a show about pays for itself",
            _ => "",
        };
        let Self { shown, clicks, expected, .. } = self;
        let sentence = match self.ratio() {
            None => format!(
                "Calibration could not be computed{place}: {shown} ads were shown, {expected:.1} clicks expected, and {clicks} \
                 came."
            ),
            Some([ratio, low, high]) => {
                let fewest = (2.0 * DEVIATIONS / (HIGH / LOW).ln()).powi(2);
                let too_few = if (*clicks as f64) < fewest {
                    format!(" Fewer than {fewest:.0} clicks are hardly ever enough.")
                } else {
                    String::new()
                };
                format!(
                    "Of {shown} ads shown{place}, {expected:.1} clicks were expected and {clicks} came: {ratio:.2} times as \
                     many, by a 95 % interval {low:.2} to {high:.2}, all of which must be within {LOW} to {HIGH}.{too_few}"
                )
            }
        };
        finding.with_sentence(check, sentence)
    }
}

/// Whether a row's probability is within half to twice that at which a show pays for itself.
pub(super) fn is_near_break_even(row: &Row) -> bool {
    let break_even = row.cost_micro as f64 / row.value_micro as f64;
    (0.5 * break_even..=2.0 * break_even).contains(&row.probability)
}
