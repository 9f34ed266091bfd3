//! What a partition remembers of one key for its rules: buckets of time, the latest events, steps of sequences.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::spec::{Argument, Folding, Group, Input, Measure, Read, Rule, expr::Value};

use super::{
    fold::{Folded, Given},
    record::{Cell, EventId},
    sequence::{self, Taken},
};

/// So many of a key's latest events are kept to tell what led to an alert.
const WITNESSES: usize = 16;

/// What each input of a rule is for the event at hand.
pub(crate) type Givens<'e> = SmallVec<[Given<'e>; 6]>;

/// A span of a key's events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    /// How many units since 1970.
    pub(crate) index: i64,
    pub(crate) events: u32,
    pub(crate) folds: Box<[Folded]>,
}

/// What one rule remembers of a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// One for each ring of the rule, buckets ascending.
    pub(crate) rings: Box<[Vec<Bucket>]>,
    /// When the event counted last happened.
    pub(crate) last: Option<i64>,
    pub(crate) taken: Taken,
}

/// An event of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Witness {
    pub(crate) at: i64,
    pub(crate) id: EventId,
    /// One bit for each rule of the group that counted it.
    pub(crate) rules: u64,
}

/// What the rules of a group remember of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) key: Box<str>,
    pub(crate) witnesses: Vec<Witness>,
    /// By the rule's place in its group; only rules that counted an event of the key.
    pub(crate) memories: Vec<(u8, Memory)>,
}

impl Known {
    pub(crate) fn new(key: &str) -> Self {
        Self { key: key.into(), witnesses: Vec::new(), memories: Vec::new() }
    }

    pub(crate) fn memory(&self, place: u8) -> Option<&Memory> {
        self.memories.iter().find(|(at, _)| *at == place).map(|(_, memory)| memory)
    }

    /// The memory of a rule, made on first use.
    pub(crate) fn memory_mut(&mut self, place: u8, rule: &Rule) -> &mut Memory {
        let at = self.memories.iter().position(|(at, _)| *at == place).unwrap_or_else(|| {
            let rings = rule.rings.iter().map(|_| Vec::new()).collect();
            self.memories.push((place, Memory { rings, ..Memory::default() }));
            self.memories.len() - 1
        });
        &mut self.memories[at].1
    }

    pub(crate) fn witness(&mut self, at: i64, id: &EventId, rules: u64) {
        if self.witnesses.len() == WITNESSES {
            self.witnesses.remove(0);
        }
        self.witnesses.push(Witness { at, id: id.clone(), rules });
    }

    /// Whether no event to come can see anything of it any more.
    pub(crate) fn is_over(&self, group: &Group, rules: &[Rule], horizon: i64) -> bool {
        self.memories.iter().all(|(place, memory)| {
            let rule = &rules[group.rules[usize::from(*place)]];
            let latest = memory.taken.last().map(|(at, _)| *at).into_iter();
            let latest = latest.chain(memory.rings.iter().zip(&rule.rings).filter_map(|(buckets, ring)| {
                buckets.last().map(|bucket| (bucket.index + 1).saturating_mul(ring.unit))
            }));
            latest.max().is_none_or(|latest| latest.saturating_add(rule.memory()) < horizon)
        })
    }
}

impl Memory {
    /// Takes an event in. What lies further back than any event to come can see, from `horizon`, is forgotten.
    pub(crate) fn take(&mut self, rule: &Rule, givens: &[Given<'_>], mask: u16, offset: i64, at: i64, horizon: i64) {
        for (buckets, ring) in self.rings.iter_mut().zip(&rule.rings) {
            let oldest = horizon.div_euclid(ring.unit) - ring.buckets + 1;
            let gone = buckets.partition_point(|bucket| bucket.index < oldest);
            buckets.drain(..gone);
            let index = at.div_euclid(ring.unit);
            let place = match buckets.last() {
                Some(last) if last.index == index => buckets.len() - 1,
                _ => buckets.binary_search_by_key(&index, |bucket| bucket.index).unwrap_or_else(|place| {
                    let folds = ring.folds.iter().map(|folding| Folded::new(folding.fold)).collect();
                    buckets.insert(place, Bucket { index, events: 0, folds });
                    place
                }),
            };
            let bucket = &mut buckets[place];
            bucket.events = bucket.events.saturating_add(1);
            for (folded, folding) in bucket.folds.iter_mut().zip(&ring.folds) {
                folded.take(givens[folding.input], offset, at);
            }
        }
        self.last = Some(at);
        if let Some(sequence) = &rule.sequence {
            sequence::remember(sequence, &mut self.taken, at, mask, horizon);
        }
    }
}

/// A rule's memory of a key together with the event at hand, which it has not yet taken in.
pub(crate) struct Sight<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) memory: Option<&'a Memory>,
    pub(crate) givens: &'a [Given<'a>],
    pub(crate) at: i64,
}

