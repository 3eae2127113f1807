//! What another policy would have earned, from decisions that were made with coins whose probabilities are known.
//!
//! For a campaign, each decision in which it had its chance shows its ad with the logged probability μ, and a policy would show it with
//! the probability π. A shown row has the weight w = π/μ and the reward r, and not showing earns 0. Over n rows:
//!
//! - inverse propensity scoring (IPS), Horvitz and Thompson, 1952: Σ w r
//! - self-normalised (SNIPS), Swaminathan and Joachims, NIPS 2015: Σ π × Σ w r / Σ w over shown rows
//!
//! A row where π > 0 and μ = 0 says nothing of the policy. It is counted as *unsupported*, and both estimates are those of the policy
//! that does not show there: nothing is clipped.

use crate::interval;

/// A chance that a campaign had to show its ad: a decision of which estimates may be made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// How probable it was that the ad was shown, every coin in it, holdouts too, `0.0..=1.0`.
    pub propensity: f64,
    /// What came of the show, if it was shown.
    pub shown: Option<Shown>,
    /// A hash of the customer: rows of one customer are alike, and intervals have to know it.
    pub customer: u64,
}

/// What came of a show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Whether it was clicked in time.
    pub is_clicked: bool,
    /// What it cost, in micro-units.
    pub cost_micro: i64,
    /// What a click on it is worth, in micro-units.
    pub value_micro: i64,
}

impl Shown {
    /// What it earned, in micro-units.
    #[must_use]
    pub fn profit_micro(&self) -> i64 {
        if self.is_clicked { self.value_micro - self.cost_micro } else { -self.cost_micro }
    }
}

/// How a value is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimator {
    /// Inverse propensity scoring: unbiased, of high variance.
    Ips,
    /// Self-normalised: of lower variance, consistent.
    Snips,
}

impl Estimator {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ips, Self::Snips];

    /// The name in output: `ips` or `snips`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ips => "ips",
            Self::Snips => "snips",
        }
    }
}

/// What a policy would have earned over the rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Clicks.
    pub clicks: f64,
    /// Cost in micro-units.
    pub cost_micro: f64,
    /// Profit in micro-units.
    pub profit_micro: f64,
    /// The ends of the 95 % interval of the profit, in micro-units; `None` where it cannot be computed: of one customer alone, or of a
    /// policy of whose shows none was logged.
    pub interval: Option<(f64, f64)>,
    /// The effective sample size: (Σw)²/Σw² over shown rows.
    pub ess: f64,
    /// The largest weight.
    pub max_weight: f64,
    /// The share of all rows that the policy would show and that could not be shown, `0.0..=1.0`.
    pub unsupported: f64,
}

impl Estimate {
    /// The same of the policy that throws a coin before it does what this one does, with the probability `rate`.
    #[must_use]
    pub fn scaled(self, rate: f64) -> Self {
        Self {
            clicks: self.clicks * rate,
            cost_micro: self.cost_micro * rate,
            profit_micro: self.profit_micro * rate,
            interval: self.interval.map(|(low, high)| (low * rate, high * rate)),
            max_weight: self.max_weight * rate,
            ..self
        }
    }
}

/// Customers are put into so many groups by their hash; intervals are made of the differences between groups, so that it does not
/// matter how alike the rows of a customer are (Wolter, Introduction to Variance Estimation, 2007, chapter 2).
const GROUPS: usize = 512;

/// Classes of weights: powers of two from 2^-8 up to 2^23.
const CLASSES: usize = 32;
const LEAST_CLASS: i64 = -8;

/// Sums of the rows of a group of customers.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    rows: f64,
    /// Σ π.
    shows: f64,
    /// Σ w of shown rows; the others are of these, too.
    weight: f64,
    clicks: f64,
    cost: f64,
    profit: f64,
}

/// Sums of shown rows whose weights are nearly the same.
#[derive(Debug, Clone, Copy, Default)]
struct Class {
    weight: f64,
    squared: f64,
    clicks: f64,
    squared_clicks: f64,
}

/// The sums of one policy: takes rows one by one, in the same memory however many.
#[derive(Debug, Clone)]
pub struct Tally {
    groups: Box<[Sums]>,
    classes: [Class; CLASSES],
    values: f64,
    max_weight: f64,
    unsupported: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            groups: vec![Sums::default(); GROUPS].into(),
            classes: [Class::default(); CLASSES],
            values: 0.0,
            max_weight: 0.0,
            unsupported: 0,
        }
    }
}

