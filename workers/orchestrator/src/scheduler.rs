//! The scheduler: makes runs when they are due. Any number may be started; one leads at a time.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Map;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use warehouse::{
    pool::{PATIENCE, answered},
    runs::{self, Created, DueDag, NewRun, RunError, Trigger},
};
use workflow::schedule::Schedule;

use crate::{
    archivist::{self, Retention},
    arrivals::{self, Places},
    reaper,
};

/// The role in `sluice.leader`.
const ROLE: &str = "scheduler";
/// Runs that one DAG gets in one tick, so that a long catch-up does not keep the others waiting.
const MOST_RUNS_A_TICK: usize = 50;

/// How a scheduler works.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// How often it looks for what is due.
    pub tick: Duration,
    /// How long leadership holds without a sign of life: how soon another takes over.
    pub lease: Duration,
    /// Where it looks for files that DAGs wait for.
    pub places: Places,
    /// How long runs are kept, and where.
    pub retention: Retention,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(500),
            lease: Duration::from_secs(4),
            places: Places::default(),
            retention: Retention::default(),
        }
    }
}

/// Makes runs when they are due.
pub struct Scheduler {
    name: String,
    pool: PgPool,
    options: SchedulerOptions,
}

impl Scheduler {
    /// A scheduler under a name of its own.
    pub fn new(pool: PgPool, options: SchedulerOptions) -> Self {
        Self { name: format!("scheduler-{}", Uuid::now_v7().simple()), pool, options }
    }

