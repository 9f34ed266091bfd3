//! From a stream's file to what the core runs.

use std::collections::BTreeSet;

use sqlparser::ast;
use warehouse::alerts::Severity;
use workflow::diagnostic::Problem;

use super::{
    AggregateFile, LakeFile, RuleFile, Span, StreamFile,
    expr::{self, Expr, Scope, Type},
    fields::{Fields, Layout},
    message::Message,
};

/// A stream, checked and compiled.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// The topic it reads.
    pub topic: String,
    /// How long a silent partition holds back the stream's watermark.
    pub idle_after: Span,
    pub(crate) layout: Layout,
    pub(crate) event_id: usize,
    pub(crate) event_time: usize,
    pub(crate) required: Vec<usize>,
    pub(crate) out_of_orderness: i64,
    pub(crate) allowed_lateness: i64,
    pub(crate) max_ahead: i64,
    /// The span that every window is a multiple of: lateness and duplicates are judged by it.
    pub(crate) pane: i64,
    pub(crate) operators: Vec<Operator>,
    /// How long results outlive their last change.
    pub(crate) retention: Span,
    pub(crate) lake: Option<LakeFile>,
}

const SHORTEST_RETENTION: Span = Span::seconds(60);

/// A windowed computation: a rule's or an aggregate's.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) name: String,
    /// Length of its tumbling windows, in microseconds.
    pub(crate) window: i64,
    /// The list whose items it counts; `None`: the events themselves.
    pub(crate) list: Option<usize>,
    pub(crate) filter: Option<Expr<usize>>,
    /// Slot of the key, in the list's items or in the event.
    pub(crate) key: Option<usize>,
    pub(crate) aggregates: Vec<Aggregate>,
    /// The aggregate that is stored as the window's `sum`.
    pub(crate) sum: Option<usize>,
    pub(crate) rule: Option<Rule>,
}

/// What a window keeps besides its count.
#[derive(Debug, Clone)]
pub(crate) struct Aggregate {
    pub(crate) function: Function,
    pub(crate) argument: Expr<usize>,
    /// As written: `sum(amount)`.
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Sum,
    Average,
    Min,
    Max,
    Distinct,
}

/// A leaf of a rule's condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Events in the window.
    Count,
    /// The aggregate at this place.
    Of(usize),
}

/// When a window raises an alert, and how it reads.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) condition: Expr<Measure>,
    /// The condition as written.
    pub(crate) text: String,
    pub(crate) severity: Severity,
    pub(crate) notify: Vec<String>,
    pub(crate) cooldown: i64,
    pub(crate) message: Option<Message>,
}

impl Stream {
    /// The rules' names.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.operators.iter().filter(|o| o.rule.is_some()).map(|o| o.name.as_str())
    }

    /// Where this stream's dead letters go.
    pub fn dead_topic(&self) -> String {
        format!("{}.dead", self.topic)
    }

    /// How far behind the watermark an alert may lie and still silence an event, in microseconds: a cooldown before
    /// the earliest event that is not late.
    pub(crate) fn reach(&self) -> i64 {
        let cooldown = self.operators.iter().filter_map(|o| o.rule.as_ref()).map(|r| r.cooldown).max().unwrap_or(0);
        cooldown.saturating_add(self.allowed_lateness).saturating_add(self.pane)
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
    let mut operators = Vec::new();
    for (name, rule) in &file.rules {
        let mut faults = Faults { base: format!("rules.{name}"), problems: &mut problems };
        operators.extend(compile_rule(name, rule, &mut layout, &mut faults));
    }
    for (name, aggregate) in &file.aggregates {
        let mut faults = Faults { base: format!("aggregates.{name}"), problems: &mut problems };
        operators.extend(compile_aggregate(name, aggregate, &mut layout, &mut faults));
    }
    let longest = operators.iter().map(|o| o.window).max().unwrap_or(0);
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
    let pane = operators.iter().map(|o| o.window).reduce(greatest_common_divisor).unwrap_or(Span::seconds(5).micros());
    Ok(Stream {
        name: file.stream,
        topic: file.topic,
        idle_after: file.event_time.idle_after,
        layout,
        event_id,
        event_time,
        required,
        out_of_orderness: file.event_time.out_of_orderness.micros(),
        allowed_lateness: file.event_time.allowed_lateness.micros(),
        max_ahead: file.event_time.max_ahead.micros(),
        pane,
        operators,
        retention: file.retention,
        lake: file.lake,
    })
}

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

