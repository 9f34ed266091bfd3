//! How many values differ, and how many rows share theirs with another row: exact, at any size, in bounded memory.
//!
//! Each value becomes a fingerprint. One of up to 64 bits is its own; a decimal is its own 128 bits; a text, or a row of
//! several columns, is 128 bits of hash under keys that are drawn anew for each process. Where fingerprints come in
//! ascending order, as those of most keys of tables do, it is enough to hold the first and the last of each batch.
//! Otherwise they are held in 256 parts, by their hash; and where that is more than may be held, it takes several passes
//! over the columns, each for some of the parts. Nothing is written to disk.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use polars::prelude::{Column, DataFrame, DataType, Expr, IntoLazy, PolarsResult, row_encode::encode_rows_unordered};

use super::{super::backend::positional, scan::workers};

/// Fingerprints that all tallies of a pass hold together, in bytes.
pub(super) const MEMORY: usize = 256 << 20;

/// Parts that fingerprints are divided into.
const PARTS: usize = 256;

/// So many of the fingerprints that are there more than once are remembered.
const REMEMBERED: usize = 1 << 20;

/// Rows by their values in some columns.
#[derive(Clone, PartialEq)]
pub(super) struct Key {
    pub(super) columns: Vec<usize>,
    /// The rows that count.
    pub(super) among: Option<Expr>,
    /// Whether null is a value; several columns of nulls always are one.
    pub(super) nulls: bool,
}

impl Key {
    /// The key columns of those rows of a batch that count.
    fn rows(&self, frame: &DataFrame) -> PolarsResult<Vec<Column>> {
        let names: Vec<_> = self.columns.iter().map(|index| positional(*index)).collect();
        if let Some(among) = &self.among {
            let kept = frame
                .clone()
                .lazy()
                .filter(among.clone())
                .select(names.iter().map(polars::prelude::col).collect::<Vec<_>>());
            return Ok(kept.collect()?.columns().to_vec());
        }
        names.iter().map(|name| frame.column(name).cloned()).collect()
    }
}

/// What a tally found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tallied {
    /// Values that differ.
    pub(super) distinct: u64,
    /// Rows whose value another row has, too.
    pub(super) repeated: u64,
}

/// A tally of the kind that the columns of its key need.
pub(super) enum Keys {
    Narrow(Key, Tally<u64>),
    Wide(Key, Tally<u128>),
}

impl Keys {
    /// A tally of at most `rows` rows that holds at most `memory` bytes, in `batches` batches.
    pub(super) fn new(key: &Key, dtypes: &[DataType], rows: usize, memory: usize, batches: usize) -> Self {
        let narrow = match key.columns.as_slice() {
            [one] => is_narrow(&dtypes[*one]),
            _ => false,
        };
        if narrow {
            Self::Narrow(key.clone(), Tally::new(rows, memory, batches))
        } else {
            Self::Wide(key.clone(), Tally::new(rows, memory, batches))
        }
    }

    pub(super) fn key(&self) -> &Key {
        match self {
            Self::Narrow(key, _) | Self::Wide(key, _) => key,
        }
    }

    /// Whether it wants to see a batch in this pass.
    pub(super) fn wants(&self, batch: usize) -> bool {
        match self {
            Self::Narrow(_, tally) => tally.wanted[batch],
            Self::Wide(_, tally) => tally.wanted[batch],
        }
    }

    pub(super) fn see(&self, batch: usize, frame: &DataFrame) -> PolarsResult<()> {
        let columns = self.key().rows(frame)?;
        let nulls = match columns.as_slice() {
            [one] if self.key().nulls => one.null_count() as u64,
            _ => 0,
        };
        match self {
            Self::Narrow(_, tally) => tally.see(batch, &narrow(&columns[0])?, nulls),
            Self::Wide(_, tally) => tally.see(batch, &wide(&columns)?, nulls),
        }
        Ok(())
    }

    /// Ends a pass, and says whether it needs another.
    pub(super) fn end_pass(&mut self) -> bool {
        match self {
            Self::Narrow(_, tally) => tally.end_pass(),
            Self::Wide(_, tally) => tally.end_pass(),
        }
    }

