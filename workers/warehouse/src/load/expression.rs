//! SQL expressions over the columns of a row that a user wrote: parsed, found harmless, and printed again before they become
//! SQL. They read nothing but the row, and call nothing but what is listed.

use std::{collections::BTreeSet, ops::ControlFlow};

use sqlparser::{
    ast::{Expr, Visit, Visitor},
    dialect::PostgreSqlDialect,
    parser::Parser,
    tokenizer::Token,
};

/// What may be in it, beyond arithmetic, comparisons and `case`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    /// What it is for: `a balanced sum`.
    pub(super) what: &'static str,
    /// Functions, in lower case.
    pub(super) functions: &'static [&'static str],
    /// Whether expressions about texts and times may be there.
    pub(super) texts: bool,
}

/// The expression as SQL, and the columns that it names, as Postgres stores them. The error says what is not allowed.
pub(super) fn read(expression: &str, allowed: Allowed) -> Result<(String, BTreeSet<String>), String> {
    let mut parser = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(expression)
        .map_err(|error| format!("`{expression}` is not a SQL expression: {error}"))?;
    let parsed = parser.parse_expr().map_err(|error| format!("`{expression}` is not a SQL expression: {error}"))?;
    if parser.peek_token().token != Token::EOF {
        return Err(format!("`{expression}` goes on after its end, at `{}`", parser.peek_token()));
    }
    let mut harmless = Harmless { allowed, columns: BTreeSet::new() };
    match parsed.visit(&mut harmless) {
        ControlFlow::Continue(()) => Ok((parsed.to_string(), harmless.columns)),
        ControlFlow::Break(what) => Err(format!("{what} cannot be part of {}", allowed.what)),
    }
}

struct Harmless {
    allowed: Allowed,
    columns: BTreeSet<String>,
}

impl Visitor for Harmless {
    type Break = String;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        match expr {
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                if !self.allowed.functions.contains(&name.as_str()) {
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
            Expr::Trim { .. }
            | Expr::Substring { .. }
            | Expr::Position { .. }
            | Expr::Overlay { .. }
            | Expr::Extract { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::TypedString(_)
            | Expr::Interval(_)
            | Expr::AtTimeZone { .. }
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
                if self.allowed.texts => {}
            other => return ControlFlow::Break(format!("`{other}`")),
        }
        ControlFlow::Continue(())
    }
}
