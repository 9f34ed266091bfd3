use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde_json::Value;
use simshop::{Body, Event, EventStream, Settings, Shop, Traffic};

fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 1, 18, 0, 0).single().expect("an instant")
}

fn ten_minutes(traffic: Traffic) -> Vec<Event> {
    let shop = Shop::new(Settings { scale: 0.2, days: 30, ..Settings::new(7, start()) });
    EventStream::of(shop, 7, start(), traffic).take_while(|e| e.at < start() + TimeDelta::minutes(10)).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes = |seed| EventStream::new(seed, start()).take(2_000).map(|e| e.payload()).collect::<Vec<_>>();
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn events_come_as_they_are_sent_at_the_asked_rate_and_a_few_late() {
    let events = ten_minutes(Traffic { attack_every: None, ..Traffic::default() });
    assert!(events.is_sorted_by_key(|e| e.sent_at));
    assert!(events.iter().all(|e| e.sent_at >= e.at && e.sent_at - e.at < TimeDelta::seconds(3)));
    let overtaken = events.windows(2).filter(|pair| pair[1].at < pair[0].at).count();
    assert!(overtaken > events.len() / 100, "{overtaken} of {} are out of order", events.len());
    // 20 a second; sessions that began before the first minute are missing from it.
    assert!((9_000..13_500).contains(&events.len()), "{}", events.len());
    let ids: HashSet<_> = events.iter().filter_map(Event::id).collect();
    assert_eq!(ids.len(), events.iter().filter(|e| e.id().is_some()).count());
}

#[test]
fn the_json_is_what_consumers_agreed_on() {
    let events = ten_minutes(Traffic::default());
    let order = events.iter().find(|e| matches!(e.body, Body::Order(_))).expect("an order");
    let click = events.iter().find(|e| matches!(e.body, Body::Click(_))).expect("a click");
    let keys = |event: &Event| {
        let value: Value = serde_json::from_slice(&event.payload()).expect("JSON");
        value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        keys(order),
        "type event_id ts order_id customer_id card device amount currency status items city country"
    );
    assert_eq!(keys(click), "type event_id ts session_id customer_id device page product_id ip user_agent");
}

/// The usual fraud rules on tumbling windows of five seconds: each attack trips one, and nothing else does.
#[test]
fn attacks_stand_out_and_ordinary_traffic_does_not() {
    let events = ten_minutes(Traffic::default());
    let mut cards: HashMap<(String, i64), (u32, i64, bool)> = HashMap::new();
    let mut sessions: HashMap<(String, i64), (u32, bool)> = HashMap::new();
    let mut episodes: BTreeMap<String, bool> = BTreeMap::new();
    for event in &events {
        let window = event.at.timestamp() / 5;
        let attack = event.truth.as_ref().is_some_and(|truth| truth.kind == "attack");
        match &event.body {
            Body::Order(order) => {
                let entry = cards.entry((order.card.clone(), window)).or_insert((0, 0, attack));
                entry.0 += 1;
                entry.1 += order.amount.0;
            }
            Body::Click(click) => {
                sessions.entry((click.session_id.clone(), window)).or_insert((0, attack)).0 += 1;
            }
            Body::Malformed(_) => {}
        }
    }
    let flagged_cards: HashSet<_> =
        cards.iter().filter(|(_, (n, sum, _))| *n >= 4 || *sum >= 200_000).map(|((card, _), _)| card).collect();
    let flagged_sessions: HashSet<_> =
        sessions.iter().filter(|(_, (n, _))| *n >= 15).map(|((session, _), _)| session).collect();
    assert!(cards.iter().all(|((card, _), (.., attack))| *attack || !flagged_cards.contains(card)));
    assert!(sessions.iter().all(|((session, _), (_, attack))| *attack || !flagged_sessions.contains(session)));
    for truth in events.iter().filter_map(|e| e.truth.as_ref()).filter(|truth| truth.kind == "attack") {
        let entity = truth.entity.as_ref().expect("an attack has a card or a session");
        let found = flagged_cards.contains(entity) || flagged_sessions.contains(entity);
        *episodes.entry(truth.episode.clone().expect("an attack is an episode")).or_default() |= found;
    }
    assert!(episodes.len() >= 9, "{episodes:?}");
    assert!(episodes.values().all(|found| *found), "{episodes:?}");
}

#[test]
fn cut_off_records_are_labelled_and_not_json() {
    let events = ten_minutes(Traffic { malformed_rate: 0.05, ..Traffic::default() });
    let cut: Vec<_> = events.iter().filter(|e| matches!(e.body, Body::Malformed(_))).collect();
    assert!(cut.len() > 100);
    for event in cut {
        assert!(serde_json::from_slice::<Value>(&event.payload()).is_err());
        assert_eq!(event.truth.as_ref().map(|truth| truth.fault), Some("malformed_event"));
    }
}
