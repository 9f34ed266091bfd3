//! Rules: what a key's events are watched for.

use sha2::{Digest, Sha256};
use sqlparser::ast::{self, BinaryOperator};
use warehouse::alerts::Severity;

use crate::spec::{
    expr::{self, Comparison, Expr},
    fields::Layout,
    file::{Mode, RuleFile},
    message::Message,
};

use super::{
    Faults, Reference, check_window, compile_filter,
    scope::{Input, Leaf, Measure, Ring, RowScope, RuleScope},
};

/// When a key's events raise an alert, and how it reads.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: String,
    /// Changes with anything that the file says of the rule.
    pub(crate) version: String,
    pub(crate) filter: Option<Expr<usize>>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) rings: Vec<Ring>,
    pub(crate) measures: Vec<Measure>,
    /// The measure that counts the events of the default window.
    pub(crate) count: Option<usize>,
    pub(crate) condition: Option<Expr<Leaf>>,
    /// The comparisons in the condition, to explain it by.
    pub(crate) limits: Vec<Limit>,
    pub(crate) sequence: Option<Sequence>,
    /// The condition as written.
    pub(crate) text: String,
    pub(crate) mode: Mode,
    pub(crate) severity: Severity,
    pub(crate) notify: Vec<String>,
    /// Microseconds.
    pub(crate) cooldown: i64,
    pub(crate) message: Option<Message>,
    /// Tells whether state kept for it fits it: all that shapes the state, as written.
    pub(crate) definition: String,
}

impl Rule {
    /// The span that its alerts tell of, in microseconds: its default window, or the time of its sequence.
    pub(crate) fn span(&self) -> i64 {
        let window = self.count.map(|at| self.measures[at].buckets * self.rings[self.measures[at].ring].unit);
        window.or(self.sequence.as_ref().map(|sequence| sequence.within)).unwrap_or(super::PANE)
    }

    /// How far back its longest memory of a key reaches, in microseconds.
    pub(crate) fn memory(&self) -> i64 {
        let rings = self.rings.iter().map(|ring| ring.unit * ring.buckets).max().unwrap_or(0);
        rings.max(self.sequence.as_ref().map_or(0, |sequence| sequence.within))
    }
}

/// A comparison of a condition.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    pub(crate) left: Expr<Leaf>,
    pub(crate) left_text: String,
    pub(crate) op: Comparison,
    pub(crate) right: Expr<Leaf>,
    pub(crate) right_text: String,
}

/// Events that must follow each other.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    /// One condition a step; a step that is to be taken several times stands here as often.
    pub(crate) steps: Vec<usize>,
    /// The conditions.
    pub(crate) conditions: Vec<Expr<usize>>,
    /// From the first event to the last, in microseconds.
    pub(crate) within: i64,
}

/// Rules that watch the same key.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Slots of the key's fields.
    pub(crate) key: Vec<usize>,
    /// Their names, joined: tells whether state kept for it fits it.
    pub(crate) definition: String,
    /// The rules, by their place in the stream.
    pub(crate) rules: Vec<usize>,
}

/// A sequence has so many steps at most, each counted as often as it is to be taken.
const MOST_STEPS: usize = 16;
/// As many rules may share a key.
const MOST_RULES: usize = 64;

pub(super) fn compile(
    name: &str,
    rule: &RuleFile,
    layout: &mut Layout,
    references: &mut Vec<Reference>,
    groups: &mut Vec<Group>,
    faults: &mut Faults<'_>,
) -> Option<Rule> {
    let before = faults.problems.len();
    if let Some(window) = rule.window {
        check_window("window", window, faults);
    }
    for (window, length) in &rule.windows {
        check_window(&format!("windows.{window}"), *length, faults);
    }
    let filter = compile_filter(rule.filter.as_deref(), &mut layout.fields, faults);
    let keys: Vec<_> = rule.key.names().iter().map(|key| layout.fields.slot(key)).collect();
    if keys.is_empty() {
        faults.add("key", "a rule watches at least one field");
    }
    let sequence = sequence(rule, layout, faults);
    // The only window of a rule is the one that aggregates mean.
    let alone = rule.windows.values().next().filter(|_| rule.windows.len() == 1).copied();
    let mut scope = RuleScope {
        layout,
        references,
        window: rule.window.or(alone),
        windows: &rule.windows,
        rings: Vec::new(),
        inputs: Vec::new(),
        measures: Vec::new(),
        used: false,
    };
    let count = if faults.problems.len() == before { scope.plain_count() } else { None };
    let (mut condition, mut limits) = (None, Vec::new());
    match &rule.when {
        Some(text) => {
            let parsed = faults.keep("when", expr::parse(text));
            if let Some(parsed) = parsed {
                condition = faults.keep("when", expr::condition(&parsed, &mut scope));
                if condition.is_some() && !scope.used {
                    faults.add("when", format!("`{text}` looks neither at the event nor at a window"));
                }
                if condition.is_some() {
                    self::limits(&parsed, &mut scope, &mut limits);
                }
            }
        }
        None if rule.sequence.is_empty() => faults.add("when", "the rule has no `when` and no `sequence`"),
        None => {}
    }
    let RuleScope { rings, inputs, measures, .. } = scope;
    let message = rule.message.as_deref().and_then(|text| {
        let known: Vec<_> = measures.iter().map(|measure| measure.text.as_str()).collect();
        faults.keep("message", Message::compile(text, &known))
    });
    let group = group(rule, &keys, groups, faults);
    if faults.problems.len() > before {
        return None;
    }
    let at = groups.iter().map(|group| group.rules.len()).sum();
    groups[group?].rules.push(at);
    let definition = format!("{:?} {:?} {:?} {:?} {:?}", rule.filter, inputs, rings, rule.sequence, rule.within);
    Some(Rule {
        name: name.to_owned(),
        version: version(rule),
        filter,
        inputs,
        rings,
        measures,
        count,
        condition,
        limits,
        sequence,
        text: text(rule),
        mode: rule.mode,
        severity: rule.severity,
        notify: rule.notify.clone(),
        cooldown: rule.cooldown.micros(),
        message,
        definition,
    })
}

