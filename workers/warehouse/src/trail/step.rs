//! A step along the trail: what there is to tell, and how far one has come once it is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool, types::Json};

use super::{AttemptFacts, EndFacts, Event, Place, RunFacts, Sink};
use crate::runs::RunError;

/// What there is to tell. Where it was told, [`Step::told`] has to be called.
#[derive(Debug)]
pub struct Step {
    /// In the order in which it is to be told.
    pub events: Vec<Event>,
    sink: Sink,
    from: Place,
    to: Place,
    keep: Vec<(i64, i32, bool)>,
    close: Vec<(i64, i32)>,
    keep_attempts: Vec<(i64, i32)>,
    close_attempts: Vec<(i64, i32)>,
}

#[derive(FromRow)]
struct AttemptRow {
    walked: Option<i64>,
    task_run_id: i64,
    attempt: i32,
    told: bool,
    run_id: Option<i64>,
    task: Option<String>,
    parent: Option<String>,
    kind: Option<String>,
    queue: Option<String>,
    attempt_id: Option<i64>,
    worker: Option<String>,
    queued_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    state: Option<String>,
    finished_at: Option<DateTime<Utc>>,
    error_domain: Option<String>,
    error: Option<String>,
    output: Option<Value>,
    item: Option<Value>,
}

#[derive(FromRow)]
struct RunRow {
    run_id: i64,
    life: i32,
    begun: bool,
    touched: i32,
    fresh: bool,
    dag: Option<String>,
    version: Option<String>,
    logical_time: Option<DateTime<Utc>>,
    interval_start: Option<DateTime<Utc>>,
    interval_end: Option<DateTime<Utc>>,
    trigger: Option<String>,
    cause: Option<Value>,
    params: Option<Value>,
    created_at: Option<DateTime<Utc>>,
    state: Option<String>,
    reason: Option<String>,
    finished_at: Option<DateTime<Utc>>,
    began: Option<DateTime<Utc>>,
    lives: Json<Vec<Life>>,
    behind: bool,
    causes: Json<BTreeMap<String, DateTime<Utc>>>,
}

/// A life of a run that is over, though the run is not.
#[derive(Deserialize)]
struct Life {
    state: String,
    reason: Option<String>,
    started_at: Option<DateTime<Utc>>,
    finished_at: DateTime<Utc>,
    reopened_at: DateTime<Utc>,
}

/// Reads what there is to tell to `sink` from `from` up to `fence`, of `most` new runs and attempts and as many that ended.
pub async fn step(pool: &PgPool, sink: Sink, from: Place, fence: Place, most: i64) -> Result<Step, RunError> {
    let mut snapshot = pool.begin_with("begin isolation level repeatable read, read only").await?;
    let attempts: Vec<AttemptRow> = sqlx::query_as(include_str!("../../../../sql/trail/attempts.sql"))
        .bind(sink.as_str())
        .bind(from.last_attempt)
        .bind(fence.last_attempt)
        .bind(most)
        .fetch_all(&mut *snapshot)
        .await?;
    let walked: Vec<i64> = attempts.iter().filter_map(|row| row.walked).collect();
    let ended = attempts.len() - walked.len();
    let last_attempt = reached(&walked, most, fence.last_attempt);
    let of: BTreeSet<i64> = attempts.iter().filter_map(|row| row.run_id).collect();
    let runs: Vec<RunRow> = sqlx::query_as(include_str!("../../../../sql/trail/runs.sql"))
        .bind(sink.as_str())
        .bind(from.last_run)
        .bind(fence.last_run)
        .bind(most)
        .bind(of.iter().copied().collect::<Vec<_>>())
        .bind(last_attempt)
        .fetch_all(&mut *snapshot)
        .await?;
    snapshot.commit().await?;

    let fresh: Vec<i64> = runs.iter().filter(|run| run.fresh).map(|run| run.run_id).collect();
    let to = Place { last_run: reached(&fresh, most, fence.last_run), last_attempt };
    let mut step = Step {
        events: Vec::new(),
        sink,
        from,
        to,
        keep: Vec::new(),
        close: Vec::new(),
        keep_attempts: Vec::new(),
        close_attempts: Vec::new(),
    };
    // Where more may have ended than were read, no run is said to be over.
    let all_ended = i64::try_from(ended).unwrap_or(i64::MAX) < most;
    let mut ends = Vec::new();
    for run in &runs {
        step.take_run(run, of.contains(&run.run_id), all_ended && !run.behind, &mut ends);
    }
    let runs: HashMap<i64, &RunRow> = runs.iter().map(|run| (run.run_id, run)).collect();
    for row in attempts {
        let run = row.run_id.and_then(|run_id| runs.get(&run_id).copied());
        step.take_attempt(row, run);
    }
    step.events.append(&mut ends);
    Ok(step)
}

