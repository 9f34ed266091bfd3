//! Profiles of tables.

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{
    QualityError, Table,
    answer::{read, texts},
    backend::quote,
    table::columns,
};
use crate::{
    Watched,
    profile::{self, Nulls, Profile, Watch},
    types::Schema,
};

/// Profiles a table as it is now, from one statement that streams its rows: they are looked at just as a file's are,
/// and few are in memory at a time.
pub async fn profile_table(connection: &mut PgConnection, table: &Table) -> Result<Profile, QualityError> {
    let schema = columns(connection, table).await?;
    profile_schema(connection, table, schema).await
}

/// As [`profile_table`], of those columns alone that a suite wants to be kept; nothing where it wants none.
pub async fn profile_columns(
    connection: &mut PgConnection,
    table: &Table,
    watched: &Watched,
) -> Result<Option<Profile>, QualityError> {
    let mut schema = columns(connection, table).await?;
    let wanted = watched.columns(schema.names());
    if wanted.is_empty() {
        return Ok(None);
    }
    schema.0.retain(|column| wanted.contains(&column.name));
    profile_schema(connection, table, schema).await.map(Some)
}

async fn profile_schema(connection: &mut PgConnection, table: &Table, schema: Schema) -> Result<Profile, QualityError> {
    // JSON writes times in ISO 8601 and floats in full, whatever the session's settings are.
    let selected: Vec<_> = schema.names().map(|name| format!("to_jsonb({}) #>> '{{}}'", quote(name))).collect();
    let sql = format!("select {} from {}.{}", selected.join(", "), quote(&table.schema), quote(&table.name));
    let kinds: Vec<_> = schema.0.iter().map(|column| column.kind).collect();
    let mut nulls = Nulls::new(kinds.len());
    let mut watched: Vec<_> = schema.0.into_iter().map(Watch::new).collect();
    let mut rows = 0;
    let mut stream = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(connection);
    while let Some(row) = stream.try_next().await? {
        rows += 1;
        let mut empty: Vec<usize> = Vec::new();
        for (place, text) in texts(&row).into_iter().enumerate() {
            if text.is_none() {
                for before in &empty {
                    nulls.add(*before, place, 1);
                }
                empty.push(place);
            }
            watched[place].see(text.and_then(|text| read(&text, kinds[place])));
        }
    }
    Ok(profile::finish(rows, watched, &nulls))
}