    /// Schedules while it leads, and waits for the lead else, until `cancel`. A database that goes away is waited
    /// for.
    pub async fn run(self, cancel: CancellationToken) {
        let reaping = tokio::spawn(reaper::reap_until(self.pool.clone(), Duration::from_secs(5), cancel.clone()));
        let (leads, led) = watch::channel(false);
        let lake = self.options.places.lake.clone();
        let archiving = archivist::archive_while(self.pool.clone(), self.options.retention, lake, led, cancel.clone());
        let archiving = tokio::spawn(archiving);
        let mut looked = None;
        loop {
            match self.turn(&mut looked).await {
                Ok(now) => {
                    if leads.send_if_modified(|leads| std::mem::replace(leads, now) != now) {
                        tracing::info!(scheduler = self.name, leads = now, "scheduler");
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot schedule for now"),
            }
            tokio::select! {
                () = cancel.cancelled() => break,
                () = tokio::time::sleep(self.options.tick) => {}
            }
        }
        if let Err(error) = answered(PATIENCE, runs::release_lead(&self.pool, ROLE, &self.name)).await {
            tracing::debug!(%error, "the lead ends with its lease");
        }
        // They end with `cancel`, too.
        let _ = tokio::join!(reaping, archiving);
    }

    /// One turn: whether this one leads, and what was due has been made.
    async fn turn(&self, looked: &mut Option<Instant>) -> Result<bool, RunError> {
        // A connection that is dead must not keep it from the lead for longer than the lead would have held.
        let lead = runs::lead(&self.pool, ROLE, &self.name, self.options.lease);
        if answered(self.options.lease, lead).await?.is_none() {
            return Ok(false);
        }
        if looked.is_none_or(|looked| looked.elapsed() >= arrivals::EVERY) {
            if let Err(error) = answered(PATIENCE * 4, self.look(Utc::now())).await {
                tracing::warn!(%error, "cannot look for files for now");
            }
            *looked = Some(Instant::now());
        }
        self.tick(Utc::now()).await?;
        Ok(true)
    }

    /// Looks for files that DAGs wait for; the next tick makes the runs.
    pub async fn look(&self, now: DateTime<Utc>) -> Result<(), RunError> {
        arrivals::look(&self.pool, &self.options.places, now).await
    }

    /// Makes what is due or triggered at `now`, and plans what comes next. Gives the new runs. Two schedulers that do it at once
    /// make each run once. What should have ended by now is told, too.
    pub async fn tick(&self, now: DateTime<Utc>) -> Result<Vec<i64>, RunError> {
        let mut made = Vec::new();
        let mut after = None;
        loop {
            let (due, next) = answered(PATIENCE, runs::due(&self.pool, now, after)).await?;
            for due in due {
                // A DAG whose run cannot be made must not keep the others from theirs.
                match answered(PATIENCE, self.make(&due, now, &mut made)).await {
                    Ok(()) => {}
                    Err(error @ RunError::Busy(_)) => tracing::debug!(%error, "its run is made with the next tick"),
                    Err(error) => tracing::error!(dag = due.plan.dag, %error, "cannot make a run that is due"),
                }
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        for fired in answered(PATIENCE, runs::fire(&self.pool, now)).await? {
            if let Created::New(run_id) = fired.created {
                tracing::info!(dag = fired.dag, run_id, "run triggered");
                made.push(run_id);
            }
        }
        let missed = answered(PATIENCE, runs::miss_deadlines(&self.pool, now)).await?;
        if missed > 0 {
            tracing::warn!(missed, "deadlines missed");
        }
        Ok(made)
    }

    async fn make(&self, due: &DueDag, now: DateTime<Utc>, made: &mut Vec<i64>) -> Result<(), RunError> {
        let Some(schedule) = &due.plan.schedule else {
            return runs::set_next_run(&self.pool, &due.plan, due.next_fire_at, None).await;
        };
        let (fires, next) = fires(schedule, &due.plan.dag, due.next_fire_at, now);
        for logical_time in fires {
            let new =
                NewRun { plan: &due.plan, logical_time, trigger: Trigger::Schedule, params: Map::new(), only: None };
            if let Created::New(run_id) = runs::create(&self.pool, &new).await? {
                tracing::info!(dag = due.plan.dag, run_id, %logical_time, "run made");
                made.push(run_id);
            }
        }
        runs::set_next_run(&self.pool, &due.plan, due.next_fire_at, next).await
    }
}

/// The fires to make runs for, from the one that was planned up to `now`, and the one to plan next. A fire whose run
/// starts later, by its jitter, is left for then, and so are those after it.
fn fires(
    schedule: &Schedule,
    dag: &str,
    planned: DateTime<Utc>,
    now: DateTime<Utc>,
) -> (Vec<DateTime<Utc>>, Option<DateTime<Utc>>) {
    if schedule.catchup {
        let mut fires = vec![planned];
        let mut last = planned;
        loop {
            match schedule.next_after(last) {
                Some(next) if schedule.start_of_run(dag, next) <= now && fires.len() < MOST_RUNS_A_TICK => {
                    fires.push(next);
                    last = next;
                }
                next => return (fires, next),
            }
        }
    }
    // Without catch-up, the latest fire stands for all that were missed; none comes at the end or after it.
    let mut until = now;
    let latest = loop {
        match schedule.latest_until(until).filter(|fire| *fire > planned) {
            Some(fire) if schedule.start_of_run(dag, fire) > now => until = fire - TimeDelta::microseconds(1),
            found => break found.unwrap_or(planned),
        }
    };
    (vec![latest], schedule.next_after(latest))
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;
    use workflow::schedule::Timing;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    #[test]
    fn missed_fires_are_made_up_for_one_by_one_or_by_the_latest() {
        let mut hourly = Schedule::new(Timing::parse("@hourly").expect("a cron"), Tz::UTC);
        let (planned, now) = (at("2026-01-01T01:00:00Z"), at("2026-01-01T04:30:00Z"));
        let next = Some(at("2026-01-01T05:00:00Z"));
        assert_eq!(fires(&hourly, "d", planned, now), (vec![at("2026-01-01T04:00:00Z")], next));
        hourly.catchup = true;
        let (all, then) = fires(&hourly, "d", planned, now);
        assert_eq!((all.len(), all[0], then), (4, planned, next));
        // One that ended meanwhile stops with its last fire.
        let ended = Schedule { end: Some(at("2026-01-01T03:00:00Z")), catchup: false, ..hourly.clone() };
        assert_eq!(fires(&ended, "d", planned, now), (vec![at("2026-01-01T02:00:00Z")], None));
        // A long gap is made up for in more than one tick, without leaving anything out.
        let (some, then) = fires(&hourly, "d", planned, at("2026-02-01T00:00:00Z"));
        assert_eq!((some.len(), then), (50, Some(at("2026-01-03T03:00:00Z"))));
    }
}
