//! What a model's SQL reads and which columns it makes, taken from its syntax tree.

use std::{collections::BTreeSet, ops::ControlFlow};

use sqlparser::{
    ast::{self, Expr, ObjectName, SelectItem, SetExpr, Statement, TableFactor, Visit, Visitor},
    dialect::PostgreSqlDialect,
    parser::{Parser, ParserError},
};
use workflow::diagnostic::Diagnostic;

use super::relation::Relation;

/// A table that a model reads, and the line of its SQL file where it first does.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) relation: Relation,
    pub(super) line: usize,
}

/// A model's SELECT.
#[derive(Debug)]
pub(super) struct Query {
    /// Its text, without a closing semicolon.
    pub(super) text: String,
    /// Tables it reads, in the order of their first mention.
    pub(super) references: Vec<Reference>,
    /// Its columns, where each has a name that the text shows.
    pub(super) columns: Option<Vec<String>>,
}

impl Query {
    /// Parses the text of a model, which must be one SELECT that names every table with its schema.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, Diagnostic> {
        let fault = |line: usize, message: String, hint: &str| Diagnostic {
            file: file.to_owned(),
            line,
            field: String::new(),
            message,
            hint: Some(hint.to_owned()),
        };
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, text).map_err(|error| {
            let (message, line) = located(&error);
            fault(line, format!("not valid SQL: {message}"), "a model is one SELECT in Postgres' SQL")
        })?;
        let [Statement::Query(query)] = statements.as_slice() else {
            let found = match statements.as_slice() {
                [] => "nothing".to_owned(),
                [_] => "a statement of another kind".to_owned(),
                more => format!("{} statements", more.len()),
            };
            return Err(fault(
                1,
                format!("expected one SELECT, found {found}"),
                "how rows are kept is said in the YAML",
            ));
        };
        let mut tables = Tables::default();
        let _: ControlFlow<()> = query.visit(&mut tables);
        let mut references: Vec<Reference> = Vec::new();
        for (name, line) in tables.found {
            match name.as_slice() {
                [single] if tables.common.contains(single) => {}
                [schema, table] => {
                    let relation = Relation::new(schema, table);
                    if !references.iter().any(|r| r.relation == relation) {
                        references.push(Reference { relation, line });
                    }
                }
                _ => {
                    let message = format!("the table `{}` is not named with its schema", name.join("."));
                    return Err(fault(line, message, "write `staging.…`, `warehouse.…` or `marts.…`"));
                }
            }
        }
        let text = text.trim_end().trim_end_matches(';').to_owned();
        Ok(Self { text, references, columns: columns(&query.body) })
    }
}

/// Tables and the names of common table expressions. A name that a CTE has anywhere in the query is taken for
/// the CTE everywhere in it.
#[derive(Default)]
struct Tables {
    found: Vec<(Vec<String>, usize)>,
    common: BTreeSet<String>,
}

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.common.extend(with.cte_tables.iter().map(|cte| folded(&cte.alias.name)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        // With arguments it is a function: generate_series(…).
        if let TableFactor::Table { name, args: None, .. } = factor {
            let line = name.0.first().and_then(|part| part.as_ident()).map_or(1, |ident| ident.span.start.line);
            self.found.push((parts(name), usize::try_from(line).unwrap_or(1)));
        }
        ControlFlow::Continue(())
    }
}

fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect()
}

/// An identifier as Postgres stores it.
fn folded(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

fn columns(body: &SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => select
            .projection
            .iter()
            .map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
                SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path)) => path.last().map(folded),
                _ => None,
            })
            .collect(),
        SetExpr::Query(query) => columns(&query.body),
        SetExpr::SetOperation { left, .. } => columns(left),
        _ => None,
    }
}

/// The parser's message and the line that it ends with: `… at Line: 3, Column: 5`.
fn located(error: &ParserError) -> (String, usize) {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => "nested too deeply".to_owned(),
    };
    match text.split_once(" at Line: ") {
        Some((message, place)) => {
            let line = place.split(',').next().and_then(|n| n.trim().parse().ok()).unwrap_or(1);
            (message.trim_end_matches([',', '.', ' ']).to_owned(), line)
        }
        None => (text, 1),
    }
}
