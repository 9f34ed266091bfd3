//! The open windows of one operator on one partition.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::spec::Operator;

use super::{accumulate::Accumulator, record::EventId};

/// How many of the events that led to an alert are named in it.
const EVIDENCE: usize = 32;

/// Where replaying must begin to see all of a window: the state right before its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) offset: i64,
    pub(crate) watermark: i64,
}

/// One key in one window.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) events: u64,
    pub(crate) accumulators: Box<[Accumulator]>,
    /// For a rule: the first events.
    pub(crate) evidence: Vec<EventId>,
    /// The rule's condition has held: it does not fire in this window again.
    pub(crate) fired: bool,
    /// Changed since it was last written.
    dirty: bool,
}

/// One window, all keys.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) origin: Origin,
    pub(crate) entries: IndexMap<Box<str>, Entry>,
    dirty: Vec<usize>,
}

impl Window {
    fn new(origin: Origin) -> Self {
        Self { origin, entries: IndexMap::new(), dirty: Vec::new() }
    }

    /// The entry of `key`, marked as changed and its count raised.
    pub(crate) fn touch(&mut self, key: &str, operator: &Operator) -> &mut Entry {
        let at = self.entries.get_index_of(key).unwrap_or_else(|| {
            let accumulators = operator.aggregates.iter().map(|a| Accumulator::new(a.function)).collect();
            let entry = Entry { events: 0, accumulators, evidence: Vec::new(), fired: false, dirty: false };
            self.entries.insert_full(key.into(), entry).0
        });
        let entry = &mut self.entries[at];
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push(at);
        }
        entry.events += 1;
        entry
    }

    /// Each entry that changed since the last call.
    pub(crate) fn drain_dirty(&mut self, mut each: impl FnMut(&str, &Entry)) {
        for at in self.dirty.drain(..) {
            if let Some((key, entry)) = self.entries.get_index_mut(at) {
                entry.dirty = false;
                each(key, entry);
            }
        }
    }

    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }
}

impl Entry {
    /// Keeps an event's id for the alert that may follow.
    pub(crate) fn witness(&mut self, id: &EventId) {
        if self.evidence.len() < EVIDENCE {
            self.evidence.push(id.clone());
        }
    }
}

/// The open windows of one operator, by start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Windows(pub(crate) BTreeMap<i64, Window>);

impl Windows {
    /// The window that begins at `start`; opened at `origin` if need be.
    pub(crate) fn open(&mut self, start: i64, origin: Origin) -> &mut Window {
        self.0.entry(start).or_insert_with(|| Window::new(origin))
    }

    /// Takes out the windows that ended at or before `before`.
    pub(crate) fn close(&mut self, before: i64, length: i64) -> Vec<(i64, Window)> {
        let mut closed = Vec::new();
        while let Some(first) = self.0.first_entry() {
            if *first.key() + length > before {
                break;
            }
            closed.push(first.remove_entry());
        }
        closed
    }
}
