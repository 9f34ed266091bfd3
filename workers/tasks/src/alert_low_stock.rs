//! `alert_low_stock`: products that have fallen to their reorder point, told once until they are restocked. Each
//! product is an alert of its own; people get one message with an order proposal for each supplier.

mod proposal;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection, PgPool, query, query_as, query_scalar};
use warehouse::{
    alerts::{self, Alert, Severity},
    fence,
    outbox::{self, Message, Payload},
};
use workflow::{
    diagnostic::Problem,
    error::TaskError,
    kind::{Reference, Target, TaskContext, TaskKind},
};

use crate::sender::Sender;

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Channels that are told.
    pub to: Vec<String>,
}

/// The kind.
pub struct AlertLowStock {
    pool: PgPool,
    sender: Sender,
}

/// A product that runs low, and what to order of it.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Low {
    pub(crate) product_id: i64,
    pub(crate) name: String,
    pub(crate) sku: String,
    pub(crate) supplier: String,
    pub(crate) supplier_email: String,
    pub(crate) lead_time_days: i64,
    pub(crate) on_hand: i64,
    pub(crate) reorder_point: i64,
    pub(crate) quantity: i64,
    pub(crate) unit_cost: Decimal,
    pub(crate) places: String,
}

impl Low {
    /// What the proposed order costs.
    pub(crate) fn cost(&self) -> Decimal {
        self.unit_cost * Decimal::from(self.quantity)
    }
}

impl AlertLowStock {
    /// Reads `staging` and writes alerts through `pool`.
    pub fn new(pool: PgPool, sender: Sender) -> Self {
        Self { pool, sender }
    }
}

#[async_trait]
impl TaskKind for AlertLowStock {
    const NAME: &'static str = "alert_low_stock";
    const SUMMARY: &'static str = "Products that run low, with an order proposal, once until restocked";
    const SCRATCH: bool = true;
    const TIMEOUT: Duration = Duration::from_mins(5);

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        if config.to.is_empty() { vec![Problem::new("to", "nobody is told")] } else { Vec::new() }
    }

    fn references(config: &Config) -> Vec<Reference> {
        let channels = config.to.iter().enumerate();
        channels.map(|(place, name)| Reference::new(format!("to[{place}]"), Target::Channel(name.clone()))).collect()
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let mut transaction = self.pool.begin().await.map_err(database)?;
        fence::check(&mut transaction, task.fence).await?;
        // Two runs at once would both find the same products.
        query("select pg_advisory_xact_lock(hashtext('sluice.low_stock'))")
            .execute(&mut *transaction)
            .await
            .map_err(database)?;
        let restocked: Vec<i64> = query_scalar(include_str!("../../../sql/alerts/low_stock_restocked.sql"))
            .bind(task.logical_time)
            .fetch_all(&mut *transaction)
            .await
            .map_err(missing)?;
        let found: Vec<Low> = query_as(include_str!("../../../sql/alerts/low_stock_found.sql"))
            .fetch_all(&mut *transaction)
            .await
            .map_err(missing)?;
        let mut alert_ids = Vec::with_capacity(found.len());
        let mut news = Vec::with_capacity(found.len());
        for low in found {
            // A product that this very run has told of, and that ran low again since, is the next run's.
            if let Some(alert_id) = open(&mut transaction, &low, task).await? {
                alert_ids.push(alert_id);
                news.push(low);
            }
        }
        if !news.is_empty() {
            self.tell(&mut transaction, &config.to, task, &news, &alert_ids).await?;
        }
        transaction.commit().await.map_err(database)?;
        task.log.info(format!("{} products run low, {} were restocked", news.len(), restocked.len()));
        Ok(json!({ "low": news.len(), "restocked": restocked.len() }))
    }
}

impl AlertLowStock {
    async fn tell(
        &self,
        connection: &mut PgConnection,
        to: &[String],
        task: &TaskContext,
        found: &[Low],
        alert_ids: &[i64],
    ) -> Result<(), TaskError> {
        let mut by_supplier: BTreeMap<&str, Vec<&Low>> = BTreeMap::new();
        for low in found {
            by_supplier.entry(&low.supplier).or_default().push(low);
        }
        // The alerts are part of the key: a run that is tried again may find other products.
        let ids: Vec<String> = alert_ids.iter().map(ToString::to_string).collect();
        let alerts = workflow::hex::encode(&Sha256::digest(ids.join(",")));
        for channel in to {
            let payload = if self.sender.is_chat(channel) {
                Payload::Notice(proposal::notice(&self.sender, found))
            } else {
                Payload::Mail(proposal::mail(&self.sender, found, &by_supplier))
            };
            let message = Message {
                dedupe_key: format!(
                    "low_stock:{}:{}:{alerts}:{channel}",
                    task.dag,
                    task.logical_time.timestamp_micros()
                ),
                channel: channel.clone(),
                alert_id: None,
                subject: proposal::subject(found.len()),
                payload,
            };
            if let Some(outbox_id) = outbox::enqueue(connection, &message).await? {
                query("insert into sluice.alert_message (outbox_id, alert_id) select $1, unnest($2::bigint[])")
                    .bind(outbox_id)
                    .bind(alert_ids)
                    .execute(&mut *connection)
                    .await
                    .map_err(database)?;
            }
        }
        Ok(())
    }
}

/// Raises the product's alert and remembers that it is open.
async fn open(connection: &mut PgConnection, low: &Low, task: &TaskContext) -> Result<Option<i64>, TaskError> {
    let alert = Alert {
        dedupe_key: format!("low_stock:{}:{}", low.product_id, task.logical_time.timestamp_micros()),
        source: task.dag.clone(),
        rule: "low_stock".to_owned(),
        severity: if low.on_hand <= 0 { Severity::High } else { Severity::Medium },
        key: low.product_id.to_string(),
        event_time: task.logical_time,
        message: format!("{} runs low: {} left at {}", low.name, low.on_hand, low.places),
        detail: json!({
            "product_id": low.product_id,
            "sku": low.sku,
            "on_hand": low.on_hand,
            "reorder_point": low.reorder_point,
            "supplier": low.supplier,
            "order_quantity": low.quantity,
            "order_cost": low.cost(),
        }),
        fields: Vec::new(),
        link: None,
    };
    let alert_id = alerts::note(connection, &alert).await?;
    if let Some(alert_id) = alert_id {
        query("insert into sluice.low_stock (product_id, alert_id, opened_at) values ($1, $2, $3)")
            .bind(low.product_id)
            .bind(alert_id)
            .bind(task.logical_time)
            .execute(connection)
            .await
            .map_err(database)?;
    }
    Ok(alert_id)
}

fn database(error: sqlx::Error) -> TaskError {
    TaskError::external("Postgres failed").because(error)
}

fn missing(error: sqlx::Error) -> TaskError {
    // 42P01: a table that nothing was loaded into yet.
    if error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some("42P01") {
        return TaskError::external("staging does not have all of the stock's tables yet; run daily_sales first")
            .because(error);
    }
    database(error)
}