    pub(super) fn found(&self) -> Tallied {
        let found = match self {
            Self::Narrow(_, tally) => tally.found,
            Self::Wide(_, tally) => tally.found,
        };
        let nulls = self.nulls();
        Tallied {
            distinct: found.distinct + u64::from(nulls > 0),
            repeated: found.repeated + if nulls > 1 { nulls } else { 0 },
        }
    }

    /// Which rows of a batch, among those that count, have a value that is known to be there more than once. Of very
    /// many such values only some are known.
    pub(super) fn repeated(&self, frame: &DataFrame) -> PolarsResult<Vec<bool>> {
        let columns = self.key().rows(frame)?;
        let known: Vec<bool> = match self {
            Self::Narrow(_, tally) => {
                narrow(&columns[0])?.iter().map(|print| tally.several.binary_search(print).is_ok()).collect()
            }
            Self::Wide(_, tally) => {
                wide(&columns)?.iter().map(|print| tally.several.binary_search(print).is_ok()).collect()
            }
        };
        let [one] = columns.as_slice() else { return Ok(known) };
        if known.len() == one.len() {
            return Ok(known);
        }
        // Nulls have no fingerprint.
        let several = self.key().nulls && self.nulls() > 1;
        let mut known = known.into_iter();
        let mark = |null| if null == Some(true) { several } else { known.next() == Some(true) };
        Ok(one.is_null().iter().map(mark).collect())
    }

    fn nulls(&self) -> u64 {
        match self {
            Self::Narrow(_, tally) => tally.nulls.load(Ordering::Relaxed),
            Self::Wide(_, tally) => tally.nulls.load(Ordering::Relaxed),
        }
    }
}

/// A fingerprint.
pub(super) trait Print: Copy + Ord + Send + Sync {
    /// Bytes that one takes.
    const BYTES: usize;

    /// The part that it belongs to.
    fn part(self) -> usize;
}

impl Print for u64 {
    const BYTES: usize = 8;

    fn part(self) -> usize {
        // The golden ratio spreads numbers that lie close together; its upper bits are taken.
        usize::from((self ^ (self >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0])
    }
}

impl Print for u128 {
    const BYTES: usize = 16;

    fn part(self) -> usize {
        let [upper, lower] = [self >> 64, self & u128::from(u64::MAX)];
        u64::try_from(upper ^ lower).unwrap_or_default().part()
    }
}

/// Counts fingerprints.
pub(super) struct Tally<T> {
    /// Batches that it wants to see in this pass.
    wanted: Vec<bool>,
    /// In the first pass, batches in ascending order are noted and not held.
    first_pass: bool,
    /// The parts of this pass.
    parts: std::ops::Range<usize>,
    parts_a_pass: usize,
    /// How many fingerprints to expect in a part.
    expected: usize,
    held: Vec<Mutex<Vec<T>>>,
    runs: Mutex<Vec<Run<T>>>,
    scattered: AtomicBool,
    nulls: AtomicU64,
    found: Tallied,
    /// Fingerprints that are there more than once, sorted at the end.
    several: Vec<T>,
}

/// A batch whose fingerprints ascend.
#[derive(Clone, Copy)]
struct Run<T> {
    batch: usize,
    first: T,
    last: T,
    count: usize,
}

impl<T: Print> Tally<T> {
    fn new(rows: usize, memory: usize, batches: usize) -> Self {
        let parts_a_pass = (memory / T::BYTES).saturating_mul(PARTS).checked_div(rows).unwrap_or(PARTS).clamp(1, PARTS);
        Self {
            wanted: vec![true; batches],
            first_pass: true,
            parts: 0..parts_a_pass,
            parts_a_pass,
            expected: rows / PARTS + rows / PARTS / 8,
            held: (0..PARTS).map(|_| Mutex::default()).collect(),
            runs: Mutex::default(),
            scattered: AtomicBool::new(false),
            nulls: AtomicU64::new(0),
            found: Tallied::default(),
            several: Vec::new(),
        }
    }

