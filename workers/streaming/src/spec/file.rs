//! A stream's file as its author wrote it, key by key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use warehouse::alerts::Severity;

use super::Span;

/// A stream as its author wrote it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamFile {
    /// Name; also that of its consumer group.
    pub(crate) stream: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for the reader of the file")]
    description: String,
    /// The topic it reads.
    pub(crate) topic: String,
    /// How a record's value is written.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one format so far; the key states it")]
    format: Format,
    /// The field that tells one event from another: a second one in the same pane is a duplicate.
    #[serde(default = "event_id")]
    pub(crate) event_id: String,
    pub(crate) event_time: EventTime,
    /// Fields without which an event is malformed.
    #[serde(default)]
    pub(crate) required: Vec<String>,
    #[serde(default)]
    pub(crate) rules: BTreeMap<String, RuleFile>,
    #[serde(default)]
    pub(crate) aggregates: BTreeMap<String, AggregateFile>,
    #[serde(default)]
    pub(crate) references: BTreeMap<String, ReferenceFile>,
    /// Windows and dead letters are deleted this long after they last changed, by the clock.
    #[serde(default = "a_week")]
    pub(crate) retention: Span,
    /// Where raw events are kept as Parquet; without it they are not.
    #[serde(default)]
    pub(crate) lake: Option<LakeFile>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
}

/// When an event happened, and how long to wait for those that come late.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventTime {
    /// The field: RFC 3339 text, or milliseconds since 1970.
    pub(crate) field: String,
    /// The watermark trails the latest event of its partition by this much.
    pub(crate) out_of_orderness: Span,
    /// A window takes corrections for this long after the watermark passed its end.
    pub(crate) allowed_lateness: Span,
    /// A partition without events for this long no longer holds back the stream's watermark.
    pub(crate) idle_after: Span,
    /// An event further ahead than this is malformed: it would drag the watermark along, and make late whatever
    /// comes until the clock catches up. Ahead of the record's own timestamp or of the clock of the process that
    /// reads it, whichever is earlier, so that a producer whose clock is wrong does not set the pace.
    #[serde(default = "a_minute")]
    pub(crate) max_ahead: Span,
}

/// A table of Postgres that conditions look into, kept in memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReferenceFile {
    /// The event's field that finds the row.
    pub(crate) on: String,
    /// Its first column is matched with that field; the others go by their names.
    pub(crate) query: String,
    /// How often it is read anew.
    #[serde(default = "a_minute")]
    pub(crate) every: Span,
}

/// One field or several.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// Whether a rule tells anybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// It raises alerts.
    #[default]
    Live,
    /// It is tried out: what it would have said is kept, and nobody is told.
    Shadow,
}

/// A step of a sequence.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepFile {
    /// Which events take this step.
    #[serde(rename = "where")]
    pub(crate) filter: String,
    /// How many of them.
    #[serde(default = "once")]
    pub(crate) times: u8,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    #[serde(default)]
    pub(crate) description: String,
    /// Where in practice the rule comes from.
    #[serde(default)]
    pub(crate) source: String,
    /// The field or fields by whose values events are grouped; they must follow from the record's key.
    pub(crate) key: OneOrMany,
    /// The window of aggregates that name none.
    #[serde(default)]
    pub(crate) window: Option<Span>,
    /// Windows by name, for `over`.
    #[serde(default)]
    pub(crate) windows: BTreeMap<String, Span>,
    /// Row condition: which events count.
    #[serde(default, rename = "where")]
    pub(crate) filter: Option<String>,
    /// Condition over aggregates and the event at hand.
    #[serde(default)]
    pub(crate) when: Option<String>,
    /// Events that follow each other, by event time, others in between allowed …
    #[serde(default)]
    pub(crate) sequence: Vec<StepFile>,
    /// … from the first to the last of them in no more than this.
    #[serde(default)]
    pub(crate) within: Option<Span>,
    #[serde(default)]
    pub(crate) mode: Mode,
    pub(crate) severity: Severity,
    /// Channels of `sluice.yaml`.
    #[serde(default)]
    pub(crate) notify: Vec<String>,
    /// No two alerts of a key are nearer to each other than this, by event time.
    #[serde(default = "no_time")]
    pub(crate) cooldown: Span,
    /// Jinja over `key`, `count`, `sum.FIELD` …; a plain sentence without it.
    #[serde(default)]
    pub(crate) message: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AggregateFile {
    #[serde(default)]
    #[expect(dead_code, reason = "for the reader of the file")]
    description: String,
    /// One field, as a rule's; with `unnest`, a field of the items; absent, all events are one group, `all`.
    #[serde(default)]
    pub(crate) key: Option<String>,
    /// Length of its windows …
    #[serde(default)]
    pub(crate) window: Option<Span>,
    /// … one of which begins every so often; without it, one where the last ended.
    #[serde(default)]
    pub(crate) every: Option<Span>,
    /// In place of `window`: a session, which ends when its key is silent for so long.
    #[serde(default)]
    pub(crate) gap: Option<Span>,
    /// Row condition on the event.
    #[serde(default, rename = "where")]
    pub(crate) filter: Option<String>,
    /// A list in the event, each of whose items counts on its own.
    #[serde(default)]
    pub(crate) unnest: Option<String>,
    /// What to add up; the events (or items) are counted in any case.
    #[serde(default)]
    pub(crate) sum: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LakeFile {
    /// Folder in the lake.
    pub(crate) path: String,
    /// A file is closed at this many records …
    #[serde(default = "many")]
    pub(crate) roll_records: u32,
    /// … or at this age.
    #[serde(default = "a_minute")]
    pub(crate) roll_after: Span,
}

fn event_id() -> String {
    "event_id".to_owned()
}

fn a_week() -> Span {
    Span::seconds(7 * 86_400)
}

fn a_minute() -> Span {
    Span::seconds(60)
}

fn no_time() -> Span {
    Span::seconds(0)
}

fn many() -> u32 {
    100_000
}

fn once() -> u8 {
    1
}
