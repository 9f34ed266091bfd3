//! The state of one partition of one stream, record by record.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use crate::spec::{
    Aggregate, Function, Measure, Operator, Stream,
    expr::{Expr, Value},
};

use super::{
    accumulate::{Accumulator, Input, key_text},
    record::{Cell, Event, EventId, RawRecord, Scanner},
    window::{Entry, Origin, Window, Windows},
};

/// What became of a record. Each one is exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It is in the windows.
    Counted,
    /// An event of this id is already in the pane.
    Deduplicated,
    /// Its pane is closed; how late it came.
    Late(String),
    /// It cannot be read as an event of this stream; why.
    Malformed(String),
    /// It is an event, and an expression of the stream failed on it; how. Nothing of it is in the windows.
    Rejected(String),
    /// It was accounted for before; it only rebuilt the state.
    Replayed,
}

/// Records by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// [`Disposition::Counted`].
    pub counted: i64,
    /// [`Disposition::Deduplicated`].
    pub deduplicated: i64,
    /// [`Disposition::Late`].
    pub late: i64,
    /// [`Disposition::Malformed`] and [`Disposition::Rejected`].
    pub malformed: i64,
    /// Offsets that held no record: transaction markers, compaction, retention.
    pub absent: i64,
}

/// Where a partition's owner takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// First offset not yet accounted for.
    pub committed: i64,
    /// Where reading begins: the first record of the oldest open window, or `committed`; later than that where
    /// retention has deleted records, which are counted as absent.
    pub offset: i64,
    /// The watermark right before `offset`, in microseconds; `None` before any event.
    pub watermark: Option<i64>,
}

impl Resume {
    /// A partition never read before.
    pub fn fresh(offset: i64) -> Self {
        Self { committed: offset, offset, watermark: None }
    }
}

/// A rule violated, at the event that did it.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// The rule.
    pub rule: String,
    /// Whose window it is.
    pub key: String,
    /// Begin of the window, in microseconds since 1970.
    pub window_start: i64,
    /// First instant after it.
    pub window_end: i64,
    /// Time of the violating event.
    pub event_time: i64,
    /// Timestamp of its record, in milliseconds.
    pub produced_at: i64,
    /// Offset of its record.
    pub offset: i64,
    /// Events in the window so far.
    pub count: u64,
    /// The rule's other aggregates, as written, with their values.
    pub values: Vec<(String, f64)>,
    /// Ids of the events that led to it, the first ones where there are many.
    pub events: Vec<String>,
}

/// A window's result as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowRow {
    /// Rule or aggregate.
    pub operator: Arc<str>,
    /// Its key.
    pub key: Box<str>,
    /// Begin, in microseconds since 1970.
    pub start: i64,
    /// First instant after it.
    pub end: i64,
    /// Events (or items) counted.
    pub events: u64,
    /// What was added up, in millionths.
    pub sum: i128,
    /// No more corrections can come.
    pub closed: bool,
}

/// Which open windows to show before they end. Only when results appear depends on it, not what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Early {
    /// Those of aggregates.
    pub aggregates: bool,
    /// Those of rules.
    pub rules: bool,
}

/// What one commit writes for a partition.
#[derive(Debug, Clone)]
pub struct Delta {
    /// First offset it accounts for.
    pub from: i64,
    /// First offset after.
    pub to: i64,
    /// The watermark at `to`; `None` before any event.
    pub watermark: Option<i64>,
    /// Where the next owner must begin.
    pub resume: Resume,
    /// Records of `from..to` by what became of them.
    pub counters: Counters,
    /// Windows to insert or update.
    pub windows: Vec<WindowRow>,
    /// Windows that ended at or before this instant are closed; `None`: none was closed.
    pub closed_before: Option<i64>,
    /// Rules violated.
    pub firings: Vec<Firing>,
}

/// What an event does to one key of one operator.
struct Step<'e> {
    operator: usize,
    key: Cow<'e, str>,
    /// One for each aggregate.
    inputs: Vec<Input<'e>>,
    /// The rule's condition holds for the first time in this window.
    violated: bool,
}

#[derive(Debug, Clone)]
struct Pane {
    origin: Origin,
    seen: HashSet<EventId>,
}

const BEFORE_ALL: i64 = i64::MIN;

