//! The two servers, each in one snapshot: what is asked of them, side by side.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Executor, MySqlConnection, PgConnection, Row, mysql::MySqlRow, postgres::PgRow};
use warehouse::{
    WarehouseError, ident,
    ident::TableName,
    load::{Seen, target},
};
use workflow::error::TaskError;

use super::{
    key::Key,
    ranges::{Cut, Range, within},
};
use crate::extract_mysql::{columns::quote, failed};

/// Rows and checksum of the parts of some ranges, by number.
pub(super) type Sums = BTreeMap<i128, (u64, i128)>;
/// The rows of some ranges, in order of their keys: key, and MD5 of the row's text.
pub(super) type Rows = Vec<(i128, String)>;
/// Values as text, by key.
pub(super) type Values = BTreeMap<i128, Vec<Option<String>>>;

/// Keys that one statement names.
const NAMED: usize = 1_000;

fn broken(error: sqlx::Error) -> TaskError {
    WarehouseError::from(error).into()
}

fn number(text: &str) -> Result<i128, TaskError> {
    text.parse().map_err(|_| TaskError::internal(format!("`{text}` is not a whole number")))
}

/// The table of the source.
pub(super) struct Source<'a> {
    pub(super) connection: &'a mut MySqlConnection,
    pub(super) table: String,
    pub(super) key: Key,
    /// A row as text.
    pub(super) text: String,
}

impl Source<'_> {
    /// Opens the snapshot; gives its time, in UTC.
    pub(super) async fn begin(connection: &mut MySqlConnection) -> Result<String, TaskError> {
        for statement in [
            "set session transaction isolation level repeatable read",
            "start transaction with consistent snapshot, read only",
        ] {
            connection.execute(statement).await.map_err(failed)?;
        }
        sqlx::query_scalar("select cast(utc_timestamp(6) as char)").fetch_one(connection).await.map_err(failed)
    }

    pub(super) async fn ends(&mut self) -> Result<Option<(i128, i128)>, TaskError> {
        if self.key.ends.is_some() {
            return Ok(self.key.ends);
        }
        let key = &self.key.source;
        let sql = format!("select cast(min({key}) as char), cast(max({key}) as char) from {}", quote(&self.table));
        let row: (Option<String>, Option<String>) =
            sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *self.connection).await.map_err(failed)?;
        ends(row)
    }

    pub(super) async fn sums(&mut self, cut: &Cut) -> Result<Sums, TaskError> {
        let key = &self.key.source;
        let bucket = cut.bucket(key, |range, width| {
            // A difference of signed numbers may need a bit more than they do.
            if self.key.unsigned || range.high - range.low <= i128::from(i64::MAX) {
                format!("({key} - {}) div {width}", range.low)
            } else {
                format!("(cast({key} as decimal(20, 0)) - {}) div {width}", range.low)
            }
        });
        let sql = include_str!("../../../../sql/reconcile/mysql_buckets.sql")
            .replace("{bucket}", &bucket)
            .replace("{text}", &self.text)
            .replace("{table}", &quote(&self.table))
            .replace("{ranges}", &self.key.within(key, cut.ranges()));
        let mut rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(&mut *self.connection);
        let mut sums = Sums::new();
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let (bucket, count): (i64, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            let sum: String = row.try_get(2).map_err(failed)?;
            sums.insert(bucket.into(), (count.unsigned_abs(), number(&sum)?));
        }
        Ok(sums)
    }

    pub(super) async fn rows(&mut self, ranges: &[Range]) -> Result<Rows, TaskError> {
        let key = &self.key.source;
        let sql = format!(
            "select cast({key} + 0 as char), md5({}) from {} where {}",
            self.text,
            quote(&self.table),
            within(key, ranges.iter().copied())
        );
        let mut found = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(&mut *self.connection);
        let mut rows = Rows::new();
        while let Some(row) = found.try_next().await.map_err(failed)? {
            let key: String = row.try_get(0).map_err(failed)?;
            // Null where the row is longer than the server's packets: then it differs, and is not taken for alike.
            let sum: Option<String> = row.try_get(1).map_err(failed)?;
            rows.push((number(&key)?, sum.unwrap_or_default()));
        }
        // Rows of one number stand in one order on both sides.
        rows.sort_unstable();
        Ok(rows)
    }

    /// Which of these keys have a row that changed after so many seconds before `at`, by a column that says when.
    pub(super) async fn changed(
        &mut self,
        keys: &[i128],
        column: &str,
        (at, seconds): (&str, u64),
    ) -> Result<Vec<i128>, TaskError> {
        let (key, column) = (&self.key.source, quote(column));
        let mut changed = Vec::new();
        for some in keys.chunks(NAMED) {
            let named: Vec<String> = some.iter().map(ToString::to_string).collect();
            let sql = format!(
                "select cast({key} + 0 as char) from {} where {key} in ({}) and {column} > '{at}' - interval {seconds} second",
                quote(&self.table),
                named.join(", ")
            );
            let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                .persistent(false)
                .fetch_all(&mut *self.connection)
                .await
                .map_err(failed)?;
            changed.extend(found.iter().map(|key| number(key)).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(changed)
    }

    /// The sum of each column; none where it has no value.
    pub(super) async fn totals(&mut self, names: &[String]) -> Result<Vec<Option<String>>, TaskError> {
        let sums: Vec<String> = names.iter().map(|name| format!("cast(sum({}) as char)", quote(name))).collect();
        let sql = format!("select {} from {}", sums.join(", "), quote(&self.table));
        let row: MySqlRow =
            sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *self.connection).await.map_err(failed)?;
        (0..names.len()).map(|place| row.try_get(place).map_err(failed)).collect()
    }

    pub(super) async fn values(&mut self, keys: &[i128], texts: &[String]) -> Result<Values, TaskError> {
        let key = &self.key.source;
        let Some(sql) = values_of(&format!("cast({key} + 0 as char)"), key, &quote(&self.table), keys, texts) else {
            return Ok(Values::new());
        };
        let rows: Vec<MySqlRow> =
            sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(&mut *self.connection).await.map_err(failed)?;
        rows.iter()
            .map(|row| {
                let key: String = row.try_get(0).map_err(failed)?;
                let values = (0..texts.len()).map(|place| row.try_get(place + 1).map_err(failed));
                Ok((number(&key)?, values.collect::<Result<_, _>>()?))
            })
            .collect()
    }
}

