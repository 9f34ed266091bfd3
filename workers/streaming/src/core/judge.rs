//! What an event means to the rules and aggregates of its stream. Looks at the state and changes nothing.

use std::borrow::Cow;

use crate::spec::{Leaf, Stream, expr::Value};

use super::{
    delta::References,
    explain::Account,
    fold::millionths,
    memory::{Givens, Known, Memory, Sight, givens, group_key, key_text},
    record::Event,
    segment::hash_of,
    sequence,
};

/// What an event does to one key.
pub(crate) struct Step<'e> {
    pub(crate) hash: u64,
    pub(crate) key: Cow<'e, str>,
    pub(crate) does: Does<'e>,
}

pub(crate) enum Does<'e> {
    /// It counts in this aggregate, and adds so much, in millionths.
    Count { aggregate: usize, sum: i128 },
    /// It counts for these rules of this group.
    Watch { group: usize, rules: Vec<Watched<'e>> },
}

/// What an event means to one rule.
pub(crate) struct Watched<'e> {
    /// Its place in the group.
    pub(crate) place: u8,
    /// Its place in the stream.
    pub(crate) rule: usize,
    pub(crate) givens: Givens<'e>,
    /// The steps of its sequence that the event takes.
    pub(crate) mask: u16,
    /// The rule is violated; `None` also while replaying.
    pub(crate) violated: Option<Box<Account>>,
}

/// What the event adds to the windows.
pub(crate) fn count<'e>(stream: &'e Stream, event: &'e Event<'_>, steps: &mut Vec<Step<'e>>) {
    for (index, aggregate) in stream.aggregates.iter().enumerate() {
        let cell = |slot: &usize| event.fields[*slot].value();
        if aggregate.filter.as_ref().is_some_and(|filter| !filter.holds(&cell)) {
            continue;
        }
        let mut of = |cells: &'e [super::record::Cell<'_>]| {
            let Some(key) = aggregate.key.map_or(Some("all".into()), |slot| key_text(&cells[slot])) else { return };
            let number = aggregate.sum.as_ref().and_then(|sum| sum.number(&|slot: &usize| cells[*slot].value()));
            let does = Does::Count { aggregate: index, sum: number.map_or(0, millionths) };
            steps.push(Step { hash: hash_of(&key), key, does });
        };
        match aggregate.list {
            None => of(&event.fields),
            Some(list) => {
                let width = stream.layout.lists[list].1.len().max(1);
                event.lists[list].chunks(width).for_each(of);
            }
        }
    }
}

/// The state and tables that rules look into.
pub(crate) struct Watch<'s, K, S> {
    pub(crate) references: &'s References,
    /// What is known of a group's key: group, hash, key.
    pub(crate) known: K,
    /// Whether an alert of this rule and key would be silenced by one near it.
    pub(crate) silenced: S,
    /// Conditions are not asked: what they led to is known.
    pub(crate) replaying: bool,
}

impl<'s, K, S> Watch<'s, K, S>
where
    K: Fn(usize, u64, &str) -> Option<&'s Known>,
    S: Fn(usize, &str) -> bool,
{
    /// What the event means to each rule.
    pub(crate) fn event<'e>(&self, stream: &'e Stream, event: &'e Event<'_>, steps: &mut Vec<Step<'e>>) {
        let cells = &event.fields;
        for (index, group) in stream.groups.iter().enumerate() {
            let Some(key) = group_key(&group.key, cells) else { continue };
            let hash = hash_of(&key);
            let mut known = None;
            let mut rules = Vec::new();
            for (place, &at) in (0_u8..).zip(&group.rules) {
                let rule = &stream.rules[at];
                let cell = |slot: &usize| cells[*slot].value();
                if rule.filter.as_ref().is_some_and(|filter| !filter.holds(&cell)) {
                    continue;
                }
                let known = *known.get_or_insert_with(|| (self.known)(index, hash, &key));
                let memory = known.and_then(|known| known.memory(place));
                let givens = givens(&rule.inputs, cells, event.time, memory.and_then(|memory| memory.last));
                let mask = rule.sequence.as_ref().map_or(0, |sequence| {
                    let bits = sequence.conditions.iter().enumerate();
                    bits.filter(|(_, condition)| condition.holds(&cell)).fold(0, |mask, (bit, _)| mask | 1 << bit)
                });
                let violated =
                    if self.replaying { None } else { self.judge(stream, at, event, memory, &givens, mask, &key) };
                rules.push(Watched { place, rule: at, givens, mask, violated });
            }
            if !rules.is_empty() {
                steps.push(Step { hash, key, does: Does::Watch { group: index, rules } });
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that a rule looks at, in one place")]
    fn judge(
        &self,
        stream: &Stream,
        at: usize,
        event: &Event<'_>,
        memory: Option<&Memory>,
        givens: &Givens<'_>,
        mask: u16,
        key: &str,
    ) -> Option<Box<Account>> {
        let rule = &stream.rules[at];
        if let Some(sequence) = &rule.sequence {
            let none = Vec::new();
            let taken = memory.map_or(&none, |memory| &memory.taken);
            if mask == 0 || !sequence::completes(sequence, taken, event.time, mask) {
                return None;
            }
        }
        let sight = Sight { rule, memory, givens, at: event.time };
        let leaf = |leaf: &Leaf| match leaf {
            Leaf::Field(slot) => event.fields[*slot].value(),
            Leaf::Measure(at) => sight.measure(&rule.measures[*at]),
            Leaf::Reference { table, column } => self.look_up(stream, event, *table, *column),
            Leaf::EventTime => Value::Number(event.time as f64 / 1e6),
        };
        if rule.condition.as_ref().is_some_and(|condition| !condition.holds(&leaf)) || (self.silenced)(at, key) {
            return None;
        }
        Some(Box::new(Account::of(&sight, &leaf)))
    }

    fn look_up(&self, stream: &Stream, event: &Event<'_>, table: usize, column: usize) -> Value<'s> {
        let slot = stream.references[table].on;
        let row = key_text(&event.fields[slot]).and_then(|key| self.references.0.get(table)?.get(&*key));
        row.and_then(|row| row.get(column)).map_or(Value::Null, super::fold::Datum::value)
    }
}
