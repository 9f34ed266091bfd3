//! `load`: the batch of an extract into a warehouse table, through a gate.
//!
//! Readers see the whole batch or nothing of it, and a batch is published once however often the task runs:
//! `warehouse::load` does both. Here the task's keys become a request, and the gate's suite judges the rows.

mod block;
mod gate;

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgPool;
use warehouse::{
    ident::TableName,
    lake::Lake,
    load::{Audit, Balance, Deduplicate, LoadRequest, Outcome, Staged, Verdict, ledger},
    manifest::Manifest,
};
use workflow::{
    datasets::{Dataset, Datasets, Touched},
    diagnostic::Problem,
    error::TaskError,
    kind::{Reference, Target, TaskContext, TaskKind},
};

pub use self::gate::Gate;
use crate::beside::beside;

/// The kind.
pub struct Load {
    pool: PgPool,
    lake: Lake,
    project: PathBuf,
}

impl Load {
    /// Loads from `lake` into `pool`; suites are in `project`'s folder `quality`.
    pub fn new(pool: PgPool, lake: Lake, project: impl Into<PathBuf>) -> Self {
        Self { pool, lake, project: project.into() }
    }
}

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The task that extracted the batch.
    pub from: String,
    /// `schema.table`; made from the batch where there is none.
    pub into: String,
    /// Columns that name a row: it replaces the row of the same key. Rows are appended if not said.
    #[serde(default)]
    pub key: Vec<String>,
    /// What the rows must meet.
    #[serde(default)]
    pub gate: Option<Gate>,
    /// `true`: rows alike in every column count once; a list: rows alike in these columns.
    #[serde(default)]
    pub deduplicate: Alike,
    /// Sums that must balance, as SQL expressions over a row: `revenue: "quantity * unit_price"`.
    #[serde(default)]
    pub balance: BTreeMap<String, String>,
}

/// Which rows say the same twice.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected true, false or a list of columns")]
pub enum Alike {
    /// In every column, or never.
    Every(bool),
    /// In these columns.
    Columns(Vec<String>),
}

impl Default for Alike {
    fn default() -> Self {
        Self::Every(false)
    }
}

#[async_trait]
impl TaskKind for Load {
    const NAME: &'static str = "load";
    const SUMMARY: &'static str = "Publishes an extracted batch into a warehouse table, through a quality gate, once";
    const SCRATCH: bool = true;

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Err(error) = TableName::parse(&config.into) {
            problems.push(Problem::new("into", error.to_string()).hint("write it as `schema.table`"));
        }
        for (name, expression) in &config.balance {
            if let Err(message) = Balance::parse(name, expression) {
                problems.push(Problem::new(format!("balance.{name}"), message).hint("use arithmetic over columns"));
            }
        }
        problems.extend(config.gate.iter().flat_map(Gate::check));
        problems
    }

    fn references(config: &Config) -> Vec<Reference> {
        let mut references = vec![Reference::new("from", Target::Task(config.from.clone()))];
        references.extend(config.gate.iter().flat_map(Gate::references));
        references
    }

    fn datasets(config: &Config, output: Option<&Value>) -> Datasets {
        let loaded = output.and_then(|output| output["loaded"].as_u64());
        let writes = loaded.map(|rows| Touched::table(&config.into, Some(rows)));
        Datasets { reads: vec![Dataset::OutputOf(config.from.clone()).into()], writes: writes.into_iter().collect() }
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let request = request(&config, task)?;
        let dataset = request.target.to_string();
        let batch = request.manifest.batch_id.clone();
        if let Some(done) = ledger::find(&self.pool, &dataset, request.interval, &batch).await? {
            task.log.info(format!("{dataset}: batch {batch} is published already, as load {}", done.load_id));
            if let Some(gate) = &config.gate {
                gate.still_blocks(&self.pool, &done).await?;
            }
            return output(&done);
        }
        let suite = match &config.gate {
            Some(gate) => Some(gate.read_suite(&self.project).await?),
            None => None,
        };
        let staged = Staged::stage(&self.pool, &self.lake, request.clone()).await?;
        let (audit, refusal) = match (&config.gate, suite) {
            (Some(gate), Some(suite)) => {
                let beside = beside(Some(self.pool.clone()), self.lake.clone(), &self.project);
                gate.audit(suite, beside, &self.lake, &staged, &request, task).await?
            }
            _ => (Audit::unchecked(), String::new()),
        };
        let outcome = staged.publish(audit).await?;
        task.log.info(format!(
            "{dataset}: read {} = loaded {} + quarantined {} + deduplicated {} ({})",
            outcome.read,
            outcome.loaded,
            outcome.quarantined,
            outcome.deduplicated,
            outcome.verdict.as_str()
        ));
        if outcome.verdict == Verdict::Failed {
            return Err(TaskError::gate(format!("the gate of {dataset} refused the batch: {refusal}")));
        }
        if config.gate.as_ref().is_some_and(|gate| gate.blocks(&outcome)) {
            return Err(block::blocked(&outcome, &refusal));
        }
        output(&outcome)
    }
}

fn request(config: &Config, task: &TaskContext) -> Result<LoadRequest, TaskError> {
    let manifest: Manifest = task.input(&config.from)?;
    if manifest.order_by.is_some() && config.key.is_empty() {
        return Err(TaskError::user(format!(
            "`{}` reads changes, some of them twice; give `{}` the `key` by which a row replaces its older version",
            config.from, task.task
        )));
    }
    let balance = config
        .balance
        .iter()
        .map(|(name, expression)| Balance::parse(name, expression).map_err(TaskError::user))
        .collect::<Result<_, _>>()?;
    Ok(LoadRequest {
        target: TableName::parse(&config.into)?,
        manifest,
        key: config.key.clone(),
        deduplicate: match &config.deduplicate {
            Alike::Every(false) => Deduplicate::Never,
            Alike::Every(true) => Deduplicate::Identical,
            Alike::Columns(columns) => Deduplicate::By(columns.clone()),
        },
        balance,
        run_id: task.run_id,
        task: task.task.clone(),
        interval: (task.interval.start, task.interval.end),
        fence: task.fence,
    })
}

fn output(outcome: &Outcome) -> Result<Value, TaskError> {
    serde_json::to_value(outcome).map_err(|error| TaskError::internal("cannot write the load's outcome").because(error))
}
