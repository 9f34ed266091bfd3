//! The open windows of one aggregate, for the keys of one segment.

use std::collections::{BTreeMap, btree_map};

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

/// One key in one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    pub(crate) key: Box<str>,
    pub(crate) events: u64,
    /// In millionths.
    pub(crate) sum: i128,
    /// Changed since it was last written.
    pub(crate) dirty: bool,
}

/// One window, all keys of the segment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    places: HashTable<u32>,
    entries: Vec<Entry>,
    dirty: Vec<u32>,
}

impl Window {
    /// From entries as a snapshot kept them.
    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        let mut window = Self { places: HashTable::with_capacity(entries.len()), entries, dirty: Vec::new() };
        for (place, entry) in (0..).zip(&window.entries) {
            if entry.dirty {
                window.dirty.push(place);
            }
            window.places.insert_unique(entry.hash, place, |place| window.entries[*place as usize].hash);
        }
        window
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Counts an event or item of `key`.
    pub(crate) fn count(&mut self, hash: u64, key: &str, sum: i128) {
        let entries = &mut self.entries;
        let known = self.places.find(hash, |place| *entries[*place as usize].key == *key).copied();
        let place = known.unwrap_or_else(|| {
            // A window of four thousand million keys would not fit into memory.
            let place = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            entries.push(Entry { hash, key: key.into(), events: 0, sum: 0, dirty: false });
            self.places.insert_unique(hash, place, |place| entries[*place as usize].hash);
            place
        });
        let entry = &mut entries[place as usize];
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push(place);
        }
        entry.events += 1;
        entry.sum = entry.sum.saturating_add(sum);
    }

    /// Each entry that changed since the last call.
    pub(crate) fn drain_dirty(&mut self, mut each: impl FnMut(&Entry)) {
        for place in self.dirty.drain(..) {
            let entry = &mut self.entries[place as usize];
            entry.dirty = false;
            each(entry);
        }
    }

    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }
}

/// A session of a key: events no further apart than the gap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) start: i64,
    pub(crate) last: i64,
    pub(crate) events: u64,
    pub(crate) sum: i128,
    pub(crate) dirty: bool,
}

/// The open sessions of one aggregate, by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    pub(crate) keys: HashTable<(u64, Box<str>, Vec<Session>)>,
}

impl Sessions {
    /// Puts an event into its key's session, which may join two. Returns the starts of sessions that are no more.
    pub(crate) fn count(&mut self, hash: u64, key: &str, at: i64, sum: i128, gap: i64) -> Vec<i64> {
        let entry = self.keys.entry(hash, |(_, known, _)| **known == *key, |(hash, ..)| *hash);
        let mut found = entry.or_insert_with(|| (hash, key.into(), Vec::new()));
        let sessions = &mut found.get_mut().2;
        let near = |session: &Session| at - session.last < gap && session.start - at < gap;
        let mut joined = Session { start: at, last: at, events: 1, sum, dirty: true };
        let mut gone = Vec::new();
        sessions.retain(|session| {
            if !near(session) {
                return true;
            }
            gone.push(session.start);
            joined.start = joined.start.min(session.start);
            joined.last = joined.last.max(session.last);
            joined.events += session.events;
            joined.sum = joined.sum.saturating_add(session.sum);
            false
        });
        gone.retain(|start| *start != joined.start);
        let place = sessions.partition_point(|session| session.start < joined.start);
        sessions.insert(place, joined);
        gone
    }

    /// Takes out the sessions that ended at or before `before`.
    pub(crate) fn close(&mut self, before: i64, gap: i64, mut each: impl FnMut(&str, &Session)) -> bool {
        let mut any = false;
        self.keys.retain(|(_, key, sessions)| {
            sessions.retain(|session| {
                let over = session.last + gap <= before;
                if over {
                    any = true;
                    each(key, session);
                }
                !over
            });
            !sessions.is_empty()
        });
        any
    }
}

/// The open windows of one aggregate.
#[derive(Debug, Clone)]
pub(crate) enum Windows {
    /// By start.
    Hopping(BTreeMap<i64, Window>),
    Session(Sessions),
}

impl Windows {
    /// Takes out the windows that ended at or before `before`.
    pub(crate) fn close(windows: &mut BTreeMap<i64, Window>, before: i64, length: i64) -> Vec<(i64, Window)> {
        let mut closed = Vec::new();
        while let Some(first) = windows.first_entry() {
            if *first.key() + length > before {
                break;
            }
            closed.push(btree_map::OccupiedEntry::remove_entry(first));
        }
        closed
    }

    pub(crate) fn has_dirty(&self) -> bool {
        match self {
            Self::Hopping(windows) => windows.values().any(Window::has_dirty),
            Self::Session(sessions) => {
                sessions.keys.iter().any(|(_, _, sessions)| sessions.iter().any(|session| session.dirty))
            }
        }
    }
}
