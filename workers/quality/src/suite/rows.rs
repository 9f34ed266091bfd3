//! What is left of a suite where single rows are judged, and no batch.

use super::{Check, Suite, Tolerance};
use crate::expectation::Expectation;

impl Suite {
    /// The checks that judge a row by itself, or by rows of the same values, each of them whole, and not by groups; and the ids of the others.
    pub(crate) fn for_single_rows(mut self) -> (Self, Vec<String>) {
        let (kept, left_out): (Vec<Check>, Vec<Check>) = self.checks.into_iter().partition(|check| {
            check.expectation.is_about_rows()
                && check.group_by.is_empty()
                && !matches!(check.expectation, Expectation::ZScore { .. } | Expectation::Ordered { .. })
        });
        self.checks = kept;
        for check in &mut self.checks {
            check.tolerance = Tolerance::default();
        }
        (self, left_out.into_iter().map(|check| check.id).collect())
    }
}
