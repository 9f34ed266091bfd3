//! Projects of a few models, and attempts to run them.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use chrono::{TimeZone, Utc};
use chrono_tz::Tz;
use sqlx::{AssertSqlSafe, PgPool, raw_sql};
use tokio_util::sync::CancellationToken;
use warehouse::models::{
    Catalog, GateOutcome, GateRequest, ModelError, ModelGate, ModelReport, ModelRunner, OnFail, SourceFile,
};
use workflow::{
    error::TaskError,
    kind::{DataInterval, Fence, TaskContext},
    log::TaskLog,
};

/// The two files of a model whose columns are all integers called as `columns` says, the first being its key.
pub(super) fn model(relation: &str, materialised: &str, columns: &str, sql: &str) -> Vec<SourceFile> {
    let (schema, name) = relation.split_once('.').expect("schema.name");
    let stem = format!("sql/models/{schema}/{name}");
    let names: Vec<_> = columns.split(' ').collect();
    let described: String = names.iter().map(|name| format!("  {name}: What it is\n")).collect();
    let key = if materialised == "view" { String::new() } else { format!("unique_key: [{}]\n", names[0]) };
    let yaml = format!(
        "model: {name}\ngrain: one row per {}\nschema: {schema}\nmaterialised: {materialised}\n{key}columns:\n{described}",
        names[0]
    );
    vec![
        SourceFile { path: format!("{stem}.yaml"), text: yaml },
        SourceFile { path: format!("{stem}.sql"), text: sql.to_owned() },
    ]
}

/// Adds lines to the YAML of a [`model`].
pub(super) fn with(mut files: Vec<SourceFile>, lines: &str) -> Vec<SourceFile> {
    files[0].text.push_str(lines);
    files
}

/// The catalog of sound files.
pub(super) fn catalog(files: Vec<SourceFile>) -> Catalog {
    Catalog::parse(files)
        .unwrap_or_else(|faults| panic!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))
}

/// Runs statements.
pub(super) async fn sql(pool: &PgPool, text: &str) {
    raw_sql(AssertSqlSafe(text.to_owned())).execute(pool).await.unwrap_or_else(|error| panic!("{error}"));
}

/// The rows of a query as text, in its order.
pub(super) async fn rows(pool: &PgPool, query: &str) -> Vec<String> {
    let wrapped = format!("select q::text from ({query}) as q");
    sqlx::query_scalar(AssertSqlSafe(wrapped)).fetch_all(pool).await.unwrap_or_else(|error| panic!("{error}\n{query}"))
}

/// A running attempt of a new run.
pub(super) async fn attempt(pool: &PgPool) -> TaskContext {
    let opened = include_str!("open_attempt.sql");
    let (run_id, attempt_id, token): (i64, i64, i64) =
        sqlx::query_as(opened).fetch_one(pool).await.expect("open an attempt");
    let start = Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).single().expect("a valid time");
    TaskContext {
        dag: "daily_sales".to_owned(),
        run_id,
        task: "build".to_owned(),
        attempt: 1,
        fence: Fence { attempt_id, token },
        logical_time: start,
        interval: DataInterval { start, end: start + chrono::TimeDelta::days(1) },
        timezone: Tz::UTC,
        params: serde_json::Value::Null,
        inputs: BTreeMap::new(),
        log: TaskLog::discard(),
        cancel: CancellationToken::new(),
    }
}

/// A gate that finds what `.0` says in every build.
pub(super) struct Finds(pub(super) Vec<String>);

#[async_trait]
impl ModelGate for Finds {
    async fn evaluate(&self, request: GateRequest<'_>) -> Result<GateOutcome, TaskError> {
        let (failed, warned) = match request.on_fail {
            OnFail::Fail => (self.0.clone(), Vec::new()),
            OnFail::Warn => (Vec::new(), self.0.clone()),
        };
        Ok(GateOutcome { suite_hash: "h".to_owned(), failed, warned, record: None })
    }
}

/// A gate that does this to every build, and finds nothing.
pub(super) struct Does<'a>(pub(super) &'a PgPool, pub(super) &'static str);

#[async_trait]
impl ModelGate for Does<'_> {
    async fn evaluate(&self, request: GateRequest<'_>) -> Result<GateOutcome, TaskError> {
        sql(self.0, &self.1.replace("{build}", &request.build.quoted())).await;
        Ok(GateOutcome { suite_hash: "h".to_owned(), failed: Vec::new(), warned: Vec::new(), record: None })
    }
}

/// A gate during whose first judgements the source `staging.t` is loaded anew, and `other` published from it.
pub(super) struct Overtakes<'a> {
    pub(super) pool: &'a PgPool,
    pub(super) other: &'a Catalog,
    pub(super) times: AtomicUsize,
}

#[async_trait]
impl ModelGate for Overtakes<'_> {
    async fn evaluate(&self, _: GateRequest<'_>) -> Result<GateOutcome, TaskError> {
        let left = self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |times| times.checked_sub(1));
        if left.is_ok() {
            let load = "update staging.t set v = v + 1;
                        insert into sluice.load_ledger (dataset, batch_id, interval_start, interval_end, verdict, read,
                            loaded, quarantined, deduplicated)
                        values ('staging.t', gen_random_uuid()::text, now(), now(), 'passed', 3, 3, 0, 0)";
            sql(self.pool, load).await;
            publish(self.pool, self.other).await.expect("published by another run");
        }
        Ok(GateOutcome { suite_hash: "h".to_owned(), failed: Vec::new(), warned: Vec::new(), record: None })
    }
}

/// Publishes all models in a run of their own.
pub(super) async fn publish(pool: &PgPool, catalog: &Catalog) -> Result<Vec<ModelReport>, ModelError> {
    publish_as(pool, catalog, &attempt(pool).await).await
}

/// Publishes all models on behalf of `task`.
pub(super) async fn publish_as(
    pool: &PgPool,
    catalog: &Catalog,
    task: &TaskContext,
) -> Result<Vec<ModelReport>, ModelError> {
    let words: Vec<String> = catalog.models().iter().map(|model| model.name().to_owned()).collect();
    let gate = Finds(Vec::new());
    ModelRunner { pool, catalog, task, timezone: Tz::Europe__Berlin, gate: &gate }.run(&words).await
}
