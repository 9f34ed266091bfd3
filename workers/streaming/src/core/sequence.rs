//! Events that follow each other, by event time, in whatever order they arrive.

use crate::spec::Sequence;

/// A key's latest events that took some step: time, and one bit for each condition that held. Ascending by time.
pub(crate) type Taken = Vec<(i64, u16)>;

/// So many events of a key are remembered for a sequence.
const MOST_TAKEN: usize = 256;

/// Whether an event of that time, which took the steps of `mask`, completes the sequence: as any of its events.
pub(crate) fn completes(sequence: &Sequence, taken: &Taken, at: i64, mask: u16) -> bool {
    let place = taken.partition_point(|(time, _)| *time <= at);
    let (before, after) = taken.split_at(place);
    let takes = |mask: u16, step: usize| mask & (1 << sequence.steps[step]) != 0;
    (0..sequence.steps.len()).filter(|&step| takes(mask, step)).any(|step| {
        // The steps before it as late as possible, those after it as early as possible: no chain is shorter.
        let mut earlier = before.iter().rev();
        let begin =
            (0..step).rev().try_fold(at, |_, step| earlier.find(|(_, mask)| takes(*mask, step)).map(|(time, _)| *time));
        let mut later = after.iter();
        let end = (step + 1..sequence.steps.len())
            .try_fold(at, |_, step| later.find(|(_, mask)| takes(*mask, step)).map(|(time, _)| *time));
        begin.zip(end).is_some_and(|(begin, end)| end - begin <= sequence.within)
    })
}

/// Remembers an event; those that no event to come can follow in time are forgotten.
pub(crate) fn remember(sequence: &Sequence, taken: &mut Taken, at: i64, mask: u16, horizon: i64) {
    if mask == 0 {
        return;
    }
    let oldest = horizon.saturating_sub(sequence.within);
    let gone = taken.partition_point(|(time, _)| *time < oldest).max((taken.len() + 1).saturating_sub(MOST_TAKEN));
    taken.drain(..gone);
    let place = taken.partition_point(|(time, _)| *time <= at);
    taken.insert(place, (at, mask));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Every choice of events that contains the one at `must`.
    fn naive(sequence: &Sequence, events: &[(i64, u16)], must: usize) -> bool {
        fn go(sequence: &Sequence, events: &[(i64, u16)], chosen: &mut Vec<usize>, must: usize) -> bool {
            if chosen.len() == sequence.steps.len() {
                let span = events[chosen[chosen.len() - 1]].0 - events[chosen[0]].0;
                return chosen.contains(&must) && span <= sequence.within;
            }
            let from = chosen.last().map_or(0, |last| last + 1);
            (from..events.len()).any(|at| {
                if events[at].1 & (1 << sequence.steps[chosen.len()]) == 0 {
                    return false;
                }
                chosen.push(at);
                let found = go(sequence, events, chosen, must);
                chosen.pop();
                found
            })
        }
        go(sequence, events, &mut Vec::new(), must)
    }

    #[test]
    fn an_event_completes_a_sequence_where_a_search_of_all_chains_finds_one() {
        let mut found = 0;
        for seed in 0..400 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let steps = [vec![0, 1], vec![0, 0, 0, 1], vec![0, 1, 0], vec![0, 1, 2]][rng.random_range(0..4)].clone();
            let sequence = Sequence { steps, conditions: Vec::new(), within: 10 };
            let mut taken = Taken::new();
            for _ in 0..12 {
                let (at, mask) = (rng.random_range(0..40), rng.random_range(0..8));
                let got = completes(&sequence, &taken, at, mask);
                let place = taken.partition_point(|(time, _)| *time <= at);
                let mut events = taken.clone();
                events.insert(place, (at, mask));
                assert_eq!(got, naive(&sequence, &events, place), "seed {seed}: {taken:?} and {at} {mask}");
                found += usize::from(got);
                remember(&sequence, &mut taken, at, mask, 0);
            }
        }
        assert!(found > 100, "{found}: too tame");
    }
}
