//! Chance that can be asked again: every draw is a function of the seed, a stream and an index, so rows can be
//! made in any order, on any number of threads, and come out the same.

use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

/// What a sequence of draws is for. Two streams of one seed never share a draw.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Stream {
    Supplier = 1,
    Product,
    Price,
    Customer,
    Order,
    OrderTime,
    Demand,
    Stock,
    Fault,
    Session,
    Attack,
    Identity,
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014) over three words.
pub(crate) fn mix(seed: u64, stream: Stream, index: u64) -> u64 {
    let mut z = seed
        .wrapping_add((stream as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .wrapping_add(index.wrapping_mul(0xD1B5_4A32_D192_ED03));
    for _ in 0..2 {
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
    }
    z
}

/// A generator of its own for one index of one stream.
pub(crate) fn rng(seed: u64, stream: Stream, index: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(mix(seed, stream, index))
}

/// One draw in `[0, 1)`.
pub(crate) fn unit(seed: u64, stream: Stream, index: u64) -> f64 {
    // The top 53 bits fill a double's mantissa.
    (mix(seed, stream, index) >> 11) as f64 / (1_u64 << 53) as f64
}

/// One of `items`, each as likely.
pub(crate) fn one_of<T: Copy>(rng: &mut Xoshiro256PlusPlus, items: &[T]) -> T {
    items[rng.random_range(0..items.len())]
}

/// A choice among `0..n` by weight, in logarithmic time.
#[derive(Debug, Clone)]
pub(crate) struct Weighted {
    cumulative: Vec<f64>,
}

impl Weighted {
    /// Weights must not be negative, and one must be above zero.
    pub(crate) fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let cumulative = weights
            .into_iter()
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Self { cumulative }
    }

    /// The sum of all weights.
    pub(crate) fn total(&self) -> f64 {
        self.cumulative.last().copied().unwrap_or_default()
    }

    /// The weight of choice `index`.
    pub(crate) fn weight(&self, index: usize) -> f64 {
        let before = if index == 0 { 0.0 } else { self.cumulative[index - 1] };
        self.cumulative[index] - before
    }

    /// Where `unit` in `[0, 1)` falls, and how far into that choice's share, in `[0, 1)`.
    pub(crate) fn place(&self, unit: f64) -> (usize, f64) {
        let target = unit * self.total();
        let index = self.cumulative.partition_point(|&sum| sum <= target).min(self.cumulative.len() - 1);
        let share = self.weight(index);
        let before = self.cumulative[index] - share;
        let within = if share > 0.0 { ((target - before) / share).clamp(0.0, 1.0 - f64::EPSILON) } else { 0.0 };
        (index, within)
    }

    /// Where `unit` falls.
    pub(crate) fn pick(&self, unit: f64) -> usize {
        self.place(unit).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_indexes_do_not_share_draws() {
        let mut seen = std::collections::HashSet::new();
        for stream in [Stream::Customer, Stream::Order, Stream::Fault] {
            for index in 0..1000 {
                assert!(seen.insert(mix(7, stream, index)));
            }
        }
    }

    #[test]
    fn weights_decide_how_often_a_choice_comes() {
        let weighted = Weighted::new([1.0, 0.0, 3.0]);
        let mut counts = [0_u32; 3];
        for index in 0..40_000 {
            counts[weighted.pick(unit(1, Stream::Order, index))] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((29_000..31_000).contains(&counts[2]), "{counts:?}");
    }
}
