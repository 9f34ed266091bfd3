//! From where to where an incremental read goes.

use std::time::{Duration, Instant};

use sqlx::{
    Executor, MySqlConnection, Row,
    error::DatabaseError,
    mysql::{MySqlDatabaseError, MySqlRow},
};
use tokio::sync::Mutex;
use warehouse::manifest::{Mark, Reading};
use workflow::{error::TaskError, log::TaskLog, span::Span};

use super::{
    Incremental,
    columns::{SourceColumn, SourceType, quote},
    decode, failed,
};

/// The rows to read: after `from`, up to `to`.
#[derive(Debug)]
pub(super) struct Window {
    of: Reading,
    key: String,
    /// Cursor and key of the mark; no key where an overlap is read again.
    from: Option<(String, Option<String>)>,
    to: String,
}

impl Window {
    /// Call it before the snapshot is taken: what commits in between is then seen, and below the bound.
    pub(super) async fn find(
        connection: &mut MySqlConnection,
        incremental: &Incremental,
        columns: &[SourceColumn],
        of: Reading,
        mark: Option<Mark>,
        log: &TaskLog,
    ) -> Result<Self, TaskError> {
        check(incremental, columns)?;
        let to = bound(connection, incremental.lag, log).await?;
        let from = match mark {
            None => None,
            Some(mark) if incremental.overlap.0.is_zero() => Some((mark.cursor, Some(mark.key))),
            Some(mark) => {
                let overlap = i64::try_from(incremental.overlap.0.as_micros()).unwrap_or(i64::MAX);
                let from = sqlx::query_scalar("select cast(cast(? as datetime(6)) - interval ? microsecond as char)")
                    .bind(&mark.cursor)
                    .bind(overlap)
                    .fetch_one(connection)
                    .await
                    .map_err(failed)?;
                Some((from, None))
            }
        };
        Ok(Self { of, key: incremental.key.clone(), from, to })
    }

    /// The query's end, and the values that it binds.
    pub(super) fn condition(&self, arguments: &mut Vec<String>) -> String {
        let (cursor, key) = (quote(&self.of.column), quote(&self.key));
        let mut sql = format!(" where {cursor} <= ?");
        arguments.push(self.to.clone());
        match &self.from {
            None => {}
            Some((from, None)) => {
                sql.push_str(&format!(" and {cursor} >= ?"));
                arguments.push(from.clone());
            }
            Some((from, Some(after))) => {
                sql.push_str(&format!(" and ({cursor} > ? or ({cursor} = ? and {key} > ?))"));
                arguments.extend([from.clone(), from.clone(), after.clone()]);
            }
        }
        sql.push_str(&format!(" order by {cursor}, {key}"));
        sql
    }

    /// Identity of what was asked for.
    pub(super) fn batch_id(&self) -> String {
        let from = match &self.from {
            None => String::new(),
            Some((cursor, None)) => cursor.clone(),
            Some((cursor, Some(key))) => format!("{cursor}/{key}"),
        };
        format!("{from}..{}", self.to)
    }

    /// The mark at a row.
    pub(super) fn mark_at(&self, row: &MySqlRow, columns: &[SourceColumn]) -> Result<Mark, String> {
        let text = |name: &str| {
            let index = columns.iter().position(|column| column.name == name).ok_or("a column went missing")?;
            let value = row.try_get_raw(index).map_err(|error| error.to_string())?;
            decode::as_text(&columns[index], value).ok_or_else(|| format!("the last row has no `{name}`"))
        };
        Ok(Mark { of: self.of.clone(), cursor: text(&self.of.column)?, key: text(&self.key)? })
    }
}

/// What a table without a cursor can do instead.
const INSTEAD: &str = "a cursor is a `datetime` or `timestamp` column, never null, that each change of a row moves on; a \
                       table without one is read whole (leave `incremental` out), or mended by `kind: reconcile` with \
                       `repair: true`, which finds inserted, changed and deleted rows by their checksums";

