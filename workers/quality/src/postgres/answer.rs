//! Statements that are run so that their failure is an answer too, and values as they come back.

use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, Postgres, Row, Transaction,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use super::{
    QualityError,
    backend::{Parameter, Statement},
};
use crate::{
    types::Type,
    value::{Scalar, read_date, read_instant, read_time, read_timestamp},
};

/// A row's values as text.
pub(super) type Values = Vec<Option<String>>;

/// Runs a statement so that its failure leaves the connection, and a transaction around it, usable.
pub(super) async fn attempt(
    connection: &mut PgConnection,
    sql: String,
    statement: Statement,
) -> Result<Result<Vec<PgRow>, String>, QualityError> {
    let mut savepoint = begin(connection).await?;
    let answer = bound(sql, statement).fetch_all(&mut *savepoint).await;
    match answer {
        Ok(rows) => {
            savepoint.commit().await?;
            Ok(Ok(rows))
        }
        Err(sqlx::Error::Database(error)) => {
            savepoint.rollback().await?;
            Ok(Err(error.message().to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// The same for an answer that is too long to hold: `see` has its rows one by one.
pub(super) async fn attempt_each(
    connection: &mut PgConnection,
    sql: String,
    statement: Statement,
    mut see: impl FnMut(&PgRow),
) -> Result<Result<(), String>, QualityError> {
    let mut savepoint = begin(connection).await?;
    let mut rows = bound(sql, statement).fetch(&mut *savepoint);
    let answer = loop {
        match rows.try_next().await {
            Ok(Some(row)) => see(&row),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(rows);
    match answer {
        Ok(()) => {
            savepoint.commit().await?;
            Ok(Ok(()))
        }
        Err(sqlx::Error::Database(error)) => {
            savepoint.rollback().await?;
            Ok(Err(error.message().to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Statements of many short expressions take longer to compile than to run: half again as long over a million rows.
async fn begin(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    let mut savepoint = connection.begin().await?;
    sqlx::query("set local jit = off").execute(&mut *savepoint).await?;
    Ok(savepoint)
}

fn bound(sql: String, statement: Statement) -> Query<'static, Postgres, PgArguments> {
    let mut query: Query<'_, Postgres, PgArguments> = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for parameter in statement.parameters {
        query = match parameter {
            Parameter::One(value) => query.bind(value),
            Parameter::Many(values) => query.bind(values),
        };
    }
    query
}

/// The columns of a row that are text.
pub(super) fn texts(row: &PgRow) -> Values {
    (0..row.len()).map(|index| row.try_get::<Option<String>, _>(index).ok().flatten()).collect()
}

/// A value from the text that JSON gives it.
pub(super) fn read(text: &str, kind: Type) -> Option<Scalar> {
    match kind {
        Type::Bool => text.parse().ok().map(Scalar::Bool),
        Type::Int | Type::Decimal(_) => Scalar::number(text),
        Type::Float => text.parse().ok().map(Scalar::Float),
        Type::Date => read_date(text).map(Scalar::Date),
        Type::Timestamp => read_timestamp(text).map(Scalar::Timestamp),
        Type::Instant => read_instant(text).map(Scalar::Instant),
        Type::Time => read_time(text).map(Scalar::Time),
        Type::Text | Type::Null | Type::Other => Some(Scalar::Text(text.to_owned())),
    }
}
