//! From a stream's file to what the core runs: slots instead of names, numbers instead of spans.

mod aggregate;
mod rule;
mod scope;

use std::collections::{BTreeMap, BTreeSet};

use workflow::diagnostic::Problem;

use super::{
    Span, StreamFile,
    expr::{self, Expr},
    fields::{Fields, Layout},
    file::LakeFile,
};

pub(crate) use aggregate::{Aggregate, Shape};
pub(crate) use rule::{Group, Rule, Sequence};
pub(crate) use scope::{Argument, Fold, Folding, Input, Leaf, Measure, Read};

pub(crate) use super::file::Mode;

/// A stream, checked and compiled.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// The topic it reads.
    pub topic: String,
    /// How long a silent partition holds back the stream's watermark.
    pub idle_after: Span,
    /// Tables of Postgres that its rules look into.
    pub references: Vec<Reference>,
    pub(crate) layout: Layout,
    pub(crate) event_id: usize,
    pub(crate) event_time: usize,
    pub(crate) required: Vec<usize>,
    pub(crate) out_of_orderness: i64,
    pub(crate) allowed_lateness: i64,
    pub(crate) max_ahead: i64,
    /// The span that every window is a multiple of: lateness and duplicates are judged by it.
    pub(crate) pane: i64,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) rules: Vec<Rule>,
    /// Rules of the same key share a place for what they know of it.
    pub(crate) groups: Vec<Group>,
    /// How long results outlive their last change.
    pub(crate) retention: Span,
    pub(crate) lake: Option<LakeFile>,
}

/// A table of Postgres that rules look into.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Its name in conditions.
    pub name: String,
    /// What reads it; the first column is matched with the event's field.
    pub query: String,
    /// How often.
    pub every: Span,
    /// The columns that conditions name.
    pub columns: Vec<String>,
    /// Slot of the event's field.
    pub(crate) on: usize,
}

const SHORTEST_RETENTION: Span = Span::seconds(60);
/// The pane of rules: what their windows slide by, at the finest.
pub(crate) const PANE: i64 = 5_000_000;

impl Stream {
    /// The rules' names.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }

    /// Where this stream's dead letters go.
    pub fn dead_topic(&self) -> String {
        format!("{}.dead", self.topic)
    }

    /// How far behind the watermark an alert may lie and still silence an event, in microseconds: a cooldown before
    /// the earliest event that is not late.
    pub(crate) fn reach(&self) -> i64 {
        let cooldown = self.rules.iter().map(|rule| rule.cooldown).max().unwrap_or(0).max(PANE);
        cooldown.saturating_add(self.allowed_lateness).saturating_add(self.pane)
    }

    /// The earliest time that is not late once the watermark stands at `watermark`.
    pub(crate) fn horizon(&self, watermark: i64) -> i64 {
        watermark.saturating_sub(self.allowed_lateness).saturating_sub(self.pane)
    }
}

