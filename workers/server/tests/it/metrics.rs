//! `/metrics`: well-formed, and in agreement with the tables.

use std::collections::BTreeMap;

use crate::TestServer;

/// Samples by name and labels, read as OpenMetrics writes them.
pub(crate) fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
        assert!(samples.insert(name.to_owned(), value).is_none(), "{name} comes twice");
    }
    samples
}

#[tokio::test]
async fn metrics_agree_with_the_tables() {
    let server = TestServer::seeded().await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(answer.text.ends_with("# EOF\n"));
    let samples = parse(&answer.text);
    let sum = |prefix: &str, part: &str| -> f64 {
        samples.iter().filter(|(name, _)| name.starts_with(prefix) && name.contains(part)).map(|(_, value)| value).sum()
    };
    let number = async |sql: &'static str| -> f64 {
        sqlx::query_scalar::<_, i64>(sql).fetch_one(server.pool()).await.expect("a number") as f64
    };
    for (prefix, part, sql) in [
        ("sluice_runs_total", "state=\"failed\"", "select count(*) from sluice.runs where state = 'failed'"),
        ("sluice_runs_running", "", "select count(*) from sluice.runs where state = 'running'"),
        ("sluice_queue_tasks", "state=\"queued\"", "select count(*) from sluice.tasks where state = 'queued'"),
        (
            "sluice_task_duration_seconds_count",
            "",
            "select count(*) from sluice.tasks where finished_at is not null and started_at is not null",
        ),
        (
            "sluice_task_duration_seconds_bucket",
            "le=\"+Inf\"",
            "select count(*) from sluice.tasks where finished_at is not null and started_at is not null",
        ),
        ("sluice_load_rows_total", "outcome=\"quarantined\"", "select sum(quarantined)::bigint from sluice.loads"),
        ("sluice_gate_verdicts_total", "", "select count(*) from sluice.loads"),
        ("sluice_stream_lag", "", "select sum(lag)::bigint from sluice.stream_progress"),
        ("sluice_alerts_total", "", "select count(*) from sluice.alerts"),
        (
            "sluice_outbox_messages",
            "state=\"pending\"",
            "select count(*) from sluice.deliveries where state = 'pending'",
        ),
    ] {
        let expected = number(sql).await;
        assert!(
            (sum(prefix, part) - expected).abs() < 1e-6,
            "{prefix} {part}: {} is not {expected}",
            sum(prefix, part)
        );
        assert!(expected > 0.0, "{prefix}: the made-up rows prove nothing");
    }
    for name in [
        "sluice_lease_age_seconds",
        "sluice_stream_watermark_delay_seconds",
        "sluice_stream_seen_seconds",
        "sluice_dataset_age_seconds",
        "sluice_leader_lease_seconds",
        "sluice_processes",
        "sluice_dag_success_age_seconds",
        "sluice_checks_total",
    ] {
        assert!(samples.keys().any(|sample| sample.starts_with(name)), "{name} is missing");
    }
}

#[tokio::test]
async fn an_empty_platform_has_metrics_too() {
    let answer = TestServer::empty().await.get("/metrics").await;
    assert_eq!(answer.status, 200);
    parse(&answer.text);
}
