//! One partition, a few records: what becomes of each.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};

use super::*;
use crate::spec::{Stream, expr::Expr};

/// Some time, in seconds since 1970.
const NOW: i64 = 1_800_000_000;

fn stream(rules: &str) -> Arc<Stream> {
    let text = format!(
        "
stream: s
topic: t
event_time: {{ field: ts, out_of_orderness: 2s, allowed_lateness: 4s, idle_after: 1s }}
rules:
{rules}
aggregates:
  total: {{ window: 5s, sum: amount }}
"
    );
    Arc::new(Stream::parse("s.yaml", &text, &[]).expect("a valid stream"))
}

fn event(offset: i64, at: i64) -> String {
    let at = DateTime::from_timestamp(at, 0).expect("in range").to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("{{\"event_id\":\"e{offset}\",\"ts\":\"{at}\",\"card\":\"c\",\"amount\":1}}")
}

/// Applies an event of `at` whose record says `produced` and that is read at `read`, all in seconds.
fn apply(state: &mut PartitionState, offset: i64, at: i64, produced: i64, read: i64) -> Disposition {
    let payload = event(offset, at);
    let (produced_at, read_at) = (produced * 1_000, read * 1_000);
    state.apply(RawRecord { offset, produced_at, read_at, payload: Some(payload.as_bytes()) })
}

const ALL: Cut = Cut { show: true, segments: 0 };

#[test]
fn an_event_ahead_of_its_record_or_of_the_clock_does_not_blind_the_partition() {
    let mut state = PartitionState::new(
        stream("  r: { key: card, window: 5s, when: count >= 3, severity: low }"),
        Resume::fresh(0),
        [],
    );
    assert_eq!(apply(&mut state, 0, NOW, NOW, NOW), Disposition::Counted);
    let fifty_minutes = NOW + 3_000;
    let own = apply(&mut state, 1, fifty_minutes, NOW, NOW);
    assert_eq!(own, Disposition::Malformed("`ts` is 3000 s ahead of the record's own timestamp".to_owned()));
    // The producer's clock is wrong, and so are all the times that it writes.
    let clock = apply(&mut state, 2, fifty_minutes, fifty_minutes, NOW);
    assert_eq!(clock, Disposition::Malformed("`ts` is 3000 s ahead of the clock".to_owned()));
    assert_eq!(apply(&mut state, 3, NOW + 1, NOW + 1, NOW + 1), Disposition::Counted, "the next one is on time");
}

#[test]
fn records_deleted_before_they_were_read_are_absent() {
    let stream = stream("  r: { key: card, window: 5s, when: count >= 3, severity: low }");
    let resume = Resume { committed: 100, offset: 500, watermark: None };
    let mut state = PartitionState::new(Arc::clone(&stream), resume, []);
    assert_eq!(apply(&mut state, 502, NOW, NOW, NOW), Disposition::Counted);
    let delta = state.take_delta(ALL).expect("a delta");
    assert_eq!((delta.from, delta.to), (100, 503));
    assert_eq!(delta.counters, Counters { counted: 1, absent: 402, ..Counters::default() });
    // Also where nothing has come in since.
    let delta = PartitionState::new(stream, resume, []).take_delta(ALL).expect("a delta");
    assert_eq!((delta.from, delta.to, delta.counters.absent), (100, 500, 400));
}

#[test]
fn an_event_out_of_order_raises_its_alert_unless_another_is_near() {
    let raised = |rule: &str, times: &[i64]| -> Vec<i64> {
        let rule = format!("  r: {{ key: card, window: 5s, when: count >= 1, severity: low{rule} }}");
        let mut state = PartitionState::new(stream(&rule), Resume::fresh(0), []);
        for (offset, at) in (0..).zip(times) {
            assert_eq!(apply(&mut state, offset, NOW + at, NOW + at, NOW + at), Disposition::Counted);
        }
        state.take_delta(ALL).expect("a delta").firings.iter().map(|f| f.event_time / 1_000_000 - NOW).collect()
    };
    // Each in a window of its own, every second one earlier than the one before it.
    let times = [0, -5, 11, 6];
    assert_eq!(raised("", &times), times);
    assert_eq!(raised(", cooldown: 5s", &times), times);
    assert_eq!(raised(", cooldown: 6s", &times), [0, 11]);
    assert_eq!(raised(", cooldown: 4s", &[2, 11, 5]), [2, 11], "the nearest alert is not the latest");
}

#[test]
fn an_event_on_which_a_rule_fails_is_rejected_and_leaves_no_trace() {
    // Ordinary events never come as far as its second value.
    let mut stream = Stream::clone(&stream("  r: { key: card, window: 5s, when: count >= 2, severity: low }"));
    let card = stream.layout.fields.find("card").expect("the rule's key");
    let list = vec![Expr::Text("c".into()), Expr::Leaf(usize::MAX)];
    stream.rules[0].filter = Some(Expr::In { value: Box::new(Expr::Leaf(card)), list, negated: false });
    let mut state = PartitionState::new(Arc::new(stream), Resume::fresh(0), []);
    assert_eq!(apply(&mut state, 0, NOW, NOW, NOW), Disposition::Counted);
    let odd = event(1, NOW + 30).replace("\"card\":\"c\"", "\"card\":\"odd\"");
    let clock = (NOW + 30) * 1_000;
    let rejected = RawRecord { offset: 1, produced_at: clock, read_at: clock, payload: Some(odd.as_bytes()) };
    let Disposition::Rejected(reason) = state.apply(rejected) else { panic!("it was not rejected") };
    assert!(reason.starts_with("an expression failed on it: index out of bounds"), "{reason}");
    assert_eq!(apply(&mut state, 2, NOW + 1, NOW + 1, NOW + 1), Disposition::Counted, "the watermark has not moved");
    let delta = state.take_delta(ALL).expect("a delta");
    assert_eq!(delta.counters, Counters { counted: 2, malformed: 1, ..Counters::default() });
    assert_eq!(delta.firings.len(), 1);
    assert!(delta.windows.iter().all(|window| window.events == 2), "{:?}", delta.windows);
}

#[test]
fn a_replay_takes_for_an_event_what_was_taken_for_one_whatever_the_clock_says_by_then() {
    let stream = stream("  r: { key: card, window: 5s, when: count >= 3, severity: low }");
    let log = [(NOW, NOW), (NOW + 3_000, NOW + 3_000), (NOW + 1, NOW + 1)];
    let mut state = PartitionState::new(Arc::clone(&stream), Resume::fresh(0), []);
    for (offset, (at, produced)) in (0..).zip(log) {
        apply(&mut state, offset, at, produced, NOW);
    }
    let resume = state.take_delta(ALL).expect("a delta").resume;
    assert_eq!((resume.offset, resume.committed), (0, 3));
    // An hour later the second record is ahead of no clock; a day before, all of them would be.
    for read in [NOW + 3_600, NOW - 86_400] {
        let mut again = PartitionState::new(Arc::clone(&stream), resume, []).without([1]);
        for (offset, (at, produced)) in (0..).zip(log) {
            assert_eq!(apply(&mut again, offset, at, produced, read), Disposition::Replayed);
        }
        assert_eq!(again.watermark(), state.watermark());
        assert_eq!(apply(&mut again, 3, NOW + 2, NOW + 2, NOW + 2), Disposition::Counted);
        let delta = again.take_delta(ALL).expect("a delta");
        assert_eq!(delta.firings.len(), 1, "the third event of the window");
    }
}