/// Compiles a file, or says all that is wrong with it.
pub(crate) fn compile(file: StreamFile) -> Result<Stream, Vec<Problem>> {
    let mut problems = Vec::new();
    check_names(&file, &mut problems);
    let mut layout = Layout::default();
    let event_id = layout.fields.slot(&file.event_id);
    let event_time = layout.fields.slot(&file.event_time.field);
    let required = file.required.iter().map(|name| layout.fields.slot(name)).collect();
    let mut references: Vec<_> = file
        .references
        .iter()
        .map(|(name, reference)| Reference {
            name: name.clone(),
            query: reference.query.clone(),
            every: reference.every,
            columns: Vec::new(),
            on: layout.fields.slot(&reference.on),
        })
        .collect();
    let (mut rules, mut groups) = (Vec::new(), Vec::new());
    for (name, rule) in &file.rules {
        let mut faults = Faults { base: format!("rules.{name}"), problems: &mut problems };
        rules.extend(rule::compile(name, rule, &mut layout, &mut references, &mut groups, &mut faults));
    }
    let mut aggregates = Vec::new();
    for (name, aggregate) in &file.aggregates {
        let mut faults = Faults { base: format!("aggregates.{name}"), problems: &mut problems };
        aggregates.extend(aggregate::compile(name, aggregate, &mut layout, &mut faults));
    }
    let longest = aggregates.iter().map(|a| a.shape.longest()).max().unwrap_or(0);
    let open = longest.saturating_add(file.event_time.allowed_lateness.micros());
    if file.retention.micros() < open.max(SHORTEST_RETENTION.micros()) {
        problems.push(Problem::new("retention", format!("results cannot be kept for {} only", file.retention)).hint(
            format!("at least {SHORTEST_RETENTION}, and no less than the longest window and `allowed_lateness`"),
        ));
    }
    if let Some(lake) = &file.lake
        && lake.roll_records == 0
    {
        problems.push(Problem::new("lake.roll_records", "a file needs at least one record"));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let of_rules = rules.iter().flat_map(|rule: &Rule| rule.rings.iter().map(|ring| ring.unit));
    let of_aggregates = aggregates.iter().filter_map(|aggregate| aggregate.shape.pane());
    let pane = of_rules.chain(of_aggregates).reduce(greatest_common_divisor).unwrap_or(PANE);
    Ok(Stream {
        name: file.stream,
        topic: file.topic,
        idle_after: file.event_time.idle_after,
        references,
        layout,
        event_id,
        event_time,
        required,
        out_of_orderness: file.event_time.out_of_orderness.micros(),
        allowed_lateness: file.event_time.allowed_lateness.micros(),
        max_ahead: file.event_time.max_ahead.micros(),
        pane,
        aggregates,
        rules,
        groups,
        retention: file.retention,
        lake: file.lake,
    })
}

/// Collects what is wrong below one place of the file.
struct Faults<'a> {
    base: String,
    problems: &'a mut Vec<Problem>,
}

impl Faults<'_> {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(format!("{}.{field}", self.base), message));
    }

    fn keep<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }
}

/// Lower-case letters, digits and `_`, beginning with a letter.
fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn check_names(file: &StreamFile, problems: &mut Vec<Problem>) {
    let advice = "use lower-case letters, digits and `_`, beginning with a letter";
    if !is_plain(&file.stream) {
        problems.push(Problem::new("stream", format!("`{}` cannot be a stream's name", file.stream)).hint(advice));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if file.topic.is_empty() || file.topic.len() > 244 || !file.topic.chars().all(legal) {
        problems.push(
            Problem::new("topic", format!("`{}` cannot be a topic's name", file.topic))
                .hint("Kafka allows letters, digits, `.`, `_` and `-`, and `.dead` must still fit in 249"),
        );
    }
    let rules: BTreeSet<_> = file.rules.keys().collect();
    let named = [
        ("rules", file.rules.keys().collect::<Vec<_>>()),
        ("aggregates", file.aggregates.keys().collect()),
        ("references", file.references.keys().collect()),
    ];
    for (block, names) in named {
        for name in names {
            if !is_plain(name) {
                problems
                    .push(Problem::new(format!("{block}.{name}"), format!("`{name}` cannot be a name")).hint(advice));
            }
            if block == "aggregates" && rules.contains(name) {
                problems.push(
                    Problem::new(format!("aggregates.{name}"), format!("a rule is called `{name}` as well"))
                        .hint("rules and aggregates share one set of names: rename one"),
                );
            }
        }
    }
    for (name, reference) in &file.references {
        if reference.every < Span::seconds(1) {
            let message = format!("a table is not read more often than every second, so not every {}", reference.every);
            problems.push(Problem::new(format!("references.{name}.every"), message));
        }
    }
    if file.rules.is_empty() && file.aggregates.is_empty() && file.lake.is_none() {
        problems.push(Problem::new("", "the stream does nothing").hint("give it `rules`, `aggregates` or a `lake`"));
    }
}

fn compile_filter(text: Option<&str>, fields: &mut Fields, faults: &mut Faults<'_>) -> Option<Expr<usize>> {
    let compiled = expr::parse(text?).and_then(|parsed| expr::condition(&parsed, &mut scope::RowScope(fields)));
    faults.keep("where", compiled)
}

fn check_window(field: &str, window: Span, faults: &mut Faults<'_>) {
    if window < Span::seconds(1) {
        faults.add(field, format!("a window of {window} is shorter than a second"));
    } else if window > Span::seconds(86_400) {
        faults.add(field, format!("a window of {window} is longer than a day"));
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Names of windows and their lengths, as a rule gives them.
type Windows = BTreeMap<String, Span>;
