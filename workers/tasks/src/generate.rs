//! `generate`: a synthetic shop's past into `MySQL`, in chunks that a killed run picks up again; the same for CSV
//! files; and, in [`live`], a present that goes on.

pub mod csv;
pub mod live;
pub mod mysql;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simshop::Settings;
use workflow::{
    diagnostic::Problem,
    endpoint::Endpoint,
    error::TaskError,
    kind::{TaskContext, TaskKind},
};

/// What the past is made from. What is left out of a second run is taken from the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Everything random follows from it.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Multiplies customers, products and orders: 1 is 10,000, 500 and 50,000 a year.
    #[serde(default = "default_scale")]
    pub scale: f64,
    /// Length of the past in days.
    #[serde(default = "default_days")]
    pub days: u32,
    /// Where it ends; without it, when the shop was first generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Share of rows with a planted fault.
    #[serde(default = "default_dirty_rate")]
    pub dirty_rate: f64,
}

fn default_seed() -> u64 {
    42
}

fn default_scale() -> f64 {
    1.0
}

fn default_days() -> u32 {
    365
}

fn default_dirty_rate() -> f64 {
    0.01
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: default_seed(),
            scale: default_scale(),
            days: default_days(),
            until: None,
            dirty_rate: default_dirty_rate(),
        }
    }
}

impl Config {
    /// What is wrong with the numbers.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(self.scale > 0.0 && self.scale <= 1_000.0) {
            problems.push(Problem::new("scale", format!("`{}` is not above 0 and at most 1000", self.scale)));
        }
        if !(1..=3_650).contains(&self.days) {
            problems.push(Problem::new("days", format!("`{}` is not between 1 and 3650", self.days)));
        }
        if !(0.0..=0.5).contains(&self.dirty_rate) {
            problems.push(Problem::new("dirty_rate", format!("`{}` is not between 0 and 0.5", self.dirty_rate)));
        }
        problems
    }

    /// Settings for a past that ends at `until` where the config does not say, on the full minute.
    pub fn settings(&self, until: DateTime<Utc>) -> Settings {
        let until = self.until.unwrap_or(until);
        Settings {
            seed: self.seed,
            scale: self.scale,
            days: self.days,
            until: until.duration_trunc(TimeDelta::minutes(1)).unwrap_or(until),
            dirty_rate: self.dirty_rate,
        }
    }
}

/// The kind.
pub struct Generate {
    shop: Endpoint,
}

impl Generate {
    /// Writes to the database at this address, whose tables it creates. Connects when it runs.
    pub fn new(shop: Endpoint) -> Self {
        Self { shop }
    }
}

#[async_trait]
impl TaskKind for Generate {
    const NAME: &'static str = "generate";
    const SUMMARY: &'static str = "A synthetic shop's past into MySQL";
    /// A year at scale 1 takes half a minute; larger shops set their own.
    const TIMEOUT: Duration = Duration::from_mins(20);

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        config.problems()
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let shop = crate::mysql::pool(&self.shop).await?;
        let note = |line| task.log.info(line);
        let written = mysql::write(&shop, &config, task.logical_time, &task.cancel, note).await?;
        Ok(json!({
            "until": written.until,
            "chunks": written.chunks,
            "chunks_written": written.chunks_written,
            "rows_written": written.rows_written,
        }))
    }
}
