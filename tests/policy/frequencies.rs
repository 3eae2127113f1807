//! Whether coins fall as often as their probabilities say.

/// Probabilities are counted in so many groups of like ones.
const GROUPS: usize = 20;

#[derive(Debug, Clone, Copy, Default)]
struct Group {
    count: u64,
    hits: f64,
    expected: f64,
    variance: f64,
}

/// Outcomes that chance decided, by their probability.
#[derive(Debug, Clone, Default)]
pub struct Frequencies {
    groups: [Group; GROUPS],
}

impl Frequencies {
    /// An outcome of this probability, and whether it came about.
    pub fn count(&mut self, probability: f64, hit: bool) {
        if probability <= 0.0 || probability >= 1.0 {
            return;
        }
        let group = &mut self.groups[((probability * GROUPS as f64) as usize).min(GROUPS - 1)];
        group.count += 1;
        group.hits += f64::from(u8::from(hit));
        group.expected += probability;
        group.variance += probability * (1.0 - probability);
    }

    pub fn outcomes(&self) -> u64 {
        self.groups.iter().map(|group| group.count).sum()
    }

    /// Pearson's statistic over the groups in which much is expected, and their number.
    pub fn chi_square(&self) -> (f64, usize) {
        let large = self.groups.iter().filter(|group| group.variance >= 5.0);
        large.fold((0.0, 0), |(sum, count), group| {
            (sum + (group.hits - group.expected).powi(2) / group.variance, count + 1)
        })
    }

    /// Six standard deviations above the mean: for chance alone less than one run in ten million.
    pub fn check(&self) -> Result<(), String> {
        let (statistic, groups) = self.chi_square();
        let bound = groups as f64 + 6.0 * (2.0 * groups as f64).sqrt() + 12.0;
        if statistic <= bound {
            return Ok(());
        }
        Err(format!("chi-square of {groups} groups is {statistic:.1}, more than {bound:.1}: {self:#?}"))
    }
}

#[test]
fn coin_that_falls_too_often_is_found() {
    let mut dice = crate::chance::Dice::new(1);
    for (falls, fair) in [(0.2, true), (0.26, false), (0.14, false)] {
        let mut frequencies = Frequencies::default();
        for _ in 0..2000 {
            let hit = dice.below(1_000_000) < (falls * 1e6) as i64;
            frequencies.count(0.2, hit);
            frequencies.count(0.8, !hit);
        }
        assert_eq!(frequencies.check().is_ok(), fair, "{falls}: {:?}", frequencies.chi_square());
    }
}
