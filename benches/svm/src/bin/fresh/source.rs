//! Where rows come from: any number of them, as often as they are asked for.

use upbeat_svm::{Matrix, Problem};

/// Numbers of a seed: Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.
struct Rng(u64);

impl Rng {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly a normal deviate.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    fn chance(&mut self, log_odds: f64) -> bool {
        self.uniform() < 1.0 / (1.0 + (-log_odds).exp())
    }
}

/// Where rows come from; all have six features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Two normal clouds, three positive rows in ten.
    Clouds,
    /// Labels that have nothing to do with the features, half of them positive.
    Noise,
    /// The same, one row in ten positive.
    FewNoise,
    /// A weak signal: log odds are linear, one row in seven is positive.
    Clicks,
    /// Shares of plays as listeners have them, of few and of many plays; one row in seven is positive, by a weak signal.
    Listeners,
    /// Positive inside of a ring, one label in ten turned.
    Ring,
    /// Two clouds with a margin between them.
    Separable,
    /// Features of Student's distribution with two degrees of freedom, log odds by their signs and sizes.
    Tails,
    /// A weak signal, one row in two hundred is positive.
    Rare,
    /// Rare positive rows, one in four hundred, that are all but separable.
    FarRare,
}

impl Source {
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Clouds, "clouds"),
        (Self::Noise, "noise"),
        (Self::FewNoise, "noise-tenth"),
        (Self::Clicks, "clicks"),
        (Self::Listeners, "listeners"),
        (Self::Ring, "ring"),
        (Self::Separable, "separable"),
        (Self::Tails, "tails"),
        (Self::Rare, "rare"),
        (Self::FarRare, "rare-apart"),
    ];

    /// Rows of a sample; rare rows need many.
    pub fn sizes(self) -> &'static [usize] {
        match self {
            Self::Clouds | Self::Noise => &[20, 60, 400],
            Self::Ring | Self::Separable | Self::Tails | Self::Clicks | Self::FewNoise => &[60, 400],
            Self::Listeners => &[60, 1800],
            Self::Rare => &[4000],
            Self::FarRare => &[10_000],
        }
    }

    fn row(self, rng: &mut Rng) -> (Vec<f64>, bool) {
        let mut x: Vec<f64> = (0..6).map(|_| rng.normal()).collect();
        let positive = match self {
            Self::Clouds => {
                let positive = rng.uniform() < 0.3;
                if positive {
                    x[0] += 1.5;
                    x[1] -= 1.0;
                }
                positive
            }
            Self::Noise => rng.uniform() < 0.5,
            Self::FewNoise => rng.uniform() < 0.1,
            Self::Clicks => rng.chance(x[0] - 0.5 * x[1] + 0.3 * x[2] - 2.2),
            Self::Listeners => {
                x = shares(rng);
                rng.chance(3.0 * (x[2] - 0.25) + 2.5 * (x[4] - 0.5) - 1.5 * (x[5] - 0.6) - 2.0)
            }
            Self::Ring => (x[0] * x[0] + x[1] * x[1] < 1.2) != (rng.uniform() < 0.1),
            Self::Separable => {
                let positive = rng.uniform() < 0.4;
                let side = if positive { 1.0 } else { -1.0 };
                x[0] = side * (0.5 + x[0].abs());
                positive
            }
            Self::Tails => {
                // A normal deviate over the root of a mean of two squares: Student's t of two degrees of freedom.
                for value in &mut x {
                    *value /= ((rng.normal().powi(2) + rng.normal().powi(2)) / 2.0).sqrt().max(1e-6);
                }
                rng.chance(x[0].signum() + 0.3 * x[1].clamp(-5.0, 5.0))
            }
            Self::Rare => rng.chance(1.2 * x[0] - 0.8 * x[1] - 6.2),
            Self::FarRare => {
                let positive = rng.uniform() < 1.0 / 400.0;
                if positive {
                    x[0] += 5.0;
                }
                positive
            }
        };
        (x, positive)
    }

    /// Rows with two of each label at least: fewer are not calibrated.
    pub fn sample(self, rows: usize, seed: u64) -> Problem {
        let mut rng = Rng(seed.wrapping_mul(0xd134_2543_de82_ef95));
        loop {
            let (mut x, mut positive) = (Matrix::new(6), Vec::new());
            for _ in 0..rows {
                let (row, label) = self.row(&mut rng);
                x.push(&row);
                positive.push(label);
            }
            let positives = positive.iter().filter(|&&positive| positive).count();
            if positives.min(rows - positives) >= 2 {
                return Problem::new(x, positive).expect("rows of both labels");
            }
        }
    }
}

/// Shares of the parts of a day, which add up to 1, of the phone and of unique tracks, over some forty plays.
fn shares(rng: &mut Rng) -> Vec<f64> {
    let plays = 1.0 + (-40.0 * (1.0 - rng.uniform()).ln()).floor();
    let habits: Vec<f64> = (0..4).map(|_| -(1.0 - rng.uniform()).ln()).collect();
    let (sum, phone, new) = (habits.iter().sum::<f64>(), rng.uniform(), 0.3 + 0.6 * rng.uniform());
    let mut counts = [0.0; 6];
    for _ in 0..plays as usize {
        let mut place = rng.uniform() * sum;
        let part = habits.iter().position(|habit| {
            place -= habit;
            place < 0.0
        });
        counts[part.unwrap_or(3)] += 1.0;
        counts[4] += f64::from(rng.uniform() < phone);
        counts[5] += f64::from(rng.uniform() < new);
    }
    counts.iter().map(|count| count / plays).collect()
}
