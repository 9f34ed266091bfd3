//! Kinds whose behaviour the test decides.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Barrier, Semaphore};
use workflow::{
    error::{RetryHint, TaskError},
    kind::{Reference, Registry, Target, TaskContext, TaskKind},
};

/// What a test and its kinds share.
#[derive(Clone)]
pub(crate) struct Hands {
    /// `meet` waits here for another `meet`.
    pub(crate) barrier: Arc<Barrier>,
    /// `wait` adds a permit when it has begun.
    pub(crate) begun: Arc<Semaphore>,
    /// `wait` ends when it gets a permit.
    pub(crate) go_on: Arc<Semaphore>,
    /// `fragile` fails while it is set.
    pub(crate) broken: Arc<AtomicBool>,
    /// How often `echo` ran.
    pub(crate) echoes: Arc<AtomicUsize>,
}

impl Default for Hands {
    fn default() -> Self {
        Self {
            barrier: Arc::new(Barrier::new(2)),
            begun: Arc::new(Semaphore::new(0)),
            go_on: Arc::new(Semaphore::new(0)),
            broken: Arc::default(),
            echoes: Arc::default(),
        }
    }
}

impl Hands {
    pub(crate) fn registry(&self) -> Registry {
        Registry::new()
            .with(Echo(self.clone()))
            .with(Meet(self.clone()))
            .with(Flaky)
            .with(Wait(self.clone()))
            .with(WaitOnce(self.clone()))
            .with(Fragile(self.clone()))
            .with(Panics)
    }

    /// Returns once a `wait` is under way.
    pub(crate) async fn wait_has_begun(&self) {
        self.begun.acquire().await.expect("the semaphore stays open").forget();
    }
}

/// Gives back its `say` and what it was given.
struct Echo(Hands);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EchoConfig {
    #[serde(default)]
    say: Value,
    #[serde(default)]
    from: Option<String>,
}

#[async_trait]
impl TaskKind for Echo {
    const NAME: &'static str = "echo";
    const SUMMARY: &'static str = "gives back what it gets";
    type Config = EchoConfig;

    fn references(config: &EchoConfig) -> Vec<Reference> {
        config.from.iter().map(|from| Reference::new("from", Target::Task(from.clone()))).collect()
    }

    async fn run(&self, config: EchoConfig, task: &TaskContext) -> Result<Value, TaskError> {
        self.0.echoes.fetch_add(1, Ordering::SeqCst);
        task.log.info(format!("attempt {}", task.attempt));
        Ok(json!({ "say": config.say, "heard": task.inputs }))
    }
}

/// Ends only if another one runs at the same time.
struct Meet(Hands);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

#[async_trait]
impl TaskKind for Meet {
    const NAME: &'static str = "meet";
    const SUMMARY: &'static str = "waits for another one";
    type Config = Nothing;

    async fn run(&self, _config: Nothing, _task: &TaskContext) -> Result<Value, TaskError> {
        self.0.barrier.wait().await;
        Ok(Value::Null)
    }
}

/// Fails so many times.
struct Flaky;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlakyConfig {
    failures: i32,
    #[serde(default)]
    fault: String,
}

#[async_trait]
impl TaskKind for Flaky {
    const NAME: &'static str = "flaky";
    const SUMMARY: &'static str = "fails at first";
    type Config = FlakyConfig;

    async fn run(&self, config: FlakyConfig, task: &TaskContext) -> Result<Value, TaskError> {
        if task.attempt > config.failures {
            return Ok(json!(task.attempt));
        }
        Err(match config.fault.as_str() {
            "user" => TaskError::user("the file is wrong"),
            "gate" => TaskError::gate("3 rows failed"),
            "busy" => TaskError::external("busy").retry(RetryHint::After(Duration::from_millis(50))),
            _ => TaskError::external("the service is down").because("connection refused\0"),
        })
    }
}

/// Waits until the test lets it go on, or until it is told to stop.
struct Wait(Hands);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitConfig {
    #[serde(default)]
    stubborn: bool,
}

#[async_trait]
impl TaskKind for Wait {
    const NAME: &'static str = "wait";
    const SUMMARY: &'static str = "waits";
    type Config = WaitConfig;

    async fn run(&self, config: WaitConfig, task: &TaskContext) -> Result<Value, TaskError> {
        self.0.begun.add_permits(1);
        let go_on = self.0.go_on.acquire();
        tokio::select! {
            permit = go_on => { permit.expect("the semaphore stays open").forget(); Ok(Value::Null) }
            () = task.cancel.cancelled(), if !config.stubborn => Err(TaskError::external("told to stop")),
        }
    }
}

/// Waits like `wait`, and must not be repeated.
struct WaitOnce(Hands);

#[async_trait]
impl TaskKind for WaitOnce {
    const NAME: &'static str = "wait_once";
    const SUMMARY: &'static str = "waits, once";
    const SAFE_TO_REPEAT: bool = false;
    type Config = WaitConfig;

    async fn run(&self, config: WaitConfig, task: &TaskContext) -> Result<Value, TaskError> {
        Wait(self.0.clone()).run(config, task).await
    }
}

/// Fails while the test says so.
struct Fragile(Hands);

#[async_trait]
impl TaskKind for Fragile {
    const NAME: &'static str = "fragile";
    const SUMMARY: &'static str = "fails while it is broken";
    type Config = Nothing;

    async fn run(&self, _config: Nothing, _task: &TaskContext) -> Result<Value, TaskError> {
        if self.0.broken.load(Ordering::SeqCst) { Err(TaskError::user("broken")) } else { Ok(Value::Null) }
    }
}

struct Panics;

#[async_trait]
impl TaskKind for Panics {
    const NAME: &'static str = "panics";
    const SUMMARY: &'static str = "panics";
    type Config = Nothing;

    async fn run(&self, _config: Nothing, task: &TaskContext) -> Result<Value, TaskError> {
        panic!("attempt {} broke a promise", task.attempt)
    }
}