impl Tally {
    /// Takes a row that the policy would show with the probability `show`.
    pub fn add(&mut self, chance: &Chance, show: f64) {
        let group = &mut self.groups[(chance.customer % GROUPS as u64) as usize];
        group.rows += 1.0;
        if chance.propensity <= 0.0 {
            self.unsupported += u64::from(show > 0.0);
            return;
        }
        group.shows += show;
        let Some(shown) = chance.shown.filter(|_| show > 0.0) else { return };
        let weight = show / chance.propensity;
        let clicked = f64::from(u8::from(shown.is_clicked));
        group.weight += weight;
        group.clicks += weight * clicked;
        group.cost += weight * shown.cost_micro as f64;
        group.profit += weight * shown.profit_micro() as f64;
        self.values += weight * shown.value_micro as f64;
        self.max_weight = self.max_weight.max(weight);
        let power = (weight.to_bits() >> 52 & 0x7ff) as i64 - 1023;
        let class = &mut self.classes[(power - LEAST_CLASS).clamp(0, CLASSES as i64 - 1) as usize];
        class.weight += weight;
        class.squared += weight * weight;
        class.clicks += weight * clicked;
        class.squared_clicks += weight * weight * clicked;
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> f64 {
        self.sum(|group| group.rows)
    }

    /// The share of rows that the policy shows, of those that could be shown, `0.0..=1.0`; 0 without rows.
    #[must_use]
    pub fn show_rate(&self) -> f64 {
        let rows = self.rows();
        if rows > 0.0 { self.sum(|group| group.shows) / rows } else { 0.0 }
    }

    /// Σ w over shown rows by Σ π: near 1 where the logged probabilities are those by which was shown; `None` of a policy that
    /// shows nothing.
    #[must_use]
    pub fn support(&self) -> Option<f64> {
        let shows = self.sum(|group| group.shows);
        (shows > 0.0).then(|| self.sum(|group| group.weight) / shows)
    }

    fn sum(&self, of: impl Fn(&Sums) -> f64) -> f64 {
        self.groups.iter().map(of).sum()
    }

    /// What the policy would have earned.
    #[must_use]
    pub fn estimate(&self, estimator: Estimator) -> Estimate {
        let (rows, shows, weight) = (self.rows(), self.sum(|of| of.shows), self.sum(|of| of.weight));
        let scale = match estimator {
            Estimator::Ips => 1.0,
            Estimator::Snips if weight > 0.0 => shows / weight,
            Estimator::Snips => 0.0,
        };
        let total = |of: fn(&Sums) -> f64| scale * self.sum(of);
        let squared: f64 = self.classes.iter().map(|class| class.squared).sum();
        Estimate {
            clicks: total(|of| of.clicks),
            cost_micro: total(|of| of.cost),
            profit_micro: total(|of| of.profit),
            interval: self.interval(estimator, scale),
            ess: if squared > 0.0 { weight * weight / squared } else { 0.0 },
            max_weight: self.max_weight,
            unsupported: if rows > 0.0 { self.unsupported as f64 / rows } else { 0.0 },
        }
    }

    /// The 95 % interval of the profit. Its variance is that between groups, but for the part that clicks have in it: where few shows
    /// are clicked, that part is not symmetric, and zero clicks are no proof that nobody clicks. It is taken from Wilson's interval in
    /// each class of weights, and both are combined as variances are (Zou and Donner, Statistics in Medicine 27, 2008).
    fn interval(&self, estimator: Estimator, scale: f64) -> Option<(f64, f64)> {
        let (rows, shows, weight) = (self.rows(), self.sum(|of| of.shows), self.sum(|of| of.weight));
        if shows == 0.0 {
            return (rows > 0.0).then_some((0.0, 0.0));
        }
        let groups = self.groups.iter().filter(|group| group.rows > 0.0);
        let count = groups.clone().count() as f64;
        if count < 2.0 || weight == 0.0 {
            return None;
        }
        let profit = self.sum(|of| of.profit);
        let (rate, click_rate) = (profit / weight, self.sum(|of| of.clicks) / weight);
        let variance = |of: &dyn Fn(&Sums) -> f64| {
            count / (count - 1.0) * groups.clone().map(|group| of(group).powi(2)).sum::<f64>()
        };
        let whole = match estimator {
            Estimator::Ips => variance(&|of| of.profit - profit / rows * of.rows),
            Estimator::Snips => variance(&|of| {
                rate * (of.shows - shows / rows * of.rows) + scale * (of.profit - rate * of.weight)
            }),
        };
        // What one more click a show would earn.
        let click_value = scale * self.values;
        let of_clicks = variance(&|of| (of.clicks - click_rate * of.weight) / weight);
        let alone: f64 =
            self.classes.iter().map(|class| class.spread(click_rate)).sum::<f64>() / weight.powi(2);
        // How many rows count for one, since those of a customer are alike.
        let design = if alone > 0.0 { (of_clicks / alone).max(1.0) } else { 1.0 };
        let quantile = interval::t_quantile(count - 1.0);
        let (mut below, mut above) = (0.0, 0.0);
        for class in self.classes.iter().filter(|class| class.weight > 0.0) {
            let (share, effective) = (class.weight / weight, class.weight.powi(2) / class.squared / design);
            let found = class.clicks / class.weight;
            let (low, high) = interval::wilson(found, effective, quantile);
            below += (share * (found - low)).powi(2);
            above += (share * (high - found)).powi(2);
        }
        let rest = quantile.powi(2) * (whole - click_value.powi(2) * of_clicks).max(0.0);
        let end = |half: f64| (click_value.powi(2) * half + rest).sqrt();
        let profit = scale * profit;
        Some((profit - end(below), profit + end(above)))
    }
}

impl Class {
    /// Σ w²(y − p)² of its rows, where y is 1 if clicked.
    fn spread(&self, click_rate: f64) -> f64 {
        self.squared_clicks * (1.0 - 2.0 * click_rate) + click_rate * click_rate * self.squared
    }
}

#[cfg(test)]
mod tests;
