//! Values of a column by rank, exact and in bounded memory: as long as too many values could be the one, a pass counts
//! them in 65,536 ranges, and the next looks at the range that holds the rank.

use std::sync::{Mutex, PoisonError};

use polars::prelude::{DataFrame, DataType, Expr, IntoLazy, PolarsResult};

use super::keys::{from_ordered, ordered};

/// As many values are held as they are, 16 MiB of them.
const HELD: u64 = 1 << 21;

/// Bits of a range's number.
const BITS: u32 = 16;

/// Which values are wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rank {
    /// The value in the middle, or the mean of the two there.
    Median,
    /// The least value that such a part of all are not above.
    Quantile(f64),
}

impl Rank {
    /// Of `count` values, the places of those that are wanted.
    fn places(self, count: u64) -> Vec<u64> {
        match self {
            _ if count == 0 => Vec::new(),
            Self::Median if count.is_multiple_of(2) => vec![count / 2 - 1, count / 2],
            Self::Median => vec![count / 2],
            Self::Quantile(part) => {
                // Written out, a float that is whole is read as a number without a cast that could wrap.
                let place = (count as f64 * part).ceil() - 1.0;
                vec![format!("{:.0}", place.max(0.0)).parse().unwrap_or(0).min(count - 1)]
            }
        }
    }
}

/// Looks for values by rank.
pub(super) struct Ranks {
    /// The values, in double precision; nulls have no rank.
    pub(super) value: Expr,
    wanted: Vec<Rank>,
    count: u64,
    spans: Vec<Span>,
    found: Vec<(u64, u64)>,
}

/// Values of which some are wanted: those whose bits, `shift` of them left out, are `prefix`.
struct Span {
    prefix: u64,
    shift: u32,
    /// Places wanted, from the least value of the span.
    places: Vec<(u64, u64)>,
    seen: Mutex<Seen>,
}

enum Seen {
    Held(Vec<u64>),
    Counted(Vec<u64>),
}

impl Seen {
    fn new(expected: u64) -> Mutex<Self> {
        Mutex::new(if expected <= HELD { Self::Held(Vec::new()) } else { Self::Counted(vec![0; 1 << BITS]) })
    }
}

impl Ranks {
    /// Of at most `rows` values.
    pub(super) fn new(value: Expr, wanted: Vec<Rank>, rows: usize) -> Self {
        let all = Span { prefix: 0, shift: u64::BITS, places: Vec::new(), seen: Seen::new(rows as u64) };
        Self { value, wanted, count: 0, spans: vec![all], found: Vec::new() }
    }

    pub(super) fn see(&self, frame: &DataFrame) -> PolarsResult<()> {
        let values = frame.clone().lazy().select([self.value.clone().cast(DataType::Float64).alias("v")]).collect()?;
        let bits: Vec<u64> = values.column("v")?.f64()?.iter().flatten().map(ordered).collect();
        for span in &self.spans {
            let inside = bits.iter().filter(|bits| bits.checked_shr(span.shift).unwrap_or(0) == span.prefix);
            let below = span.shift - BITS;
            let mut seen = span.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *seen {
                Seen::Held(held) => held.extend(inside),
                Seen::Counted(counts) => {
                    for bits in inside {
                        let range = (bits >> below) & ((1 << BITS) - 1);
                        counts[usize::try_from(range).unwrap_or_default()] += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends a pass, and says whether it needs another.
    pub(super) fn end_pass(&mut self) -> bool {
        let mut next = Vec::new();
        for mut span in std::mem::take(&mut self.spans) {
            let seen = span.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
            if span.shift == u64::BITS {
                self.count = match &seen {
                    Seen::Held(held) => held.len() as u64,
                    Seen::Counted(counts) => counts.iter().sum(),
                };
                let places = self.wanted.iter().flat_map(|rank| rank.places(self.count));
                span.places = places.map(|place| (place, place)).collect();
            }
            span.places.sort_unstable();
            span.places.dedup();
            match seen {
                Seen::Held(mut held) => {
                    held.sort_unstable();
                    let value = |place: u64| usize::try_from(place).ok().and_then(|place| held.get(place).copied());
                    self.found.extend(span.places.iter().filter_map(|(all, here)| Some((*all, value(*here)?))));
                }
                Seen::Counted(counts) => {
                    let mut before = 0;
                    for (range, count) in counts.into_iter().enumerate() {
                        let inside = |(_, here): &&(u64, u64)| (before..before + count).contains(here);
                        let places: Vec<_> =
                            span.places.iter().filter(inside).map(|(all, here)| (*all, here - before)).collect();
                        before += count;
                        if places.is_empty() {
                            continue;
                        }
                        let prefix = (span.prefix << BITS) | range as u64;
                        let shift = span.shift - BITS;
                        if shift == 0 {
                            self.found.extend(places.iter().map(|(all, _)| (*all, prefix)));
                        } else {
                            next.push(Span { prefix, shift, places, seen: Seen::new(count) });
                        }
                    }
                }
            }
        }
        self.spans = next;
        !self.spans.is_empty()
    }

    /// The value of a rank that was wanted; nothing where there are no values.
    pub(super) fn found(&self, rank: Rank) -> Option<f64> {
        let at = |place: u64| self.found.iter().find(|(known, _)| *known == place).map(|(_, bits)| from_ordered(*bits));
        match rank.places(self.count).as_slice() {
            [] => None,
            [one] => at(*one),
            [lower, upper, ..] => {
                let (lower, upper) = (at(*lower)?, at(*upper)?);
                Some(if lower.total_cmp(&upper).is_eq() { lower } else { 0.5 * (upper - lower) + lower })
            }
        }
    }
}
