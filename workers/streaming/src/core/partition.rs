//! The state of one partition of one stream, record by record.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use crate::spec::{PANE, Shape, Stream};

use super::{
    delta::{
        Counters, Cut, Delta, Disposition, Firing, References, Resume, Snapshot, UnknownSnapshot, WindowRow, Withdrawn,
    },
    explain::Account,
    judge::{self, Does, Step, Watch},
    memory::Known,
    record::{Event, EventId, RawRecord, Scanner},
    segment::{Origin, SEGMENTS, Segment, segment_of},
    window::{Session, Window, Windows},
};

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
    references: Arc<References>,
    /// Next offset expected.
    next: i64,
    /// Records below it are only replayed.
    replay_until: i64,
    /// Offsets below it that were put aside: the clock had a say in that, so it is not judged again.
    put_aside: HashSet<i64>,
    /// First offset that the next delta accounts for.
    reported: i64,
    watermark: i64,
    /// Windows that end at or before it are closed.
    closed_to: i64,
    panes: BTreeMap<i64, Pane>,
    segments: Vec<Segment>,
    /// For each rule, the times of its alerts by key, as far back as a cooldown may reach.
    alerts: Vec<HashMap<Box<str>, Vec<i64>>>,
    counters: Counters,
    firings: Vec<Firing>,
    closed: Vec<WindowRow>,
    withdrawn: Vec<Withdrawn>,
    closed_before: Option<i64>,
}

impl PartitionState {
    /// The state at `resume.offset`; alerts already raised are given so that cooldowns go on.
    pub fn new(stream: Arc<Stream>, resume: Resume, raised: impl IntoIterator<Item = (String, String, i64)>) -> Self {
        let mut alerts: Vec<HashMap<Box<str>, Vec<i64>>> = vec![HashMap::new(); stream.rules.len()];
        for (rule, key, at) in raised {
            if let Some(index) = stream.rules.iter().position(|known| known.name == rule) {
                alerts[index].entry(key.into()).or_default().push(at);
            }
        }
        Self {
            names: stream.aggregates.iter().map(|aggregate| Arc::from(aggregate.name.as_str())).collect(),
            segments: (0..SEGMENTS).map(|_| Segment::new(&stream)).collect(),
            references: Arc::default(),
            stream,
            next: resume.offset,
            replay_until: resume.committed,
            put_aside: HashSet::new(),
            reported: resume.committed,
            watermark: resume.watermark.unwrap_or(BEFORE_ALL),
            closed_to: BEFORE_ALL,
            panes: BTreeMap::new(),
            alerts,
            // What lies between was deleted before anybody read it.
            counters: Counters { absent: (resume.offset - resume.committed).max(0), ..Counters::default() },
            firings: Vec::new(),
            closed: Vec::new(),
            withdrawn: Vec::new(),
            closed_before: None,
        }
    }

    /// Names the records below `resume.committed` that were not taken for events, so that a replay leaves them out.
    #[must_use]
    pub fn without(mut self, put_aside: impl IntoIterator<Item = i64>) -> Self {
        self.put_aside.extend(put_aside);
        self
    }

    /// Takes up the snapshots kept of it, so that only what came after them is replayed.
    pub fn with_snapshots(mut self, snapshots: impl IntoIterator<Item = Snapshot>) -> Result<Self, UnknownSnapshot> {
        for Snapshot { segment, offset, data } in snapshots {
            let place = usize::try_from(segment).ok().and_then(|at| self.segments.get_mut(at));
            let restored = Segment::restore(&self.stream, &data, offset);
            *place.ok_or(UnknownSnapshot { segment })? = restored.ok_or(UnknownSnapshot { segment })?;
        }
        // What was closed when the log stood where the replay begins is over, and its results stand.
        self.close_passed(true);
        Ok(self)
    }

    /// Reference tables as they are now.
    pub fn set_references(&mut self, references: Arc<References>) {
        self.references = references;
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
        let references = Arc::clone(&self.references);
        let steps = match guarded(|| self.judge(stream, &references, event, replaying)) {
            Ok(steps) => steps,
            Err(panic) => return Disposition::Rejected(panic),
        };
        let horizon = stream.horizon(self.watermark);
        // The state is free to change: what is borrowed in the steps is the event's.
        for step in steps {
            self.follow(stream, step, record, event, origin, horizon, replaying);
        }
        let pane = self.panes.entry(pane_start).or_insert_with(|| Pane { origin, seen: HashSet::new() });
        pane.seen.insert(event.id.clone());
        let watermark = event.time.saturating_sub(stream.out_of_orderness);
        if watermark > self.watermark {
            self.watermark = watermark;
            self.close_passed(replaying);
        }
        Disposition::Counted
    }

