//! Into `MySQL`: a transaction a chunk, and in it a line in `generator_chunk`. Whoever finds the line does
//! nothing, so a run that was killed is completed by the next, and a run that was completed changes nothing.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::json;
use simshop::{Chunk, Past, Settings, Shop, TableRows, Value};
use sqlx::{MySql, MySqlConnection, MySqlPool, QueryBuilder, query};
use tokio_util::sync::CancellationToken;
use workflow::error::TaskError;

use super::Config;
use crate::mysql::HINT;

/// Placeholders of one statement at most; the protocol allows 65,535.
const PLACEHOLDERS: usize = 12_000;

/// What [`write`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where the past ends.
    pub until: DateTime<Utc>,
    /// Chunks that the past has.
    pub chunks: u64,
    /// Those that were not there before.
    pub chunks_written: u64,
    /// Rows in them.
    pub rows_written: u64,
}

/// Creates the tables and writes the past that `config` describes, ending at `now` unless it or an earlier run
/// says otherwise. Refuses a shop that was made from other settings.
pub async fn write(
    pool: &MySqlPool,
    config: &Config,
    now: DateTime<Utc>,
    cancel: &CancellationToken,
    mut note: impl FnMut(String),
) -> Result<Written, TaskError> {
    let mut connection = pool.acquire().await.map_err(unreachable)?;
    create_tables(&mut connection).await?;
    let settings = claim(&mut connection, config, now).await?;
    let past = Past::new(Shop::new(settings.clone()));
    let mut written = Written { until: settings.until, chunks: past.chunks(), chunks_written: 0, rows_written: 0 };
    note(format!(
        "{} customers, {} products, {} orders until {}, seed {}",
        settings.customers(),
        settings.products(),
        settings.orders(),
        settings.until,
        settings.seed
    ));
    for chunk in past {
        if cancel.is_cancelled() {
            return Err(TaskError::external("stopped between two chunks; the next attempt goes on from here"));
        }
        if let Some(rows) = write_chunk(pool, &chunk).await.map_err(|e| failed("cannot write a chunk", e))? {
            written.chunks_written += 1;
            written.rows_written += rows;
            note(format!("{} {}: {rows} rows", chunk.source, chunk.number));
        }
    }
    query("update generator_run set ended_at = coalesce(ended_at, utc_timestamp(6)) where id = 1")
        .execute(&mut *connection)
        .await
        .map_err(|e| failed("cannot close the generator's run", e))?;
    note(format!("{} of {} chunks were new: {} rows", written.chunks_written, written.chunks, written.rows_written));
    Ok(written)
}

/// Sees to it that the shop has a whole past: the one it was begun with, or, where there is none, `config`'s.
pub async fn complete(
    pool: &MySqlPool,
    config: &Config,
    now: DateTime<Utc>,
    cancel: &CancellationToken,
    note: impl FnMut(String),
) -> Result<Written, TaskError> {
    let mut connection = pool.acquire().await.map_err(unreachable)?;
    create_tables(&mut connection).await?;
    let begun = recorded(&mut connection).await?;
    drop(connection);
    write(pool, begun.as_ref().unwrap_or(config), now, cancel, note).await
}

async fn create_tables(connection: &mut MySqlConnection) -> Result<(), TaskError> {
    for statement in simshop::schema::statements() {
        query(statement).execute(&mut *connection).await.map_err(|e| failed("cannot create the shop's tables", e))?;
    }
    Ok(())
}

/// The settings that this shop was first generated from; those asked for must be the same.
async fn claim(connection: &mut MySqlConnection, config: &Config, now: DateTime<Utc>) -> Result<Settings, TaskError> {
    let wanted = config.settings(now);
    let full = Config { until: Some(wanted.until), ..config.clone() };
    let text = serde_json::to_string(&full).map_err(|e| TaskError::internal("settings do not serialise").because(e))?;
    query("insert ignore into generator_run (id, seed, settings) values (1, ?, ?)")
        .bind(config.seed)
        .bind(text)
        .execute(&mut *connection)
        .await
        .map_err(|e| failed("cannot record the settings", e))?;
    let Some(first) = recorded(connection).await? else {
        return Err(TaskError::internal("the settings were recorded but are not there"));
    };
    let apart_from_end = |config: &Config| Config { until: None, ..config.clone() };
    let other_end = config.until.is_some() && first.until != full.until;
    if other_end || apart_from_end(&first) != apart_from_end(config) {
        return Err(TaskError::user(format!(
            "this shop was generated from other settings, {}: use those, or an empty database",
            json!(first)
        )));
    }
    Ok(first.settings(now))
}

