//! The run that is rehearsed: its rows, its queue, and a clock that stands still until something is due.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;

use super::{Fault, Outcome, Rehearsal, Rehearsed, RehearsedAttempt, Script};
use crate::{
    attempt::{NoRetry, Spent, Step},
    diagnostic::Problem,
    error::TaskError,
    kind::{DataInterval, Registry},
    plan::{Plan, PlannedTask, item_name},
    span::Span,
    state::{
        AttemptEvent, AttemptState, NeedsEnded, RunEvent, RunState, TaskEvent, TaskState, TriggerRule, items_ended,
    },
    template::{self, Scope},
};

/// A task of the run, or an item of one. Those of the plan's tasks stand first, in its order.
struct Row {
    task: usize,
    /// Its place in the list, for an item.
    item: Option<usize>,
    state: TaskState,
    reason: Option<String>,
    /// When its first attempt began.
    began: Option<Duration>,
    ended: Duration,
    attempts: Vec<RehearsedAttempt>,
    keys: Option<Value>,
    /// Of a mapped task whose list is known.
    items: Vec<Value>,
    /// How many of them have not ended, and how many failed.
    open: i32,
    failed: i32,
}

impl Row {
    fn new(task: usize, item: Option<usize>, state: TaskState) -> Self {
        Self {
            task,
            item,
            state,
            reason: None,
            began: None,
            ended: Duration::ZERO,
            attempts: Vec::new(),
            keys: None,
            items: Vec::new(),
            open: 0,
            failed: 0,
        }
    }
}

