//! Stream files: `dags/streams/*.yaml`.
//!
//! Reading one finds every fault at once; what it yields ([`Stream`]) holds no names to be looked up, only slots.

mod compile;
pub(crate) mod expr;
mod fields;
mod message;
#[cfg(test)]
mod shipped;
mod span;

use std::collections::BTreeMap;

use serde::Deserialize;
use warehouse::alerts::Severity;
use workflow::{
    diagnostic::{Diagnostic, did_you_mean},
    yaml::Document,
};

pub use compile::Stream;
pub(crate) use compile::{Aggregate, Function, Measure, Operator};
pub(crate) use fields::{Fields, Layout};
pub use span::Span;

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

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    #[serde(default)]
    #[expect(dead_code, reason = "for the reader of the file")]
    description: String,
    /// The field by whose values events are grouped; it must follow from the record's key.
    pub(crate) key: String,
    pub(crate) window: Span,
    /// Row condition: which events count.
    #[serde(default, rename = "where")]
    pub(crate) filter: Option<String>,
    /// Condition over the window's aggregates.
    pub(crate) when: String,
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
    /// As a rule's; with `unnest`, a field of the items; absent, all events are one group, `all`.
    #[serde(default)]
    pub(crate) key: Option<String>,
    pub(crate) window: Span,
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

impl Stream {
    /// Reads a stream's file. `channels` are the names that `notify` may use.
    pub fn parse(file: &str, text: &str, channels: &[&str]) -> Result<Self, Vec<Diagnostic>> {
        let document = Document::parse(file, text).map_err(|fault| vec![fault])?;
        let read: StreamFile = document.read()?;
        let mut problems = Vec::new();
        for (name, rule) in &read.rules {
            for (index, channel) in rule.notify.iter().enumerate() {
                if !channels.contains(&channel.as_str()) {
                    let field = format!("rules.{name}.notify[{index}]");
                    let hint = did_you_mean(channel, channels.iter().copied());
                    problems.push(document.diagnostic(
                        &field,
                        format!("`{channel}` is not a channel of sluice.yaml"),
                        Some(hint),
                    ));
                }
            }
        }
        match compile::compile(read) {
            Ok(stream) if problems.is_empty() => Ok(stream),
            Ok(_) => Err(problems),
            Err(more) => {
                problems.extend(more.into_iter().map(|problem| document.place("", problem)));
                problems.sort_by_key(|problem| problem.line);
                Err(problems)
            }
        }
    }
}

/// Reads all streams of a project, given as path and text, or says all that is wrong with them.
pub fn parse_all<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    channels: &[&str],
) -> Result<Vec<Stream>, Vec<Diagnostic>> {
    let (mut streams, mut problems) = (Vec::<Stream>::new(), Vec::new());
    for (file, text) in files {
        match Stream::parse(file, text, channels) {
            Ok(stream) if streams.iter().any(|other| other.name == stream.name) => problems.push(Diagnostic {
                file: file.to_owned(),
                line: 1,
                field: "stream".to_owned(),
                message: format!("another file has a stream `{}` already", stream.name),
                hint: Some("rename one: the name is that of the consumer group and of the offsets".to_owned()),
            }),
            Ok(stream) => streams.push(stream),
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(streams) } else { Err(problems) }
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