/// Whether each row has a place in the order of cursor and key, and a mark can say it.
fn check(incremental: &Incremental, columns: &[SourceColumn]) -> Result<(), TaskError> {
    let find = |what: &str, wanted: &str| {
        let found = columns.iter().find(|column| column.name == wanted);
        let found = found
            .ok_or_else(|| TaskError::user(format!("the {what} `{wanted}` is not a column of the table; {INSTEAD}")))?;
        // The mark would pass a row without a value, and nobody would ever read it.
        if found.nullable {
            return Err(TaskError::user(format!(
                "the {what} `{wanted}` may be null, and a row where it is would never be read; {INSTEAD}"
            )));
        }
        Ok(found)
    };
    if !matches!(find("cursor", &incremental.cursor)?.kind, SourceType::Datetime | SourceType::Timestamp) {
        return Err(TaskError::user(format!(
            "the cursor `{}` is not a datetime or timestamp column; {INSTEAD}",
            incremental.cursor
        )));
    }
    match find("key", &incremental.key)?.kind {
        // A mark is text, and these are not compared with theirs.
        SourceType::Truth
        | SourceType::Bits
        | SourceType::Float32
        | SourceType::Float64
        | SourceType::Bytes
        | SourceType::Time
        | SourceType::Json => Err(TaskError::user(format!(
            "the key `{}` cannot be part of a mark; name a unique column of numbers, text or dates",
            incremental.key
        ))),
        _ => Ok(()),
    }
}

/// `ER_SPECIFIC_ACCESS_DENIED_ERROR`: the user lacks PROCESS.
const DENIED: u16 = 1227;

fn is_denied(error: &dyn DatabaseError) -> bool {
    error.try_downcast_ref::<MySqlDatabaseError>().is_some_and(|error| error.number() == DENIED)
}

/// Held by whoever of this process reads lists of transactions. Extracts that start together then share one: the
/// pauses of several would overlap, and leave the list no rest.
static LOOKING: Mutex<()> = Mutex::const_new(());
/// How long to ask for a fresh list of transactions.
const PATIENCE: Duration = Duration::from_secs(30);

/// The time below which no transaction can still write: now, or the start of the oldest one that writes, less `lag`.
///
/// The clock is read first: what starts after the list of transactions was made starts after that reading. `InnoDB`
/// makes the list anew only when nobody has read it for 100 ms, so the list counts only if it shows the transaction
/// that this connection has opened for the purpose.
async fn bound(connection: &mut MySqlConnection, lag: Span, log: &TaskLog) -> Result<String, TaskError> {
    let micros = i64::try_from(lag.0.as_micros()).unwrap_or(i64::MAX);
    let now: String = sqlx::query_scalar("select cast(utc_timestamp(6) as char)")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    connection.execute("start transaction with consistent snapshot, read only").await.map_err(failed)?;
    let asked = Instant::now();
    let looking = LOOKING.lock().await;
    let mut longest = 160_u64;
    let bound = loop {
        let listed = sqlx::query_scalar::<_, Option<String>>(include_str!("../../../../sql/extract/mysql_bound.sql"))
            .bind(&now)
            .bind(micros)
            .fetch_one(&mut *connection)
            .await;
        match listed {
            Ok(Some(bound)) => break bound,
            // Other processes may ask as often: random pauses, ever longer, let the list rest for long enough.
            Ok(None) if asked.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(rand::random_range(110..longest))).await;
                longest = (longest * 3 / 2).min(2000);
            }
            Ok(None) => {
                return Err(TaskError::external(format!(
                    "the source's list of open transactions was not made anew in {PATIENCE:?}; does something else \
                     read information_schema.innodb_trx without a pause?"
                )));
            }
            Err(sqlx::Error::Database(error)) if is_denied(error.as_ref()) => {
                log.warn(format!(
                    "open transactions of the source cannot be seen ({error}); the lag of {lag} alone must cover them: \
                     grant PROCESS to the user, or raise `lag`"
                ));
                break sqlx::query_scalar("select cast(cast(? as datetime(6)) - interval ? microsecond as char)")
                    .bind(&now)
                    .bind(micros)
                    .fetch_one(&mut *connection)
                    .await
                    .map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
    };
    drop(looking);
    connection.execute("rollback").await.map_err(failed)?;
    Ok(bound)
}