impl<'a> Sight<'a> {
    /// The buckets of a ring that a window ending with the event at hand takes in.
    pub(crate) fn window(&self, ring: usize, count: i64) -> &'a [Bucket] {
        let Some(memory) = self.memory else { return &[] };
        let (buckets, unit) = (&memory.rings[ring], self.rule.rings[ring].unit);
        let last = self.at.div_euclid(unit);
        let from = buckets.partition_point(|bucket| bucket.index <= last - count);
        let to = buckets.partition_point(|bucket| bucket.index <= last);
        &buckets[from..to]
    }

    /// The events of a window, that at hand included.
    pub(crate) fn events(&self, measure: &Measure) -> u64 {
        self.window(measure.ring, measure.buckets).iter().map(|bucket| u64::from(bucket.events)).sum::<u64>() + 1
    }

    /// The value of a measure once the event at hand is in.
    pub(crate) fn measure(&self, measure: &Measure) -> Value<'a> {
        let number = |number: Option<f64>| number.filter(|n| n.is_finite()).map_or(Value::Null, Value::Number);
        let fold = |at: usize| self.folded(measure, at);
        match measure.read {
            Read::Events => Value::Number(self.events(measure) as f64),
            Read::Rate(seconds) => Value::Number(self.events(measure) as f64 / seconds),
            Read::Number(at) => Value::Number(fold(at).count() as f64),
            Read::Sum(at) | Read::Min(at) | Read::Max(at) | Read::Distinct(at) | Read::Median(at) => {
                number(fold(at).number())
            }
            Read::Average(at) => number(fold(at).average()),
            Read::Deviation(at) => number(fold(at).deviation().map(|(deviation, _)| deviation)),
            Read::Variation(at) => number(fold(at).deviation().map(|(deviation, mean)| deviation / mean)),
            Read::First(at) => match self.remembered(measure, at, true) {
                Some((_, value)) => value,
                None => self.given(measure, at),
            },
            Read::Last(at) => match self.given(measure, at) {
                Value::Null => self.remembered(measure, at, false).map_or(Value::Null, |(_, value)| value),
                value => value,
            },
            Read::Previous(at) => self.remembered(measure, at, false).map_or(Value::Null, |(_, value)| value),
            Read::SinceFirst(at) => {
                number(Some(self.remembered(measure, at, true).map_or(0.0, |(then, _)| self.since(then))))
            }
            Read::SincePrevious(at) => number(self.remembered(measure, at, false).map(|(then, _)| self.since(then))),
        }
    }

    fn since(&self, then: i64) -> f64 {
        (self.at - then).abs() as f64 / 1e6
    }

    fn folding(&self, measure: &Measure, at: usize) -> &'a Folding {
        &self.rule.rings[measure.ring].folds[at]
    }

    /// The value that the event at hand gives; null where it gives none.
    fn given(&self, measure: &Measure, at: usize) -> Value<'a> {
        match self.givens[self.folding(measure, at).input] {
            Given::Value(value) => value,
            Given::Nothing | Given::Event => Value::Null,
        }
    }

    /// All of a window in one, the event at hand included.
    fn folded(&self, measure: &Measure, at: usize) -> Folded {
        let folding = self.folding(measure, at);
        let mut all = Folded::new(folding.fold);
        for bucket in self.window(measure.ring, measure.buckets) {
            all.merge(&bucket.folds[at]);
        }
        all.take(self.givens[folding.input], i64::MAX, self.at);
        all
    }

    /// The event of the window, that at hand aside, that came first or last: its time and value.
    fn remembered(&self, measure: &Measure, at: usize, first: bool) -> Option<(i64, Value<'a>)> {
        let seen = self.window(measure.ring, measure.buckets).iter().filter_map(|bucket| bucket.folds[at].seen());
        let seen = if first { seen.min_by_key(|seen| seen.offset) } else { seen.max_by_key(|seen| seen.offset) };
        seen.map(|seen| (seen.at, seen.value.value()))
    }
}

/// What an event gives to each input of a rule. `last`: when the key's event counted before it happened.
pub(crate) fn givens<'e>(inputs: &'e [Input], cells: &'e [Cell<'_>], at: i64, last: Option<i64>) -> Givens<'e> {
    let cell = |slot: &usize| cells[*slot].value();
    let given = |input: &'e Input| {
        if input.filter.as_ref().is_some_and(|filter| !filter.holds(&cell)) {
            return Given::Nothing;
        }
        let value = match &input.argument {
            Argument::Event => return Given::Event,
            Argument::Value(argument) => argument.eval(&cell),
            Argument::Number(argument) => argument.number(&cell).map_or(Value::Null, Value::Number),
            Argument::Gap => last.map_or(Value::Null, |last| Value::Number((at - last).abs() as f64 / 1e6)),
        };
        if value == Value::Null { Given::Nothing } else { Given::Value(value) }
    };
    inputs.iter().map(given).collect()
}

/// The text by which a value groups; `None` for null and for what is not a scalar.
pub(crate) fn key_text<'c>(cell: &'c Cell<'_>) -> Option<Cow<'c, str>> {
    Some(match cell {
        Cell::Null | Cell::Nested => return None,
        Cell::Bool(value) => (if *value { "true" } else { "false" }).into(),
        Cell::Integer(value) => value.to_string().into(),
        Cell::Float(value) => value.to_string().into(),
        Cell::Text(text) => text.as_ref().into(),
    })
}

/// The key of a group: one field's text, or several joined by `/`, which inside them is written `\/`.
pub(crate) fn group_key<'c>(slots: &[usize], cells: &'c [Cell<'_>]) -> Option<Cow<'c, str>> {
    if let [slot] = slots {
        return key_text(&cells[*slot]);
    }
    let mut joined = String::new();
    for (at, slot) in slots.iter().enumerate() {
        if at > 0 {
            joined.push('/');
        }
        joined.push_str(&key_text(&cells[*slot])?.replace('/', "\\/"));
    }
    Some(joined.into())
}
