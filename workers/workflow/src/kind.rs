//! What a task kind is, and the registry that knows them all.
//!
//! A kind is one type in one file of the `tasks` crate (or of `streaming`) and one line in the CLI's registry.
//! The loop that runs tasks knows nothing of any of them.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{datasets::Datasets, diagnostic::Problem, error::TaskError, log::TaskLog, yaml::read_value};

/// A kind of task. Each implementor states its policy in its constants, not in the loop that runs it.
#[async_trait]
pub trait TaskKind: Send + Sync + 'static {
    /// The YAML `kind`, the `verb_noun` of the file that defines it.
    const NAME: &'static str;
    /// One sentence for `sluice` users.
    const SUMMARY: &'static str;
    /// The queue where a task goes that names none.
    const QUEUE: &'static str = "default";
    /// How long one attempt may take where the DAG does not say.
    const TIMEOUT: Duration = Duration::from_mins(30);
    /// How long a task waits in all where the DAG does not say. For kinds whose attempts may end with
    /// [`TaskError::not_yet`], which have one of these.
    const PATIENCE: Option<Duration> = None;
    /// Whether an attempt may run again after one whose end is unknown. `false` for what cannot be fenced.
    const SAFE_TO_REPEAT: bool = true;
    /// Whether all that it reads and writes is in the warehouse and the lake that it was given, or in the project's own
    /// folder and only read: then it can be tried in scratch ones. `false` for what reaches beyond.
    const SCRATCH: bool = false;

    /// The task's own keys in the DAG file: `#[derive(Deserialize)] #[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned + Send + Sync;

    /// What is wrong with the keys beyond their types. Pure: no network, no file system.
    fn check(_config: &Self::Config) -> Vec<Problem> {
        Vec::new()
    }

    /// The names that the keys refer to; whoever checks the project resolves them.
    fn references(_config: &Self::Config) -> Vec<Reference> {
        Vec::new()
    }

    /// What an attempt with these keys reads and writes; `output` is what it left where it ended well. What it publishes
    /// through the ledger need not be named.
    fn datasets(_config: &Self::Config, _output: Option<&Value>) -> Datasets {
        Datasets::default()
    }

    /// Does the work. Repeating it after a success must change nothing: publish under the fence in `task` and
    /// an idempotency key. The value returned is the task's output: small JSON that tasks downstream read.
    async fn run(&self, config: Self::Config, task: &TaskContext) -> Result<Value, TaskError>;
}

/// A name in a task's keys that must stand for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where the name stands, below the task: `gate.suite`.
    pub field: String,
    /// What it names.
    pub target: Target,
}

/// What a [`Reference`] names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A task of the same DAG, whose output this one reads; it becomes one of its `needs`.
    Task(String),
    /// A suite in `quality/`.
    Suite(String),
    /// A model, or a folder of models, in `sql/models/`.
    Model(String),
    /// A channel in `sluice.yaml`.
    Channel(String),
    /// A file below the project folder.
    File(String),
    /// A connection in `sluice.yaml`.
    Connection(String),
    /// A pool in `sluice.yaml`.
    Pool(String),
}

impl Reference {
    /// A reference at `field`.
    pub fn new(field: impl Into<String>, target: Target) -> Self {
        Self { field: field.into(), target }
    }
}

/// Proof that an attempt still holds its lease. Every write that publishes names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fence {
    /// The attempt, as `sluice.attempt.attempt_id`.
    pub attempt_id: i64,
    /// Its fencing token; a later lease always has a greater one.
    pub token: i64,
}

/// The half-open span of time `[start, end)` whose data a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DataInterval {
    /// First instant inside.
    pub start: DateTime<Utc>,
    /// First instant after.
    pub end: DateTime<Utc>,
}

/// What one attempt knows of itself.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// The DAG's name.
    pub dag: String,
    /// The run.
    pub run_id: i64,
    /// The task's name in its DAG.
    pub task: String,
    /// 1 for the first attempt.
    pub attempt: i32,
    /// The lease that this attempt must still hold whenever it publishes.
    pub fence: Fence,
    /// The instant that the run stands for.
    pub logical_time: DateTime<Utc>,
    /// The data that the run is about.
    pub interval: DataInterval,
    /// The DAG's time zone.
    pub timezone: Tz,
    /// The run's parameters.
    pub params: Value,
    /// Outputs of the tasks that this one needs, by task name.
    pub inputs: BTreeMap<String, Value>,
    /// Lines for the attempt's log.
    pub log: TaskLog,
    /// Cancelled when the run is cancelled, the lease is lost, the time is up or the worker must stop.
    pub cancel: CancellationToken,
}

