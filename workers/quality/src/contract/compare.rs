//! How a dataset differs from its contract.

use serde_json::{Value, json};

use super::{ColumnPolicy, Contract, FieldType, OrderPolicy, TypePolicy};
use crate::types::{Column, Schema, Type};

/// One difference, in words, and whether the contract lets it be.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    kind: &'static str,
    column: String,
    pub(crate) allowed: bool,
    text: String,
}

/// How the columns differ, in the order of the contract, then those that it does not name.
pub(crate) fn changes(contract: &Contract, schema: &Schema) -> Vec<Change> {
    let mut found = Vec::new();
    let mut change = |kind, column: &str, allowed, text: String| {
        found.push(Change { kind, column: column.to_owned(), allowed, text });
    };
    for field in &contract.fields {
        let Ok(column) = schema.column(&field.name) else {
            let allowed = contract.columns == ColumnPolicy::Any;
            change("removed", &field.name, allowed, format!("`{}` is gone", field.name));
            continue;
        };
        let (allowed, how) = match FieldType::of(column) {
            // A column without any value is of every type.
            _ if column.kind == Type::Null => continue,
            Some(now) if now.is(field.kind) => continue,
            Some(now) if now.holds(field.kind) => (contract.types == TypePolicy::Widening, "wider"),
            _ => (false, "not every value fits"),
        };
        let text = format!("`{}` is {} and was {}: {how}", field.name, type_of(column), field.kind);
        change("retyped", &field.name, allowed, text);
    }
    for column in &schema.0 {
        if !contract.fields.iter().any(|field| field.name == column.name) {
            let allowed = contract.columns != ColumnPolicy::Exact;
            change("added", &column.name, allowed, format!("`{}` is new, {}", column.name, type_of(column)));
        }
    }
    let there: Vec<_> = contract.fields.iter().map(|f| f.name.as_str()).filter(|n| schema.column(n).is_ok()).collect();
    let now: Vec<_> = schema.names().filter(|name| there.contains(name)).collect();
    if there != now {
        let allowed = contract.order == OrderPolicy::Any;
        let text = format!("the order is {} and was {}", now.join(", "), there.join(", "));
        change("reordered", "", allowed, text);
    }
    found
}

fn type_of(column: &Column) -> String {
    FieldType::of(column).map_or_else(|| column.stored.own.clone(), |kind| kind.to_string())
}

/// That a column without nulls has some.
pub(crate) fn nulls(column: &str, count: u64) -> Change {
    let text = format!("`{column}` is null in {count} row{}", if count == 1 { "" } else { "s" });
    Change { kind: "nullable", column: column.to_owned(), allowed: false, text }
}

/// What is told of the differences: in words what is wrong, then what is let be.
pub(crate) fn observed(changes: &[Change]) -> Value {
    let words =
        |allowed: bool| changes.iter().filter(move |change| change.allowed == allowed).map(|change| &change.text);
    let details: Vec<_> = changes
        .iter()
        .map(|change| {
            json!({ "change": change.kind, "column": change.column, "allowed": change.allowed, "text": change.text })
        })
        .collect();
    let all: Vec<_> = words(false).cloned().chain(words(true).map(|text| format!("{text} (allowed)"))).collect();
    let told = if all.is_empty() { "as agreed".to_owned() } else { all.join("; ") };
    json!({ "observed_value": told, "details": { "changes": details } })
}