/// The settings that this shop was generated from, if it was.
pub async fn recorded(connection: &mut MySqlConnection) -> Result<Option<Config>, TaskError> {
    // MariaDB keeps JSON as text, MySQL as a type of its own.
    let text: Option<String> = sqlx::query_scalar("select cast(settings as char) from generator_run where id = 1")
        .fetch_optional(connection)
        .await
        .map_err(|e| failed("cannot read the settings", e))?;
    text.map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|e| TaskError::user("`generator_run.settings` cannot be read").because(e))
}

/// Number of rows written; `None` if the chunk was there already.
async fn write_chunk(pool: &MySqlPool, chunk: &Chunk) -> Result<Option<u64>, sqlx::Error> {
    let tables = chunk.tables();
    let rows: usize = tables.iter().map(|table| table.rows.len()).sum();
    let mut transaction = pool.begin().await?;
    // A second generator waits here for the first one's transaction, and then finds the line.
    let claimed = query("insert ignore into generator_chunk (source, chunk, row_count) values (?, ?, ?)")
        .bind(chunk.source)
        .bind(chunk.number)
        .bind(u32::try_from(rows).unwrap_or(u32::MAX))
        .execute(&mut *transaction)
        .await?;
    if claimed.rows_affected() == 0 {
        return Ok(None);
    }
    for table in &tables {
        insert(&mut transaction, table, 0).await?;
    }
    transaction.commit().await?;
    Ok(Some(rows as u64))
}

/// Inserts rows, many a statement, without the first `skip` columns, which the database fills in.
pub(super) async fn insert(
    connection: &mut MySqlConnection,
    table: &TableRows<'_>,
    skip: usize,
) -> Result<(), sqlx::Error> {
    let columns = &table.columns[skip..];
    for rows in table.rows.chunks((PLACEHOLDERS / columns.len()).max(1)) {
        let mut insert = QueryBuilder::<MySql>::new("insert into ");
        insert.push(table.table).push(" (").push(columns.join(", ")).push(") ");
        insert.push_values(rows, |mut tuple, row| {
            for cell in &row[skip..] {
                bind(&mut tuple, cell);
            }
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn bind(tuple: &mut sqlx::query_builder::Separated<'_, MySql, &'static str>, cell: &Value<'_>) {
    match cell {
        Value::Null => tuple.push_bind(None::<String>),
        Value::Int(value) => tuple.push_bind(*value),
        Value::Id(value) => tuple.push_bind(*value),
        Value::Money(cents) => tuple.push_bind(Decimal::new(cents.0, 2)),
        Value::Text(text) => tuple.push_bind(text.clone().into_owned()),
        Value::Date(date) => tuple.push_bind(*date),
        Value::Time(at) => tuple.push_bind(*at),
    };
}

pub(super) fn unreachable(error: sqlx::Error) -> TaskError {
    failed("cannot connect to the shop's MySQL", error)
}

/// A connection that was lost has the exit code of a service out of reach.
pub(super) fn failed(message: &str, error: sqlx::Error) -> TaskError {
    if is_lost_connection(&error) {
        return TaskError::unreachable("MariaDB", format!("{message}: MariaDB was lost; {HINT}")).because(error);
    }
    TaskError::external(message).because(error)
}

fn is_lost_connection(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_told_from_a_refused_statement() {
        let reset = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(failed("cannot write a chunk", reset).service, Some("MariaDB"));
        assert_eq!(failed("cannot write a chunk", sqlx::Error::RowNotFound).service, None);
    }
}
