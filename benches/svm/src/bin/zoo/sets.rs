//! The sets: generated, and shaped like what learners meet.

use crate::data::{Data, Row, Source};

/// A set of rows that a seed draws.
pub struct Set {
    pub name: &'static str,
    /// What is particular about it.
    pub about: &'static str,
    /// Whether kernels other than the linear one are tried on it as well.
    pub kernels: bool,
    draw: fn(&mut Source) -> Data,
}

impl Set {
    /// Its rows; both classes occur, whatever was drawn.
    pub fn data(&self, seed: u64) -> Data {
        let mut data = (self.draw)(&mut Source::new(self.name, seed));
        let last = data.positive.len() - 1;
        if data.positive.iter().all(|&positive| positive == data.positive[0]) {
            data.positive[last] = !data.positive[0];
        }
        data
    }
}

/// The set of this name.
pub fn named(name: &str) -> Option<&'static Set> {
    SETS.iter().find(|set| set.name == name)
}

const fn set(name: &'static str, kernels: bool, about: &'static str, draw: fn(&mut Source) -> Data) -> Set {
    Set { name, about, kernels, draw }
}

/// All of them, small ones first within their kind.
pub const SETS: &[Set] = &[
    set("three-rows", true, "3 rows", |s| labelled(s, 3, 2, |_, i| i > 0)),
    set("one-column", true, "1,000 rows of 1 feature", |s| planes(s, 1000, 1, 0.5)),
    set("separable", true, "200 rows with a margin", |s| separable(s, 200, 2, 0.0)),
    set("separable-wide", true, "100 rows, 500 features", |s| separable(s, 100, 500, 0.0)),
    set("separable-flipped", true, "1,000 rows, 10 % of labels wrong", |s| separable(s, 1000, 5, 0.1)),
    set("outlier", true, "separable but for one row at 10,000", |s| {
        let mut data = separable(s, 300, 3, 0.0);
        data.rows[7] = vec![(0, 1e4), (1, -1e4), (2, 1e4)];
        data
    }),
    set("blobs", true, "2,000 rows, 10 features, overlapping", |s| planes(s, 2000, 10, 1.0)),
    set("blobs-twenty", false, "10,000 rows, 20 features", |s| planes(s, 10_000, 20, 1.0)),
    set("columns-63", false, "2,000 rows, 63 features", |s| planes(s, 2000, 63, 0.5)),
    set("columns-64", false, "2,000 rows, 64 features", |s| planes(s, 2000, 64, 0.5)),
    set("columns-200", false, "1,500 rows, 200 features", |s| planes(s, 1500, 200, 0.5)),
    set("wide-dense", false, "60 rows, 10,000 features", |s| planes(s, 60, 10_000, 0.1)),
    set("noise", true, "1,000 rows, labels by coin", |s| labelled(s, 1000, 6, |s, _| s.happens(0.5))),
    set("noise-rare", true, "2,000 rows, 1 % positives, no signal", |s| {
        labelled(s, 2000, 6, |s, _| s.happens(0.01))
    }),
    set("rare-1-percent", true, "5,000 rows, 1 % positives", |s| rare(s, 5000, 50, 1.5)),
    set("rare-50", false, "20,000 rows, 50 positives", |s| rare(s, 20_000, 50, 2.0)),
    set("rare-10", false, "100,000 rows, 10 positives (0.01 %)", |s| rare(s, 100_000, 10, 2.0)),
    set("rare-5-no-signal", false, "100,000 rows, 5 positives, no signal", |s| rare(s, 100_000, 5, 0.0)),
    set("shares-few", true, "60 rows of shares of plays", |s| shares(s, 60, 0.3)),
    set("shares-clicks", true, "1,800 rows of shares, 14 % clicks, weak signal", |s| shares(s, 1800, 0.14)),
    set("shares-rounded", true, "12 rows of shares with two digits", |s| rounded(shares(s, 12, 0.3))),
    set("shares-large", false, "50,000 rows of shares, 14 % clicks", |s| shares(s, 50_000, 0.14)),
    set("collinear", true, "500 rows, 20 features of rank 3", |s| collinear(s, 500, 20, 0.0)),
    set("nearly-collinear", true, "500 rows, 10 features, condition 1e8", |s| collinear(s, 500, 10, 1e-8)),
    set("constant-columns", true, "400 rows, half of the features constant", |s| {
        columns_mapped(planes(s, 400, 8, 0.5), |column, value| {
            if column % 2 == 0 { value } else { [0.0, 1.0, -3.0, 100.0][column / 2] }
        })
    }),
    set("constant-rows", true, "50 equal rows, labels by coin", |s| {
        columns_mapped(labelled(s, 50, 3, |s, _| s.happens(0.4)), |_, _| 1.0)
    }),
    set("duplicated-rows", true, "1,000 rows of 20 kinds, labels in conflict", |s| {
        let kinds: Vec<Vec<f64>> = (0..20).map(|_| s.normals(4)).collect();
        let rows = (0..1000).map(|i| kinds[i % 20].clone()).collect();
        Data::dense(rows, (0..1000).map(|i| s.clicks(kinds[i % 20][0])).collect())
    }),
    set("duplicated-columns", true, "400 rows, 3 features four times", |s| {
        let mut data = planes(s, 400, 3, 0.5);
        let repeated = |row: &Row| (0..12).filter_map(|c| row.get(c % 3).map(|entry| (c, entry.1))).collect();
        data.rows = data.rows.iter().map(repeated).collect();
        Data { columns: 12, ..data }
    }),
    set("binary", true, "1,000 rows of zeros and ones", |s| {
        columns_mapped(planes(s, 1000, 10, 0.5), |_, value| f64::from(u8::from(value > 0.0)))
    }),
    set("heavy-tails", true, "1,000 rows of Cauchy's distribution", |s| {
        drawn(s, 1000, 6, Source::cauchy, |row| row[0].atan() + row[1].atan())
    }),
    set("log-normal", true, "2,000 rows of e^(2·normal)", |s| {
        drawn(s, 2000, 8, |s| (2.0 * s.normal()).exp(), |row| row[0].ln() - row[1].ln())
    }),
    set("counts", true, "2,000 rows of Poisson's counts", |s| {
        drawn(s, 2000, 15, |s| s.poisson(3.0), |row| row[0] - row[1])
    }),
    set("offset", true, "500 rows around 1,000 with deviation 1", |s| {
        columns_mapped(planes(s, 500, 5, 0.5), |_, value| value + 1000.0)
    }),
    set("scales-mixed", true, "600 rows, features of scales 1e-3 to 1e3", |s| {
        columns_mapped(planes(s, 600, 7, 0.5), |column, value| value * 10f64.powi(column as i32 - 3))
    }),
    set("scale-1e150", true, "300 rows of values near 1e150", |s| {
        columns_mapped(planes(s, 300, 4, 0.5), |_, value| value * 1e150)
    }),
    set("scale-1e-150", true, "300 rows of values near 1e-150", |s| {
        columns_mapped(planes(s, 300, 4, 0.5), |_, value| value * 1e-150)
    }),
    set("scales-1e150-mixed", true, "300 rows, features of 1e-150, 1 and 1e150", |s| {
        columns_mapped(planes(s, 300, 3, 0.5), |column, value| value * [1e-150, 1.0, 1e150][column])
    }),
    set("xor", true, "800 rows, classes by the product's sign", |s| {
        drawn(s, 800, 2, Source::normal, |row| 8.0 * row[0] * row[1])
    }),
    set("rings", true, "1,000 rows, one class around the other", |s| {
        drawn(s, 1000, 2, Source::normal, |row| 10.0 * (row[0] * row[0] + row[1] * row[1] - 1.5))
    }),
    set("checkerboard", true, "3,000 rows of 16 fields", |s| {
        drawn(
            s,
            3000,
            2,
            |s| 4.0 * s.uniform(),
            |row| {
                if (row[0].floor() + row[1].floor()) % 2.0 == 0.0 { 5.0 } else { -5.0 }
            },
        )
    }),
    set("sparse-words", false, "3,000 × 10,000, 20 words a row", |s| words(s, 3000, 10_000, 20, false)),
    set("sparse-weights", true, "1,500 × 2,000, word weights of length 1", |s| {
        words(s, 1500, 2000, 30, true)
    }),
    set("sparse-one-hot", false, "20,000 × 300, five categories", |s| one_hot(s, 20_000)),
    set("sparse-large", false, "100,000 × 1,000, 10 words a row", |s| words(s, 100_000, 1000, 10, false)),
];