fn check_names(file: &StreamFile, problems: &mut Vec<Problem>) {
    let plain = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let advice = "use lower-case letters, digits and `_`, beginning with a letter";
    if !plain(&file.stream) {
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
    for (block, name) in
        file.rules.keys().map(|n| ("rules", n)).chain(file.aggregates.keys().map(|n| ("aggregates", n)))
    {
        if !plain(name) {
            problems.push(Problem::new(format!("{block}.{name}"), format!("`{name}` cannot be a name")).hint(advice));
        }
        if block == "aggregates" && rules.contains(name) {
            problems.push(
                Problem::new(format!("aggregates.{name}"), format!("a rule is called `{name}` as well"))
                    .hint("rules and aggregates share one set of names: rename one"),
            );
        }
    }
    if file.rules.is_empty() && file.aggregates.is_empty() && file.lake.is_none() {
        problems.push(Problem::new("", "the stream does nothing").hint("give it `rules`, `aggregates` or a `lake`"));
    }
}

fn check_window(window: Span, faults: &mut Faults<'_>) {
    if window < Span::seconds(1) {
        faults.add("window", format!("a window of {window} is shorter than a second"));
    } else if window > Span::seconds(86_400) {
        faults.add("window", format!("a window of {window} is longer than a day"));
    }
}

fn compile_rule(name: &str, rule: &RuleFile, layout: &mut Layout, faults: &mut Faults<'_>) -> Option<Operator> {
    let before = faults.problems.len();
    check_window(rule.window, faults);
    let filter = compile_filter(rule.filter.as_deref(), &mut layout.fields, faults);
    let key = layout.fields.slot(&rule.key);
    let mut aggregates = Vec::new();
    let mut scope = WindowScope { fields: &mut layout.fields, aggregates: &mut aggregates, used: false };
    let condition = expr::parse(&rule.when).and_then(|parsed| {
        let condition = expr::condition(&parsed, &mut scope)?;
        if scope.used { Ok(condition) } else { Err(format!("`{}` does not look at the window", rule.when)) }
    });
    let condition = faults.keep("when", condition);
    let message = rule.message.as_deref().and_then(|text| faults.keep("message", Message::compile(text, &aggregates)));
    if faults.problems.len() > before {
        return None;
    }
    Some(Operator {
        name: name.to_owned(),
        window: rule.window.micros(),
        list: None,
        filter,
        key: Some(key),
        sum: aggregates.iter().position(|a| a.function == Function::Sum),
        aggregates,
        rule: Some(Rule {
            condition: condition?,
            text: rule.when.clone(),
            severity: rule.severity,
            notify: rule.notify.clone(),
            cooldown: rule.cooldown.micros(),
            message,
        }),
    })
}

fn compile_aggregate(
    name: &str,
    aggregate: &AggregateFile,
    layout: &mut Layout,
    faults: &mut Faults<'_>,
) -> Option<Operator> {
    let before = faults.problems.len();
    check_window(aggregate.window, faults);
    let filter = compile_filter(aggregate.filter.as_deref(), &mut layout.fields, faults);
    let list = aggregate.unnest.as_deref().map(|list| layout.list(list));
    let fields = match list {
        Some(list) => &mut layout.lists[list].1,
        None => &mut layout.fields,
    };
    let key = aggregate.key.as_deref().map(|key| fields.slot(key));
    let sum = aggregate.sum.as_deref().and_then(|text| {
        let argument = expr::parse(text).and_then(|parsed| expr::number(&parsed, &mut RowScope(fields)));
        faults.keep("sum", argument).map(|argument| Aggregate {
            function: Function::Sum,
            argument,
            text: format!("sum({text})"),
        })
    });
    if faults.problems.len() > before {
        return None;
    }
    Some(Operator {
        name: name.to_owned(),
        window: aggregate.window.micros(),
        list,
        filter,
        key,
        sum: sum.is_some().then_some(0),
        aggregates: sum.into_iter().collect(),
        rule: None,
    })
}

fn compile_filter(text: Option<&str>, fields: &mut Fields, faults: &mut Faults<'_>) -> Option<Expr<usize>> {
    let compiled = expr::parse(text?).and_then(|parsed| expr::condition(&parsed, &mut RowScope(fields)));
    faults.keep("where", compiled)
}

/// Names are fields of the event.
struct RowScope<'a>(&'a mut Fields);

