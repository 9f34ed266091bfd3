//! Which columns are null together.

use super::{ColumnProfile, NullCorrelation};

/// Pairs below this are not told.
const WEAKEST: f64 = 0.3;

/// How many pairs are told.
const PAIRS: usize = 20;

/// Rows in which both of two columns are null, for each two.
#[derive(Debug)]
pub(crate) struct Nulls {
    columns: usize,
    both: Vec<u64>,
}

impl Nulls {
    pub(crate) fn new(columns: usize) -> Self {
        Self { columns, both: vec![0; columns * columns] }
    }

    /// Counts `rows` in which `a`, and `b` after it, are null.
    pub(crate) fn add(&mut self, a: usize, b: usize, rows: u64) {
        self.both[a * self.columns + b] += rows;
    }

    /// A column that is always or never null says nothing of another.
    pub(super) fn correlations(&self, rows: u64, columns: &[ColumnProfile]) -> Vec<NullCorrelation> {
        let telling = |column: &ColumnProfile| column.nulls > 0 && column.nulls < rows;
        let mut found = Vec::new();
        for (a, one) in columns.iter().enumerate().filter(|(_, column)| telling(column)) {
            for (b, other) in columns.iter().enumerate().skip(a + 1).filter(|(_, column)| telling(column)) {
                let both = self.both[a * self.columns + b];
                let (all, x, y) = (rows as f64, one.nulls as f64, other.nulls as f64);
                let phi = (all * both as f64 - x * y) / (x * (all - x)).sqrt() / (y * (all - y)).sqrt();
                if phi.abs() >= WEAKEST {
                    found.push(NullCorrelation { a: one.name.clone(), b: other.name.clone(), both, phi });
                }
            }
        }
        found.sort_by(|a, b| b.phi.abs().total_cmp(&a.phi.abs()));
        found.truncate(PAIRS);
        found
    }
}