impl TaskContext {
    /// The output of `task`, typed. An output of another shape is a fault of the DAG that wired the two.
    pub fn input<T: DeserializeOwned>(&self, task: &str) -> Result<T, TaskError> {
        let value = self
            .inputs
            .get(task)
            .ok_or_else(|| TaskError::user(format!("task `{task}` has no output that `{}` could read", self.task)))?;
        serde_json::from_value(value.clone())
            .map_err(|e| TaskError::user(format!("`{}` cannot read the output of `{task}`: {e}", self.task)))
    }
}

impl Problem {
    /// What an attempt ends with whose keys have these problems.
    pub(crate) fn into_fault(problems: Vec<Self>) -> TaskError {
        let all: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.field, p.message)).collect();
        TaskError::user(all.join("; "))
    }
}

/// A kind with its config type erased: what the registry holds.
#[async_trait]
pub trait AnyKind: Send + Sync {
    /// [`TaskKind::NAME`].
    fn name(&self) -> &'static str;
    /// [`TaskKind::SUMMARY`].
    fn summary(&self) -> &'static str;
    /// [`TaskKind::QUEUE`].
    fn queue(&self) -> &'static str;
    /// [`TaskKind::TIMEOUT`].
    fn timeout(&self) -> Duration;
    /// [`TaskKind::PATIENCE`].
    fn patience(&self) -> Option<Duration>;
    /// [`TaskKind::SAFE_TO_REPEAT`].
    fn safe_to_repeat(&self) -> bool;
    /// [`TaskKind::SCRATCH`].
    fn scratch(&self) -> bool;
    /// Reads and checks a task's own keys: its references, or all that is wrong.
    fn check(&self, config: &Value) -> Result<Vec<Reference>, Vec<Problem>>;
    /// [`TaskKind::datasets`]; none for keys that cannot be read.
    fn datasets(&self, config: &Value, output: Option<&Value>) -> Datasets;
    /// [`TaskKind::run`] on rendered keys.
    async fn run(&self, config: Value, task: &TaskContext) -> Result<Value, TaskError>;
}

struct Erased<K>(K);

#[async_trait]
impl<K: TaskKind> AnyKind for Erased<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }
    fn summary(&self) -> &'static str {
        K::SUMMARY
    }
    fn queue(&self) -> &'static str {
        K::QUEUE
    }
    fn timeout(&self) -> Duration {
        K::TIMEOUT
    }
    fn patience(&self) -> Option<Duration> {
        K::PATIENCE
    }
    fn safe_to_repeat(&self) -> bool {
        K::SAFE_TO_REPEAT
    }
    fn scratch(&self) -> bool {
        K::SCRATCH
    }
    fn check(&self, config: &Value) -> Result<Vec<Reference>, Vec<Problem>> {
        Self::read(config.clone()).map(|config| K::references(&config))
    }
    fn datasets(&self, config: &Value, output: Option<&Value>) -> Datasets {
        read_value(config.clone()).map_or_else(|_| Datasets::default(), |config| K::datasets(&config, output))
    }
    async fn run(&self, config: Value, task: &TaskContext) -> Result<Value, TaskError> {
        self.0.run(Self::read(config).map_err(Problem::into_fault)?, task).await
    }
}

impl<K: TaskKind> Erased<K> {
    /// The keys, typed: in the file, and once more when their templates are rendered.
    fn read(config: Value) -> Result<K::Config, Vec<Problem>> {
        let config: K::Config = read_value(config)?;
        let problems = K::check(&config);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }
}

/// Every kind that this process can run.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, Arc<dyn AnyKind>>);

impl Registry {
    /// No kinds yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind.
    ///
    /// # Panics
    /// Where the name is taken: two kinds of one name are a mistake in the program, to be seen at its start.
    #[must_use]
    pub fn with<K: TaskKind>(mut self, kind: K) -> Self {
        let before = self.0.insert(K::NAME, Arc::new(Erased(kind)));
        assert!(before.is_none(), "the task kind `{}` is registered twice", K::NAME);
        self
    }

    /// The kind of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn AnyKind>> {
        self.0.get(name)
    }

    /// The same names with other kinds behind them.
    #[must_use]
    pub fn wrapped(&self, wrap: impl Fn(Arc<dyn AnyKind>) -> Arc<dyn AnyKind>) -> Self {
        Self(self.0.iter().map(|(name, kind)| (*name, wrap(Arc::clone(kind)))).collect())
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone + '_ {
        self.0.keys().copied()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}
