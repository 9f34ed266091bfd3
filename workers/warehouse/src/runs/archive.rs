//! Where runs go that ended long ago: the tables of `sluice_archive`, which have the names and columns of those that work
//! goes through, a partition a month.
//!
//! A run moves whole, in one transaction, so it is in one place or the other for everybody. What asks for one run looks
//! where runs are under way first, and then in the archive, with the same statement ([`Shelf`]); what lists runs reads
//! views over both. Claims, ends and renewals never see the archive.

use std::future::Future;

use chrono::{DateTime, Months, NaiveDate, NaiveTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::RunError;

/// How many of a DAG's latest runs stay where they are, however old: what the pages show of a DAG, and more than `why`
/// takes for what is usual.
pub const KEPT: i64 = 50;
/// How long ago a run must have ended, at least, before it can be archived.
pub const SOONEST: TimeDelta = TimeDelta::hours(1);
/// Runs that one batch looks at.
const LOOKED_AT: i64 = 250;
/// Runs that one batch moves.
const MOST_RUNS: usize = 50;
/// Tasks of the runs that one batch moves; a single run may have more.
const MOST_TASKS: i64 = 1000;

/// Where a statement about runs looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Where work goes on.
    Hot,
    /// Among the runs that ended long ago.
    Archive,
    /// In both.
    Every,
}

impl Shelf {
    /// A statement that is written for [`Shelf::Hot`], as it is here. A table whose name stands in quotes stays.
    pub fn statement(self, sql: &'static str) -> AssertSqlSafe<String> {
        let prefix = match self {
            Self::Hot => return AssertSqlSafe(sql.to_owned()),
            Self::Archive => "sluice_archive.",
            Self::Every => "sluice.every_",
        };
        let tables = ["dag_run", "task_run", "task_edge", "attempt", "task_log"];
        AssertSqlSafe(tables.iter().fold(sql.to_owned(), |sql, table| {
            sql.replace(&format!("sluice.{table} "), &format!("{prefix}{table} "))
                .replace(&format!("sluice.{table}\n"), &format!("{prefix}{table}\n"))
        }))
    }
}

/// What `ask` finds about a run where work goes on, or else in the archive.
pub async fn wherever<T, F>(pool: &PgPool, run_id: i64, ask: impl Fn(Shelf) -> F) -> Result<Vec<T>, sqlx::Error>
where
    F: Future<Output = Result<Vec<T>, sqlx::Error>>,
{
    let found = ask(Shelf::Hot).await?;
    if found.is_empty() && is_archived(&mut *pool.acquire().await?, run_id).await? {
        return ask(Shelf::Archive).await;
    }
    Ok(found)
}

/// Whether a run is in the archive.
pub async fn is_archived(connection: &mut PgConnection, run_id: i64) -> Result<bool, sqlx::Error> {
    // Those that are hot are the ones that are asked for.
    let sql = "select not exists (select from sluice.dag_run where run_id = $1)
                  and exists (select from sluice_archive.dag_run where run_id = $1)";
    sqlx::query_scalar(sql).bind(run_id).fetch_one(connection).await
}

/// The run of an instant that is archived. Asks nothing about instants so late that none can be.
pub(super) async fn archived_run_of(
    connection: &mut PgConnection,
    dag: &str,
    logical_time: DateTime<Utc>,
) -> Result<Option<i64>, RunError> {
    // Clocks may differ by so much.
    if logical_time > Utc::now() - SOONEST + TimeDelta::minutes(15) {
        return Ok(None);
    }
    let sql = "select run_id from sluice_archive.dag_run where dag = $1 and logical_time = $2";
    Ok(sqlx::query_scalar(sql).bind(dag).bind(logical_time).fetch_optional(connection).await?)
}

/// Where a pass over the runs that have ended stands: the end and the number of the last run that it looked at.
pub type Place = (DateTime<Utc>, i64);

/// What one batch came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The runs that are in the archive now.
    pub moved: Vec<i64>,
    /// Where to go on; `None` where all have been looked at.
    pub next: Option<Place>,
}

