//! A share of a partition's keys: what is snapshot in one go. A key's segment follows from its hash alone.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::spec::{Shape, Stream};

use super::{
    memory::Known,
    window::{Entry, Session, Sessions, Window, Windows},
};

/// Segments of a partition. A snapshot keeps a segment's number, so this does not change.
pub(crate) const SEGMENTS: usize = 64;
/// First byte of a snapshot.
const FORMAT: u8 = 1;

/// A state of the log: the record about to be read, and the watermark right before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) offset: i64,
    pub(crate) watermark: i64,
}

/// The same in every process and version, as snapshots keep it.
pub(crate) fn hash_of(key: &str) -> u64 {
    xxh3_64(key.as_bytes())
}

/// The segment of a key. Not the bits that the tables use.
pub(crate) fn segment_of(hash: u64) -> usize {
    usize::try_from((hash >> 32) % SEGMENTS as u64).unwrap_or_default()
}

/// What a partition knows of a share of its keys.
#[derive(Debug)]
pub(crate) struct Segment {
    /// One for each aggregate of the stream.
    pub(crate) windows: Vec<Windows>,
    /// One for each group of rules; keys with their hashes.
    pub(crate) groups: Vec<HashTable<(u64, Known)>>,
    /// Where the log must be read from to make of the last snapshot what stands here; `None`: nothing changed.
    pub(crate) dirty: Option<Origin>,
    /// Records below it are in the snapshot that this was made from.
    pub(crate) from: i64,
}

impl Segment {
    pub(crate) fn new(stream: &Stream) -> Self {
        let windows = stream.aggregates.iter().map(|aggregate| match aggregate.shape {
            Shape::Hopping { .. } => Windows::Hopping(BTreeMap::default()),
            Shape::Session { .. } => Windows::Session(Sessions::default()),
        });
        Self {
            windows: windows.collect(),
            groups: stream.groups.iter().map(|_| HashTable::new()).collect(),
            dirty: None,
            from: i64::MIN,
        }
    }

    /// The segment as bytes. Keys that no event to come can see any more are dropped on the way.
    pub(crate) fn snapshot(&mut self, stream: &Stream, horizon: i64) -> Vec<u8> {
        for (known, group) in self.groups.iter_mut().zip(&stream.groups) {
            known.retain(|(_, known)| !known.is_over(group, &stream.rules, horizon));
        }
        let kept = Kept {
            aggregates: stream
                .aggregates
                .iter()
                .zip(&self.windows)
                .map(|(aggregate, windows)| {
                    (aggregate.name.as_str(), aggregate.definition.as_str(), KeptWindows::of(windows))
                })
                .collect(),
            groups: stream
                .groups
                .iter()
                .zip(&self.groups)
                .map(|(group, known)| {
                    let rules = group.rules.iter().map(|at| &stream.rules[*at]);
                    let rules = rules.map(|rule| (rule.name.as_str(), rule.definition.as_str())).collect();
                    KeptGroup {
                        definition: &group.definition,
                        rules,
                        known: known.iter().map(|(_, known)| known).collect(),
                    }
                })
                .collect(),
        };
        // The types hold nothing that cannot be written.
        postcard::to_extend(&kept, vec![FORMAT]).unwrap_or_default()
    }

    /// The segment that `bytes` hold, as far as it fits `stream`: what belongs to rules and aggregates that are defined
    /// otherwise now is left out. `None`: no version of ours that this one knows wrote them.
    pub(crate) fn restore(stream: &Stream, bytes: &[u8], from: i64) -> Option<Self> {
        let (FORMAT, bytes) = bytes.split_first().map(|(format, rest)| (*format, rest))? else { return None };
        let kept: Restored = postcard::from_bytes(bytes).ok()?;
        let mut segment = Self { from, ..Self::new(stream) };
        for (name, definition, windows) in kept.aggregates {
            let fits = |a: &crate::spec::Aggregate| a.name == name && a.definition == definition;
            if let Some(at) = stream.aggregates.iter().position(fits) {
                segment.windows[at] = windows.restore();
            }
        }
        for RestoredGroup { definition, rules, known: all } in kept.groups {
            let Some(at) = stream.groups.iter().position(|group| group.definition == definition) else { continue };
            // From places in the group of then to places in that of now.
            let places: Vec<Option<u8>> = rules
                .iter()
                .map(|(name, definition)| {
                    let fits = |rule: &usize| {
                        stream.rules[*rule].name == *name && stream.rules[*rule].definition == *definition
                    };
                    stream.groups[at].rules.iter().position(fits).and_then(|place| u8::try_from(place).ok())
                })
                .collect();
            let table = &mut segment.groups[at];
            table.reserve(all.len(), |(hash, _)| *hash);
            for mut known in all {
                known.memories.retain_mut(|(place, _)| {
                    let now = places.get(usize::from(*place)).copied().flatten();
                    *place = now.unwrap_or(*place);
                    now.is_some()
                });
                for witness in &mut known.witnesses {
                    let moved = places.iter().enumerate().filter(|(then, _)| witness.rules & (1 << then) != 0);
                    witness.rules = moved.filter_map(|(_, now)| *now).fold(0, |rules, now| rules | 1 << now);
                }
                let hash = hash_of(&known.key);
                table.insert_unique(hash, (hash, known), |(hash, _)| *hash);
            }
        }
        Some(segment)
    }
}

/// Name and definition, to find what it belongs to now.
type Title<T> = (T, T);

#[derive(Serialize)]
struct Kept<'s> {
    aggregates: Vec<(&'s str, &'s str, KeptWindows<'s>)>,
    groups: Vec<KeptGroup<'s>>,
}

#[derive(Serialize)]
struct KeptGroup<'s> {
    definition: &'s str,
    rules: Vec<Title<&'s str>>,
    known: Vec<&'s Known>,
}

#[derive(Deserialize)]
struct RestoredGroup {
    definition: String,
    rules: Vec<Title<String>>,
    known: Vec<Known>,
}

#[derive(Deserialize)]
struct Restored {
    aggregates: Vec<(String, String, RestoredWindows)>,
    groups: Vec<RestoredGroup>,
}

#[derive(Serialize)]
enum KeptWindows<'s> {
    Hopping(Vec<(i64, &'s [Entry])>),
    Session(Vec<&'s (u64, Box<str>, Vec<Session>)>),
}

#[derive(Deserialize)]
enum RestoredWindows {
    Hopping(Vec<(i64, Vec<Entry>)>),
    Session(Vec<(u64, Box<str>, Vec<Session>)>),
}

impl<'s> KeptWindows<'s> {
    fn of(windows: &'s Windows) -> Self {
        match windows {
            Windows::Hopping(windows) => {
                Self::Hopping(windows.iter().map(|(start, window)| (*start, window.entries())).collect())
            }
            Windows::Session(sessions) => Self::Session(sessions.keys.iter().collect()),
        }
    }
}

impl RestoredWindows {
    fn restore(self) -> Windows {
        match self {
            Self::Hopping(windows) => {
                Windows::Hopping(windows.into_iter().map(|(start, entries)| (start, Window::of(entries))).collect())
            }
            Self::Session(all) => {
                let mut keys = HashTable::with_capacity(all.len());
                for one in all {
                    keys.insert_unique(one.0, one, |(hash, ..)| *hash);
                }
                Windows::Session(Sessions { keys })
            }
        }
    }
}