fn group(rule: &RuleFile, keys: &[usize], groups: &mut Vec<Group>, faults: &mut Faults<'_>) -> Option<usize> {
    let at = groups.iter().position(|group| group.key == keys).unwrap_or_else(|| {
        let definition = rule.key.names().join("/");
        groups.push(Group { key: keys.to_vec(), definition, rules: Vec::new() });
        groups.len() - 1
    });
    if groups[at].rules.len() < MOST_RULES {
        return Some(at);
    }
    faults.add(
        "key",
        format!("more than {MOST_RULES} rules of one stream watch the same key: give some a stream of their own"),
    );
    None
}

fn sequence(rule: &RuleFile, layout: &mut Layout, faults: &mut Faults<'_>) -> Option<Sequence> {
    if rule.sequence.is_empty() {
        if rule.within.is_some() {
            faults.add("within", "`within` is about a `sequence`, and the rule has none");
        }
        return None;
    }
    let Some(within) = rule.within else {
        faults.add("within", "say how long the sequence may take from its first event to its last");
        return None;
    };
    check_window("within", within, faults);
    let (mut steps, mut conditions) = (Vec::new(), Vec::new());
    for (at, step) in rule.sequence.iter().enumerate() {
        let compiled =
            expr::parse(&step.filter).and_then(|parsed| expr::condition(&parsed, &mut RowScope(&mut layout.fields)));
        conditions.extend(faults.keep(&format!("sequence[{at}].where"), compiled));
        if step.times == 0 {
            faults.add(&format!("sequence[{at}].times"), "a step is taken at least once");
        }
        steps.extend(std::iter::repeat_n(at, step.times.into()));
    }
    if steps.len() < 2 {
        faults.add("sequence", "a sequence has two events at least; for one, use `when`");
    } else if steps.len() > MOST_STEPS {
        faults.add("sequence", format!("the sequence has {} events; {MOST_STEPS} are the most", steps.len()));
    }
    Some(Sequence { steps, conditions, within: within.micros() })
}

/// The comparisons below AND and OR, left to right.
fn limits(parsed: &ast::Expr, scope: &mut RuleScope<'_>, all: &mut Vec<Limit>) {
    match parsed {
        ast::Expr::Nested(inner) => limits(inner, scope, all),
        ast::Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            limits(left, scope, all);
            limits(right, scope, all);
        }
        ast::Expr::BinaryOp { left, op, right } => {
            let Some(op) = Comparison::of(op) else { return };
            // Both sides have been compiled before, as parts of the condition.
            let sides = (expr::compile(left, scope), expr::compile(right, scope));
            if let (Ok((compiled_left, _)), Ok((compiled_right, _))) = sides {
                all.push(Limit {
                    left: compiled_left,
                    left_text: left.to_string(),
                    op,
                    right: compiled_right,
                    right_text: right.to_string(),
                });
            }
        }
        _ => {}
    }
}

/// What an alert says that its rule asks for.
fn text(rule: &RuleFile) -> String {
    let steps = rule.sequence.iter().map(|step| match step.times {
        1 => step.filter.clone(),
        times => format!("{times} times {}", step.filter),
    });
    let sequence = steps.collect::<Vec<_>>().join(", then ");
    let sequence = rule.within.map(|within| format!("{sequence} within {within}"));
    let when = rule.when.as_ref().map(|when| when.split_whitespace().collect::<Vec<_>>().join(" "));
    sequence.into_iter().chain(when).collect::<Vec<_>>().join(" and ")
}

fn version(rule: &RuleFile) -> String {
    let canonical = serde_json::to_vec(rule).unwrap_or_default();
    Sha256::digest(canonical).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