/// Normal rows with labels of their own.
fn labelled(s: &mut Source, rows: usize, columns: usize, label: fn(&mut Source, usize) -> bool) -> Data {
    let x = (0..rows).map(|_| s.normals(columns)).collect();
    Data::dense(x, (0..rows).map(|i| label(s, i)).collect())
}

/// Rows of independent values whose class follows a margin by the logistic function.
fn drawn(
    s: &mut Source,
    rows: usize,
    columns: usize,
    value: fn(&mut Source) -> f64,
    margin: fn(&[f64]) -> f64,
) -> Data {
    let x: Vec<Vec<f64>> = (0..rows).map(|_| (0..columns).map(|_| value(s)).collect()).collect();
    let positive = x.iter().map(|row| s.clicks(margin(row))).collect();
    Data::dense(x, positive)
}

/// Normal rows on two sides of a random plane, with so much noise against the margin.
fn planes(s: &mut Source, rows: usize, columns: usize, noise: f64) -> Data {
    let normal = s.normals(columns);
    let length = normal.iter().map(|value| value * value).sum::<f64>().sqrt();
    let x: Vec<Vec<f64>> = (0..rows).map(|_| s.normals(columns)).collect();
    let side = |s: &mut Source, row: &Vec<f64>| {
        row.iter().zip(&normal).map(|(a, b)| a * b).sum::<f64>() / length + noise * s.normal() > 0.2
    };
    let positive = x.iter().map(|row| side(s, row)).collect();
    Data::dense(x, positive)
}