    fn judge<'e>(
        &self,
        stream: &'e Stream,
        references: &References,
        event: &'e Event<'_>,
        replaying: bool,
    ) -> Vec<Step<'e>> {
        let mut steps = Vec::with_capacity(stream.aggregates.len() + stream.groups.len());
        judge::count(stream, event, &mut steps);
        let watch = Watch {
            references,
            known: |group: usize, hash: u64, key: &str| -> Option<&Known> {
                let table = &self.segments[segment_of(hash)].groups[group];
                table.find(hash, |(_, known)| *known.key == *key).map(|(_, known)| known)
            },
            silenced: |rule: usize, key: &str| self.is_silenced(stream, rule, key, event.time),
            replaying,
        };
        watch.event(stream, event, &mut steps);
        steps
    }

    /// Whether an alert is near: in the same pane, or within the cooldown. Events come out of order, so the one that is
    /// near need not be the latest.
    fn is_silenced(&self, stream: &Stream, rule: usize, key: &str, at: i64) -> bool {
        let cooldown = stream.rules[rule].cooldown.unsigned_abs();
        let near = |raised: &i64| floor(*raised, PANE) == floor(at, PANE) || at.abs_diff(*raised) < cooldown;
        self.alerts[rule].get(key).is_some_and(|raised| raised.iter().any(near))
    }

    #[expect(clippy::too_many_arguments, reason = "an event and where in the log it stands")]
    fn follow(
        &mut self,
        stream: &Stream,
        step: Step<'_>,
        record: RawRecord<'_>,
        event: &Event<'_>,
        origin: Origin,
        horizon: i64,
        replaying: bool,
    ) {
        let Step { hash, key, does } = step;
        let segment = &mut self.segments[segment_of(hash)];
        if record.offset < segment.from {
            return;
        }
        if segment.dirty.is_none() {
            // A replay must know of all ids that are seen here already, so it begins with the open panes.
            segment.dirty = self.panes.values().map(|pane| pane.origin).chain([origin]).min();
        }
        match does {
            Does::Count { aggregate, sum } => {
                match (&mut segment.windows[aggregate], stream.aggregates[aggregate].shape) {
                    (Windows::Hopping(windows), Shape::Hopping { length, every }) => {
                        let mut start = floor(event.time, every);
                        while start > event.time - length {
                            windows.entry(start).or_default().count(hash, &key, sum);
                            start -= every;
                        }
                    }
                    (Windows::Session(sessions), Shape::Session { gap }) => {
                        let gone = sessions.count(hash, &key, event.time, sum, gap);
                        if !replaying {
                            let operator = &self.names[aggregate];
                            self.withdrawn.extend(gone.into_iter().map(|start| Withdrawn {
                                operator: Arc::clone(operator),
                                key: (*key).into(),
                                start,
                            }));
                        }
                    }
                    _ => {}
                }
            }
            Does::Watch { group, rules } => {
                let table = &mut segment.groups[group];
                let entry = table.entry(hash, |(_, known)| *known.key == *key, |(hash, _)| *hash);
                let mut entry = entry.or_insert_with(|| (hash, Known::new(&key)));
                let known = &mut entry.get_mut().1;
                let counting = rules.iter().fold(0, |all, watched| all | 1 << watched.place);
                known.witness(event.time, &event.id, counting);
                for watched in rules {
                    let rule = &stream.rules[watched.rule];
                    let memory = known.memory_mut(watched.place, rule);
                    memory.take(rule, &watched.givens, watched.mask, record.offset, event.time, horizon);
                    let Some(account) = watched.violated else { continue };
                    let oldest = self.watermark.saturating_sub(stream.reach());
                    let raised = self.alerts[watched.rule].entry((*key).into()).or_default();
                    raised.retain(|at| *at >= oldest);
                    raised.push(event.time);
                    self.firings.push(firing(stream, watched.rule, watched.place, *account, known, record, event));
                }
            }
        }
    }

    /// Closes what the watermark has passed. Silently: a window that closes during the replay was closed before it, and
    /// its results stand.
    fn close_passed(&mut self, silently: bool) {
        let stream = Arc::clone(&self.stream);
        let before = self.watermark.saturating_sub(stream.allowed_lateness);
        let boundary = floor(before, stream.pane);
        if self.watermark == BEFORE_ALL || boundary <= self.closed_to {
            return;
        }
        self.closed_to = boundary;
        while let Some(first) = self.panes.first_entry() {
            if *first.key() + stream.pane > before {
                break;
            }
            first.remove();
        }
        for segment in &mut self.segments {
            for (index, windows) in segment.windows.iter_mut().enumerate() {
                let name = &self.names[index];
                match (windows, stream.aggregates[index].shape) {
                    (Windows::Hopping(windows), Shape::Hopping { length, .. }) => {
                        for (start, mut window) in Windows::close(windows, boundary, length) {
                            if !silently {
                                self.closed_before = Some(boundary);
                                drain(&mut window, name, start, length, true, &mut self.closed);
                            }
                        }
                    }
                    (Windows::Session(sessions), Shape::Session { gap }) => {
                        let closed = &mut self.closed;
                        // An event that is not late may lie a pane before `before`.
                        sessions.close(before.saturating_sub(stream.pane), gap, |key, session| {
                            if !silently {
                                closed.push(session_row(name, key, session, gap, true));
                            }
                        });
                    }
                    _ => {}
                }
            }
        }
        if self.alerts.iter().map(HashMap::len).sum::<usize>() > 10_000 {
            let oldest = self.watermark.saturating_sub(stream.reach());
            for alerts in &mut self.alerts {
                alerts.retain(|_, raised| raised.iter().any(|at| *at >= oldest));
            }
        }
    }

    /// Whether a delta with everything shown would hold a window's result.
    pub fn has_unwritten(&self) -> bool {
        !self.closed.is_empty() || self.segments.iter().flat_map(|segment| &segment.windows).any(Windows::has_dirty)
    }

    /// Whether the replay is over; until then there is nothing to commit.
    pub fn is_replaying(&self) -> bool {
        self.next < self.replay_until
    }

    /// What changed since the last delta, to be written in one transaction; `None` if nothing did.
    pub fn take_delta(&mut self, cut: Cut) -> Option<Delta> {
        if self.is_replaying() {
            return None;
        }
        let windows = self.shown(cut.show);
        let (from, to) = (self.reported, self.next);
        let snapshots = self.snapshots(cut.segments);
        if from == to && windows.is_empty() && snapshots.is_empty() {
            return None;
        }
        self.reported = to;
        let oldest = self
            .panes
            .values()
            .map(|pane| pane.origin)
            .chain(self.segments.iter().filter_map(|segment| segment.dirty))
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
            withdrawn: std::mem::take(&mut self.withdrawn),
            windows,
            closed_before: self.closed_before.take(),
            firings: std::mem::take(&mut self.firings),
            snapshots,
        })
    }

    /// Results that changed: of windows that have ended, and of all where `show` says so.
    fn shown(&mut self, show: bool) -> Vec<WindowRow> {
        let mut rows = std::mem::take(&mut self.closed);
        for segment in &mut self.segments {
            for (index, windows) in segment.windows.iter_mut().enumerate() {
                let name = &self.names[index];
                match (windows, self.stream.aggregates[index].shape) {
                    (Windows::Hopping(windows), Shape::Hopping { length, .. }) => {
                        for (&start, window) in windows {
                            if show || start + length <= self.watermark {
                                drain(window, name, start, length, false, &mut rows);
                            }
                        }
                    }
                    (Windows::Session(sessions), Shape::Session { gap }) if show => {
                        for (_, key, sessions) in &mut sessions.keys {
                            for session in sessions.iter_mut().filter(|session| session.dirty) {
                                session.dirty = false;
                                rows.push(session_row(name, key, session, gap, false));
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        rows
    }

    fn snapshots(&mut self, most: usize) -> Vec<Snapshot> {
        let mut changed: Vec<_> =
            self.segments.iter().enumerate().filter_map(|(at, segment)| Some((segment.dirty?, at))).collect();
        changed.sort_unstable();
        changed.truncate(most);
        let horizon = self.stream.horizon(self.watermark);
        let snapshot = |(_, at): (Origin, usize)| {
            let segment = &mut self.segments[at];
            segment.dirty = None;
            let data = segment.snapshot(&self.stream, horizon);
            Snapshot { segment: i16::try_from(at).unwrap_or_default(), offset: self.next, data }
        };
        changed.into_iter().map(snapshot).collect()
    }
}

fn drain(window: &mut Window, name: &Arc<str>, start: i64, length: i64, closed: bool, rows: &mut Vec<WindowRow>) {
    window.drain_dirty(|entry| {
        rows.push(WindowRow {
            operator: Arc::clone(name),
            key: entry.key.clone(),
            start,
            end: start + length,
            events: entry.events,
            sum: entry.sum,
            closed,
        });
    });
}

fn session_row(name: &Arc<str>, key: &str, session: &Session, gap: i64, closed: bool) -> WindowRow {
    WindowRow {
        operator: Arc::clone(name),
        key: key.into(),
        start: session.start,
        end: session.last + gap,
        events: session.events,
        sum: session.sum,
        closed,
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
    stream: &Stream,
    at: usize,
    place: u8,
    account: Account,
    known: &Known,
    record: RawRecord<'_>,
    event: &Event<'_>,
) -> Firing {
    let rule = &stream.rules[at];
    let counted = known.witnesses.iter().filter(|witness| witness.rules & (1 << place) != 0);
    let within = counted.filter(|witness| witness.at.abs_diff(event.time) <= rule.memory().unsigned_abs());
    let window_end = match rule.count {
        Some(count) => {
            let unit = rule.rings[rule.measures[count].ring].unit;
            floor(event.time, unit) + unit
        }
        None => floor(event.time, PANE) + PANE,
    };
    Firing {
        rule: rule.name.clone(),
        at,
        key: known.key.to_string(),
        pane: floor(event.time, PANE),
        window_start: window_end - rule.span(),
        window_end,
        event_time: event.time,
        produced_at: record.produced_at,
        offset: record.offset,
        count: account.count,
        values: account.values,
        judged: account.judged,
        events: within.map(|witness| witness.id.to_string()).collect(),
        history: account.history,
        history_span: account.span,
    }
}

fn floor(time: i64, span: i64) -> i64 {
    time.div_euclid(span).saturating_mul(span)
}
