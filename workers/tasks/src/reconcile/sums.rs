//! Sums of columns on both sides, for people who know what they should be: checksums say that rows differ, and these by how
//! much.

use std::collections::BTreeMap;

use serde::Serialize;
use warehouse::copy::PgType;
use workflow::{diagnostic::did_you_mean, error::TaskError};

use super::sides::{Source, Target};
use crate::extract_mysql::columns::{SourceColumn, SourceType};

/// The sum of a column, as text: a JSON number would not be exact. None where no row has a value.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Sum {
    source: Option<String>,
    target: Option<String>,
}

impl Sum {
    /// For people.
    pub(super) fn told(&self, column: &str) -> String {
        let text = |sum: &Option<String>| sum.clone().unwrap_or_else(|| "null".to_owned());
        let (mine, theirs) = (text(&self.source), text(&self.target));
        if mine == theirs {
            format!("the sum of `{column}` is {mine} on both sides")
        } else {
            format!("the sum of `{column}` is {mine} in the source and {theirs} in the target")
        }
    }
}

/// Refuses columns that have no exact sum on both sides.
pub(super) fn check(
    names: &[String],
    columns: &[SourceColumn],
    types: &BTreeMap<String, String>,
) -> Result<(), TaskError> {
    for name in names {
        let Some(column) = columns.iter().find(|column| column.name == *name) else {
            let hint = did_you_mean(name, columns.iter().map(|column| column.name.as_str()));
            return Err(TaskError::user(format!(
                "`sums` names `{name}`, which is not a column of the source ({hint})"
            )));
        };
        let theirs = types.get(name).map(String::as_str);
        let is_exact = |pg: PgType| pg.is_whole() || matches!(pg, PgType::Numeric(_));
        if !(column.kind.is_whole() || matches!(column.kind, SourceType::Decimal(..) | SourceType::WideDecimal(..)))
            || !theirs.and_then(PgType::parse).is_some_and(is_exact)
        {
            return Err(TaskError::user(format!(
                "`sums` names `{name}`, which is {:?} in the source and {} in the target: only whole numbers and decimals have \
                 exact sums",
                column.kind,
                theirs.unwrap_or("absent")
            )));
        }
    }
    Ok(())
}

/// The sums, in the snapshots that rows are compared in.
pub(super) async fn sums(
    source: &mut Source<'_>,
    target: &mut Target<'_>,
    names: &[String],
) -> Result<BTreeMap<String, Sum>, TaskError> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (mine, theirs) = tokio::try_join!(source.totals(names), target.totals(names))?;
    let pairs = mine.into_iter().zip(theirs).map(|(mine, theirs)| Sum { source: plain(mine), target: plain(theirs) });
    Ok(names.iter().cloned().zip(pairs).collect())
}

/// `12.50` and `12.5` are the same number.
fn plain(sum: Option<String>) -> Option<String> {
    sum.map(|text| if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_behind_the_point_say_nothing() {
        for (text, same) in [("12.50", "12.5"), ("-3.00", "-3"), ("1200", "1200"), ("0.00", "0")] {
            assert_eq!(plain(Some(text.to_owned())).as_deref(), Some(same));
        }
    }
}
