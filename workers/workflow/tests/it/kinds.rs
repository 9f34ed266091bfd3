//! Kinds that stand in for real ones: their keys are checked, nothing runs.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use workflow::{
    diagnostic::Problem,
    error::TaskError,
    kind::{Reference, Registry, Target, TaskContext, TaskKind},
};

pub(crate) fn registry() -> Registry {
    Registry::new().with(Extract).with(Load).with(Command)
}

struct Extract;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtractConfig {
    table: String,
    #[serde(default)]
    limit: u32,
}

#[async_trait]
impl TaskKind for Extract {
    const NAME: &'static str = "extract";
    const SUMMARY: &'static str = "reads a table";
    type Config = ExtractConfig;

    fn check(config: &ExtractConfig) -> Vec<Problem> {
        if config.table.is_empty() && config.limit == 0 { vec![Problem::new("table", "no table")] } else { Vec::new() }
    }

    async fn run(&self, _config: ExtractConfig, _task: &TaskContext) -> Result<Value, TaskError> {
        Ok(Value::Null)
    }
}

struct Load;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoadConfig {
    from: String,
    gate: Option<Gate>,
    tell: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gate {
    suite: String,
}

#[async_trait]
impl TaskKind for Load {
    const NAME: &'static str = "load";
    const SUMMARY: &'static str = "publishes what another task read";
    const QUEUE: &'static str = "heavy";
    type Config = LoadConfig;

    fn references(config: &LoadConfig) -> Vec<Reference> {
        let mut found = vec![Reference::new("from", Target::Task(config.from.clone()))];
        found.extend(config.gate.iter().map(|g| Reference::new("gate.suite", Target::Suite(g.suite.clone()))));
        found.extend(config.tell.iter().map(|t| Reference::new("tell", Target::Channel(t.clone()))));
        found
    }

    async fn run(&self, _config: LoadConfig, _task: &TaskContext) -> Result<Value, TaskError> {
        Ok(Value::Null)
    }
}

struct Command;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read by serde only")]
pub(crate) struct CommandConfig {
    command: Vec<String>,
}

#[async_trait]
impl TaskKind for Command {
    const NAME: &'static str = "command";
    const SUMMARY: &'static str = "runs a program";
    type Config = CommandConfig;

    async fn run(&self, _config: CommandConfig, _task: &TaskContext) -> Result<Value, TaskError> {
        Ok(Value::Null)
    }
}
