//! Second looks that find no bad rows: values with their frequencies, a query of the suite's.

use serde_json::Value;
use sqlx::{Connection, PgConnection, postgres::PgRow};

use super::{
    Engine, QualityError,
    answer::{attempt, read, texts},
    backend::Statement,
};
use crate::{
    expression::Expression,
    probe::{Frequencies, SAMPLES},
    suite::Check,
    types::{Schema, Type, condition, lower},
};

impl Engine<'_> {
    pub(super) async fn frequencies(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        column: &str,
    ) -> Result<Result<Frequencies, String>, QualityError> {
        let mut statement = self.statement();
        let written = lower(&Expression::column(column), &self.schema, &mut statement)
            .and_then(|(value, kind)| Ok((value, kind, self.within(check, &mut statement)?)));
        let (value, kind, within) = match written {
            Ok(written) => written,
            Err(error) => return Ok(Err(error)),
        };
        let collation = if kind == Type::Text { " collate \"C\"" } else { "" };
        let sql = format!(
            "select to_jsonb(v) #>> '{{}}', n::text from (select {value}{collation} as v, count(*) as n from {} \
             where {within} and {value} is not null group by 1 order by 1) as seen",
            self.from()
        );
        let rows = attempt(connection, sql, statement).await?;
        let pair = |row: &PgRow| match texts(row).as_slice() {
            [Some(value), Some(count)] => Some((read(value, kind)?, count.parse().ok()?)),
            _ => None,
        };
        Ok(rows.map(|rows| rows.iter().filter_map(pair).collect()))
    }

    pub(super) async fn unexpected_rows(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        query: &str,
    ) -> Result<Result<(u64, Vec<Value>), String>, QualityError> {
        unexpected_rows(connection, &self.from(), &self.schema, check, query).await
    }
}

/// What the rows that `when` lets in are called in a query.
const BATCH: &str = "sluice_batch";

/// How many rows a query of the suite's finds in a relation of these columns, and the first of them. It may read whatever the
/// connection may, and write nothing.
pub(crate) async fn unexpected_rows(
    connection: &mut PgConnection,
    relation: &str,
    schema: &Schema,
    check: &Check,
    query: &str,
) -> Result<Result<(u64, Vec<Value>), String>, QualityError> {
    let mut statement = Statement::default();
    let within = check.when.as_ref().map(|when| Expression::IsTrue(Box::new(when.clone())));
    let within = match within.map(|within| condition(&within, schema, &mut statement)).transpose() {
        Ok(within) => within,
        Err(error) => return Ok(Err(error)),
    };
    // By a name of its own, so that a query may say `from {batch}` whatever that is.
    let (with, batch) = match within {
        None if !relation.starts_with('(') => (String::new(), relation),
        within => {
            let within = within.unwrap_or_else(|| "true".to_owned());
            (format!("with {BATCH} as (select * from {relation} as batch where {within}) "), BATCH)
        }
    };
    let query = query.trim().trim_end_matches(';').replace("{batch}", batch);
    let sql = format!(
        "{with}select to_jsonb(found) #>> '{{}}', (count(*) over ())::text from (\n{query}\n) as found limit {SAMPLES}"
    );
    let mut transaction = connection.begin().await?;
    sqlx::query("set local transaction_read_only = on").execute(&mut *transaction).await?;
    let rows = attempt(&mut transaction, sql, statement).await?;
    transaction.rollback().await?;
    Ok(rows.map(|rows| {
        let rows: Vec<_> = rows.iter().map(texts).collect();
        let count = rows.first().and_then(|row| row.get(1)?.as_ref()?.parse().ok()).unwrap_or_default();
        let shown = rows.iter().filter_map(|row| serde_json::from_str(row.first()?.as_ref()?).ok());
        (count, shown.collect())
    }))
}