impl Scope for RowScope<'_> {
    type Leaf = usize;

    fn name(&mut self, name: &str) -> Result<(usize, Type), String> {
        Ok((self.0.slot(name), Type::Any))
    }

    fn call(&mut self, function: &str, _: Option<&ast::Expr>, _: bool) -> Result<(usize, Type), String> {
        Err(format!("`{function}(…)` cannot stand here: this is about one event, not about a window"))
    }

    fn must_be_number(&mut self, slot: &usize) {
        self.0.must_be_number(*slot);
    }
}

/// Names are `count`, and aggregates over fields of the event.
struct WindowScope<'a> {
    fields: &'a mut Fields,
    aggregates: &'a mut Vec<Aggregate>,
    used: bool,
}

impl Scope for WindowScope<'_> {
    type Leaf = Measure;

    fn name(&mut self, name: &str) -> Result<(Measure, Type), String> {
        self.used = true;
        if name.eq_ignore_ascii_case("count") {
            return Ok((Measure::Count, Type::Number));
        }
        Err(format!("`{name}` is a field of one event; over a window write sum({name}), max({name}) …"))
    }

    fn call(
        &mut self,
        function: &str,
        argument: Option<&ast::Expr>,
        distinct: bool,
    ) -> Result<(Measure, Type), String> {
        self.used = true;
        let known = match function {
            "count" if argument.is_none() => return Ok((Measure::Count, Type::Number)),
            "count" if distinct => Function::Distinct,
            "count" => return Err("count(field) is not supported: write count, or count(distinct field)".to_owned()),
            "sum" => Function::Sum,
            "avg" => Function::Average,
            "min" => Function::Min,
            "max" => Function::Max,
            "distinct" => Function::Distinct,
            other => {
                let hint = workflow::diagnostic::did_you_mean(other, ["count", "sum", "avg", "min", "max", "distinct"]);
                return Err(format!("there is no aggregate `{other}`; {hint}"));
            }
        };
        let Some(parsed) = argument else { return Err(format!("`{function}` needs a field")) };
        let argument = if known == Function::Distinct {
            match parsed {
                ast::Expr::Identifier(name) => Expr::Leaf(self.fields.slot(&name.value)),
                other => return Err(format!("distinct({other}): name one field")),
            }
        } else {
            expr::number(parsed, &mut RowScope(self.fields))?
        };
        let text =
            if known == Function::Distinct { format!("distinct({parsed})") } else { format!("{function}({parsed})") };
        let at = self.aggregates.iter().position(|a| a.text == text).unwrap_or_else(|| {
            self.aggregates.push(Aggregate { function: known, argument, text });
            self.aggregates.len() - 1
        });
        Ok((Measure::Of(at), Type::Number))
    }

    fn must_be_number(&mut self, _: &Measure) {}
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
