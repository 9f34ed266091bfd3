//! Messages to people, written in the transaction that decides them and sent later, once.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::error::WarehouseError;

/// One message to one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What makes a repeat the same message.
    pub dedupe_key: String,
    /// A channel of `sluice.yaml`.
    pub channel: String,
    /// The alert that it tells of.
    pub alert_id: Option<i64>,
    /// The mail's subject, or what a list of deliveries shows.
    pub subject: String,
    /// What it says.
    pub payload: Payload,
}

/// What a message says, as stored in `sluice.outbox.payload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Payload {
    /// A short notice; whoever delivers it renders it for mail or Slack.
    Notice(Notice),
    /// A composed mail; other channels show its plain text.
    Mail(Mail),
    /// What a person said of a case. It goes to channels that keep track of cases.
    Case(Notice),
}

/// A short notice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// `low`, `medium`, `high` or `critical`; or `info`.
    pub severity: String,
    /// One line.
    pub title: String,
    /// A paragraph.
    pub text: String,
    /// What led to it, a sentence each.
    #[serde(default)]
    pub why: Vec<String>,
    /// Facts, in order: name and value.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
    /// Where many come at once its title says enough of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub brief: bool,
    /// Where to read on.
    #[serde(default)]
    pub link: Option<String>,
}

/// A composed mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The HTML part; it shows images as `cid:<cid>`.
    pub html: String,
    /// The plain part.
    pub text: String,
    /// Inline images.
    #[serde(default)]
    pub images: Vec<Image>,
}

/// An inline image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its content id.
    pub cid: String,
    /// `image/png`.
    pub mime: String,
    /// The bytes.
    pub base64: String,
}

/// Puts a message in the outbox, in the caller's transaction. `None`: it was there already.
pub async fn enqueue(connection: &mut PgConnection, message: &Message) -> Result<Option<i64>, WarehouseError> {
    let id = sqlx::query_scalar(include_str!("../../../sql/engine/enqueue_message.sql"))
        .bind(&message.dedupe_key)
        .bind(&message.channel)
        .bind(message.alert_id)
        .bind(&message.subject)
        .bind(serde_json::to_value(&message.payload)?)
        .fetch_optional(connection)
        .await?;
    Ok(id)
}
