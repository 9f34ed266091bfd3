//! Finds the keys whose rows differ: checksums of all keys at once, in parts; then of the parts that differ; at last the
//! rows themselves.

use std::{cmp::Ordering, collections::BTreeSet};

use tokio_util::sync::CancellationToken;
use workflow::error::TaskError;

use super::{
    ranges::{Cut, Range, Step, steps},
    sides::{Rows, Source, Sums, Target},
};

/// Keys that are kept of each sort; the counts go on.
pub(super) const KEPT: usize = 100_000;

/// Keys of one sort.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// How many.
    pub(super) count: u64,
    /// The first of them, as far as they are kept.
    pub(super) kept: Vec<i128>,
}

/// How the two tables differ.
#[derive(Debug, Default)]
pub(super) struct Differences {
    pub(super) source_rows: u64,
    pub(super) target_rows: u64,
    /// In the source alone.
    pub(super) missing: Keys,
    /// In the target alone.
    pub(super) extra: Keys,
    /// In both, with other values.
    pub(super) different: Keys,
    /// Rows that differ, and changed too lately to count.
    pub(super) recent: u64,
    /// Statements that each side was asked.
    pub(super) statements: u64,
}

impl Keys {
    fn add(&mut self, key: i128) {
        self.count += 1;
        if self.kept.len() < KEPT {
            self.kept.push(key);
        }
    }

    /// Forgets these.
    fn forget(&mut self, keys: &BTreeSet<i128>) -> u64 {
        let before = self.kept.len();
        self.kept.retain(|key| !keys.contains(key));
        let gone = u64::try_from(before - self.kept.len()).unwrap_or_default();
        self.count -= gone;
        gone
    }

    /// Whether all of them are kept.
    pub(super) fn are_known(&self) -> bool {
        u64::try_from(self.kept.len()) == Ok(self.count)
    }
}

impl Differences {
    /// Takes rows that the source has just changed out of the differences.
    pub(super) fn set_aside(&mut self, keys: &BTreeSet<i128>) {
        self.recent += self.missing.forget(keys) + self.different.forget(keys);
    }

    /// Rows that differ in any way.
    pub(super) fn count(&self) -> u64 {
        self.missing.count + self.extra.count + self.different.count
    }
}

/// Compares all rows.
pub(super) async fn compare(
    source: &mut Source<'_>,
    target: &mut Target<'_>,
    cancel: &CancellationToken,
) -> Result<Differences, TaskError> {
    let mut found = Differences::default();
    let (mine, theirs) = tokio::try_join!(source.ends(), target.ends())?;
    let ends = [mine, theirs];
    let low = ends.iter().flatten().map(|(low, _)| *low).min();
    let high = ends.iter().flatten().map(|(_, high)| *high).max();
    let (Some(low), Some(high)) = (low, high) else { return Ok(found) };
    found.statements = 1;

    let whole = Cut::whole(low, high);
    let (mine, theirs) = sums(source, target, &whole, &mut found).await?;
    let rows = |sums: &Sums| sums.values().map(|(rows, _)| rows).sum();
    (found.source_rows, found.target_rows) = (rows(&mine), rows(&theirs));
    let mut differing = unlike(&whole, &mine, &theirs);
    while !differing.is_empty() {
        let mut next = Vec::new();
        for step in steps(&differing) {
            if cancel.is_cancelled() {
                return Err(TaskError::external("the comparison was told to stop"));
            }
            match step {
                Step::Cut(cut) => {
                    let (mine, theirs) = sums(source, target, &cut, &mut found).await?;
                    next.extend(unlike(&cut, &mine, &theirs));
                }
                Step::Read(ranges) => {
                    let (mine, theirs) = tokio::try_join!(source.rows(&ranges), target.rows(&ranges))?;
                    found.statements += 1;
                    merge(&mine, &theirs, &mut found);
                }
            }
        }
        differing = next;
    }
    Ok(found)
}

async fn sums(
    source: &mut Source<'_>,
    target: &mut Target<'_>,
    cut: &Cut,
    found: &mut Differences,
) -> Result<(Sums, Sums), TaskError> {
    found.statements += 1;
    tokio::try_join!(source.sums(cut), target.sums(cut))
}

/// The parts that are not alike.
fn unlike(cut: &Cut, mine: &Sums, theirs: &Sums) -> Vec<Range> {
    let numbers: BTreeSet<i128> = mine.keys().chain(theirs.keys()).copied().collect();
    let rows = |sums: &Sums, number| sums.get(&number).map_or(0, |(rows, _)| *rows);
    numbers
        .into_iter()
        .filter(|number| mine.get(number) != theirs.get(number))
        .filter_map(|number| cut.part(number, rows(mine, number).max(rows(theirs, number))))
        .collect()
}

/// Goes through two sorted lists.
fn merge(mine: &Rows, theirs: &Rows, found: &mut Differences) {
    let (mut mine, mut theirs) = (mine.iter().peekable(), theirs.iter().peekable());
    loop {
        let order = match (mine.peek(), theirs.peek()) {
            (Some((left, _)), Some((right, _))) => left.cmp(right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        let (left, right) = (
            (order != Ordering::Greater).then(|| mine.next()).flatten(),
            (order != Ordering::Less).then(|| theirs.next()).flatten(),
        );
        match (left, right) {
            (Some((key, one)), Some((_, other))) if one != other => found.different.add(*key),
            (Some((key, _)), None) => found.missing.add(*key),
            (None, Some((key, _))) => found.extra.add(*key),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_tells_the_three_ways_to_differ() {
        let rows = |list: &[(i128, &str)]| list.iter().map(|(key, sum)| (*key, (*sum).to_owned())).collect::<Rows>();
        let mut found = Differences::default();
        let mine = rows(&[(-1, "a"), (1, "a"), (2, "b"), (4, "d"), (9, "x")]);
        let theirs = rows(&[(1, "a"), (2, "c"), (3, "c"), (4, "d"), (4, "d"), (9, "x"), (10, "x")]);
        merge(&mine, &theirs, &mut found);
        assert_eq!(found.missing.kept, [-1]);
        assert_eq!(found.extra.kept, [3, 4, 10], "a key that the target has twice is there once too often");
        assert_eq!(found.different.kept, [2]);
        assert_eq!(found.count(), 5);
    }
}
