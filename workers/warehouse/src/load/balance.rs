//! Sums that must balance: `revenue: "quantity * unit_price"`.
//!
//! The expression is a user's; it is parsed, found harmless, and printed again before it becomes SQL.

use std::{collections::BTreeSet, ops::ControlFlow};

use sqlparser::{
    ast::{Expr, Visit, Visitor},
    dialect::PostgreSqlDialect,
    parser::Parser,
    tokenizer::Token,
};

/// Functions that a balanced sum may use.
const FUNCTIONS: &[&str] = &["abs", "ceil", "coalesce", "floor", "greatest", "least", "nullif", "round"];

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
        let mut parser = Parser::new(&PostgreSqlDialect {})
            .try_with_sql(expression)
            .map_err(|error| format!("`{expression}` is not a SQL expression: {error}"))?;
        let parsed = parser.parse_expr().map_err(|error| format!("`{expression}` is not a SQL expression: {error}"))?;
        if parser.peek_token().token != Token::EOF {
            return Err(format!("`{expression}` goes on after its end, at `{}`", parser.peek_token()));
        }
        let mut harmless = Harmless::default();
        match parsed.visit(&mut harmless) {
            ControlFlow::Continue(()) => {
                Ok(Self { name: name.to_owned(), sql: parsed.to_string(), columns: harmless.columns })
            }
            ControlFlow::Break(what) => Err(format!("{what} cannot be part of a balanced sum")),
        }
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

#[derive(Default)]
struct Harmless {
    columns: BTreeSet<String>,
}

impl Visitor for Harmless {
    type Break = String;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        match expr {
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                if !FUNCTIONS.contains(&name.as_str()) {
                    return ControlFlow::Break(format!("the function `{name}`"));
                }
            }
            // As Postgres stores it.
            Expr::Identifier(name) if name.quote_style.is_none() => {
                self.columns.insert(name.value.to_lowercase());
            }
            Expr::Identifier(name) => {
                self.columns.insert(name.value.clone());
            }
            Expr::Value(_)
            | Expr::Nested(_)
            | Expr::BinaryOp { .. }
            | Expr::UnaryOp { .. }
            | Expr::Cast { .. }
            | Expr::Case { .. }
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::Between { .. }
            | Expr::InList { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. } => {}
            other => return ControlFlow::Break(format!("`{other}`")),
        }
        ControlFlow::Continue(())
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
