//! What goes into and comes out of a partition's state: dispositions, results, alerts, snapshots.

use std::{collections::HashMap, sync::Arc};

use super::{explain::Judged, fold::Datum};

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
    /// Where reading begins: the first record that some part of the state does not hold, or `committed`; later than
    /// that where retention has deleted records, which are counted as absent.
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

/// A share of a partition's state as it was once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Which share.
    pub segment: i16,
    /// Records below it are in it.
    pub offset: i64,
    /// For the core alone.
    pub data: Vec<u8>,
}

/// A snapshot that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot of segment {segment} was written by another version of sluice")]
pub struct UnknownSnapshot {
    /// Which share.
    pub segment: i16,
}

/// Rows of reference tables, by table and key; the values in the order of the columns that the stream names.
#[derive(Debug, Clone, Default)]
pub struct References(pub Vec<HashMap<String, Box<[Datum]>>>);

/// A rule violated, at the event that did it.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// The rule.
    pub rule: String,
    /// Its place among the stream's rules.
    pub(crate) at: usize,
    /// Whose events violate it.
    pub key: String,
    /// Begin of the pane of the violating event, in microseconds since 1970: a rule fires once in it.
    pub pane: i64,
    /// Begin of the rule's window, in microseconds since 1970.
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
    pub values: Vec<(String, Datum)>,
    /// The comparisons of its condition.
    pub judged: Vec<Judged>,
    /// Ids of the key's latest events that the rule counted, that of the violating one last.
    pub events: Vec<String>,
    /// Begin and number of events of the key's latest spans.
    pub history: Vec<(i64, u64)>,
    /// Length of those spans, in microseconds.
    pub history_span: i64,
}

/// A window's result as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowRow {
    /// The aggregate.
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

/// A session that has become part of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    /// The aggregate.
    pub operator: Arc<str>,
    /// Its key.
    pub key: Box<str>,
    /// Its begin, in microseconds since 1970.
    pub start: i64,
}

/// How much to put into a delta. Only when results and snapshots appear depends on it, not what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// Show windows that are still open.
    pub show: bool,
    /// Take snapshots of so many segments that changed, those first that changed longest ago.
    pub segments: usize,
}

impl Cut {
    /// Everything: after it, a restart reads nothing again but what open panes need.
    pub const ALL: Self = Self { show: true, segments: usize::MAX };
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
    /// Windows to delete, before those to insert.
    pub withdrawn: Vec<Withdrawn>,
    /// Windows to insert or update.
    pub windows: Vec<WindowRow>,
    /// Windows, sessions aside, that ended at or before this instant are closed; `None`: none was closed.
    pub closed_before: Option<i64>,
    /// Rules violated.
    pub firings: Vec<Firing>,
    /// Shares of the state at `to`.
    pub snapshots: Vec<Snapshot>,
}