/// Moves a batch of the runs that ended before `before` to the archive, in one transaction, and begins after `from`. Each
/// stays of which something is still needed: the latest [`KEPT`] of each DAG, its last success, runs of a backfill that is
/// under way, and whatever a worker still holds. Any number may do it at once.
pub async fn archive(pool: &PgPool, before: DateTime<Utc>, from: Option<Place>) -> Result<Batch, RunError> {
    let (ended, after) = from.unwrap_or((DateTime::<Utc>::UNIX_EPOCH, 0));
    let looked: Vec<(i64, DateTime<Utc>, bool, i64)> =
        sqlx::query_as(include_str!("../../../../sql/runs/archive_pick.sql"))
            .bind(before)
            .bind(ended)
            .bind(after)
            .bind(KEPT)
            .bind(MOST_TASKS)
            .bind(LOOKED_AT)
            .fetch_all(pool)
            .await?;
    let mut chosen = Vec::new();
    let mut tasks_chosen = 0;
    let all = i64::try_from(looked.len()).unwrap_or(LOOKED_AT) < LOOKED_AT;
    let mut next = None;
    for (run_id, finished_at, can_go, tasks) in looked {
        if can_go {
            if chosen.len() == MOST_RUNS || (!chosen.is_empty() && tasks_chosen + tasks > MOST_TASKS) {
                return move_them(pool, &chosen, before, next).await;
            }
            chosen.push(run_id);
            tasks_chosen += tasks;
        }
        next = Some((finished_at, run_id));
    }
    move_them(pool, &chosen, before, next.filter(|_| !all)).await
}

async fn move_them(
    pool: &PgPool,
    chosen: &[i64],
    before: DateTime<Utc>,
    next: Option<Place>,
) -> Result<Batch, RunError> {
    let moved = if chosen.is_empty() {
        Vec::new()
    } else {
        let sql = "select * from sluice.archive_runs($1, $2)";
        sqlx::query_scalar(sql).bind(chosen).bind(before).fetch_all(pool).await?
    };
    Ok(Batch { moved, next })
}

/// The months of the archive that were over at `before`, each by its first day, the oldest first.
pub async fn archived_months(pool: &PgPool, before: DateTime<Utc>) -> Result<Vec<NaiveDate>, RunError> {
    Ok(sqlx::query_scalar("select sluice.archive_months($1)").bind(before).fetch_all(pool).await?)
}

/// The files of the lake with outputs that only runs of a month of the archive have.
pub async fn outputs_of_month(pool: &PgPool, month: NaiveDate) -> Result<Vec<String>, RunError> {
    let start = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    Ok(sqlx::query_scalar(include_str!("../../../../sql/runs/archive_outputs.sql"))
        .bind(start(month))
        .bind(start(month + Months::new(1)))
        .fetch_all(pool)
        .await?)
}

/// Drops a month of the archive, whole or not at all. Fails where someone reads the archive for long: readers are not made
/// to wait.
pub async fn drop_month(pool: &PgPool, month: NaiveDate) -> Result<(), RunError> {
    sqlx::query("select sluice.archive_drop($1)").bind(month).execute(pool).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::SqlSafeStr;

    use super::*;

    #[test]
    fn a_statement_is_the_same_but_for_its_tables() {
        let sql = "select 1 from sluice.task_run t join sluice.dag_run r using (run_id), sluice.check_result c\nwhere \
                   exists (select from sluice.\"dag_run\" y) and exists (select from sluice.dag_run\n)";
        assert_eq!(Shelf::Hot.statement(sql).into_sql_str().as_str(), sql);
        let archived = Shelf::Archive.statement(sql).into_sql_str();
        assert_eq!(
            archived.as_str(),
            "select 1 from sluice_archive.task_run t join sluice_archive.dag_run r using (run_id), sluice.check_result \
             c\nwhere exists (select from sluice.\"dag_run\" y) and exists (select from sluice_archive.dag_run\n)"
        );
    }
}
