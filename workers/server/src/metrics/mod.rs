//! `/metrics` in OpenMetrics text. Everything is computed from Postgres when asked for, so that any number of
//! servers tell the same, and a restart loses nothing.

mod family;

use prometheus_client::{encoding::text, registry::Registry};
use sqlx::{FromRow, PgPool};

use self::family::{BOUNDS, Families, Family, Histogram, Labels, Samples, counter, gauge, labels};
use crate::error::StoreError;

/// The text that Prometheus scrapes.
pub(crate) async fn render(pool: &PgPool) -> Result<String, StoreError> {
    let mut families = Vec::new();
    runs(pool, &mut families).await?;
    tasks(pool, &mut families).await?;
    data(pool, &mut families).await?;
    streams(pool, &mut families).await?;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = text::encode(&mut text, &registry);
    Ok(text)
}

#[derive(FromRow)]
struct RunRow {
    dag: String,
    state: String,
    trigger: String,
    runs: i64,
}

#[derive(FromRow)]
struct DagRow {
    dag: String,
    paused: bool,
    success_age_seconds: Option<f64>,
    overdue_seconds: Option<f64>,
    failing: Option<bool>,
}

async fn runs(pool: &PgPool, out: &mut Vec<Family>) -> Result<(), StoreError> {
    let runs: Vec<RunRow> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/runs.sql")).fetch_all(pool).await?;
    let dags: Vec<DagRow> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/dags.sql")).fetch_all(pool).await?;
    let (open, ended): (Vec<_>, Vec<_>) =
        runs.iter().partition(|row| matches!(row.state.as_str(), "running" | "queued"));
    out.push(counter(
        "sluice_runs",
        "Runs that have ended, by DAG, end state and trigger",
        ended
            .iter()
            .map(|row| (labels([("dag", &row.dag), ("state", &row.state), ("trigger", &row.trigger)]), row.runs)),
    ));
    out.push(gauge(
        "sluice_runs_running",
        "Runs that have not ended",
        dags.iter().map(|dag| {
            let running: i64 = open.iter().filter(|row| row.dag == dag.dag).map(|row| row.runs).sum();
            (labels([("dag", &dag.dag)]), running as f64)
        }),
    ));
    out.push(gauge(
        "sluice_dag_paused",
        "1 where a DAG's schedule is paused",
        dags.iter().map(|dag| (labels([("dag", &dag.dag)]), flag(dag.paused))),
    ));
    out.push(gauge(
        "sluice_dag_failing",
        "1 where the latest run of a DAG to end has failed",
        dags.iter().map(|dag| (labels([("dag", &dag.dag)]), flag(dag.failing == Some(true)))),
    ));
    let seconds = |pick: fn(&DagRow) -> Option<f64>| {
        dags.iter().filter_map(move |dag| Some((labels([("dag", &dag.dag)]), pick(dag)?))).collect::<Vec<_>>()
    };
    out.push(gauge(
        "sluice_dag_success_age_seconds",
        "Seconds since a run of the DAG last succeeded",
        seconds(|dag| dag.success_age_seconds),
    ));
    out.push(gauge(
        "sluice_dag_overdue_seconds",
        "Seconds by which the next scheduled run is late; 0 where it lies ahead",
        seconds(|dag| dag.overdue_seconds),
    ));
    Ok(())
}

#[derive(FromRow)]
struct SlotRow {
    dag: String,
    kind: String,
    slot: i32,
    tasks: i64,
    seconds: f64,
}

#[derive(FromRow)]
struct QueueRow {
    queue: String,
    state: String,
    tasks: i64,
    oldest_seconds: f64,
}

#[derive(FromRow)]
struct AttemptRow {
    state: String,
    domain: String,
    attempts: i64,
}

#[derive(FromRow)]
struct LeaseRow {
    queue: String,
    oldest_seconds: f64,
    expired: i64,
}

#[derive(FromRow)]
struct ProcessRow {
    role: String,
    alive: i64,
    seen_seconds: f64,
}

