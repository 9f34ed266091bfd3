//! The table that readers see: made from the first batch, checked against every later one.

use std::collections::BTreeMap;

use polars::prelude::Schema;
use sqlx::{AssertSqlSafe, PgConnection};
use workflow::diagnostic::did_you_mean;

use super::{Deduplicate, LoadRequest, SOURCE_FILE, SOURCE_LINE};
use crate::{
    copy::{CopyColumn, PgType, natural_columns},
    error::WarehouseError,
    ident::{TableName, quote, quote_all},
};

/// Takes the lock under which loads of one target take turns, until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection, target: &TableName) -> Result<(), WarehouseError> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('sluice.load:' || $1, 0))")
        .bind(target.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// The target's columns that the batch fills, after making the table if there is none.
///
/// Fails with every misfit: names that are no columns of the batch, columns that the target lacks or whose type cannot take them, columns that must
/// not be null and are not in the batch, a key without a unique index.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    request: &LoadRequest,
    schema: &Schema,
) -> Result<Vec<CopyColumn>, WarehouseError> {
    let misfit = |problems: Vec<String>| WarehouseError::Contract { table: request.target.to_string(), problems };
    let mut wanted = schema.clone();
    wanted.shift_remove(SOURCE_FILE);
    wanted.shift_remove(SOURCE_LINE);
    if wanted.is_empty() {
        return Err(misfit(vec!["the batch has no columns".to_owned()]));
    }
    let mut problems = unknown_names(request, schema);
    let existing = columns(connection, &request.target).await?;
    if existing.is_empty() {
        if !problems.is_empty() {
            return Err(misfit(problems));
        }
        let hint = |name: &str| request.manifest.types.get(name).cloned();
        let natural = natural_columns(&wanted, hint).map_err(misfit)?;
        create(connection, request, &natural).await?;
        return Ok(natural);
    }
    let mut fitting = Vec::new();
    for (name, dtype) in wanted.iter() {
        match existing.get(name.as_str()) {
            None => problems.push(format!("column `{name}` is new; add it to the table first")),
            Some(column) => match PgType::parse(&column.type_name).filter(|pg| pg.accepts(dtype)) {
                Some(pg) => fitting.push(CopyColumn { name: name.to_string(), pg }),
                None => problems.push(format!("column `{name}` is {dtype}, which {} cannot hold", column.type_name)),
            },
        }
    }
    for (name, column) in &existing {
        if column.required && !wanted.contains(name) {
            problems.push(format!("column `{name}` must not be null and is not in the batch"));
        }
    }
    if !request.key.is_empty() && !is_unique(connection, &request.target, &request.key).await? {
        problems.push(format!("no unique index on the key ({})", request.key.join(", ")));
    }
    if problems.is_empty() { Ok(fitting) } else { Err(misfit(problems)) }
}

/// Names in the request that the batch has no column for. Left out in silence, they would make rows alike that are not.
fn unknown_names(request: &LoadRequest, schema: &Schema) -> Vec<String> {
    let source = [SOURCE_FILE, SOURCE_LINE];
    let data: Vec<&str> =
        schema.iter_names().map(polars::prelude::PlSmallStr::as_str).filter(|name| !source.contains(name)).collect();
    let mut problems = Vec::new();
    let mut look = |what: &str, name: &str, found: bool| {
        if !found {
            let hint = did_you_mean(name, data.iter().copied());
            problems.push(format!("{what} names `{name}`, which is not a column of the batch ({hint})"));
        }
    };
    for name in &request.key {
        look("`key`", name, data.contains(&name.as_str()));
    }
    if let Deduplicate::By(names) = &request.deduplicate {
        for name in names {
            look("`deduplicate`", name, data.contains(&name.as_str()));
        }
    }
    if let Some(name) = &request.manifest.order_by {
        look("the extract's cursor", name, data.contains(&name.as_str()));
    }
    for sum in &request.balance {
        for name in sum.columns() {
            look(&format!("`balance.{}`", sum.name()), name, schema.contains(name));
        }
    }
    problems
}

#[derive(sqlx::FromRow)]
struct Existing {
    name: String,
    type_name: String,
    required: bool,
}

async fn columns(
    connection: &mut PgConnection,
    table: &TableName,
) -> Result<BTreeMap<String, Existing>, WarehouseError> {
    let found: Vec<Existing> = sqlx::query_as(include_str!("../../../../sql/engine/table_columns.sql"))
        .bind(table.schema())
        .bind(table.table())
        .fetch_all(connection)
        .await?;
    Ok(found.into_iter().map(|column| (column.name.clone(), column)).collect())
}

/// The columns of a table with their types as Postgres prints them; none where there is no such table.
pub async fn types(
    connection: &mut PgConnection,
    table: &TableName,
) -> Result<BTreeMap<String, String>, WarehouseError> {
    Ok(columns(connection, table).await?.into_iter().map(|(name, column)| (name, column.type_name)).collect())
}

/// Whether a unique index is on just these columns.
pub async fn is_unique(
    connection: &mut PgConnection,
    table: &TableName,
    columns: &[String],
) -> Result<bool, WarehouseError> {
    let found = sqlx::query_scalar(include_str!("../../../../sql/engine/has_unique_index.sql"))
        .bind(table.schema())
        .bind(table.table())
        .bind(columns)
        .fetch_one(connection)
        .await?;
    Ok(found)
}

async fn create(
    connection: &mut PgConnection,
    request: &LoadRequest,
    columns: &[CopyColumn],
) -> Result<(), WarehouseError> {
    let mut lines = columns
        .iter()
        .map(|column| Ok(format!("{} {}", quote(&column.name)?, column.pg)))
        .collect::<Result<Vec<_>, WarehouseError>>()?;
    if !request.key.is_empty() {
        lines.push(format!("primary key ({})", quote_all(request.key.iter().map(String::as_str))?));
    }
    let table = &request.target;
    sqlx::query("select sluice.ensure_schema($1)").bind(table.schema()).execute(&mut *connection).await?;
    sqlx::query(AssertSqlSafe(format!("create table {} ({})", table.quoted(), lines.join(", "))))
        .execute(connection)
        .await?;
    Ok(())
}
