//! What a pass of the demo did, read back from the views that users read.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgPool, query_as, query_scalar};

use crate::output::{self, Style, paint, table};

/// The summary of one pass; `--json` prints it as it stands here.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// The runs of this pass, in the order they were started.
    runs: Vec<RunRow>,
    /// What their loads read and what became of it; sums per dataset.
    loads: Vec<LoadRow>,
    /// What the streams did in this pass.
    stream: StreamSummary,
    /// Messages delivered in this pass.
    deliveries: Vec<DeliveryRow>,
    /// Where to look.
    pub(super) urls: BTreeMap<&'static str, String>,
    /// Seconds that the private services took to start.
    services_seconds: f64,
    /// Seconds of the whole pass after that.
    pass_seconds: f64,
}

#[derive(Debug, Serialize, FromRow)]
struct RunRow {
    run_id: i64,
    dag: String,
    state: String,
    seconds: Option<f64>,
}

#[derive(Debug, Serialize, FromRow)]
struct LoadRow {
    dataset: String,
    read: i64,
    loaded: i64,
    quarantined: i64,
    deduplicated: i64,
}

#[derive(Debug, Serialize)]
struct StreamSummary {
    /// Records consumed.
    events: i64,
    /// Five-second windows, over all rules and aggregates.
    windows: i64,
    /// Alerts by rules of streams.
    alerts: i64,
    /// Records that were late, malformed or rejected.
    dead_letters: i64,
    /// From the event's arrival in Kafka to the alert's commit.
    alert_latency_ms: Latency,
}

#[derive(Debug, Serialize, FromRow)]
struct Latency {
    p50: Option<f64>,
    p99: Option<f64>,
}

#[derive(Debug, Serialize, FromRow)]
struct DeliveryRow {
    channel: String,
    delivered: i64,
    failed: i64,
    /// A file or an address of the newest one.
    latest: Option<String>,
}

/// Where the counters stood before the pass.
#[derive(Debug, FromRow)]
pub(super) struct Baseline {
    run_id: i64,
    outbox_id: i64,
    events: i64,
    pub(super) at: DateTime<Utc>,
}

impl Baseline {
    /// Reads the counters.
    pub(super) async fn read(pool: &PgPool) -> sqlx::Result<Self> {
        query_as(include_str!("../../../../../sql/engine/demo_baseline.sql")).fetch_one(pool).await
    }
}

impl Summary {
    /// Reads what happened since `before`.
    pub(super) async fn read(
        pool: &PgPool,
        before: &Baseline,
        urls: BTreeMap<&'static str, String>,
        services_seconds: f64,
        pass_seconds: f64,
    ) -> sqlx::Result<Self> {
        let runs = query_as(
            "select run_id, dag, state, extract(epoch from finished_at - started_at)::float8 as seconds
             from sluice.runs where run_id > $1 order by run_id",
        )
        .bind(before.run_id)
        .fetch_all(pool)
        .await?;
        let loads = query_as(
            "select dataset, sum(read)::int8 as read, sum(loaded)::int8 as loaded,
                    sum(quarantined)::int8 as quarantined, sum(deduplicated)::int8 as deduplicated
             from sluice.loads where run_id > $1 group by dataset order by min(load_id)",
        )
        .bind(before.run_id)
        .fetch_all(pool)
        .await?;
        let stream = StreamSummary {
            events: query_scalar(
                "select coalesce(sum(counted + deduplicated + late + malformed), 0)::int8 - $1 from sluice.stream_progress",
            )
            .bind(before.events)
            .fetch_one(pool)
            .await?,
            windows: query_scalar("select count(*) from sluice.stream_window where updated_at >= $1")
                .bind(before.at)
                .fetch_one(pool)
                .await?,
            alerts: query_scalar(
                "select count(*) from sluice.alerts where source like 'stream:%' and raised_at >= $1",
            )
            .bind(before.at)
            .fetch_one(pool)
            .await?,
            dead_letters: query_scalar("select count(*) from sluice.dead_letter where at >= $1")
                .bind(before.at)
                .fetch_one(pool)
                .await?,
            alert_latency_ms: query_as(include_str!("../../../../../sql/engine/demo_alert_latency.sql"))
                .bind(before.at)
                .fetch_one(pool)
                .await?,
        };
        let deliveries = query_as(include_str!("../../../../../sql/engine/demo_deliveries.sql"))
            .bind(before.outbox_id)
            .fetch_all(pool)
            .await?;
        Ok(Self { runs, loads, stream, deliveries, urls, services_seconds, pass_seconds })
    }

    /// Whether every run ended well.
    pub(super) fn succeeded(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(|run| run.state == "success")
    }

    /// Prints it for a person.
    pub(super) fn print(&self) {
        let heading = |text: &str| output::line(format!("\n{}", paint(text, Style::Bold)));
        heading("Runs");
        let seconds = |s: Option<f64>| s.map_or_else(String::new, |s| format!("{s:.1}"));
        let rows: Vec<_> = self
            .runs
            .iter()
            .map(|r| vec![r.run_id.to_string(), r.dag.clone(), seconds(r.seconds), output::state(&r.state)])
            .collect();
        table(&["run", "dag", "seconds", "state"], &rows);
        heading("Loads  (read = loaded + quarantined + deduplicated)");
        let rows: Vec<_> = self
            .loads
            .iter()
            .map(|l| {
                let mut row = vec![l.dataset.clone()];
                row.extend([l.read, l.loaded, l.quarantined, l.deduplicated].map(thousands));
                row
            })
            .collect();
        table(&["dataset", "read", "loaded", "quarantined", "deduplicated"], &rows);
        heading("Stream");
        let ms = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.0} ms"));
        let s = &self.stream;
        output::line(format!(
            "{} events, {} five-second windows, {} alerts, {} dead letters; alert latency p50 {}, p99 {}",
            thousands(s.events),
            thousands(s.windows),
            thousands(s.alerts),
            thousands(s.dead_letters),
            ms(s.alert_latency_ms.p50),
            ms(s.alert_latency_ms.p99),
        ));
        heading("Delivered");
        let rows: Vec<_> = self
            .deliveries
            .iter()
            .map(|d| {
                vec![
                    d.channel.clone(),
                    d.delivered.to_string(),
                    d.failed.to_string(),
                    d.latest.clone().unwrap_or_default(),
                ]
            })
            .collect();
        table(&["channel", "sent", "failed", "latest"], &rows);
        output::line(format!(
            "\nServices were up in {:.1} s, the pass took {:.1} s.",
            self.services_seconds, self.pass_seconds
        ));
    }
}

/// `1234567` as `1,234,567`.
fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, -1_234_567].map(thousands), ["0", "999", "1,000", "-1,234,567"]);
    }
}