/// The table of the warehouse.
pub(super) struct Target<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) table: TableName,
    pub(super) key: Key,
    /// A row as text.
    pub(super) text: String,
}

/// What the snapshot of the warehouse says of itself.
pub(super) struct Opened {
    pub(super) at: String,
    pub(super) seen: Seen,
    pub(super) types: BTreeMap<String, String>,
    pub(super) unique: bool,
}

impl Target<'_> {
    /// Sets the snapshot of the transaction that the connection is in.
    pub(super) async fn begin(
        connection: &mut PgConnection,
        table: &TableName,
        key: &[String],
    ) -> Result<Opened, TaskError> {
        for statement in [
            "set transaction isolation level repeatable read, read only",
            "set local timezone to 'UTC'",
            "set local datestyle to 'ISO'",
            "set local intervalstyle to 'postgres'",
            "set local extra_float_digits to 1",
            // Parts are told apart by an expression, which the planner takes to have as many values as the key: several
            // processes, each with its own sums, would seem to cost more than they save, and sorting less than hashing.
            "set local parallel_setup_cost to 0",
            "set local parallel_tuple_cost to 0",
            "set local enable_sort to off",
        ] {
            connection.execute(statement).await.map_err(broken)?;
        }
        let at =
            sqlx::query_scalar("select clock_timestamp()::text").fetch_one(&mut *connection).await.map_err(broken)?;
        let seen = Seen::of(connection, table).await?;
        let types = target::types(connection, table).await?;
        let unique = target::is_unique(connection, table, key).await?;
        Ok(Opened { at, seen, types, unique })
    }

    /// Rows without a key.
    pub(super) async fn keyless(&mut self) -> Result<i64, TaskError> {
        let names = self.key.names.iter().map(|name| Ok(format!("{} is null", ident::quote(name)?)));
        let missing = names.collect::<Result<Vec<_>, TaskError>>()?.join(" or ");
        let sql = format!("select count(*) from {} where {missing}", self.table.quoted());
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *self.connection).await.map_err(broken)
    }

    pub(super) async fn ends(&mut self) -> Result<Option<(i128, i128)>, TaskError> {
        if self.key.ends.is_some() {
            return Ok(self.key.ends);
        }
        let key = &self.key.target;
        let sql = format!("select min({key})::text, max({key})::text from {}", self.table.quoted());
        let row = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *self.connection).await.map_err(broken)?;
        ends(row)
    }

    pub(super) async fn sums(&mut self, cut: &Cut) -> Result<Sums, TaskError> {
        let key = &self.key.target;
        let bucket = cut.bucket(key, |range, width| {
            let fits = |number: i128| i64::try_from(number).is_ok();
            if fits(range.low) && fits(range.high) && fits(range.high - range.low) && fits(width) {
                format!("({key}::bigint - ({})::bigint) / ({width})::bigint", range.low)
            } else {
                format!("div({key}::numeric - ({}), {width})", range.low)
            }
        });
        let sql = include_str!("../../../../sql/reconcile/postgres_buckets.sql")
            .replace("{bucket}", &bucket)
            .replace("{text}", &self.text)
            .replace("{table}", &self.table.quoted())
            .replace("{ranges}", &self.key.within(key, cut.ranges()));
        let mut rows = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(&mut *self.connection);
        let mut sums = Sums::new();
        while let Some(row) = rows.try_next().await.map_err(broken)? {
            let (bucket, count): (i64, i64) = (row.try_get(0).map_err(broken)?, row.try_get(1).map_err(broken)?);
            let sum: String = row.try_get(2).map_err(broken)?;
            sums.insert(bucket.into(), (count.unsigned_abs(), number(&sum)?));
        }
        Ok(sums)
    }

    pub(super) async fn rows(&mut self, ranges: &[Range]) -> Result<Rows, TaskError> {
        let key = &self.key.target;
        let sql = format!(
            "select ({key})::text, md5({}) from {} where {}",
            self.text,
            self.table.quoted(),
            within(key, ranges.iter().copied()),
        );
        let mut found = sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch(&mut *self.connection);
        let mut rows = Rows::new();
        while let Some(row) = found.try_next().await.map_err(broken)? {
            let (key, sum): (String, String) = (row.try_get(0).map_err(broken)?, row.try_get(1).map_err(broken)?);
            rows.push((number(&key)?, sum));
        }
        rows.sort_unstable();
        Ok(rows)
    }

    /// The sum of each column; none where it has no value.
    pub(super) async fn totals(&mut self, names: &[String]) -> Result<Vec<Option<String>>, TaskError> {
        let sums = names.iter().map(|name| Ok(format!("sum({})::text", ident::quote(name)?)));
        let sums = sums.collect::<Result<Vec<_>, TaskError>>()?.join(", ");
        let sql = format!("select {sums} from {}", self.table.quoted());
        let row: PgRow =
            sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_one(&mut *self.connection).await.map_err(broken)?;
        (0..names.len()).map(|place| row.try_get(place).map_err(broken)).collect()
    }

    pub(super) async fn values(&mut self, keys: &[i128], texts: &[String]) -> Result<Values, TaskError> {
        let key = &self.key.target;
        let Some(sql) = values_of(&format!("({key})::text"), key, &self.table.quoted(), keys, texts) else {
            return Ok(Values::new());
        };
        let rows: Vec<PgRow> =
            sqlx::query(AssertSqlSafe(sql)).persistent(false).fetch_all(&mut *self.connection).await.map_err(broken)?;
        rows.iter()
            .map(|row| {
                let key: String = row.try_get(0).map_err(broken)?;
                let values = (0..texts.len()).map(|place| row.try_get(place + 1).map_err(broken));
                Ok((number(&key)?, values.collect::<Result<_, _>>()?))
            })
            .collect()
    }
}

fn ends(row: (Option<String>, Option<String>)) -> Result<Option<(i128, i128)>, TaskError> {
    match row {
        (Some(low), Some(high)) => Ok(Some((number(&low)?, number(&high)?))),
        _ => Ok(None),
    }
}

/// The values of some keys; none where no key is named.
fn values_of(key_text: &str, key: &str, table: &str, keys: &[i128], texts: &[String]) -> Option<String> {
    if keys.is_empty() {
        return None;
    }
    let named: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let columns: String = texts.iter().map(|text| format!(", {text}")).collect();
    Some(format!("select {key_text}{columns} from {table} where {key} in ({})", named.join(", ")))
}