/// Two classes apart along every feature, with some labels flipped.
fn separable(s: &mut Source, rows: usize, columns: usize, flipped: f64) -> Data {
    let reach = 3.0 / (columns as f64).sqrt();
    let (mut x, mut positive) = (Vec::new(), Vec::new());
    for i in 0..rows {
        let sign = if i % 2 == 0 { reach } else { -reach };
        x.push(s.normals(columns).iter().map(|value| sign + value.clamp(-2.5, 2.5) / 2.8 * reach).collect());
        positive.push((i % 2 == 0) != s.happens(flipped));
    }
    Data::dense(x, positive)
}

/// A few positives, shifted by so much, among many rows.
fn rare(s: &mut Source, rows: usize, positives: usize, shift: f64) -> Data {
    let every = rows / positives;
    let positive: Vec<bool> = (0..rows).map(|i| i % every == every / 2).collect();
    let row = |s: &mut Source, &positive: &bool| {
        s.normals(6).iter().map(|value| value + if positive { shift / 2.0 } else { 0.0 }).collect()
    };
    Data::dense(positive.iter().map(|positive| row(s, positive)).collect(), positive)
}

/// Shares of plays that sum to 1 in four columns, with two of the hour and the weekday, and clicks of a weak signal.
fn shares(s: &mut Source, rows: usize, clicks: f64) -> Data {
    let base = (clicks / (1.0 - clicks)).ln();
    let (mut x, mut positive) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let parts: Vec<f64> = (0..4).map(|_| -s.uniform().max(1e-12).ln()).collect();
        let sum: f64 = parts.iter().sum();
        let mut row: Vec<f64> = parts.iter().map(|part| part / sum).collect();
        row.extend([s.uniform(), 1.0 - s.uniform() * s.uniform()]);
        positive.push(s.clicks(base + 3.0 * (row[0] - 0.25) - 2.0 * (row[1] - 0.25)));
        x.push(row);
    }
    Data::dense(x, positive)
}

/// Every value with two digits behind the point.
fn rounded(data: Data) -> Data {
    columns_mapped(data, |_, value| (value * 100.0).round() / 100.0)
}

/// Features that are mixtures of three, and so much noise.
fn collinear(s: &mut Source, rows: usize, columns: usize, noise: f64) -> Data {
    let mixture: Vec<Vec<f64>> = (0..columns).map(|_| s.normals(3)).collect();
    let (mut x, mut positive) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let hidden = s.normals(3);
        let mixed = |weights: &Vec<f64>| weights.iter().zip(&hidden).map(|(a, b)| a * b).sum::<f64>();
        let row: Vec<f64> = mixture.iter().map(mixed).collect();
        x.push(row.iter().map(|value| value + noise * s.normal()).collect());
        positive.push(s.clicks(2.0 * hidden[0]));
    }
    Data::dense(x, positive)
}

/// Words by Zipf's law, some of which tell the class; weighted and of length 1 where asked.
fn words(s: &mut Source, rows: usize, columns: usize, count: usize, weighted: bool) -> Data {
    let (mut x, mut positive) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        // The inverse of Zipf's distribution function, continuous: rank n^u.
        let mut word = || ((columns as f64).powf(s.uniform()) as usize).min(columns) - 1;
        let mut chosen: Vec<usize> = (0..count).map(|_| word()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        let told = |column: &usize| {
            if column % 7 == 3 {
                1.0
            } else if column % 7 == 5 {
                -1.0
            } else {
                0.0
            }
        };
        let margin: f64 = chosen.iter().map(told).sum();
        let mut row: Row = chosen.iter().map(|&column| (column, 1.0)).collect();
        if weighted {
            row.iter_mut().for_each(|(column, value)| *value = ((*column + 2) as f64).ln());
            let length = row.iter().map(|entry| entry.1 * entry.1).sum::<f64>().sqrt();
            row.iter_mut().for_each(|entry| entry.1 /= length);
        }
        x.push(row);
        positive.push(s.clicks(1.5 * margin - 0.5));
    }
    Data::sparse(x, positive, columns)
}

/// Five categories of 100, 80, 60, 40 and 20 values, one column for each.
fn one_hot(s: &mut Source, rows: usize) -> Data {
    let sizes = [100, 80, 60, 40, 20];
    let effects = s.normals(sizes.iter().sum());
    let (mut x, mut positive) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let mut first = 0;
        let mut row = Row::new();
        for size in sizes {
            row.push((first + s.below(size), 1.0));
            first += size;
        }
        positive.push(s.clicks(row.iter().map(|entry| effects[entry.0]).sum::<f64>() - 1.0));
        x.push(row);
    }
    Data::sparse(x, positive, sizes.iter().sum())
}

/// Every value, also 0, replaced by a function of its column and itself.
fn columns_mapped(data: Data, map: fn(usize, f64) -> f64) -> Data {
    let dense = data.rows.iter().map(|row| {
        let mut dense = vec![0.0; data.columns];
        row.iter().for_each(|&(column, value)| dense[column] = value);
        dense.iter().enumerate().map(|(column, &value)| map(column, value)).collect()
    });
    Data::dense(dense.collect(), data.positive)
}
