//! What is done to held rows before they are judged again: an expression for a column, or the row as a person wrote it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::expression::{self, Allowed},
    ReplayError,
};

/// What such an expression may be made of. Nothing in it reads another row, or a clock.
const ALLOWED: Allowed = Allowed {
    what: "a correction",
    functions: &[
        "abs",
        "btrim",
        "ceil",
        "coalesce",
        "concat",
        "concat_ws",
        "date_trunc",
        "floor",
        "greatest",
        "initcap",
        "least",
        "left",
        "length",
        "lower",
        "lpad",
        "ltrim",
        "make_date",
        "mod",
        "nullif",
        "regexp_replace",
        "repeat",
        "replace",
        "reverse",
        "right",
        "round",
        "rpad",
        "rtrim",
        "sign",
        "split_part",
        "strpos",
        "substr",
        "to_char",
        "to_date",
        "to_number",
        "to_timestamp",
        "translate",
        "trunc",
        "upper",
    ],
    texts: true,
};

/// `column = expression`, over the columns of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    column: String,
    sql: String,
    columns: BTreeSet<String>,
}

impl Correction {
    /// Reads one. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (column, expression) =
            text.split_once('=').ok_or_else(|| format!("`{text}` sets nothing; write `column = expression`"))?;
        Self::of(column, expression)
    }

    /// As [`Correction::parse`], in two parts.
    pub fn of(column: &str, expression: &str) -> Result<Self, String> {
        let column = column.trim().trim_matches('"');
        if column.is_empty() {
            return Err(format!("`= {}` names no column; write `column = expression`", expression.trim()));
        }
        let (sql, columns) = expression::read(expression.trim(), ALLOWED)?;
        Ok(Self { column: column.to_owned(), sql, columns })
    }

    /// The column that it sets.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The expression, as it was understood.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Every column that it names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str).chain([self.column.as_str()])
    }
}

/// A held row as a person corrected it: an element of what `sluice quality quarantine --json` prints, of which the row may
/// have been changed. What else stands there is not looked at.
#[derive(Debug, Clone, Deserialize)]
pub struct CorrectedRow {
    /// The load that holds it back.
    pub load_id: i64,
    /// Its number there.
    pub seq: i64,
    /// All its columns. The text itself, so that no digit gets lost.
    pub row: Box<RawValue>,
}

impl CorrectedRow {
    /// Its columns as they are written.
    pub(super) fn cells(&self) -> Result<std::collections::BTreeMap<String, Box<RawValue>>, ReplayError> {
        let place = || format!("row {} of load {}", self.seq, self.load_id);
        // An escape that stands for itself has two backslashes before the `u`, or four.
        if self.row.get().replace("\\\\", "").contains("\\u0000") {
            return Err(ReplayError::Refused(format!(
                "{} holds a NUL character, which no text of Postgres can",
                place()
            )));
        }
        serde_json::from_str(self.row.get())
            .map_err(|error| ReplayError::Refused(format!("{} is not an object of columns: {error}", place())))
    }
}

/// Load and number of each row. Two for one would leave open which of them counts.
pub(super) fn numbers(rows: &[CorrectedRow]) -> Result<Vec<(i64, i64)>, ReplayError> {
    let mut seen = BTreeSet::new();
    for row in rows {
        if !seen.insert((row.load_id, row.seq)) {
            return Err(ReplayError::Refused(format!("row {} of load {} is given twice", row.seq, row.load_id)));
        }
    }
    Ok(seen.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correction_is_an_expression_over_the_row() {
        let set =
            Correction::parse("Quantity = abs(quantity) + case when note like 'x%' then 1 else 0 end").expect("one");
        assert_eq!(set.column(), "Quantity");
        assert_eq!(set.names().collect::<Vec<_>>(), ["note", "quantity", "Quantity"]);
        for good in
            ["day = null", "day = date '2026-01-01'", "city = trim(upper(city))", "at = to_date(text, 'DD.MM.YYYY')"]
        {
            assert!(Correction::parse(good).is_ok(), "{good}: {:?}", Correction::parse(good));
        }
        for bad in ["quantity", "= 1", "a = (select 1)", "a = pg_read_file('x')", "a = b; drop table x", "a = now()"] {
            assert!(Correction::parse(bad).is_err(), "{bad}");
        }
    }
}