/// The state of one partition.
#[derive(Debug)]
pub struct PartitionState {
    stream: Arc<Stream>,
    names: Vec<Arc<str>>,
    /// Next offset expected.
    next: i64,
    /// Records below it are only replayed.
    replay_until: i64,
    /// Offsets below it that were put aside: the clock had a say in that, so it is not judged again.
    put_aside: HashSet<i64>,
    /// First offset that the next delta accounts for.
    reported: i64,
    watermark: i64,
    panes: BTreeMap<i64, Pane>,
    windows: Vec<Windows>,
    /// For each operator, the times of its alerts by key, as far back as a cooldown may reach.
    alerts: Vec<HashMap<Box<str>, Vec<i64>>>,
    counters: Counters,
    firings: Vec<Firing>,
    closed: Vec<WindowRow>,
    closed_before: Option<i64>,
}

impl PartitionState {
    /// The state at `resume.offset`; alerts already raised are given so that cooldowns go on.
    pub fn new(stream: Arc<Stream>, resume: Resume, raised: impl IntoIterator<Item = (String, String, i64)>) -> Self {
        let count = stream.operators.len();
        let mut alerts: Vec<HashMap<Box<str>, Vec<i64>>> = vec![HashMap::new(); count];
        for (rule, key, at) in raised {
            if let Some(index) = stream.operators.iter().position(|o| o.name == rule) {
                alerts[index].entry(key.into()).or_default().push(at);
            }
        }
        Self {
            names: stream.operators.iter().map(|o| Arc::from(o.name.as_str())).collect(),
            stream,
            next: resume.offset,
            replay_until: resume.committed,
            put_aside: HashSet::new(),
            reported: resume.committed,
            watermark: resume.watermark.unwrap_or(BEFORE_ALL),
            panes: BTreeMap::new(),
            windows: vec![Windows::default(); count],
            alerts,
            // What lies between was deleted before anybody read it.
            counters: Counters { absent: (resume.offset - resume.committed).max(0), ..Counters::default() },
            firings: Vec::new(),
            closed: Vec::new(),
            closed_before: None,
        }
    }

    /// Names the records below `resume.committed` that were not taken for events, so that a replay leaves them out.
    #[must_use]
    pub fn without(mut self, put_aside: impl IntoIterator<Item = i64>) -> Self {
        self.put_aside.extend(put_aside);
        self
    }

    /// The first offset not yet applied.
    pub fn next_offset(&self) -> i64 {
        self.next
    }

    /// The watermark, in microseconds since 1970.
    pub fn watermark(&self) -> Option<i64> {
        (self.watermark != BEFORE_ALL).then_some(self.watermark)
    }

    /// A rule has fired since the last delta.
    pub fn is_urgent(&self) -> bool {
        !self.firings.is_empty()
    }

    /// Records applied since the last delta.
    pub fn pending(&self) -> i64 {
        (self.next - self.reported).max(0)
    }

    /// Applies the partition's next record. One that was applied before (its offset is too low) changes nothing.
    pub fn apply(&mut self, mut record: RawRecord<'_>) -> Disposition {
        if record.offset < self.next {
            return Disposition::Replayed;
        }
        let replaying = record.offset < self.replay_until;
        if !replaying {
            self.counters.absent += record.offset - self.next.max(self.replay_until);
        }
        self.next = record.offset + 1;
        if replaying {
            if self.put_aside.remove(&record.offset) {
                return Disposition::Replayed;
            }
            record.read_at = i64::MAX;
        }
        let stream = Arc::clone(&self.stream);
        let disposition = match guarded(|| Scanner(&stream).scan(record)) {
            Ok(Ok(event)) => self.take_in(&stream, record, &event, replaying),
            Ok(Err(reason)) => Disposition::Malformed(reason),
            Err(panic) => Disposition::Rejected(panic),
        };
        if replaying {
            return Disposition::Replayed;
        }
        match disposition {
            Disposition::Counted => self.counters.counted += 1,
            Disposition::Deduplicated => self.counters.deduplicated += 1,
            Disposition::Late(_) => self.counters.late += 1,
            Disposition::Malformed(_) | Disposition::Rejected(_) => self.counters.malformed += 1,
            Disposition::Replayed => {}
        }
        disposition
    }

    fn take_in(&mut self, stream: &Stream, record: RawRecord<'_>, event: &Event<'_>, replaying: bool) -> Disposition {
        let origin = Origin { offset: record.offset, watermark: self.watermark };
        let pane_start = floor(event.time, stream.pane);
        let pane_closes = pane_start.saturating_add(stream.pane + stream.allowed_lateness);
        if pane_closes <= self.watermark {
            let behind = (self.watermark - pane_closes) / 1_000;
            return Disposition::Late(format!("its window was closed {behind} ms of event time before"));
        }
        if self.panes.get(&pane_start).is_some_and(|pane| pane.seen.contains(&event.id)) {
            return Disposition::Deduplicated;
        }
        // All that the author's expressions say comes first, so that one that fails leaves no trace of the event.
        let steps = match guarded(|| self.judge(stream, event)) {
            Ok(steps) => steps,
            Err(panic) => return Disposition::Rejected(panic),
        };
        let pane = self.panes.entry(pane_start).or_insert_with(|| Pane { origin, seen: HashSet::new() });
        pane.seen.insert(event.id.clone());
        for step in steps {
            self.count(stream, &step, record, event, origin, replaying);
        }
        let watermark = event.time.saturating_sub(stream.out_of_orderness);
        if watermark > self.watermark {
            self.advance(stream, watermark, replaying);
        }
        Disposition::Counted
    }