pub(super) struct Stage<'a> {
    plan: &'a Plan,
    registry: &'a Registry,
    script: &'a Script,
    interval: DataInterval,
    params: Value,
    retries_left: Option<u32>,
    rows: Vec<Row>,
    /// When each row is claimed next; of several at once, the first of the plan.
    queue: BTreeSet<(Duration, usize)>,
    untold: Vec<Fault>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(plan: &'a Plan, registry: &'a Registry, script: &'a Script) -> Self {
        Self {
            plan,
            registry,
            script,
            interval: plan.interval(script.logical_time),
            params: Value::Object(script.params.clone()),
            retries_left: plan.retry_budget,
            rows: (0..plan.tasks.len()).map(|task| Row::new(task, None, TaskState::Waiting)).collect(),
            queue: BTreeSet::new(),
            untold: Vec::new(),
        }
    }

    /// Plays the run to its end. The error is every output that it would have had to be told.
    pub(super) fn play(mut self) -> Result<Rehearsal, Vec<Fault>> {
        for row in 0..self.plan.tasks.len() {
            self.decide(Duration::ZERO, row);
        }
        while let Some((at, row)) = self.queue.pop_first() {
            self.claim(at, row);
        }
        if self.untold.is_empty() { Ok(self.report()) } else { Err(self.untold) }
    }

    fn planned(&self, row: usize) -> &'a PlannedTask {
        &self.plan.tasks[self.rows[row].task]
    }

    fn row_of(&self, task: &str) -> Option<&Row> {
        self.rows.iter().take(self.plan.tasks.len()).find(|row| self.plan.tasks[row.task].name == task)
    }

    fn succeeded(&self, task: &str) -> bool {
        self.row_of(task).is_some_and(|row| row.state == TaskState::Success)
    }

    /// What a task that succeeded leaves, where that is told: of a mapped one, what its items do.
    fn output(&self, task: &str) -> Option<Value> {
        let row = self.row_of(task).filter(|row| row.state == TaskState::Success)?;
        if self.planned(row.task).for_each.is_none() {
            return self.script.outputs.get(task).cloned();
        }
        let of_item = |place| self.script.output_of_item(task, place).cloned();
        (0..row.items.len()).map(of_item).collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn name(&self, row: usize) -> String {
        let task = &self.planned(row).name;
        self.rows[row].item.map_or_else(|| task.clone(), |place| item_name(task, place))
    }

    fn on(&mut self, row: usize, event: TaskEvent) {
        let state = self.rows[row].state;
        self.rows[row].state = state.on(event).expect("a rehearsal goes by the ways that a task has");
    }

    /// Decides about a task that waits, if all that it needs has ended.
    fn decide(&mut self, at: Duration, row: usize) {
        let task = self.planned(row);
        let needs: Vec<(&str, TaskState)> =
            task.needs.iter().filter_map(|need| Some((need.as_str(), self.row_of(need)?.state))).collect();
        if self.rows[row].state != TaskState::Waiting || needs.iter().any(|(_, state)| !state.is_final()) {
            return;
        }
        let count = |which: fn(TaskState) -> bool| {
            i32::try_from(needs.iter().filter(|(_, state)| which(*state)).count()).unwrap_or(i32::MAX)
        };
        let ended = NeedsEnded {
            total: count(|_| true),
            failed: count(TaskState::is_fault),
            skipped: count(|state| state == TaskState::Skipped),
        };
        let event = task.trigger_rule.decide(ended);
        let Some(why) = task.trigger_rule.reason(event) else {
            self.on(row, event);
            self.queue.insert((at, row));
            return;
        };
        // Which of them it was, where some are to blame.
        let to_blame = |state: TaskState| match event {
            TaskEvent::Skip if task.trigger_rule.wants_fault() => false,
            TaskEvent::Skip => state == TaskState::Skipped,
            _ => state.is_fault(),
        };
        let blamed: Vec<&str> = needs.iter().filter(|(_, state)| to_blame(*state)).map(|(name, _)| *name).collect();
        let whom = if blamed.is_empty() { String::new() } else { format!(": {}", blamed.join(", ")) };
        self.end(at, row, event, Some(format!("{why}{whom}")));
    }

    /// A worker takes it.
    fn claim(&mut self, at: Duration, row: usize) {
        self.on(row, TaskEvent::Claimed);
        self.rows[row].began.get_or_insert(at);
        let task = self.planned(row);
        if let Some(reason) = task.nothing_to_take_down(|setup| self.succeeded(setup)) {
            return self.ends_well(at, row, TaskEvent::Skip, Some(reason));
        }
        // All its items went well, and it collects what they left.
        if self.rows[row].item.is_none() && !self.rows[row].items.is_empty() {
            return self.ends_well(at, row, TaskEvent::Succeeded, None);
        }
        let place = self.rows[row].item;
        let item = place.map(|place| (place, self.rows[self.rows[row].task].items[place].clone()));
        let outputs = task.needs.iter().filter_map(|need| Some((need.clone(), self.output(need)?))).collect();
        let (params, name) = (self.params.clone(), self.name(row));
        let scope = Scope {
            dag: &self.plan.dag,
            task: &name,
            run_id: 0,
            logical_time: self.script.logical_time,
            interval: self.interval,
            timezone: self.plan.timezone,
            params: &params,
            trigger: &self.script.trigger,
            outputs: &outputs,
            item: task.for_each.as_ref().zip(item.as_ref()).map(|(each, (place, value))| template::Item {
                name: &each.name,
                place: *place,
                value,
            }),
        };
        if place.is_none() && self.lacks_an_output(task) {
            return;
        }
        match self.step(task, &scope) {
            Ok(Step::Skip(reason)) => self.ends_well(at, row, TaskEvent::Skip, Some(reason)),
            Ok(Step::List(items)) => self.expand(at, row, items),
            Ok(Step::Work(keys)) => {
                self.rows[row].keys = (!keys.is_null()).then_some(keys);
                self.attempt(at, row, self.script.outcome(task, place));
            }
            Err(fault) => self.ends_badly(at, row, &fault, at),
        }
    }

    /// What its attempt comes to. Its keys are null where they read an output that is not told.
    fn step(&self, task: &PlannedTask, scope: &Scope<'_>) -> Result<Step, TaskError> {
        if self.untold_in(task, &template::names_in(&task.config)).is_some() {
            let without = PlannedTask { config: Value::Null, ..task.clone() };
            return without.step(scope);
        }
        let step = task.step(scope)?;
        if let (Step::Work(keys), Some(kind)) = (&step, self.registry.get(&task.kind)) {
            kind.check(keys).map_err(Problem::into_fault)?;
        }
        Ok(step)
    }

    /// Notes an output that decides what runs and is not told. What stands behind it is left open then.
    fn lacks_an_output(&mut self, task: &PlannedTask) -> bool {
        let condition = task.when.as_ref().map(|condition| ("condition", condition));
        let list = task.for_each.as_ref().map(|each| ("list", &each.over));
        let lacking = condition.into_iter().chain(list).find_map(|(field, expression)| {
            let reads = self.untold_in(task, &template::names_in_condition(expression))?;
            Some(Fault::Untold { task: task.name.clone(), field, reads })
        });
        let lacks = lacking.is_some();
        self.untold.extend(lacking);
        lacks
    }

    /// The first of these names that is an output of a need which succeeded, and is not told.
    fn untold_in(&self, task: &PlannedTask, names: &[String]) -> Option<String> {
        let reads = |need: &str| {
            names.iter().any(|name| {
                let mut parts = name.split('.');
                parts.next() == Some("outputs") && parts.next().is_none_or(|part| part == need)
            })
        };
        let untold = |need: &&String| self.succeeded(need) && self.output(need).is_none() && reads(need);
        task.needs.iter().find(untold).cloned()
    }

    /// Its list is known.
    fn expand(&mut self, at: Duration, row: usize, items: Vec<Value>) {
        if items.is_empty() {
            return self.ends_well(at, row, TaskEvent::Succeeded, Some("its list is empty".to_owned()));
        }
        self.record(row, at, AttemptEvent::Succeeded, None);
        self.on(row, TaskEvent::Expanded);
        let (of, first) = (self.rows[row].task, self.rows.len());
        self.rows.extend((0..items.len()).map(|place| Row::new(of, Some(place), TaskState::Queued)));
        self.queue.extend((first..self.rows.len()).map(|item| (at, item)));
        self.rows[row].open = i32::try_from(items.len()).unwrap_or(i32::MAX);
        self.rows[row].items = items;
    }

    /// Its kind is at work.
    fn attempt(&mut self, at: Duration, row: usize, outcome: Outcome) {
        let task = self.planned(row);
        let number = self.spent(row, at).attempt;
        if outcome == Outcome::Timeout {
            let spent = self.spent(row, at);
            // What waited in vain for something has used all its time.
            let takes = match spent.left {
                Some(left) if spent.looks => left,
                left => task.attempt_may_take(left, spent.looks),
            };
            let ends = at + takes;
            let (error, wait) = task.after_timeout(self.spent(row, ends), 1.0);
            self.ends(at, row, AttemptEvent::TimedOut, (ends, error, wait));
        } else if let Some(fault) = outcome.fault(number) {
            self.ends_badly(at, row, &fault, at);
        } else {
            self.ends_well(at, row, TaskEvent::Succeeded, None);
        }
    }

    fn spent(&self, row: usize, now: Duration) -> Spent {
        let task = self.planned(row);
        let Row { began, attempts, .. } = &self.rows[row];
        Spent {
            attempt: i32::try_from(attempts.len() + 1).unwrap_or(i32::MAX),
            most: task.attempts.into(),
            left: task.total_timeout.map(|total| (began.unwrap_or(now) + total.0).saturating_sub(now)),
            looks: self.registry.get(&task.kind).is_some_and(|kind| kind.patience().is_some()),
        }
    }

    fn ends_well(&mut self, at: Duration, row: usize, event: TaskEvent, reason: Option<String>) {
        self.record(row, at, AttemptEvent::Succeeded, None);
        self.end(at, row, event, reason);
    }

    fn ends_badly(&mut self, at: Duration, row: usize, fault: &TaskError, ends: Duration) {
        let wait = self.planned(row).after_failure(self.spent(row, ends), fault, 1.0);
        self.ends(at, row, AttemptEvent::Failed, (ends, fault.chain(), wait));
    }

    /// An attempt that began `at` ends badly; another follows, or none.
    fn ends(
        &mut self,
        at: Duration,
        row: usize,
        event: AttemptEvent,
        (ends, error, wait): (Duration, String, Result<Duration, NoRetry>),
    ) {
        let why = match wait {
            Ok(wait) if self.retries_left != Some(0) => {
                self.retries_left = self.retries_left.map(|left| left - 1);
                self.record(row, at, event, Some(wait));
                self.on(row, TaskEvent::WillRetry);
                self.queue.insert((ends + wait, row));
                return;
            }
            Ok(_) => "no other attempt: the retry budget of its run is spent".to_owned(),
            Err(why) => why.to_string(),
        };
        self.record(row, at, event, None);
        self.end(ends, row, TaskEvent::GaveUp, Some(format!("{error}; {why}")));
    }

    fn record(&mut self, row: usize, at: Duration, event: AttemptEvent, wait: Option<Duration>) {
        let state = AttemptState::Running.on(event).expect("a running attempt can end in every way");
        let attempt = RehearsedAttempt { starts_after: Span(at), state, next_within: wait.map(Span) };
        self.rows[row].attempts.push(attempt);
    }

    /// It has ended; what waited for it goes on.
    fn end(&mut self, at: Duration, row: usize, event: TaskEvent, reason: Option<String>) {
        self.on(row, event);
        (self.rows[row].ended, self.rows[row].reason) = (at, reason);
        let task = self.rows[row].task;
        if self.rows[row].item.is_some() {
            let failed = self.rows[row].state.is_fault();
            return self.item_ended(at, task, failed);
        }
        let name = &self.plan.tasks[task].name;
        for behind in 0..self.plan.tasks.len() {
            if self.plan.tasks[behind].needs.contains(name) {
                self.decide(at, behind);
            }
        }
    }

    fn item_ended(&mut self, at: Duration, parent: usize, failed: bool) {
        let row = &mut self.rows[parent];
        row.open -= 1;
        row.failed += i32::from(failed);
        if row.open > 0 {
            return;
        }
        let items = i32::try_from(row.items.len()).unwrap_or(i32::MAX);
        match items_ended(items, row.failed) {
            (TaskEvent::Ready, _) => {
                self.on(parent, TaskEvent::Ready);
                self.queue.insert((at, parent));
            }
            (event, reason) => self.end(at, parent, event, reason),
        }
    }

    fn report(mut self) -> Rehearsal {
        // Items speak through their task, and a teardown's fault does not decide about the run.
        let fatal = |row: &Row| {
            let tidies = self.plan.tasks[row.task].trigger_rule == TriggerRule::Teardown;
            row.item.is_none() && row.state == TaskState::Failed && !tidies
        };
        let event = if self.rows.iter().any(fatal) { RunEvent::SomeFailed } else { RunEvent::AllWell };
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|row| (self.rows[*row].task, self.rows[*row].item));
        let tasks = order
            .into_iter()
            .map(|row| Rehearsed {
                task: self.name(row),
                kind: self.planned(row).kind.clone(),
                state: self.rows[row].state,
                reason: self.rows[row].reason.take(),
                ends_after: Span(self.rows[row].ended),
                attempts: std::mem::take(&mut self.rows[row].attempts),
                keys: self.rows[row].keys.take(),
            })
            .collect();
        Rehearsal {
            dag: self.plan.dag.clone(),
            logical_time: self.script.logical_time,
            interval: self.interval,
            params: self.script.params.clone(),
            state: RunState::Running.on(event).expect("a running run can end either way"),
            tasks,
        }
    }
}