/// Up to where one has read: to the fence, unless there may be more before it.
fn reached(read: &[i64], most: i64, fence: i64) -> i64 {
    let full = i64::try_from(read.len()).unwrap_or(i64::MAX) >= most;
    if full { read.iter().copied().max().unwrap_or(fence) } else { fence }
}

impl RunRow {
    /// A life of it, or nothing where the run's row is gone.
    fn facts(&self, life: usize) -> Option<RunFacts> {
        let created_at = self.created_at?;
        // A later life begins when somebody asks for it.
        let began = match life.checked_sub(1).and_then(|before| self.lives.get(before)) {
            Some(before) => before.reopened_at,
            None => self.lives.first().map_or(self.began, |first| first.started_at).unwrap_or(created_at),
        };
        Some(RunFacts {
            run_id: self.run_id,
            dag: self.dag.clone()?,
            version: self.version.clone()?,
            logical_time: self.logical_time?,
            interval: (self.interval_start?, self.interval_end?),
            trigger: self.trigger.clone()?,
            cause: self.cause.clone(),
            params: self.params.clone().unwrap_or_default(),
            created_at,
            life: i32::try_from(life).unwrap_or(i32::MAX),
            began,
            causes: self.causes.iter().filter_map(|(run, at)| Some((run.parse().ok()?, *at))).collect(),
        })
    }

    /// The life that something belongs to which began at `at`.
    fn life_at(&self, at: DateTime<Utc>) -> usize {
        self.lives.iter().take_while(|life| life.reopened_at <= at).count()
    }
}