    /// What the event adds to the windows, and which rules it violates. Changes nothing.
    fn judge<'e>(&self, stream: &Stream, event: &'e Event<'_>) -> Vec<Step<'e>> {
        let mut steps = Vec::with_capacity(stream.operators.len());
        for (index, operator) in stream.operators.iter().enumerate() {
            let cell = |slot: &usize| event.fields[*slot].value();
            if operator.filter.as_ref().is_some_and(|filter| !filter.holds(&cell)) {
                continue;
            }
            let Some(list) = operator.list else {
                let Some(key) = key_of(operator, &event.fields) else { continue };
                let inputs = inputs(operator, &event.fields);
                let violated = operator.rule.as_ref().is_some_and(|rule| {
                    let window = self.windows[index].0.get(&floor(event.time, operator.window));
                    let entry = window.and_then(|window| window.entries.get(&*key));
                    !entry.is_some_and(|entry| entry.fired)
                        && rule.condition.holds(&|measure| measure_with(operator, entry, &inputs, *measure))
                });
                steps.push(Step { operator: index, key, inputs, violated });
                continue;
            };
            let width = stream.layout.lists[list].1.len().max(1);
            for item in event.lists[list].chunks(width) {
                let Some(key) = key_of(operator, item) else { continue };
                steps.push(Step { operator: index, key, inputs: inputs(operator, item), violated: false });
            }
        }
        steps
    }

    fn count(
        &mut self,
        stream: &Stream,
        step: &Step<'_>,
        record: RawRecord<'_>,
        event: &Event<'_>,
        origin: Origin,
        replaying: bool,
    ) {
        let (index, operator) = (step.operator, &stream.operators[step.operator]);
        let start = floor(event.time, operator.window);
        let entry = self.windows[index].open(start, origin).touch(&step.key, operator);
        for (accumulator, input) in entry.accumulators.iter_mut().zip(&step.inputs) {
            accumulator.take(input);
        }
        let Some(rule) = &operator.rule else { return };
        entry.witness(&event.id);
        if !step.violated {
            return;
        }
        entry.fired = true;
        if replaying {
            return;
        }
        if rule.cooldown > 0 {
            // Events come out of order: the alert that is near this one need not be the latest.
            let raised = self.alerts[index].get(&*step.key);
            let near = |at: &i64| event.time.abs_diff(*at) < rule.cooldown.unsigned_abs();
            if raised.is_some_and(|raised| raised.iter().any(near)) {
                return;
            }
            let oldest = self.watermark.saturating_sub(stream.reach());
            let raised = self.alerts[index].entry((*step.key).into()).or_default();
            raised.retain(|at| *at >= oldest);
            raised.push(event.time);
        }
        self.firings.push(firing(operator, &step.key, start, record, event, entry));
    }

    /// Moves the watermark on and closes what it has passed.
    fn advance(&mut self, stream: &Stream, watermark: i64, replaying: bool) {
        self.watermark = watermark;
        let before = watermark.saturating_sub(stream.allowed_lateness);
        while let Some(first) = self.panes.first_entry() {
            if *first.key() + stream.pane > before {
                break;
            }
            first.remove();
        }
        for (index, operator) in stream.operators.iter().enumerate() {
            for (start, mut window) in self.windows[index].close(before, operator.window) {
                // A window that closes during the replay was closed before the replay: its results stand.
                if !replaying {
                    self.closed_before = Some(before);
                    let name = &self.names[index];
                    drain(&mut window, name, operator, start, true, &mut self.closed);
                }
            }
        }
        if self.alerts.iter().map(HashMap::len).sum::<usize>() > 10_000 {
            let oldest = watermark.saturating_sub(stream.reach());
            for alerts in &mut self.alerts {
                alerts.retain(|_, raised| raised.iter().any(|at| *at >= oldest));
            }
        }
    }

    /// Whether a delta with everything shown would hold a window's result.
    pub fn has_unwritten(&self) -> bool {
        !self.closed.is_empty() || self.windows.iter().flat_map(|w| w.0.values()).any(Window::has_dirty)
    }

