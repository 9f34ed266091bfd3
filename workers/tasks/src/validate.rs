//! `validate`: a suite on a table, or on the batch of an extract; the outcomes are kept, a failed one stops the run.
//!
//! Nothing is moved or held back here. Rows that a `load` shall keep out are the business of its gate.

use std::path::PathBuf;

use async_trait::async_trait;
use polars::prelude::DataFrame;
use quality::{Evaluation, OnFail, RunRef, Suite, Table, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use warehouse::{
    WarehouseError, fence,
    lake::Lake,
    load::{SOURCE_FILE, SOURCE_LINE},
    manifest::Manifest,
};
use workflow::{
    datasets::{Dataset, Datasets},
    diagnostic::Problem,
    error::TaskError,
    kind::{Reference, Target, TaskContext, TaskKind},
};

use crate::{
    beside::beside,
    watching::{self, LookedAt, Watching},
};

/// The kind.
pub struct Validate {
    pool: PgPool,
    lake: Lake,
    project: PathBuf,
}

impl Validate {
    /// Checks tables of `pool` and batches in `lake`; suites are in `project`'s folder `quality`.
    pub fn new(pool: PgPool, lake: Lake, project: impl Into<PathBuf>) -> Self {
        Self { pool, lake, project: project.into() }
    }
}

/// The keys of a task: a suite, and either `table` or `from`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A suite of `quality/`.
    pub suite: String,
    /// `schema.table`, as it is now.
    #[serde(default)]
    pub table: Option<String>,
    /// The task whose batch is looked at.
    #[serde(default)]
    pub from: Option<String>,
    /// `warn`: no failure stops the run, whatever the suite says; `fail`: what a check does that does not say.
    #[serde(default)]
    pub on_fail: Option<OnFail>,
}

#[async_trait]
impl TaskKind for Validate {
    const NAME: &'static str = "validate";
    const SUMMARY: &'static str = "Runs a suite on a table or on an extracted batch, and stops the run where it fails";
    const SCRATCH: bool = true;

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        match (&config.table, &config.from) {
            (Some(table), None) => {
                if let Err(message) = table.parse::<Table>() {
                    problems.push(Problem::new("table", message));
                }
            }
            (None, Some(_)) => {}
            _ => problems.push(
                Problem::new("", "expected `table` or `from`, one of them")
                    .hint("`table: marts.sales_daily` looks at a table, `from: extract_orders` at that task's batch"),
            ),
        }
        if config.on_fail == Some(OnFail::Quarantine) {
            let hint = "give the gate of a `load` this suite; `validate` holds no rows back";
            problems.push(Problem::new("on_fail", "`quarantine` is not for `validate`").hint(hint));
        }
        problems
    }

    fn references(config: &Config) -> Vec<Reference> {
        let mut references = vec![Reference::new("suite", Target::Suite(config.suite.clone()))];
        references.extend(config.from.iter().map(|task| Reference::new("from", Target::Task(task.clone()))));
        references
    }

    fn datasets(config: &Config, _output: Option<&Value>) -> Datasets {
        let table = config.table.clone().map(Dataset::Table);
        let looked_at = table.or_else(|| config.from.clone().map(Dataset::OutputOf));
        Datasets { reads: looked_at.map(Into::into).into_iter().collect(), writes: Vec::new() }
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let suite = self.suite(&config).await?;
        let (looked_at, mut evaluation) = match (&config.table, &config.from) {
            (Some(table), _) => self.evaluate_table(&suite, table).await?,
            (None, Some(from)) => self.evaluate_batch(suite.clone(), task.input(from)?).await?,
            (None, None) => return Err(TaskError::user("expected `table` or `from`")),
        };
        let dataset = looked_at.dataset.clone();
        let watched = Watching::begin(&self.pool, &suite, task, looked_at, &mut evaluation).await?;
        for check in evaluation.checks.iter().filter(|check| check.verdict() != Verdict::Passed) {
            task.log.warn(check.summary());
        }
        task.log.info(format!("suite {} on {dataset}: {}", suite.name, evaluation.summary()));
        self.record(&suite, &dataset, &evaluation, watched, task).await?;
        if evaluation.verdict >= Verdict::Quarantined {
            let failed = evaluation.checks.iter().filter(|check| check.verdict() >= Verdict::Quarantined);
            let all: Vec<_> = failed.map(quality::CheckOutcome::summary).collect();
            return Err(TaskError::gate(format!("{dataset} does not meet suite `{}`: {}", suite.name, all.join("; "))));
        }
        Ok(json!({
            "suite": suite.name,
            "suite_hash": suite.hash,
            "dataset": dataset,
            "verdict": evaluation.verdict,
            "rows": evaluation.rows,
            "checks": evaluation.checks.len(),
            "not_passed": evaluation.checks.iter().filter(|c| c.outcome != quality::Outcome::Passed).map(|c| &c.id).collect::<Vec<_>>(),
        }))
    }
}

