//! The same windows, computed the slow and plain way, against random streams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::spec::Stream;

const STREAM: &str = "
stream: s
topic: t
event_time: { field: ts, out_of_orderness: 2s, allowed_lateness: 4s, idle_after: 1s }
rules:
  fast: { key: card, window: 5s, when: 'count >= 3 or sum(amount) >= 150', severity: low, cooldown: 12s }
  short: { key: card, window: 5s, when: count >= 2, severity: low, cooldown: 4s }
  slow: { key: card, window: 15s, where: 'amount > 20', when: 'max(amount) - min(amount) > 60', severity: low }
  many:
    key: card
    windows: { minute: 1m, long: 10m }
    when: >-
      count(*) filter (where amount < 30) over minute >= 6 and count(distinct amount) over long > count(*) over minute
      and avg(amount) over long > 45 and amount > previous(amount) over minute and since_first() over long > 20
    severity: low
    cooldown: 9s
  steps:
    key: card
    sequence: [ { where: amount < 40, times: 2 }, { where: amount > 80 } ]
    within: 6s
    severity: low
aggregates:
  total: { window: 5s, sum: amount }
  hops: { key: card, window: 20s, every: 5s, where: amount > 50 }
  visits: { key: card, gap: 4s, sum: amount }
  items: { key: sku, window: 5s, unnest: items, sum: 'n * 2' }
";

#[derive(Debug, Clone)]
struct Sample {
    id: u32,
    at: i64,
    card: u32,
    cents: i64,
    skus: Vec<u32>,
}

impl Sample {
    fn json(&self) -> String {
        let ts =
            DateTime::from_timestamp_micros(self.at).expect("in range").to_rfc3339_opts(SecondsFormat::Micros, true);
        let items: Vec<_> = self.skus.iter().map(|s| format!("{{\"sku\":{s},\"n\":1}}")).collect();
        let (euros, cents) = (self.cents / 100, self.cents % 100);
        let (id, card, items) = (self.id, self.card, items.join(","));
        format!(
            "{{\"event_id\":\"e{id}\",\"ts\":\"{ts}\",\"card\":\"c{card}\",\"amount\":{euros}.{cents:02},\"items\":[{items}]}}"
        )
    }
}

type Windows = BTreeMap<(String, String, i64), (u64, i128)>;
type Alerts = BTreeSet<(String, String, i64)>;

/// Each window filtered out of the log anew; each alert by asking again after every event.
fn naive(log: &[Option<Sample>]) -> (Windows, Alerts, Counters) {
    let (mut windows, mut alerts, mut counters) = (Windows::new(), Alerts::new(), Counters::default());
    let mut kept: Vec<Sample> = Vec::new();
    let mut watermark = i64::MIN;
    for entry in log {
        let Some(e) = entry else {
            counters.malformed += 1;
            continue;
        };
        if unit(e.at, 5) * 5_000_000 + 9_000_000 <= watermark {
            counters.late += 1;
            continue;
        }
        if kept.iter().any(|k| k.id == e.id && unit(k.at, 5) == unit(e.at, 5)) {
            counters.deduplicated += 1;
            continue;
        }
        counters.counted += 1;
        kept.push(e.clone());
        for (rule, holds, cooldown) in fired(&kept, e) {
            // Every alert so far has its cooldown and its pane, before it and after it.
            let card = format!("c{}", e.card);
            let near = |at: i64| unit(at, 5) == unit(e.at, 5) || (at - e.at).abs() < cooldown * 1_000_000;
            if holds && !alerts.iter().any(|(other, key, at)| other == rule && *key == card && near(*at)) {
                alerts.insert((rule.to_owned(), card, e.at));
            }
        }
        watermark = watermark.max(e.at - 2_000_000);
    }
    for e in &kept {
        let mut count = |operator: &str, key: String, start: i64, cents: i64| {
            let cell = windows.entry((operator.to_owned(), key, start)).or_insert((0, 0));
            *cell = (cell.0 + 1, cell.1 + i128::from(cents) * 10_000);
        };
        let card = format!("c{}", e.card);
        count("total", "all".to_owned(), unit(e.at, 5) * 5_000_000, e.cents);
        for hop in 0..4 {
            if e.cents > 5_000 {
                count("hops", card.clone(), (unit(e.at, 5) - hop) * 5_000_000, 0);
            }
        }
        for sku in &e.skus {
            count("items", sku.to_string(), unit(e.at, 5) * 5_000_000, 200);
        }
    }
    for card in 0..4 {
        let mut visits: Vec<_> = kept.iter().filter(|e| e.card == card).map(|e| (e.at, e.cents)).collect();
        visits.sort_unstable();
        let mut start = None;
        let mut last = i64::MIN;
        for (at, cents) in visits {
            let begin = *start.filter(|_| at - last < 4_000_000).get_or_insert(at);
            (start, last) = (Some(begin), at);
            let cell = windows.entry(("visits".to_owned(), format!("c{card}"), begin)).or_insert((0, 0));
            *cell = (cell.0 + 1, cell.1 + i128::from(cents) * 10_000);
        }
    }
    (windows, alerts, counters)
}

