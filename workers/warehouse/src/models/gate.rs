//! The gate of a model, as this crate sees it: someone who looks at a table and says yes or no.

use async_trait::async_trait;
use workflow::error::TaskError;

use super::{relation::Relation, spec::OnFail};
use crate::load::RecordChecks;

/// What a gate is asked.
#[derive(Debug, Clone, Copy)]
pub struct GateRequest<'a> {
    /// The suite in `quality/`.
    pub suite: &'a str,
    /// What a failed check means that does not say so itself.
    pub on_fail: OnFail,
    /// What the rows will be published as.
    pub dataset: &'a Relation,
    /// Where they stand now.
    pub build: &'a Relation,
}

/// What a gate answers.
pub struct GateOutcome {
    /// Hash of the suite that judged.
    pub suite_hash: String,
    /// Why the build must not be published, one line a check; empty where it may be.
    pub failed: Vec<String>,
    /// What someone should look at, one line a check.
    pub warned: Vec<String>,
    /// Writes the outcomes of the checks, in the transaction of the ledger row that they belong to.
    pub record: Option<RecordChecks>,
}

/// Judges builds by suites. The engine is not in this crate: whoever runs models brings it.
#[async_trait]
pub trait ModelGate: Send + Sync {
    /// Evaluates a suite on a build.
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
