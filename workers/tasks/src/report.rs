//! `report`: yesterday in numbers, to the people who asked for it. Everything is read from the marts and from
//! Sluice's own tables in one snapshot; the messages go to the outbox in one fenced transaction, each under a
//! key of the report, the run's logical date and the channel, so that a repeat sends nothing twice.

mod charts;
mod data;
mod page;

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use warehouse::{
    fence,
    outbox::{self, Image, Mail, Message, Payload},
};
use workflow::{
    diagnostic::Problem,
    error::TaskError,
    kind::{Reference, Target, TaskContext, TaskKind},
};

use self::{charts::ChartError, data::DailySales, page::Shop};
use crate::sender::Sender;

/// Which report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    /// The day before the run's, against the same weekday a week before.
    DailySales,
}

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Self::DailySales => "daily_sales",
        }
    }
}

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which report.
    pub report: Name,
    /// Channels that get it.
    pub to: Vec<String>,
}

/// The kind.
pub struct Report {
    pool: PgPool,
    sender: Sender,
}

impl Report {
    /// Reads from and writes to `pool`.
    pub fn new(pool: PgPool, sender: Sender) -> Self {
        Self { pool, sender }
    }
}

#[async_trait]
impl TaskKind for Report {
    const NAME: &'static str = "report";
    const SUMMARY: &'static str = "Yesterday's sales, data quality and alerts, by mail and chat";
    const SCRATCH: bool = true;
    const TIMEOUT: Duration = Duration::from_mins(5);

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        if config.to.is_empty() {
            return vec![Problem::new("to", "nobody gets this report")];
        }
        Vec::new()
    }

    fn references(config: &Config) -> Vec<Reference> {
        let channels = config.to.iter().enumerate();
        channels.map(|(place, name)| Reference::new(format!("to[{place}]"), Target::Channel(name.clone()))).collect()
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let date = day_before(task.logical_time, task.timezone);
        let report = self.read(date, task.logical_time).await?;
        task.log.info(format!("{date}: {} orders, revenue {}", report.totals.orders, report.totals.revenue));
        let messages = self.messages(&config, task, report).await?;

        let mut transaction = self.pool.begin().await.map_err(database)?;
        fence::check(&mut transaction, task.fence).await?;
        let mut queued = 0;
        for message in &messages {
            if outbox::enqueue(&mut transaction, message).await?.is_some() {
                queued += 1;
            } else {
                task.log.info(format!("{} has this report already", message.channel));
            }
        }
        transaction.commit().await.map_err(database)?;
        Ok(json!({ "report": config.report.as_str(), "date": date, "messages": queued }))
    }
}

impl Report {
    async fn read(&self, date: NaiveDate, at: DateTime<Utc>) -> Result<DailySales, TaskError> {
        let mut snapshot =
            self.pool.begin_with("begin isolation level repeatable read, read only").await.map_err(database)?;
        DailySales::read(&mut snapshot, date, at).await.map_err(|error| {
            // 42P01: a table that nobody has built yet.
            if error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some("42P01") {
                TaskError::external("the marts that this report reads are not built yet; run daily_sales first")
                    .because(error)
            } else {
                database(error)
            }
        })
    }

    async fn messages(
        &self,
        config: &Config,
        task: &TaskContext,
        report: DailySales,
    ) -> Result<Vec<Message>, TaskError> {
        let sender = self.sender.clone();
        let logical_date = task.logical_time.with_timezone(&task.timezone).date_naive();
        let (name, to) = (config.report.as_str(), config.to.clone());
        // Drawing takes tenths of a second of pure computation.
        let drawn = tokio::task::spawn_blocking(move || -> Result<Vec<Message>, ChartError> {
            let shop = Shop { name: &sender.project, currency: &sender.currency, web: sender.web.as_deref() };
            let by_mail = to.iter().any(|channel| !sender.is_chat(channel));
            let mail = if by_mail { Some(compose(&shop, &report)?) } else { None };
            let message = |channel: String| Message {
                dedupe_key: format!("report:{name}:{logical_date}:{channel}"),
                alert_id: None,
                subject: page::subject(&shop, &report),
                payload: match &mail {
                    Some(mail) if !sender.is_chat(&channel) => Payload::Mail(mail.clone()),
                    _ => Payload::Notice(page::notice(&shop, &report)),
                },
                channel,
            };
            Ok(to.into_iter().map(message).collect())
        });
        drawn
            .await
            .map_err(|e| TaskError::internal("the report could not be drawn").because(e))?
            .map_err(|e| TaskError::internal("the report could not be drawn").because(e))
    }
}

/// The report as a mail, with its charts for light and for dark.
fn compose(shop: &Shop<'_>, report: &DailySales) -> Result<Mail, ChartError> {
    let image = |cid: &str, png: Vec<u8>| Image {
        cid: cid.to_owned(),
        mime: "image/png".to_owned(),
        base64: BASE64_STANDARD.encode(png),
    };
    let mut images = vec![
        image("trend-day", charts::trend(&report.trend, &charts::LIGHT)?),
        image("trend-night", charts::trend(&report.trend, &charts::DARK)?),
    ];
    if !report.departments.is_empty() {
        images.push(image("departments-day", charts::departments(&report.departments, &charts::LIGHT)?));
        images.push(image("departments-night", charts::departments(&report.departments, &charts::DARK)?));
    }
    Ok(Mail { html: page::mail(shop, report), text: page::plain(shop, report), images })
}

/// The local day before the one that `at` falls on.
fn day_before(at: DateTime<Utc>, timezone: Tz) -> NaiveDate {
    let today = at.with_timezone(&timezone).date_naive();
    today.checked_sub_days(Days::new(1)).unwrap_or(today)
}

fn database(error: sqlx::Error) -> TaskError {
    TaskError::external("Postgres failed").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_the_shops_own() {
        let at: DateTime<Utc> = "2026-06-10T22:30:00Z".parse().expect("an instant");
        assert_eq!(day_before(at, Tz::UTC).to_string(), "2026-06-09");
        assert_eq!(day_before(at, Tz::Europe__Berlin).to_string(), "2026-06-10");
    }
}
