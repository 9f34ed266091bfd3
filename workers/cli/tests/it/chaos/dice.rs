//! Numbers that look random and are the same for the same seed.

/// Steele's `SplitMix64`.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// True once in `times`, on average.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let sides = u64::try_from(from.len()).expect("few");
        &from[usize::try_from(self.roll(sides)).expect("few")]
    }

    /// One of a table whose rows say how heavy each is.
    pub(crate) fn weigh<'a, T>(&mut self, table: &'a [(u64, T)]) -> &'a T {
        let mut place = self.roll(table.iter().map(|(weight, _)| weight).sum());
        let row = table.iter().find(|(weight, _)| {
            let found = place < *weight;
            place = place.saturating_sub(*weight);
            found
        });
        &row.expect("the roll is below the sum").1
    }
}
