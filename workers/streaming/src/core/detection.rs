//! The shipped rules against the generator's labelled attacks: each is found, and ordinary traffic is left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta};
use simshop::{EventStream, Settings, Shop, Traffic};

use super::*;
use crate::spec::Stream;

/// Which rules an attack must set off: any of them.
const FOUND_BY: [(&str, &[&str]); 3] = [
    ("card_testing", &["card_velocity"]),
    ("velocity_burst", &["card_velocity", "high_amount_burst"]),
    ("bot_browsing", &["bot_browsing"]),
];

fn shipped() -> Vec<PartitionState> {
    let files =
        [include_str!("../../../../dags/streams/fraud.yaml"), include_str!("../../../../dags/streams/clicks.yaml")];
    files
        .map(|text| {
            let stream = Stream::parse("shipped.yaml", text, &["fraud_slack", "ops_mail"]).expect("valid");
            PartitionState::new(Arc::new(stream), Resume::fresh(0), [])
        })
        .into()
}

#[test]
fn every_attack_is_found_and_nobody_else_is_accused() {
    let start = DateTime::from_timestamp(1_750_000_000, 0).expect("in range");
    for (seed, rate) in [(1, 20.0), (2, 200.0), (3, 1_000.0), (4, 2_000.0)] {
        let shop = Shop::new(Settings { days: 30, ..Settings::new(seed, start) });
        let attack_every = Some(TimeDelta::seconds(6));
        let traffic = Traffic { events_per_s: rate, attack_every, ..Traffic::default() };
        let mut partitions = shipped();
        // Episode: its kind and the card or session it is about.
        let mut attacks: BTreeMap<String, (String, String)> = BTreeMap::new();
        for (offset, event) in (0..).zip(EventStream::of(shop, seed, start, traffic)) {
            if event.sent_at > start + TimeDelta::seconds(75) {
                break;
            }
            if let Some(truth) = event.truth.as_ref().filter(|t| t.kind == "attack") {
                let known = (truth.fault.to_owned(), truth.entity.clone().unwrap_or_default());
                attacks.insert(truth.episode.clone().unwrap_or_default(), known);
            }
            let payload = event.payload();
            let produced_at = event.sent_at.timestamp_millis();
            let partition = &mut partitions[usize::from(event.topic == "shop.clicks")];
            partition.apply(RawRecord { offset, produced_at, read_at: produced_at, payload: Some(&payload) });
        }
        let firings: Vec<_> =
            partitions.iter_mut().filter_map(|p| p.take_delta(Cut::ALL)).flat_map(|delta| delta.firings).collect();
        let alerts: BTreeSet<(&str, &str)> = firings.iter().map(|f| (f.rule.as_str(), f.key.as_str())).collect();
        assert!(attacks.len() >= 10, "seed {seed}: {} attacks", attacks.len());
        let missed: Vec<_> = attacks
            .values()
            .filter(|(kind, entity)| {
                let rules = FOUND_BY.iter().find(|(known, _)| known == kind).map_or(&[][..], |(_, rules)| *rules);
                !rules.iter().any(|rule| alerts.contains(&(*rule, entity.as_str())))
            })
            .collect();
        let entities: BTreeSet<_> = attacks.values().map(|(_, entity)| entity.as_str()).collect();
        let wrong: Vec<_> = alerts.iter().filter(|(_, key)| !entities.contains(key)).collect();
        // The last attack may have only begun when the stream was cut.
        assert!(missed.len() <= 1, "seed {seed}: missed {missed:?}");
        assert!(wrong.len() * 20 <= alerts.len(), "seed {seed}: {wrong:?} of {} alerts", alerts.len());
    }
}