async fn tasks(pool: &PgPool, out: &mut Vec<Family>) -> Result<(), StoreError> {
    let slots: Vec<SlotRow> = sqlx::query_as(include_str!("../../../../sql/web/metrics/task_seconds.sql"))
        .bind(BOUNDS.as_slice())
        .fetch_all(pool)
        .await?;
    out.push(durations(&slots));

    let queues: Vec<QueueRow> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/tasks.sql")).fetch_all(pool).await?;
    let queue = |row: &QueueRow| labels([("queue", &row.queue), ("state", &row.state)]);
    out.push(gauge(
        "sluice_queue_tasks",
        "Tasks that wait for a worker (queued) or have one (running)",
        queues.iter().map(|row| (queue(row), row.tasks as f64)),
    ));
    out.push(gauge(
        "sluice_queue_oldest_seconds",
        "How long the oldest task of a queue has stood in its state",
        queues.iter().map(|row| (queue(row), row.oldest_seconds)),
    ));

    let attempts: Vec<AttemptRow> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/attempts.sql")).fetch_all(pool).await?;
    out.push(counter(
        "sluice_attempts",
        "Attempts that have ended, by state and the side that a fault was on",
        attempts
            .iter()
            .filter(|row| row.state != "running")
            .map(|row| (labels([("state", &row.state), ("domain", &row.domain)]), row.attempts)),
    ));

    let leases: Vec<LeaseRow> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/lease_age.sql")).fetch_all(pool).await?;
    out.push(gauge(
        "sluice_lease_age_seconds",
        "Age of the oldest attempt that still runs",
        leases.iter().map(|row| (labels([("queue", &row.queue)]), row.oldest_seconds)),
    ));
    out.push(gauge(
        "sluice_leases_expired",
        "Running attempts whose lease has run out and that nobody has recovered yet",
        leases.iter().map(|row| (labels([("queue", &row.queue)]), row.expired as f64)),
    ));

    let processes: Vec<ProcessRow> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/processes.sql")).fetch_all(pool).await?;
    out.push(gauge(
        "sluice_processes",
        "Processes seen in the last minute, by role",
        processes.iter().map(|row| (labels([("role", &row.role)]), row.alive as f64)),
    ));
    out.push(gauge(
        "sluice_process_seen_seconds",
        "Seconds since a process of the role was last seen",
        processes.iter().map(|row| (labels([("role", &row.role)]), row.seen_seconds)),
    ));
    let leaders: Vec<(String, f64)> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/leaders.sql")).fetch_all(pool).await?;
    out.push(gauge(
        "sluice_leader_lease_seconds",
        "What is left of the leader's lease, by role; negative once it has run out",
        leaders.iter().map(|(role, left)| (labels([("role", role)]), *left)),
    ));
    Ok(())
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

/// Rows come in order of DAG, kind and slot.
fn durations(rows: &[SlotRow]) -> Family {
    let mut samples: Vec<(Labels, Histogram)> = Vec::new();
    for row in rows {
        let labels = labels([("dag", &row.dag), ("kind", &row.kind)]);
        if samples.last().is_none_or(|(last, _)| *last != labels) {
            samples.push((labels, Histogram::default()));
        }
        if let (Some((_, histogram)), Ok(slot)) = (samples.last_mut(), usize::try_from(row.slot))
            && let Some(count) = histogram.slots.get_mut(slot)
        {
            *count += u64::try_from(row.tasks).unwrap_or(0);
            histogram.seconds += row.seconds;
        }
    }
    Family {
        name: "sluice_task_duration_seconds",
        help: "How long tasks took from their first attempt to their end",
        samples: Samples::Histogram(samples),
    }
}

#[derive(FromRow)]
struct LoadRow {
    dataset: String,
    read: i64,
    loaded: i64,
    quarantined: i64,
    deduplicated: i64,
    age_seconds: Option<f64>,
    refused: bool,
}

#[derive(FromRow)]
struct AlertRow {
    source: String,
    rule: String,
    severity: String,
    alerts: i64,
    open: i64,
}

#[derive(FromRow)]
struct OutboxRow {
    channel: String,
    state: String,
    messages: i64,
    oldest_seconds: f64,
}

async fn data(pool: &PgPool, out: &mut Vec<Family>) -> Result<(), StoreError> {
    let loads: Vec<LoadRow> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/loads.sql")).fetch_all(pool).await?;
    out.push(counter(
        "sluice_load_rows",
        "Rows of all loads: read = loaded + quarantined + deduplicated",
        loads.iter().flat_map(|row| {
            let outcomes = [
                ("read", row.read),
                ("loaded", row.loaded),
                ("quarantined", row.quarantined),
                ("deduplicated", row.deduplicated),
            ];
            outcomes.map(|(outcome, rows)| (labels([("dataset", &row.dataset), ("outcome", outcome)]), rows))
        }),
    ));
    out.push(gauge(
        "sluice_dataset_age_seconds",
        "Seconds since a load was last published into the dataset",
        loads.iter().filter_map(|row| Some((labels([("dataset", &row.dataset)]), row.age_seconds?))),
    ));
    out.push(gauge(
        "sluice_dataset_refused",
        "1 where the gate refused the latest batch for the dataset",
        loads.iter().map(|row| (labels([("dataset", &row.dataset)]), flag(row.refused))),
    ));
    let verdicts: Vec<(String, String, i64)> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/verdicts.sql")).fetch_all(pool).await?;
    out.push(counter(
        "sluice_gate_verdicts",
        "Loads by the verdict of their gate",
        verdicts.iter().map(|(dataset, verdict, n)| (labels([("dataset", dataset), ("verdict", verdict)]), *n)),
    ));
    let checks: Vec<(String, String, i64)> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/checks.sql")).fetch_all(pool).await?;
    out.push(counter(
        "sluice_checks",
        "Quality checks by their outcome",
        checks.iter().map(|(suite, outcome, n)| (labels([("suite", suite), ("outcome", outcome)]), *n)),
    ));
    let alerts: Vec<AlertRow> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/alerts.sql")).fetch_all(pool).await?;
    let alert = |row: &AlertRow| labels([("source", &row.source), ("rule", &row.rule), ("severity", &row.severity)]);
    out.push(counter("sluice_alerts", "Alerts ever raised", alerts.iter().map(|row| (alert(row), row.alerts))));
    out.push(gauge(
        "sluice_alerts_open",
        "Alerts that nobody has closed",
        alerts.iter().map(|row| (alert(row), row.open as f64)),
    ));
    let outbox: Vec<OutboxRow> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/outbox.sql")).fetch_all(pool).await?;
    out.push(gauge(
        "sluice_outbox_messages",
        "Messages of the outbox by channel and state",
        outbox.iter().map(|row| (labels([("channel", &row.channel), ("state", &row.state)]), row.messages as f64)),
    ));
    out.push(gauge(
        "sluice_outbox_oldest_seconds",
        "How long the oldest message that is not delivered has waited",
        outbox
            .iter()
            .filter(|row| matches!(row.state.as_str(), "pending" | "sending"))
            .map(|row| (labels([("channel", &row.channel), ("state", &row.state)]), row.oldest_seconds)),
    ));
    Ok(())
}

#[derive(FromRow)]
struct StreamRow {
    stream: String,
    topic: String,
    partition: i32,
    lag: i64,
    counted: i64,
    deduplicated: i64,
    late: i64,
    malformed: i64,
    delay_seconds: Option<f64>,
    seen_seconds: f64,
}

async fn streams(pool: &PgPool, out: &mut Vec<Family>) -> Result<(), StoreError> {
    let rows: Vec<StreamRow> =
        sqlx::query_as(include_str!("../../../../sql/web/metrics/streams.sql")).fetch_all(pool).await?;
    let place = |row: &StreamRow| {
        labels([("stream", &row.stream), ("topic", &row.topic), ("partition", &row.partition.to_string())])
    };
    out.push(gauge(
        "sluice_stream_lag",
        "Records of the partition not yet accounted for",
        rows.iter().map(|row| (place(row), row.lag as f64)),
    ));
    out.push(gauge(
        "sluice_stream_watermark_delay_seconds",
        "How far the partition's watermark is behind the clock",
        rows.iter().filter_map(|row| Some((place(row), row.delay_seconds?))),
    ));
    out.push(gauge(
        "sluice_stream_seen_seconds",
        "Seconds since a process was last seen at the partition, whether records came in or not",
        rows.iter().map(|row| (place(row), row.seen_seconds)),
    ));
    out.push(counter(
        "sluice_stream_records",
        "Records read, by what became of them",
        rows.iter().flat_map(|row| {
            let outcomes = [
                ("counted", row.counted),
                ("deduplicated", row.deduplicated),
                ("late", row.late),
                ("malformed", row.malformed),
            ];
            outcomes.map(|(outcome, records)| {
                let mut labels = place(row);
                labels.push(("outcome", outcome.to_owned()));
                (labels, records)
            })
        }),
    ));
    Ok(())
}
