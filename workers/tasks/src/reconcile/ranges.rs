//! Ranges of keys, and how they are cut smaller until the rows in them can be read.

/// Keys from `low` to `high`, both inside, that about `rows` rows have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) low: i128,
    pub(super) high: i128,
    pub(super) rows: u64,
}

/// Ranges, each cut into parts of one width. Parts are numbered through.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    /// Range, width of its parts, number of its first part.
    parts: Vec<(Range, i128, i128)>,
}

/// Rows of a range at which its rows are read instead of cutting it again.
pub(super) const LEAF: u64 = 20_000;
/// Rows that one statement reads, and ranges that it names.
const READ: u64 = 50_000;
const NAMED: usize = 100;
/// Parts that one statement sums up.
const PARTS: u64 = 1024;
/// Rows that a part should have.
const AIM: u64 = 5_000;

impl Range {
    /// Whether its rows are to be read.
    fn is_leaf(&self) -> bool {
        self.rows <= LEAF || self.low == self.high
    }
}

/// One statement's worth of work.
#[derive(Debug)]
pub(super) enum Step {
    /// Sum up these parts.
    Cut(Cut),
    /// Read the rows of these ranges.
    Read(Vec<Range>),
}

/// The statements that these ranges need, each bounded.
pub(super) fn steps(ranges: &[Range]) -> Vec<Step> {
    let (leaves, wide): (Vec<Range>, Vec<Range>) = ranges.iter().partition(|range| range.is_leaf());
    let mut steps = Vec::new();
    for some in wide.chunks(NAMED) {
        let most = (PARTS / u64::try_from(some.len()).unwrap_or(PARTS)).max(2);
        steps.push(Step::Cut(Cut::new(some.iter().map(|range| (*range, (range.rows / AIM).clamp(2, most))))));
    }
    let (mut reading, mut rows) = (Vec::new(), 0);
    for leaf in leaves {
        if !reading.is_empty() && (rows + leaf.rows > READ || reading.len() == NAMED) {
            steps.push(Step::Read(std::mem::take(&mut reading)));
            rows = 0;
        }
        rows += leaf.rows;
        reading.push(leaf);
    }
    if !reading.is_empty() {
        steps.push(Step::Read(reading));
    }
    steps
}

impl Cut {
    /// All keys at once, in as many parts as one statement may sum up.
    pub(super) fn whole(low: i128, high: i128) -> Self {
        Self::new(std::iter::once((Range { low, high, rows: 0 }, PARTS)))
    }

    fn new(ranges: impl Iterator<Item = (Range, u64)>) -> Self {
        let mut next = 0;
        let parts = ranges.map(|(range, count)| {
            let width = (range.high - range.low) / i128::from(count) + 1;
            let first = next;
            next += (range.high - range.low) / width + 1;
            (range, width, first)
        });
        Self { parts: parts.collect() }
    }

    /// The ranges that are cut.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range> + '_ {
        self.parts.iter().map(|(range, ..)| *range)
    }

    /// An expression for the number of the part that a row is in. `part` is a key's distance from `low` in widths.
    pub(super) fn bucket(&self, key: &str, part: impl Fn(&Range, i128) -> String) -> String {
        let number = |(range, width, first): &(Range, i128, i128)| format!("{first} + {}", part(range, *width));
        match self.parts.as_slice() {
            [one] => number(one),
            parts => {
                let whens: Vec<String> =
                    parts.iter().map(|part| format!("when {key} <= {} then {}", part.0.high, number(part))).collect();
                format!("case {} end", whens.join(" "))
            }
        }
    }

    /// The keys of a part.
    pub(super) fn part(&self, number: i128, rows: u64) -> Option<Range> {
        let (range, width, first) = self.parts.iter().rev().find(|(.., first)| *first <= number)?;
        let low = range.low + (number - first) * width;
        (low <= range.high).then(|| Range { low, high: (low + width - 1).min(range.high), rows })
    }
}

/// `key between 1 and 9 or key between …`
pub(super) fn within(key: &str, ranges: impl Iterator<Item = Range>) -> String {
    ranges.map(|range| format!("{key} between {} and {}", range.low, range.high)).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_their_ranges_once() {
        let ranges = [(-7, 1_000), (2_000, 2_000), (i128::from(i64::MAX), i128::from(u64::MAX))];
        let cut = Cut::new(ranges.iter().map(|(low, high)| (Range { low: *low, high: *high, rows: 9 }, 10)));
        let parts: Vec<Range> = (0..).map_while(|number| cut.part(number, 1)).collect();
        for (low, high) in ranges {
            let inside: Vec<_> = parts.iter().filter(|part| part.low >= low && part.high <= high).collect();
            assert!(inside.len() <= 10);
            assert_eq!((inside[0].low, inside[inside.len() - 1].high), (low, high));
            assert!(inside.windows(2).all(|pair| pair[0].high + 1 == pair[1].low));
        }
        assert_eq!(parts.len(), 10 + 1 + 10);
    }

    #[test]
    fn statements_are_bounded() {
        let range = |n: i128, rows| Range { low: n * 1000, high: n * 1000 + 999, rows };
        let many: Vec<Range> = (0..250).map(|n| range(n, if n < 120 { 1_000_000 } else { 15_000 })).collect();
        let (mut cut, mut read) = (0, 0);
        for step in steps(&many) {
            match step {
                Step::Cut(part) => {
                    assert!(part.ranges().count() <= NAMED);
                    assert!(part.part(i128::from(PARTS) + 100, 0).is_none());
                    cut += part.ranges().count();
                }
                Step::Read(ranges) => {
                    assert!(ranges.iter().map(|range| range.rows).sum::<u64>() <= READ);
                    read += ranges.len();
                }
            }
        }
        assert_eq!((cut, read), (120, 130));
        // Rows of one key are read however many they are.
        assert!(matches!(&steps(&[Range { low: 5, high: 5, rows: 1_000_000 }])[..], [Step::Read(_)]));
    }
}
