//! A table by its name, and the columns that it has.

use std::{fmt, str::FromStr};

use sqlx::{FromRow, PgConnection};

use super::{
    QualityError,
    backend::{kind, quote, stored},
};
use crate::types::{Column, Schema};

/// A table, or a view, by its schema and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name there.
    pub name: String,
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.schema, self.name)
    }
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            Some((schema, name)) if !schema.is_empty() && !name.is_empty() && !name.contains('.') => {
                Ok(Self { schema: schema.to_owned(), name: name.to_owned() })
            }
            _ => Err(format!("`{text}` is not a table; write `schema.table`")),
        }
    }
}

impl Table {
    /// As SQL names it, quoted.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }
}

#[derive(FromRow)]
struct ColumnRow {
    name: String,
    type_name: String,
    is_enum: bool,
    modifier: i32,
}

/// Its columns, in order.
pub(crate) async fn columns(connection: &mut PgConnection, table: &Table) -> Result<Schema, QualityError> {
    let found: Vec<ColumnRow> = sqlx::query_as(include_str!("../../../../sql/quality/columns.sql"))
        .bind(&table.schema)
        .bind(&table.name)
        .fetch_all(connection)
        .await?;
    if found.is_empty() {
        return Err(QualityError::NoTable(table.clone()));
    }
    let column = |c: ColumnRow| Column {
        kind: kind(&c.type_name, c.is_enum, c.modifier),
        stored: stored(&c.type_name, c.modifier),
        name: c.name,
    };
    Ok(Schema(found.into_iter().map(column).collect()))
}
