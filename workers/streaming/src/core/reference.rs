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
aggregates:
  total: { window: 5s, sum: amount }
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
type Alerts = BTreeSet<(String, String, i64, i64)>;

/// Each window filtered out of the log anew; each alert by asking again after every event.
fn naive(log: &[Option<Sample>]) -> (Windows, Alerts, Counters) {
    let (mut windows, mut alerts, mut counters) = (Windows::new(), Alerts::new(), Counters::default());
    let mut kept: Vec<Sample> = Vec::new();
    let mut fired: BTreeSet<(String, u32, i64)> = BTreeSet::new();
    let mut watermark = i64::MIN;
    for entry in log {
        let Some(e) = entry else {
            counters.malformed += 1;
            continue;
        };
        let five = |t: i64| t.div_euclid(5_000_000) * 5_000_000;
        let fifteen = |t: i64| t.div_euclid(15_000_000) * 15_000_000;
        if five(e.at) + 9_000_000 <= watermark {
            counters.late += 1;
            continue;
        }
        if kept.iter().any(|k| k.id == e.id && five(k.at) == five(e.at)) {
            counters.deduplicated += 1;
            continue;
        }
        counters.counted += 1;
        kept.push(e.clone());
        let fast: Vec<_> = kept.iter().filter(|k| k.card == e.card && five(k.at) == five(e.at)).collect();
        let slow: Vec<_> =
            kept.iter().filter(|k| k.card == e.card && fifteen(k.at) == fifteen(e.at) && k.cents > 2000).collect();
        let (low, high) = (slow.iter().map(|k| k.cents).min(), slow.iter().map(|k| k.cents).max());
        let fast_holds = fast.len() >= 3 || fast.iter().map(|k| k.cents).sum::<i64>() >= 15_000;
        let slow_holds = e.cents > 2000 && high.zip(low).is_some_and(|(high, low)| high - low > 6_000);
        for (rule, holds, start, cooldown) in [
            ("fast", fast_holds, five(e.at), 12_000_000),
            ("short", fast.len() >= 2, five(e.at), 4_000_000),
            ("slow", slow_holds, fifteen(e.at), 0),
        ] {
            if !holds || !fired.insert((rule.to_owned(), e.card, start)) {
                continue;
            }
            // Every alert so far has its cooldown, before it and after it.
            let card = format!("c{}", e.card);
            let silenced = alerts
                .iter()
                .filter(|(other, key, _, _)| other == rule && *key == card)
                .any(|(_, _, _, at)| (at - cooldown + 1..at + cooldown).contains(&e.at));
            if !silenced {
                alerts.insert((rule.to_owned(), card, start, e.at));
            }
        }
        watermark = watermark.max(e.at - 2_000_000);
        let mut count = |operator: &str, key: String, start: i64, sum: i128| {
            let cell = windows.entry((operator.to_owned(), key, start)).or_insert((0, 0));
            *cell = (cell.0 + 1, cell.1 + sum);
        };
        let millionths = i128::from(e.cents) * 10_000;
        count("fast", format!("c{}", e.card), five(e.at), millionths);
        count("short", format!("c{}", e.card), five(e.at), 0);
        count("total", "all".to_owned(), five(e.at), millionths);
        if e.cents > 2000 {
            count("slow", format!("c{}", e.card), fifteen(e.at), 0);
        }
        for sku in &e.skus {
            count("items", sku.to_string(), five(e.at), 2_000_000);
        }
    }
    (windows, alerts, counters)
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
    let mut at = 0;
    loop {
        let all = at == log.len();
        if all || rng.random_bool(0.1) {
            let both = all || rng.random_bool(0.3);
            let early = Early { aggregates: both, rules: both };
            if let Some(delta) = state.take_delta(early) {
                assert_eq!(delta.from, resume.committed, "a delta begins where the one before ended");
                assert!(delta.resume.offset <= delta.to);
                resume = delta.resume;
                for row in delta.windows {
                    windows.insert((row.operator.to_string(), row.key.to_string(), row.start), (row.events, row.sum));
                }
                for f in delta.firings {
                    assert!(alerts.insert((f.rule, f.key, f.window_start, f.event_time)), "an alert twice");
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
            let raised = alerts.iter().map(|(rule, key, _, at)| (rule.clone(), key.clone(), *at)).collect::<Vec<_>>();
            state = PartitionState::new(Arc::clone(&stream), resume, raised);
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
    let mut alerts_seen = 0;
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let log = random_log(&mut rng);
        let expected = naive(&log);
        let got = run(&log, &mut rng);
        assert_eq!(got.2, expected.2, "counters, seed {seed}");
        assert_eq!(got.0, expected.0, "windows, seed {seed}");
        assert_eq!(got.1, expected.1, "alerts, seed {seed}");
        let c = got.2;
        assert_eq!(c.counted + c.deduplicated + c.late + c.malformed, i64::try_from(log.len()).expect("small"));
        all.deduplicated += c.deduplicated;
        all.late += c.late;
        alerts_seen += got.1.len();
    }
    assert!(all.deduplicated > 100 && all.late > 100 && alerts_seen > 100, "{all:?} {alerts_seen}: too tame a test");
}
