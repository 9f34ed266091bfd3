//! Archives runs that ended long ago, and drops those that need not be kept any longer.
//!
//! Whoever leads the schedulers does it, beside the schedule and in small steps: a step takes locks on runs that are over
//! and on nothing else, steps over those that someone else holds, and is followed by a pause several times as long.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use warehouse::{
    lake::Lake,
    runs::{self, RunError},
};

/// How long runs are kept, and where.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// How long after its end a run goes to the archive.
    pub archive_after: Duration,
    /// How long archived runs are kept; for ever where absent.
    pub runs: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { archive_after: Duration::from_hours(30 * 24), runs: None }
    }
}

/// What a pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Archived {
    /// Runs that have gone to the archive.
    pub runs: usize,
    /// Months of the archive that have been dropped.
    pub months: usize,
}

/// From the end of a pass to the next.
const EVERY: Duration = Duration::from_mins(1);
/// From one step of a pass to the next: this at least, and so many times what the step took, so that whoever commits
/// meanwhile finds the disk his own nine times in ten.
const PAUSE: Duration = Duration::from_millis(50);
const REST: u32 = 9;

/// One pass at `now`: what can be archived is, then the months are dropped that are old enough. Files of the lake that
/// hold outputs of those go first; without a lake, such files are left where they are.
pub async fn archive(
    pool: &PgPool,
    retention: Retention,
    lake: Option<&Lake>,
    now: DateTime<Utc>,
) -> Result<Archived, RunError> {
    let mut done = Archived::default();
    let before = now - span(retention.archive_after).max(runs::SOONEST);
    let mut from = None;
    loop {
        let began = Instant::now();
        let batch = runs::archive(pool, before, from).await?;
        done.runs += batch.moved.len();
        if batch.next.is_none() {
            break;
        }
        from = batch.next;
        tokio::time::sleep(PAUSE.max(began.elapsed() * REST)).await;
    }
    let Some(keep) = retention.runs else { return Ok(done) };
    for month in runs::archived_months(pool, now - span(keep)).await? {
        if let Some(lake) = lake {
            for path in runs::outputs_of_month(pool, month).await? {
                lake.remove(&path).await.map_err(RunError::Lake)?;
            }
        }
        runs::drop_month(pool, month).await?;
        tracing::info!(%month, "archived runs dropped");
        done.months += 1;
    }
    Ok(done)
}

/// A pass now and then while this process `leads`, until `done`.
pub(crate) async fn archive_while(
    pool: PgPool,
    retention: Retention,
    lake: Option<Lake>,
    mut leads: watch::Receiver<bool>,
    done: CancellationToken,
) {
    let passes = async {
        // The scheduler is gone where this fails.
        while leads.wait_for(|leads| *leads).await.is_ok() {
            let mut led = leads.clone();
            tokio::select! {
                passed = archive(&pool, retention, lake.as_ref(), Utc::now()) => match passed {
                    Ok(Archived { runs: 0, months: 0 }) => {}
                    Ok(Archived { runs, months }) => tracing::info!(runs, months, "runs archived"),
                    Err(error) => tracing::warn!(%error, "runs cannot be archived for now"),
                },
                // A step that is under way is rolled back.
                _ = led.wait_for(|leads| !*leads) => continue,
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        () = passes => {}
        () = done.cancelled() => {}
    }
}

/// A thousand years at most, which every calendar here can go back.
fn span(time: Duration) -> TimeDelta {
    let longest = TimeDelta::days(365_000);
    TimeDelta::from_std(time).map_or(longest, |time| time.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_lead_asks_the_database_nothing() {
        let pool = PgPool::connect_lazy("postgres://nobody@127.0.0.1:1/none").expect("a URL");
        let (leads, led) = watch::channel(false);
        let done = CancellationToken::new();
        let archiving = archive_while(pool.clone(), Retention::default(), None, led, done.clone());
        tokio::pin!(archiving);
        let mut go_on = async || {
            tokio::select! {
                biased;
                () = &mut archiving => true,
                () = std::future::ready(()) => false,
            }
        };
        assert!(!go_on().await && !go_on().await);
        assert_eq!(pool.size(), 0);
        leads.send_replace(true);
        assert!(!go_on().await);
        assert_eq!(pool.size(), 1, "it connects");
        done.cancel();
        assert!(go_on().await);
    }
}
