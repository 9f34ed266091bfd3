//! `produce_events`: a burst of the shop's orders and clicks into Kafka, with labelled attacks among them.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use simshop::{Event, EventStream, Settings, Shop, Traffic};
use workflow::{
    datasets::{Dataset, Datasets, Touched},
    diagnostic::Problem,
    endpoint::Endpoint,
    error::TaskError,
    kind::{TaskContext, TaskKind},
};

use crate::producer::{self, Outgoing, Pace, ProduceError};

/// Topics of the shop's events.
pub const TOPICS: [&str; 2] = ["shop.orders", "shop.clicks"];
/// Partitions that they are made with.
pub const PARTITIONS: i32 = 4;
const HINT: &str = "start the private services with `sluice up`, or set `services.kafka` in sluice.yaml";
/// A burst holds about this many attacks.
const ATTACKS: u32 = 10;

/// The kind, with the brokers that it sends to.
#[derive(Debug, Clone)]
pub struct ProduceEvents {
    brokers: Endpoint,
}

/// Keys of a `produce_events` task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many events.
    #[serde(deserialize_with = "number")]
    events: f64,
    /// Events a second.
    #[serde(default = "thousand", deserialize_with = "number")]
    rate: f64,
    /// What they are drawn from.
    #[serde(default = "one", deserialize_with = "number")]
    seed: f64,
}

impl ProduceEvents {
    /// Sends to `brokers`.
    pub fn new(brokers: Endpoint) -> Self {
        Self { brokers }
    }
}

#[async_trait]
impl TaskKind for ProduceEvents {
    const NAME: &'static str = "produce_events";
    const SUMMARY: &'static str = "Sends synthetic orders and clicks to Kafka, at a set rate";
    const TIMEOUT: Duration = Duration::from_hours(1);
    /// What was sent cannot be taken back: a second attempt would send more.
    const SAFE_TO_REPEAT: bool = false;

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        let whole = |value: f64, least: f64| value >= least && value.fract() == 0.0 && value <= 1e12;
        if !whole(config.events, 1.0) {
            problems.push(Problem::new("events", format!("{} is not a number of events", config.events)));
        }
        if !(config.rate > 0.0 && config.rate <= 1e7) {
            problems.push(Problem::new("rate", format!("{} is not a rate of events a second", config.rate)));
        }
        if !whole(config.seed, 0.0) {
            problems.push(Problem::new("seed", format!("{} is not a whole number", config.seed)));
        }
        problems
    }

    fn datasets(_config: &Config, output: Option<&Value>) -> Datasets {
        let topics = output.and_then(|output| output["topics"].as_object());
        let writes = topics
            .into_iter()
            .flatten()
            .map(|(topic, events)| Touched { rows: events.as_u64(), ..Dataset::Topic(topic.clone()).into() });
        Datasets { reads: Vec::new(), writes: writes.collect() }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: whole, positive and small")]
    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let problems = Self::check(&config);
        if let Some(problem) = problems.first() {
            return Err(TaskError::user(format!("{}: {}", problem.field, problem.message)));
        }
        let (events, seed) = (config.events as u64, config.seed as u64);
        let brokers = self.brokers.locate()?;
        let brokers = brokers.expose_secret();
        let failed = |error: ProduceError| {
            if error.is_lost_connection() {
                let message = format!("{} was lost at {brokers}; {HINT}", self.brokers.service());
                return TaskError::unreachable(self.brokers.service(), message).because(error);
            }
            TaskError::external("the events could not be sent").because(error)
        };
        producer::create_topics(brokers, &TOPICS, PARTITIONS).await.map_err(|error| {
            let message = format!("{} cannot be reached at {brokers}; {HINT}", self.brokers.service());
            TaskError::unreachable(self.brokers.service(), message).because(error)
        })?;
        let start = Utc::now();
        let attack_every = TimeDelta::milliseconds((config.events / config.rate * 1e3 / f64::from(ATTACKS)) as i64 + 1);
        let shop = Shop::new(Settings { days: 30, ..Settings::new(seed, start) });
        let traffic = Traffic { events_per_s: config.rate, attack_every: Some(attack_every), ..Traffic::default() };
        let mut by_topic: BTreeMap<&str, u64> = BTreeMap::new();
        let mut attacks = 0_u64;
        let stream = EventStream::of(shop, seed, start, traffic).inspect(|event| {
            *by_topic.entry(event.topic).or_default() += 1;
            attacks += u64::from(event.truth.as_ref().is_some_and(|truth| truth.kind == "attack"));
        });
        let pace = Pace { rate: Some(config.rate), events: Some(events), duration: None };
        let sent = producer::produce(brokers, stream.map(Outgoing::from), pace, &task.cancel).await.map_err(failed)?;
        if task.cancel.is_cancelled() {
            return Err(TaskError::external(format!("stopped after {} of {events} events", sent.events)));
        }
        task.log.info(format!("{} events in {:.1} s, {attacks} of them parts of attacks", sent.events, sent.seconds));
        Ok(json!({
            "events": sent.events,
            "bytes": sent.bytes,
            "seconds": sent.seconds,
            "attack_events": attacks,
            "topics": by_topic,
        }))
    }
}

impl From<Event> for Outgoing {
    fn from(event: Event) -> Self {
        let payload = event.payload();
        Self { topic: event.topic.to_owned(), key: event.key, payload }
    }
}

/// A number, or the text of one: a template yields text.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }
    match Written::deserialize(from)? {
        Written::Number(number) => Ok(number),
        Written::Text(text) => {
            let trimmed = text.trim();
            trimmed.parse().map_err(|_| serde::de::Error::custom(format!("`{trimmed}` is not a number")))
        }
    }
}

fn thousand() -> f64 {
    1_000.0
}

fn one() -> f64 {
    1.0
}
