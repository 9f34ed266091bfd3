//! Why a rule fired: its values against their limits, in words and as data.

use crate::spec::{
    Leaf, Rule,
    expr::{Value, compare},
};

use super::{fold::Datum, memory::Sight};

/// A comparison of a rule's condition, as it stood at the event.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What was compared, as written.
    pub text: String,
    /// Its value.
    pub value: Datum,
    /// `at least`, `more than` …
    pub op: &'static str,
    /// What it was compared with.
    pub limit: Datum,
    /// That as written.
    pub limit_text: String,
    /// Whether the comparison holds.
    pub holds: bool,
}

/// So many spans of a key's recent history are shown.
const HISTORY: usize = 24;

/// All that an alert tells of a condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Account {
    /// Events of the default window.
    pub(crate) count: u64,
    pub(crate) values: Vec<(String, Datum)>,
    pub(crate) judged: Vec<Judged>,
    /// Begin and number of events of the key's latest spans, the last of which holds the event at hand; and their length.
    pub(crate) history: Vec<(i64, u64)>,
    pub(crate) span: i64,
}

impl Account {
    pub(crate) fn of<'a>(sight: &Sight<'a>, leaf: &impl Fn(&Leaf) -> Value<'a>) -> Self {
        let rule: &'a Rule = sight.rule;
        let count = rule.count.map_or(1, |at| sight.events(&rule.measures[at]));
        let values = rule.measures.iter().enumerate().filter(|(at, _)| Some(*at) != rule.count);
        let values = values.filter_map(|(_, measure)| match sight.measure(measure) {
            Value::Null => None,
            value => Some((measure.text.clone(), value.into())),
        });
        let judged = rule.limits.iter().map(|limit| {
            let (left, right) = (limit.left.eval(leaf), limit.right.eval(leaf));
            Judged {
                text: limit.left_text.clone(),
                value: left.into(),
                op: limit.op.words(),
                limit: right.into(),
                limit_text: limit.right_text.clone(),
                holds: compare(limit.op, left, right) == Some(true),
            }
        });
        let longest = (0..rule.rings.len()).max_by_key(|at| rule.rings[*at].unit * rule.rings[*at].buckets);
        let (history, span) = longest.map_or_else(Default::default, |ring| {
            let unit = rule.rings[ring].unit;
            let mut spans: Vec<_> = sight
                .window(ring, rule.rings[ring].buckets)
                .iter()
                .map(|bucket| (bucket.index * unit, u64::from(bucket.events)))
                .collect();
            let now = sight.at.div_euclid(unit) * unit;
            match spans.last_mut() {
                Some((start, events)) if *start == now => *events += 1,
                _ => spans.push((now, 1)),
            }
            (spans.split_off(spans.len().saturating_sub(HISTORY)), unit)
        });
        Self { count, values: values.collect(), judged: judged.collect(), history, span }
    }
}

/// A sentence for each comparison that held.
pub(crate) fn sentences(judged: &[Judged]) -> Vec<String> {
    let clauses = judged.iter().filter(|one| one.holds).map(|one| {
        let (value, limit) = (plain(&one.value), plain(&one.limit));
        let written = if one.limit_text == limit || one.limit_text.trim_matches('\'') == limit {
            limit
        } else {
            format!("{limit} ({})", one.limit_text)
        };
        format!("{} is {value}, {} {written}", one.text, one.op)
    });
    clauses.collect()
}

/// A value as people write it.
pub(crate) fn plain(value: &Datum) -> String {
    match value {
        Datum::Null => "nothing".to_owned(),
        Datum::Bool(value) => value.to_string(),
        Datum::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        Datum::Number(number) => format!("{number:.2}"),
        Datum::Text(text) => text.to_string(),
    }
}
