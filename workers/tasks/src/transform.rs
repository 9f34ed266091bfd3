//! `transform`: builds models of `sql/models/` and publishes them, each after those that it reads.
//!
//! `warehouse::models` does the work; here the suites of `quality/` become its gates.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use chrono_tz::Tz;
use quality::{OnFail as Policy, RunRef, Suite, Table, evaluate_table, profile_columns};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use warehouse::{
    WarehouseError,
    models::{Catalog, GateOutcome, GateRequest, ModelGate, ModelRunner, OnFail},
};
use workflow::{
    datasets::{Datasets, Touched},
    diagnostic::{Diagnostic, Problem},
    error::TaskError,
    kind::{Reference, Target, TaskContext, TaskKind},
};

use crate::watching::{self, LookedAt, Watching};

/// The kind.
pub struct Transform {
    pool: PgPool,
    project: PathBuf,
    timezone: Tz,
}

impl Transform {
    /// Builds the models of `project` in `pool`. `timezone` is the one whose days the models count.
    pub fn new(pool: PgPool, project: impl Into<PathBuf>, timezone: Tz) -> Self {
        Self { pool, project: project.into(), timezone }
    }
}

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Models by name, or whole schemas: `[marts]`, `[dim_customer, fact_order_lines]`.
    pub models: Vec<String>,
}

#[async_trait]
impl TaskKind for Transform {
    const NAME: &'static str = "transform";
    const SUMMARY: &'static str = "Builds SQL models into the warehouse, in the order of what they read";
    const SCRATCH: bool = true;

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        if config.models.is_empty() {
            return vec![
                Problem::new("models", "no model is named").hint("name models or schemas: `[warehouse, marts]`"),
            ];
        }
        Vec::new()
    }

    fn references(config: &Config) -> Vec<Reference> {
        let models = config.models.iter().enumerate();
        models.map(|(index, name)| Reference::new(format!("models[{index}]"), Target::Model(name.clone()))).collect()
    }

    fn datasets(_config: &Config, output: Option<&Value>) -> Datasets {
        let models = output.and_then(|output| output["models"].as_array()).map(Vec::as_slice).unwrap_or_default();
        let made: BTreeMap<&str, Option<u64>> =
            models.iter().filter_map(|model| Some((model["model"].as_str()?, model["rows"].as_u64()))).collect();
        // What one of its models makes for another of them is its own affair.
        let read: BTreeSet<&str> = models
            .iter()
            .filter_map(|model| model["reads"].as_array())
            .flatten()
            .filter_map(Value::as_str)
            .filter(|table| !made.contains_key(table))
            .collect();
        Datasets {
            reads: read.into_iter().map(|table| Touched::table(table, None)).collect(),
            writes: made.into_iter().map(|(model, rows)| Touched::table(model, rows)).collect(),
        }
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let project = self.project.clone();
        let catalog = tokio::task::spawn_blocking(move || Catalog::read(&project))
            .await
            .map_err(WarehouseError::from)?
            .map_err(|faults| in_files(&faults))?;
        let gate = SuiteGate { pool: &self.pool, project: &self.project, task };
        let runner = ModelRunner { pool: &self.pool, catalog: &catalog, task, timezone: self.timezone, gate: &gate };
        let models = runner.run(&config.models).await?;
        let rows: i64 = models.iter().map(|model| model.rows).sum();
        let seconds: f64 = models.iter().map(|model| model.seconds).sum();
        task.log.info(format!("{} models with {rows} rows in {seconds:.1} s", models.len()));
        Ok(json!({ "models": models, "rows": rows, "seconds": seconds }))
    }
}

/// Suites of the project's `quality/` as the gates of its models.
struct SuiteGate<'a> {
    pool: &'a PgPool,
    project: &'a Path,
    task: &'a TaskContext,
}

#[async_trait]
impl ModelGate for SuiteGate<'_> {
    async fn evaluate(&self, request: GateRequest<'_>) -> Result<GateOutcome, TaskError> {
        let suite = read_suite(self.project, request.suite).await?;
        let suite = match request.on_fail {
            OnFail::Warn => suite.warn_only(),
            OnFail::Fail => suite.with_default(Policy::Fail),
        };
        let build = Table { schema: request.build.schema.clone(), name: request.build.name.clone() };
        let mut connection = self.pool.acquire().await.map_err(WarehouseError::from)?;
        let refused = |error| TaskError::external(format!("the suite `{}` could not run", suite.name)).because(error);
        let mut evaluation = evaluate_table(&mut connection, &suite, &build).await.map_err(refused)?;
        let profile = profile_columns(&mut connection, &build, &suite.watched).await.map_err(refused)?;
        drop(connection);
        let rows = Some(watching::rows_of(&build.schema, &build.name)?);
        let looked_at = LookedAt { dataset: request.dataset.to_string(), rows, profile, notify: &[] };
        let watched = Watching::begin(self.pool, &suite, self.task, looked_at, &mut evaluation).await?;
        let ended = |stops: bool| {
            let counts = evaluation.checks.iter().filter(move |check| match check.verdict() {
                quality::Verdict::Passed => false,
                quality::Verdict::Warned => !stops,
                quality::Verdict::Quarantined | quality::Verdict::Failed => stops,
            });
            counts.map(quality::CheckOutcome::summary).collect::<Vec<_>>()
        };
        let (failed, warned) = (ended(true), ended(false));
        let suite_hash = suite.hash.clone();
        let (run_id, task, dataset) = (self.task.run_id, self.task.task.clone(), request.dataset.to_string());
        Ok(GateOutcome {
            suite_hash,
            failed,
            warned,
            record: Some(Box::new(move |connection, load_id| {
                Box::pin(async move {
                    let run = RunRef { run_id: Some(run_id), task: Some(task), load_id: Some(load_id) };
                    quality::record(connection, &run, &dataset, &suite, &evaluation).await?;
                    watched.keep(connection, &run, &suite).await
                })
            })),
        })
    }
}

async fn read_suite(project: &Path, name: &str) -> Result<Suite, TaskError> {
    let file = format!("quality/{name}.yaml");
    let text = tokio::fs::read_to_string(project.join(&file))
        .await
        .map_err(|error| TaskError::user(format!("the suite `{name}` cannot be read from {file}")).because(error))?;
    Suite::parse(&file, &text).map_err(|faults| in_files(&faults))
}

fn in_files(faults: &[Diagnostic]) -> TaskError {
    TaskError::user(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
