//! Sums that must balance: `revenue: "quantity * unit_price"`.
//!
//! The expression is a user's; it is parsed, found harmless, and printed again before it becomes SQL.

use std::collections::BTreeSet;

use super::expression::{self, Allowed};

/// What a balanced sum may be made of.
const ALLOWED: Allowed = Allowed {
    what: "a balanced sum",
    functions: &["abs", "ceil", "coalesce", "floor", "greatest", "least", "nullif", "round"],
    texts: false,
};

/// A named sum over the rows of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    name: String,
    sql: String,
    columns: BTreeSet<String>,
}

impl Balance {
    /// Reads one. The error says what is not allowed.
    pub fn parse(name: &str, expression: &str) -> Result<Self, String> {
        let (sql, columns) = expression::read(expression, ALLOWED)?;
        Ok(Self { name: name.to_owned(), sql, columns })
    }

    /// The sum's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns that the expression names.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(String::as_str)
    }

    /// The expression.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_over_columns_is_fine() {
        for good in
            ["quantity * unit_price", "coalesce(amount, 0)", "case when status = 'ok' then 1.5 else 0 end", "-(a + b)"]
        {
            assert!(Balance::parse("x", good).is_ok(), "{good}");
        }
    }

    #[test]
    fn columns_are_known_as_postgres_stores_them() {
        let sum = Balance::parse("x", "Quantity * \"Unit Price\" - coalesce(quantity, 0)").expect("a sum");
        assert_eq!(sum.columns().collect::<Vec<_>>(), ["Unit Price", "quantity"]);
    }

    #[test]
    fn what_reads_elsewhere_is_refused() {
        for bad in ["(select 1)", "pg_sleep(1)", "1; drop table x", "exists (select 1)", "a.b", "quantity *"] {
            assert!(Balance::parse("x", bad).is_err(), "{bad}");
        }
    }
}
