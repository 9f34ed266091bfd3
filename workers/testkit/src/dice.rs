//! Numbers that look random, and are the same for the same seed on every machine.

/// Steele's `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as the seed says.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`, which is 1 or more.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// True once in `times`, on average.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }

    /// One of `from`, which is not empty.
    ///
    /// # Panics
    ///
    /// Where `from` is empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let sides = u64::try_from(from.len()).expect("few");
        &from[usize::try_from(self.roll(sides)).expect("few")]
    }

    /// One of a table whose rows say how often each comes, beside the others.
    ///
    /// # Panics
    ///
    /// Where no row has a weight.
    pub fn weigh<'a, T>(&mut self, table: &'a [(u64, T)]) -> &'a T {
        let mut place = self.roll(table.iter().map(|(weight, _)| weight).sum());
        for (weight, row) in table {
            match place.checked_sub(*weight) {
                Some(rest) => place = rest,
                None => return row,
            }
        }
        unreachable!("the roll is below the sum of the weights")
    }
}