impl Validate {
    async fn suite(&self, config: &Config) -> Result<Suite, TaskError> {
        let file = format!("quality/{}.yaml", config.suite);
        let text = tokio::fs::read_to_string(self.project.join(&file)).await.map_err(|error| {
            TaskError::user(format!("the suite `{}` is not in {file}", config.suite)).because(error)
        })?;
        let suite = Suite::parse(&file, &text).map_err(|faults| {
            let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
            TaskError::user(all.join("; "))
        })?;
        Ok(match config.on_fail {
            Some(OnFail::Warn) => suite.warn_only(),
            _ => suite.with_default(OnFail::Fail),
        })
    }

    async fn evaluate_table(&self, suite: &Suite, table: &str) -> Result<(LookedAt<'static>, Evaluation), TaskError> {
        let refused = |error| match error {
            quality::QualityError::NoTable(_) => TaskError::user(error.to_string()),
            quality::QualityError::Database(error) => WarehouseError::from(error).into(),
        };
        let dataset = table.to_owned();
        let table: Table = table.parse().map_err(TaskError::user)?;
        let mut connection = self.pool.acquire().await.map_err(WarehouseError::from)?;
        let evaluation = quality::evaluate_table(&mut connection, suite, &table).await.map_err(refused)?;
        let profile = quality::profile_columns(&mut connection, &table, &suite.watched).await.map_err(refused)?;
        let rows = Some(watching::rows_of(&table.schema, &table.name)?);
        Ok((LookedAt { dataset, rows, profile, notify: &[] }, evaluation))
    }

    async fn evaluate_batch(
        &self,
        suite: Suite,
        manifest: Manifest,
    ) -> Result<(LookedAt<'static>, Evaluation), TaskError> {
        let lake = self.lake.clone();
        let dataset = manifest.dataset.clone();
        let beside = beside(Some(self.pool.clone()), lake.clone(), &self.project);
        let evaluated = tokio::task::spawn_blocking(move || {
            let mut frame = DataFrame::empty();
            for file in &manifest.files {
                let part = lake.open_parquet(&file.path)?.rows(None)?;
                if frame.width() == 0 {
                    frame = part;
                } else {
                    let differ = WarehouseError::frame("the files of the batch differ in their columns");
                    frame.vstack_mut(&part).map_err(differ)?;
                }
            }
            let frame = frame.drop_many([SOURCE_FILE, SOURCE_LINE]);
            let profile = suite.watched.profile_frame(&frame);
            Ok::<_, WarehouseError>((profile, quality::evaluate_frame_beside(&suite, &frame, &beside)))
        });
        let (profile, evaluation) = evaluated.await.map_err(WarehouseError::from)??;
        Ok((LookedAt { dataset, rows: None, profile, notify: &[] }, evaluation))
    }

    /// Keeps the outcomes, in place of those of an earlier attempt of this task.
    async fn record(
        &self,
        suite: &Suite,
        dataset: &str,
        evaluation: &Evaluation,
        watched: Watching,
        task: &TaskContext,
    ) -> Result<(), TaskError> {
        let run = RunRef { run_id: Some(task.run_id), task: Some(task.task.clone()), load_id: None };
        let write = async {
            let mut transaction = self.pool.begin().await?;
            fence::check(&mut transaction, task.fence).await?;
            sqlx::query("delete from sluice.check_result where run_id = $1 and task = $2 and load_id is null")
                .bind(task.run_id)
                .bind(&task.task)
                .execute(&mut *transaction)
                .await?;
            quality::record(&mut transaction, &run, dataset, suite, evaluation).await?;
            watched.keep(&mut transaction, &run, suite).await?;
            transaction.commit().await?;
            Ok::<_, WarehouseError>(())
        };
        Ok(write.await?)
    }
}
