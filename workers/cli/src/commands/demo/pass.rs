//! The steps of a pass: each DAG of the shop once, in the order of a day, by way of the queue and the worker that
//! run in the background.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use quality::versions;
use serde_json::{Map, Value, json};
use sqlx::{PgPool, query_scalar};
use warehouse::runs::{self, NewRun, Trigger};
use workflow::state::RunState;

use super::say;
use crate::{
    context::{self, Context},
    exit::Failure,
    files::Files,
};

/// How long the streams may take to process what was sent, and the deliverer to deliver.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs the shop's day, by processes that were started after `since`.
pub(super) async fn run(ctx: &Context, files: &Files, pool: &PgPool, since: DateTime<Utc>) -> anyhow::Result<()> {
    let day = Day { ctx, files, pool };
    versions::deploy(&mut *pool.acquire().await?, files.suites.values(), &context::actor().name).await?;
    for plan in files.plans.values() {
        runs::deploy(pool, plan, Utc::now()).await?;
    }
    let sent_before = day.processed().await?;
    say("a month of history into MySQL; orders, clicks and attacks into Kafka");
    let events = async {
        // As in a shop that lives: its streams watch before somebody buys. A new broker takes seconds to give out partitions.
        day.until("every stream watches its topic", async || {
            let watching: i64 =
                query_scalar("select count(distinct stream) from sluice.stream_progress where seen_at >= $1")
                    .bind(since)
                    .fetch_one(pool)
                    .await?;
            Ok(watching >= i64::try_from(files.streams.len())?)
        })
        .await?;
        day.run("shop_events", json!({})).await
    };
    let (history, events) = tokio::try_join!(day.run("shop_history", json!({})), events)?;
    day.expect(&[history, events])?;
    day.until("the streams have processed what was sent", async || {
        let sent: i64 = query_scalar(
            "select coalesce((output ->> 'events')::int8, 0) from sluice.tasks
             where run_id = $1 and task = 'produce_events'",
        )
        .bind(events.run_id)
        .fetch_one(pool)
        .await?;
        Ok(day.processed().await? >= sent_before + sent)
    })
    .await?;
    say("extract, check, load; star schema and marts");
    let daily = day.run("daily_sales", json!({})).await?;
    day.expect(&[daily])?;
    say("ratings, low stock, exports");
    let (ratings, stock, exports) = tokio::try_join!(
        day.run("ratings", json!({})),
        day.run("low_stock", json!({})),
        day.run("exports", json!({})),
    )?;
    day.expect(&[ratings, stock, exports])?;
    say("the report");
    let report = day.run("daily_report", json!({})).await?;
    day.expect(&[report])?;
    day.until("every message is delivered", async || {
        let waiting: i64 = query_scalar("select count(*) from sluice.outbox where state in ('pending', 'sending')")
            .fetch_one(pool)
            .await?;
        Ok(waiting == 0)
    })
    .await
}

struct Day<'a> {
    ctx: &'a Context,
    files: &'a Files,
    pool: &'a PgPool,
}

#[derive(Clone, Copy)]
struct Ended<'a> {
    dag: &'a str,
    run_id: i64,
    state: RunState,
}

impl Day<'_> {
    /// Runs a DAG for the present instant, to its end.
    async fn run<'d>(&self, dag: &'d str, params: Value) -> anyhow::Result<Ended<'d>> {
        let plan = self.files.plans.get(dag).with_context(|| format!("the project has no DAG `{dag}`"))?;
        let params: Map<String, Value> = params.as_object().cloned().unwrap_or_default();
        let new = NewRun { plan, logical_time: Utc::now(), trigger: Trigger::Manual, params, only: None };
        let run_id = runs::create(self.pool, &new).await?.run_id();
        let state = orchestrator::run_ended(self.pool, run_id).await?;
        Ok(Ended { dag, run_id, state })
    }

    /// An error unless all have succeeded: what comes next needs them.
    fn expect(&self, ended: &[Ended<'_>]) -> anyhow::Result<()> {
        let failed = ended.iter().find(|run| run.state != RunState::Success);
        failed.map_or(Ok(()), |run| {
            let message = format!("run {} of `{}` ended as {}", run.run_id, run.dag, run.state.as_str());
            eprintln!("error: {message}");
            eprintln!("    hint: sluice -C {} logs {}", self.ctx.dir.display(), run.run_id);
            Err(Failure::Code(crate::exit::FAILED).into())
        })
    }

    /// Records that the streams have accounted for.
    async fn processed(&self) -> anyhow::Result<i64> {
        let sum =
            "select coalesce(sum(counted + deduplicated + late + malformed), 0)::int8 from sluice.stream_progress";
        Ok(query_scalar(sum).fetch_one(self.pool).await?)
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await? {
            if Instant::now() > deadline {
                anyhow::bail!(
                    "after {} s it does not hold that {what}; see the logs in .sluice/log",
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}
