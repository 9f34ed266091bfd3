//! The short way from one task to the next: an end and a claim in one statement, which is one round trip and one commit.

use serde_json::Value;
use sqlx::{FromRow as _, PgConnection, Row as _};
use workflow::kind::Fence;

use super::{ClaimRequest, Claimed, Line, RunError, claim::Row, exchange::clean, without_nul};

/// The two refusals of `sluice.hand_over` that the long way decides about: a lost lease, and a rule's decision.
const LONG_WAY: [&str; 2] = ["SL001", "SL002"];

/// An attempt that ended well, of a task that `Plan::straight_on` names.
#[derive(Debug)]
pub struct WellEnded<'a> {
    /// Which one.
    pub fence: Fence,
    /// Its run.
    pub run_id: i64,
    /// Its task in the run.
    pub task_run_id: i64,
    /// The task's name.
    pub task: &'a str,
    /// What the tasks downstream read.
    pub output: &'a Value,
    /// The last lines of its log.
    pub lines: &'a [Line],
    /// The task behind it in the plan, where that is just one.
    pub only_successor: Option<&'a str>,
}

/// What came of a [`hand_over`].
#[derive(Debug)]
pub enum HandedOver {
    /// The end is written; the worker holds the next task, if there is one.
    Done(Option<Box<Claimed>>),
    /// Nothing was changed: the case is not the common one, and [`exchange`](super::exchange) deals with it.
    LongWay,
}

/// Writes an end and claims one task, those that it made ready among them. What [`exchange`](super::exchange) does
/// in a transaction of several statements, this does in one, where the run goes on and no rule has to be asked.
pub async fn hand_over(
    connection: &mut PgConnection,
    ended: &WellEnded<'_>,
    request: &ClaimRequest,
) -> Result<HandedOver, RunError> {
    let lines = ended.lines;
    let row = sqlx::query(include_str!("../../../../sql/runs/hand_over.sql"))
        .bind(ended.fence.attempt_id)
        .bind(ended.fence.token)
        .bind(ended.run_id)
        .bind(ended.task_run_id)
        .bind(ended.task)
        .bind(clean(ended.output))
        .bind(lines.iter().map(|line| line.seq).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.line.at).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| line.line.level.as_str()).collect::<Vec<_>>())
        .bind(lines.iter().map(|line| without_nul(&line.line.line)).collect::<Vec<_>>())
        .bind(ended.only_successor)
        .bind(&request.worker)
        .bind(request.lease.as_secs_f64())
        .bind(&request.queues)
        .bind(&request.kinds)
        .bind(&request.labels)
        .bind(request.run_id)
        .fetch_one(&mut *connection)
        .await;
    let row = match row {
        Ok(row) => row,
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| LONG_WAY.contains(&&*code)) => {
            return Ok(HandedOver::LongWay);
        }
        Err(error) => return Err(error.into()),
    };
    if !row.try_get::<bool, _>("done")? {
        return Ok(HandedOver::LongWay);
    }
    if row.try_get::<Option<i64>, _>("attempt_id")?.is_none() {
        return Ok(HandedOver::Done(None));
    }
    Ok(HandedOver::Done(Some(Box::new(Row::from_row(&row)?.into()))))
}