    fn see(&self, batch: usize, prints: &[T], nulls: u64) {
        if self.first_pass {
            self.nulls.fetch_add(nulls, Ordering::Relaxed);
        }
        let (Some(first), Some(last)) = (prints.first(), prints.last()) else { return };
        if self.first_pass && !self.scattered.load(Ordering::Relaxed) && prints.is_sorted_by(|a, b| a < b) {
            let run = Run { batch, first: *first, last: *last, count: prints.len() };
            self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
            return;
        }
        self.scattered.store(true, Ordering::Relaxed);
        let share = prints.len() / PARTS;
        let mut sorted: Vec<Vec<T>> = (0..PARTS).map(|_| Vec::with_capacity(share + share / 4)).collect();
        for print in prints {
            sorted[print.part()].push(*print);
        }
        for part in self.parts.clone() {
            let mut held = self.held[part].lock().unwrap_or_else(PoisonError::into_inner);
            if held.capacity() == 0 {
                held.reserve_exact(self.expected);
            }
            held.extend_from_slice(&sorted[part]);
        }
    }

    fn end_pass(&mut self) -> bool {
        let runs = std::mem::take(self.runs.get_mut().unwrap_or_else(PoisonError::into_inner));
        self.first_pass = false;
        if !*self.scattered.get_mut() && Self::are_apart(&runs) {
            self.found.distinct = runs.iter().map(|run| run.count as u64).sum();
            self.wanted.fill(false);
            return false;
        }
        if !runs.is_empty() {
            // They are held after all, beside what was held of the others.
            self.wanted.fill(false);
            for run in &runs {
                self.wanted[run.batch] = true;
            }
            return true;
        }
        self.count_parts();
        self.parts = self.parts.end..(self.parts.end + self.parts_a_pass).min(PARTS);
        self.wanted.fill(!self.parts.is_empty());
        self.several.sort_unstable();
        !self.parts.is_empty()
    }

    /// Whether no two runs can hold the same.
    fn are_apart(runs: &[Run<T>]) -> bool {
        let mut runs = runs.to_vec();
        runs.sort_unstable_by_key(|run| run.first);
        runs.windows(2).all(|pair| pair[0].last < pair[1].first)
    }

