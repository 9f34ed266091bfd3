//! Kinds that end as a script says: a real run of them goes as its rehearsal did.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::Value;

use super::{Outcome, Script};
use crate::{
    datasets::Datasets,
    diagnostic::Problem,
    error::TaskError,
    kind::{AnyKind, Reference, Registry, TaskContext},
    plan::{Backoff, Plan, parent_of},
    span::Span,
};

/// How long until a look for what never comes is repeated.
const NEXT_LOOK: Duration = Duration::from_millis(20);

/// How long a hurried run waits for what never comes.
const SOON: Span = Span(Duration::from_millis(100));

/// The kinds of `registry` with every policy that they have, of which those tasks alone do their work that `really` names. All
/// others end as the script says.
pub fn scripted(
    registry: &Registry,
    plan: &Plan,
    script: &Script,
    really: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Registry {
    let told = Arc::new(Told { plan: plan.clone(), script: script.clone(), really: Box::new(really) });
    registry.wrapped(|kind| Arc::new(Scripted { kind, told: Arc::clone(&told) }))
}

/// The plan of a run that nobody wants to wait for: retries follow at once, what is told to time out does so soon, and any
/// worker may take any task. How the run goes is otherwise the same.
pub fn hurried(plan: &Plan, registry: &Registry, script: &Script) -> Plan {
    let mut plan = plan.clone();
    for task in &mut plan.tasks {
        task.labels.clear();
        task.backoff = Backoff { from: Span(Duration::ZERO), to: Span(Duration::ZERO) };
        let items = script.outcomes.iter().filter(|(name, _)| parent_of(name) == Some(task.name.as_str()));
        let told = script.outcomes.get(&task.name).into_iter().chain(items.map(|(_, outcome)| outcome));
        if told.into_iter().any(|outcome| *outcome == Outcome::Timeout) {
            let whole = task.total_timeout.is_some_and(|total| total <= task.timeout);
            task.timeout = task.timeout.min(SOON);
            let looks = registry.get(&task.kind).is_some_and(|kind| kind.patience().is_some());
            task.total_timeout = task.total_timeout.map(|total| if whole || looks { total.min(SOON) } else { total });
        }
    }
    plan
}

struct Told {
    plan: Plan,
    script: Script,
    really: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

struct Scripted {
    kind: Arc<dyn AnyKind>,
    told: Arc<Told>,
}

#[async_trait]
impl AnyKind for Scripted {
    fn name(&self) -> &'static str {
        self.kind.name()
    }
    fn summary(&self) -> &'static str {
        self.kind.summary()
    }
    fn queue(&self) -> &'static str {
        self.kind.queue()
    }
    fn timeout(&self) -> Duration {
        self.kind.timeout()
    }
    fn patience(&self) -> Option<Duration> {
        self.kind.patience()
    }
    fn safe_to_repeat(&self) -> bool {
        self.kind.safe_to_repeat()
    }
    fn scratch(&self) -> bool {
        self.kind.scratch()
    }
    fn check(&self, config: &Value) -> Result<Vec<Reference>, Vec<Problem>> {
        self.kind.check(config)
    }
    fn datasets(&self, config: &Value, output: Option<&Value>) -> Datasets {
        self.kind.datasets(config, output)
    }
    async fn run(&self, config: Value, task: &TaskContext) -> Result<Value, TaskError> {
        let Told { plan, script, really } = &*self.told;
        let name = parent_of(&task.task).unwrap_or(&task.task);
        if really(name) {
            return self.kind.run(config, task).await;
        }
        let planned = plan.task(name).ok_or_else(|| TaskError::internal(format!("nothing is told of `{name}`")))?;
        let place = (name != task.task).then(|| place(&task.task)).flatten();
        let outcome = script.outcome(planned, place);
        if let Some(fault) = outcome.fault(task.attempt) {
            return Err(fault);
        }
        if outcome == Outcome::Timeout {
            if self.kind.patience().is_some() {
                return Err(TaskError::not_yet(NEXT_LOOK, "what it waits for does not come"));
            }
            task.cancel.cancelled().await;
            return Err(TaskError::external("it was told to stop"));
        }
        let left = place.map_or_else(|| script.outputs.get(name), |place| script.output_of_item(name, place));
        Ok(left.cloned().unwrap_or_default())
    }
}

/// The place of an item, by its name.
fn place(item: &str) -> Option<usize> {
    item.strip_suffix(']')?.rsplit_once('[')?.1.parse().ok()
}