impl Step {
    /// Whether there is nothing to tell, and nothing to note.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.from == self.to && self.close.is_empty() && self.close_attempts.is_empty()
    }

    /// Whether more may follow at once.
    pub fn is_short_of(&self, fence: Place) -> bool {
        self.to != fence
    }

    /// `works` says that an attempt of it has begun; `may_end` that all of its attempts are told with this step, so that
    /// its lives may be said to be over.
    fn take_run(&mut self, run: &RunRow, works: bool, may_end: bool, ends: &mut Vec<Event>) {
        let (first, mut begun) = (usize::try_from(run.life).unwrap_or_default(), run.begun);
        let mut life = first;
        while let Some(facts) = run.facts(life) {
            let former = run.lives.get(life);
            let end = match former {
                Some(life) => Some((life.finished_at, life.state.clone(), life.reason.clone())),
                None => run.finished_at.map(|at| (at, run.state.clone().unwrap_or_default(), run.reason.clone())),
            };
            // What was never to run has no story.
            let untold = end.as_ref().is_some_and(|(_, state, _)| state == "skipped");
            let ends_now = end.is_some() && may_end;
            let has_begun = works || run.began.is_some_and(|_| run.state.as_deref() != Some("queued"));
            if !begun && !untold && (ends_now || has_begun || former.is_some()) {
                self.events.push(Event::RunBegan(facts.clone()));
                begun = true;
            }
            let Some((at, state, reason)) = end.filter(|_| ends_now) else {
                self.keep.push((run.run_id, i32::try_from(life).unwrap_or(i32::MAX), begun));
                return;
            };
            if !untold {
                ends.push(Event::RunEnded(facts, EndFacts { at, state, domain: None, error: reason, output: None }));
            }
            if former.is_none() {
                break;
            }
            (life, begun) = (life + 1, false);
        }
        self.close.push((run.run_id, run.touched));
    }

    fn take_attempt(&mut self, row: AttemptRow, run: Option<&RunRow>) {
        let key = (row.task_run_id, row.attempt);
        let facts = || {
            // One that has no row was told when it had.
            let started_at = row.started_at.or(row.finished_at)?;
            let run = run?;
            let run = run.facts(run.life_at(started_at))?;
            let attempt = AttemptFacts {
                attempt_id: row.attempt_id,
                task_run_id: row.task_run_id,
                attempt: row.attempt,
                task: row.task.clone()?,
                parent: row.parent.clone(),
                item: row.item.clone(),
                kind: row.kind.clone()?,
                queue: row.queue.clone()?,
                worker: row.worker.clone(),
                queued_at: row.queued_at,
                started_at,
            };
            Some((run, attempt))
        };
        let Some((run, attempt)) = facts() else {
            // A look in vain that went away, or a run that was deleted.
            if row.told && run.is_none() {
                self.close_attempts.push(key);
            }
            return;
        };
        if !row.told {
            self.events.push(Event::AttemptBegan(run.clone(), attempt.clone()));
        }
        match (row.state, row.finished_at) {
            (Some(state), Some(at)) => {
                let end = EndFacts { at, state, domain: row.error_domain, error: row.error, output: row.output };
                self.events.push(Event::AttemptEnded(run, attempt, end));
                if row.told {
                    self.close_attempts.push(key);
                }
            }
            _ if row.told => {}
            _ => self.keep_attempts.push(key),
        }
    }

    /// Notes that all of it is told, `refused` of it in vain. Where another walker has come further meanwhile, nothing is
    /// noted and it gives `false`.
    pub async fn told(self, pool: &PgPool, refused: i64) -> Result<bool, RunError> {
        let sink = self.sink.as_str();
        let mut transaction = pool.begin().await?;
        let advanced = sqlx::query(include_str!("../../../../sql/trail/advance.sql"))
            .bind(sink)
            .bind(self.from.last_run)
            .bind(self.from.last_attempt)
            .bind(self.to.last_run)
            .bind(self.to.last_attempt)
            .bind(refused)
            .bind(!self.events.is_empty())
            .execute(&mut *transaction)
            .await?;
        if advanced.rows_affected() == 0 {
            return Ok(false);
        }
        if !self.keep.is_empty() {
            sqlx::query(include_str!("../../../../sql/trail/keep.sql"))
                .bind(sink)
                .bind(self.keep.iter().map(|kept| kept.0).collect::<Vec<_>>())
                .bind(self.keep.iter().map(|kept| kept.1).collect::<Vec<_>>())
                .bind(self.keep.iter().map(|kept| kept.2).collect::<Vec<_>>())
                .execute(&mut *transaction)
                .await?;
        }
        for (pairs, sql) in [
            (&self.close, include_str!("../../../../sql/trail/close.sql")),
            (&self.keep_attempts, include_str!("../../../../sql/trail/keep_attempts.sql")),
            (&self.close_attempts, include_str!("../../../../sql/trail/close_attempts.sql")),
        ] {
            if !pairs.is_empty() {
                sqlx::query(sql)
                    .bind(sink)
                    .bind(pairs.iter().map(|pair| pair.0).collect::<Vec<_>>())
                    .bind(pairs.iter().map(|pair| pair.1).collect::<Vec<_>>())
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        transaction.commit().await?;
        Ok(true)
    }
}