    fn count_parts(&mut self) {
        let parts = &mut self.held[self.parts.clone()];
        let share = parts.len().div_ceil(workers()).max(1);
        let counted: Vec<_> = thread::scope(|scope| {
            let count = |parts: &mut [Mutex<Vec<T>>]| {
                let (mut found, mut several) = (Tallied::default(), Vec::new());
                for part in parts {
                    let mut prints = std::mem::take(part.get_mut().unwrap_or_else(PoisonError::into_inner));
                    prints.sort_unstable();
                    for same in prints.chunk_by(T::eq) {
                        found.distinct += 1;
                        if same.len() > 1 {
                            found.repeated += same.len() as u64;
                            if several.len() < REMEMBERED {
                                several.push(same[0]);
                            }
                        }
                    }
                }
                (found, several)
            };
            let threads: Vec<_> = parts.chunks_mut(share).map(|parts| scope.spawn(move || count(parts))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        for (found, several) in counted {
            self.found.distinct += found.distinct;
            self.found.repeated += found.repeated;
            let room = REMEMBERED.saturating_sub(self.several.len());
            self.several.extend(several.into_iter().take(room));
        }
    }
}

fn is_narrow(dtype: &DataType) -> bool {
    dtype.is_integer()
        || matches!(
            dtype,
            DataType::Boolean
                | DataType::Float32
                | DataType::Float64
                | DataType::Date
                | DataType::Datetime(..)
                | DataType::Time
        )
}

/// The values of a column that are not null, each as 64 bits in the order of the values. Not-a-number is one value, and
/// both zeros are one.
fn narrow(column: &Column) -> PolarsResult<Vec<u64>> {
    let stored = column.as_materialized_series().to_physical_repr().into_owned();
    Ok(match stored.dtype() {
        DataType::Float32 | DataType::Float64 => {
            let floats = stored.cast(&DataType::Float64)?;
            floats.f64()?.iter().flatten().map(ordered).collect()
        }
        DataType::UInt64 => stored.u64()?.iter().flatten().collect(),
        _ => {
            let whole = stored.cast(&DataType::Int64)?;
            let whole = whole.i64()?;
            let bits = |value: i64| value.cast_unsigned() ^ (1 << 63);
            if whole.null_count() == 0 {
                whole.into_no_null_iter().map(bits).collect()
            } else {
                whole.iter().flatten().map(bits).collect()
            }
        }
    })
}

/// A float as bits that order as floats do, with not-a-number above all.
pub(super) fn ordered(value: f64) -> u64 {
    let bits = if value.is_nan() { f64::NAN.to_bits() & !(1 << 63) } else { (value + 0.0).to_bits() };
    if bits >> 63 == 0 { bits | (1 << 63) } else { !bits }
}

/// The float that has these ordered bits.
pub(super) fn from_ordered(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

/// The values of one column that are not null, or the rows of several, each as 128 bits.
fn wide(columns: &[Column]) -> PolarsResult<Vec<u128>> {
    static HASHES: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);
    let [upper, lower] = &*HASHES;
    let hashed = |bytes: &[u8]| (u128::from(upper.hash_one(bytes)) << 64) | u128::from(lower.hash_one(bytes));
    if let [column] = columns {
        match column.dtype() {
            DataType::String => {
                return Ok(column.str()?.iter().flatten().map(|text| hashed(text.as_bytes())).collect());
            }
            DataType::Decimal(..) => {
                let units = column.decimal()?.physical();
                return Ok(units.iter().flatten().map(|units| units.cast_unsigned() ^ (1 << 127)).collect());
            }
            _ => {
                let present = column.drop_nulls();
                return Ok(encode_rows_unordered(&[present])?.iter().flatten().map(hashed).collect());
            }
        }
    }
    Ok(encode_rows_unordered(columns)?.iter().flatten().map(hashed).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn counted(batches: &[Vec<u64>], memory: usize) -> (Tallied, usize) {
        let rows = batches.iter().map(Vec::len).sum();
        let mut tally = Tally::new(rows, memory, batches.len());
        for passes in 1.. {
            for (batch, prints) in batches.iter().enumerate().filter(|(batch, _)| tally.wanted[*batch]) {
                tally.see(batch, prints, 0);
            }
            if !tally.end_pass() {
                return (tally.found, passes);
            }
        }
        unreachable!("a pass ends")
    }

    fn simply(batches: &[Vec<u64>]) -> Tallied {
        let mut counts = HashMap::new();
        batches.iter().flatten().for_each(|print| *counts.entry(*print).or_insert(0u64) += 1);
        Tallied { distinct: counts.len() as u64, repeated: counts.values().filter(|count| **count > 1).sum() }
    }

    fn drawn(seed: &mut u64, below: u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 20) % below
    }

    #[test]
    fn keys_in_order_are_never_held() {
        let batches: Vec<Vec<u64>> = (0..9).map(|batch| (batch * 100..batch * 100 + 90).collect()).collect();
        assert_eq!(counted(&batches, 0), (Tallied { distinct: 810, repeated: 0 }, 1));
    }

    #[test]
    fn many_passes_count_as_one_does() {
        for seed in 0..200 {
            let mut seed = seed;
            let width = [10, 1000, 1 << 40][usize::try_from(drawn(&mut seed, 3)).expect("an index")];
            let mut batches: Vec<Vec<u64>> = (0..drawn(&mut seed, 6))
                .map(|_| (0..drawn(&mut seed, 300)).map(|_| drawn(&mut seed, width)).collect())
                .collect();
            // Some batches ascend, so that runs and scattered batches meet.
            for batch in &mut batches {
                if drawn(&mut seed, 2) == 0 {
                    batch.sort_unstable();
                    batch.dedup();
                }
            }
            let expected = simply(&batches);
            assert_eq!(counted(&batches, usize::MAX / PARTS).0, expected);
            let (found, passes) = counted(&batches, 500);
            assert_eq!(found, expected);
            let rows: usize = batches.iter().map(Vec::len).sum();
            let ascend = batches.iter().all(|batch| batch.is_sorted_by(|a, b| a < b));
            assert!(ascend || passes >= rows * 8 / 500, "{passes} passes for {rows} rows");
        }
    }

    #[test]
    fn floats_keep_their_order_as_bits() {
        let ascending = [f64::NEG_INFINITY, -2.5, -0.5, 0.0, 1e-300, 0.5, 7.0, f64::INFINITY, f64::NAN];
        assert!(ascending.map(ordered).is_sorted_by(|a, b| a < b));
        assert_eq!(ordered(-0.0), ordered(0.0));
        assert_eq!(ordered(-f64::NAN), ordered(f64::NAN));
        assert!(ascending.iter().all(|value| from_ordered(ordered(*value)).total_cmp(value).is_eq()));
    }
}