/// The span of so many seconds that `at` lies in.
fn unit(at: i64, seconds: i64) -> i64 {
    at.div_euclid(seconds * 1_000_000)
}

/// Each rule, whether its condition holds at the latest event, and its cooldown in seconds.
fn fired(kept: &[Sample], e: &Sample) -> [(&'static str, bool, i64); 5] {
    let own: Vec<_> = kept.iter().filter(|k| k.card == e.card).collect();
    let over = |seconds, units| {
        let last = unit(e.at, seconds);
        own.iter().filter(|k| (last - units + 1..=last).contains(&unit(k.at, seconds))).copied().collect::<Vec<_>>()
    };
    let (pane, minute, long) = (over(5, 1), over(5, 12), over(60, 10));
    let sum = |of: &[&Sample]| of.iter().map(|k| k.cents).sum::<i64>();
    let slow: Vec<_> = over(5, 3).into_iter().filter(|k| k.cents > 2_000).map(|k| k.cents).collect();
    let apart = slow.iter().max().zip(slow.iter().min()).is_some_and(|(most, least)| {
        // As SQL's double precision would: 81.2 - 21.2 is a little more than 60.
        *most as f64 / 100.0 - *least as f64 / 100.0 > 60.0
    });
    let distinct = long.iter().map(|k| k.cents).collect::<BTreeSet<_>>().len();
    let before = minute.iter().rfind(|k| !std::ptr::eq(**k, kept.last().expect("the event")));
    let many = minute.iter().filter(|k| k.cents < 3_000).count() >= 6
        && distinct > minute.len()
        && sum(&long) > 4_500 * i64::try_from(long.len()).expect("few")
        && before.is_some_and(|k| e.cents > k.cents)
        && (e.at - long[0].at).abs() > 20_000_000;
    // All of the key's events, in the order of their times, that at hand after its equals.
    let mut ordered = own.clone();
    ordered.sort_by_key(|k| k.at);
    let here = ordered.iter().position(|k| std::ptr::eq(*k, kept.last().expect("the event"))).expect("it is there");
    let mut steps = false;
    for a in 0..ordered.len() {
        for b in a + 1..ordered.len() {
            for c in b + 1..ordered.len() {
                let [x, y, z] = [ordered[a], ordered[b], ordered[c]];
                steps |= [a, b, c].contains(&here)
                    && x.cents < 4_000
                    && y.cents < 4_000
                    && z.cents > 8_000
                    && z.at - x.at <= 6_000_000;
            }
        }
    }
    [
        ("fast", pane.len() >= 3 || sum(&pane) >= 15_000, 12),
        ("short", pane.len() >= 2, 4),
        ("slow", e.cents > 2_000 && apart, 0),
        ("many", many, 9),
        ("steps", steps, 0),
    ]
}

/// Events about in order, some swapped, some twice, some far too late, some unreadable.
fn random_log(rng: &mut ChaCha8Rng) -> Vec<Option<Sample>> {
    let mut at = 1_700_000_000_000_000_i64;
    let mut log = Vec::new();
    for id in 0..rng.random_range(50..400) {
        at += rng.random_range(0..900_000);
        let jitter =
            if rng.random_bool(0.1) { rng.random_range(0..25_000_000) } else { rng.random_range(0..1_500_000) };
        let skus = (0..rng.random_range(0..3)).map(|_| rng.random_range(0..4)).collect();
        let sample =
            Sample { id, at: at - jitter, card: rng.random_range(0..4), cents: rng.random_range(100..9_900), skus };
        if rng.random_bool(0.08) {
            log.push(Some(sample.clone()));
        }
        log.push(Some(sample));
        if rng.random_bool(0.02) {
            log.push(None);
        }
    }
    for chunk in log.chunks_mut(6) {
        chunk.shuffle(rng);
    }
    log
}

fn payload(entry: Option<&Sample>) -> String {
    entry.map_or_else(|| "{\"event_id\": \"broken".to_owned(), Sample::json)
}

/// Runs the log with commits at random places, and a crash now and then: what was not committed is lost, and a
/// new owner resumes from the last commit.
fn run(log: &[Option<Sample>], rng: &mut ChaCha8Rng) -> (Windows, Alerts, Counters) {
    let stream = Arc::new(Stream::parse("s.yaml", STREAM, &[]).expect("a valid stream"));
    let (mut windows, mut alerts, mut counters) = (Windows::new(), Alerts::new(), Counters::default());
    let mut resume = Resume::fresh(0);
    let mut state = PartitionState::new(Arc::clone(&stream), resume, []);
    let mut kept: BTreeMap<i16, Snapshot> = BTreeMap::new();
    let mut at = 0;
    loop {
        let all = at == log.len();
        if all || rng.random_bool(0.1) {
            let cut = Cut { show: all || rng.random_bool(0.3), segments: rng.random_range(0..4) };
            if let Some(delta) = state.take_delta(cut) {
                assert_eq!(delta.from, resume.committed, "a delta begins where the one before ended");
                assert!(delta.resume.offset <= delta.to);
                resume = delta.resume;
                for gone in delta.withdrawn {
                    windows.remove(&(gone.operator.to_string(), gone.key.to_string(), gone.start));
                }
                for snapshot in delta.snapshots {
                    kept.insert(snapshot.segment, snapshot);
                }
                for row in delta.windows {
                    windows.insert((row.operator.to_string(), row.key.to_string(), row.start), (row.events, row.sum));
                }
                for f in delta.firings {
                    assert!(alerts.insert((f.rule, f.key, f.event_time)), "an alert twice");
                }
                counters.counted += delta.counters.counted;
                counters.deduplicated += delta.counters.deduplicated;
                counters.late += delta.counters.late;
                counters.malformed += delta.counters.malformed;
                counters.absent += delta.counters.absent;
            }
            if all {
                return (windows, alerts, counters);
            }
        }
        if rng.random_bool(0.02) {
            let raised = alerts.iter().map(|(rule, key, at)| (rule.clone(), key.clone(), *at)).collect::<Vec<_>>();
            state = PartitionState::new(Arc::clone(&stream), resume, raised)
                .with_snapshots(kept.values().cloned())
                .expect("our own snapshots");
            at = usize::try_from(resume.offset).expect("not negative");
        }
        if at == log.len() {
            continue;
        }
        let text = payload(log[at].as_ref());
        let offset = i64::try_from(at).expect("small");
        let clock = 1_800_000_000_000;
        state.apply(RawRecord { offset, produced_at: clock, read_at: clock, payload: Some(text.as_bytes()) });
        at += 1;
    }
}

#[test]
fn windows_alerts_and_counts_equal_the_naive_ones_whatever_the_batches_and_crashes() {
    let mut all = Counters::default();
    let mut alerts_seen: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let log = random_log(&mut rng);
        let expected = naive(&log);
        let got = run(&log, &mut rng);
        assert_eq!(got.2, expected.2, "counters, seed {seed}");
        assert_eq!(got.0, expected.0, "windows, seed {seed}");
        let apart: Vec<_> = got.1.symmetric_difference(&expected.1).collect();
        assert!(apart.is_empty(), "alerts of one side only, seed {seed}: {apart:?}");
        let c = got.2;
        assert_eq!(c.counted + c.deduplicated + c.late + c.malformed, i64::try_from(log.len()).expect("small"));
        all.deduplicated += c.deduplicated;
        all.late += c.late;
        for (rule, ..) in got.1 {
            *alerts_seen.entry(rule).or_default() += 1;
        }
    }
    assert!(all.deduplicated > 100 && all.late > 100, "{all:?}: too tame a test");
    for rule in ["fast", "short", "slow", "many", "steps"] {
        assert!(alerts_seen.get(rule).is_some_and(|seen| *seen > 50), "{alerts_seen:?}: too tame a test");
    }
}
