//! The gate of a model, as this crate sees it: someone who looks at a table and says yes or no.

use async_trait::async_trait;
use workflow::error::TaskError;

use super::relation::Relation;

/// What a gate is asked.
#[derive(Debug, Clone, Copy)]
pub struct GateRequest<'a> {
    /// The suite in `quality/`.
    pub suite: &'a str,
    /// What the rows will be published as.
    pub dataset: &'a Relation,
    /// Where they stand now.
    pub build: &'a Relation,
}

/// What a gate answers.
#[derive(Debug, Clone)]
pub struct GateOutcome {
    /// Hash of the suite that judged.
    pub suite_hash: String,
    /// What the rows failed, one line a check; empty where they passed.
    pub failed: Vec<String>,
}

/// Judges builds by suites. The engine is not in this crate: whoever runs models brings it.
#[async_trait]
pub trait ModelGate: Send + Sync {
    /// Evaluates a suite on a build and keeps the results of its checks.
    async fn evaluate(&self, request: GateRequest<'_>) -> Result<GateOutcome, TaskError>;
}

/// Refuses to judge: for models without gates.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoGate;

#[async_trait]
impl ModelGate for NoGate {
    async fn evaluate(&self, request: GateRequest<'_>) -> Result<GateOutcome, TaskError> {
        Err(TaskError::internal(format!("no engine was given that could evaluate the suite `{}`", request.suite)))
    }
}
