//! What is read out of a frame: values with their frequencies, and the rows that a mask marks.

use std::cmp::Ordering;

use polars::prelude::{DataFrame, Expr, IntoLazy, LazyFrame, OptFlags, PolarsResult};

use super::backend::scalar;
use crate::{probe::Frequencies, types::Type, value::Scalar};

/// Expressions are evaluated as they stand, and common parts of them each time: where debug assertions are on, Polars
/// panics over a common part that is one value of many rows, such as a deviation.
pub(super) fn as_written(rows: LazyFrame) -> LazyFrame {
    let allowed = rows.get_current_optimizations().difference(OptFlags::COMM_SUBEXPR_ELIM);
    rows.with_optimizations(allowed)
}

/// The values of column `v`, in order, with how often each is there by column `n`.
pub(super) fn listed(seen: &DataFrame, kind: Type) -> PolarsResult<Frequencies> {
    let (values, counts) = (seen.column("v")?, seen.column("n")?);
    let mut found = Frequencies::with_capacity(seen.height());
    for row in 0..seen.height() {
        let count = counts.get(row)?.extract::<u64>().unwrap_or_default();
        let value = match scalar(&values.get(row)?) {
            Some(Scalar::Text(digits)) if kind.is_number() => Scalar::number(&digits),
            value => value,
        };
        found.extend(value.map(|value| (value, count)));
    }
    found.sort_by(|(a, _), (b, _)| a.compare(b).unwrap_or(Ordering::Equal));
    Ok(found)
}

/// The rows of a frame where a mask is true.
pub(super) fn marked(frame: &DataFrame, mask: &Expr) -> PolarsResult<Vec<usize>> {
    rows_marked(frame.clone().lazy(), mask)
}

/// The same of a plan.
pub(super) fn rows_marked(rows: LazyFrame, mask: &Expr) -> PolarsResult<Vec<usize>> {
    let mask = as_written(rows).select([mask.clone().alias("bad")]).collect()?;
    let mask = mask.column("bad")?.bool()?.clone();
    Ok(mask.iter().enumerate().filter(|(_, bad)| *bad == Some(true)).map(|(row, _)| row).collect())
}