    /// Whether the replay is over; until then there is nothing to commit.
    pub fn is_replaying(&self) -> bool {
        self.next < self.replay_until
    }

    /// What changed since the last delta, to be written in one transaction; `None` if nothing did.
    pub fn take_delta(&mut self, early: Early) -> Option<Delta> {
        if self.is_replaying() {
            return None;
        }
        let mut rows = std::mem::take(&mut self.closed);
        for (index, operator) in self.stream.operators.iter().enumerate() {
            let shown = if operator.rule.is_some() { early.rules } else { early.aggregates };
            for (&start, window) in &mut self.windows[index].0 {
                if shown || start + operator.window <= self.watermark {
                    drain(window, &self.names[index], operator, start, false, &mut rows);
                }
            }
        }
        let (from, to) = (self.reported, self.next);
        if from == to && rows.is_empty() {
            return None;
        }
        self.reported = to;
        let oldest = self
            .panes
            .values()
            .map(|pane| pane.origin)
            .chain(self.windows.iter().flat_map(|w| w.0.values()).map(|w| w.origin))
            .min()
            .unwrap_or(Origin { offset: to, watermark: self.watermark });
        Some(Delta {
            from,
            to,
            watermark: self.watermark(),
            resume: Resume {
                committed: to,
                offset: oldest.offset,
                watermark: (oldest.watermark != BEFORE_ALL).then_some(oldest.watermark),
            },
            counters: std::mem::take(&mut self.counters),
            windows: rows,
            closed_before: self.closed_before.take(),
            firings: std::mem::take(&mut self.firings),
        })
    }
}

fn drain(
    window: &mut Window,
    name: &Arc<str>,
    operator: &Operator,
    start: i64,
    closed: bool,
    rows: &mut Vec<WindowRow>,
) {
    window.drain_dirty(|key, entry| {
        rows.push(WindowRow {
            operator: Arc::clone(name),
            key: key.into(),
            start,
            end: start + operator.window,
            events: entry.events,
            sum: operator.sum.map_or(0, |at| entry.accumulators[at].sum()),
            closed,
        });
    });
}

fn key_of<'e>(operator: &Operator, cells: &'e [Cell<'_>]) -> Option<Cow<'e, str>> {
    match operator.key {
        Some(slot) => key_text(&cells[slot]),
        None => Some("all".into()),
    }
}

/// What each aggregate of `operator` takes in.
fn inputs<'e>(operator: &Operator, cells: &'e [Cell<'_>]) -> Vec<Input<'e>> {
    let input = |aggregate: &Aggregate| match (&aggregate.function, &aggregate.argument) {
        (Function::Distinct, Expr::Leaf(slot)) => key_text(&cells[*slot]).map_or(Input::Nothing, Input::Text),
        (Function::Distinct, _) => Input::Nothing,
        (_, argument) => argument.number(&|slot: &usize| cells[*slot].value()).map_or(Input::Nothing, Input::Number),
    };
    operator.aggregates.iter().map(input).collect()
}

/// A measure as it will be once the inputs are in; without an entry, the window has yet to begin.
fn measure_with(operator: &Operator, entry: Option<&Entry>, inputs: &[Input<'_>], measure: Measure) -> Value<'static> {
    match measure {
        Measure::Count => Value::Number(entry.map_or(0, |entry| entry.events) as f64 + 1.0),
        Measure::Of(at) => {
            let value = match entry {
                Some(entry) => entry.accumulators[at].value_with(&inputs[at]),
                None => Accumulator::new(operator.aggregates[at].function).value_with(&inputs[at]),
            };
            value.map_or(Value::Null, Value::Number)
        }
    }
}

/// Runs what an author's expressions take part in; a panic becomes its message.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What `work` may leave half done is dropped with it: it changes nothing outside.
    std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("an expression failed on it: {}", message.as_deref().unwrap_or("it panicked"))
    })
}

fn firing(
    operator: &Operator,
    key: &str,
    start: i64,
    record: RawRecord<'_>,
    event: &Event<'_>,
    entry: &Entry,
) -> Firing {
    let values = operator.aggregates.iter().zip(&entry.accumulators);
    Firing {
        rule: operator.name.clone(),
        key: key.to_owned(),
        window_start: start,
        window_end: start + operator.window,
        event_time: event.time,
        produced_at: record.produced_at,
        offset: record.offset,
        count: entry.events,
        values: values.filter_map(|(a, acc)| Some((a.text.clone(), acc.value()?))).collect(),
        events: entry.evidence.iter().map(ToString::to_string).collect(),
    }
}

fn floor(time: i64, span: i64) -> i64 {
    time.div_euclid(span).saturating_mul(span)
}
