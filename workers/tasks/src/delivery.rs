//! Takes messages from the outbox to people and programs: mail by SMTP, chat by Slack's webhook, JSON to a webhook, alerts to
//! Alertmanager, and files in `.sluice/outbox/` for channels that have no address yet.
//!
//! A message is claimed for a while, sent, and then marked. The claim is renewed right before the sending, which must
//! end before the claim does, so no two deliverers send one message at a time. Whoever dies between sending and marking leaves a
//! message that is sent again: delivery is at least once. A repeated mail carries the same Message-ID, made from
//! the message's dedupe key, so that mail systems can tell, as programs can by a webhook's `Idempotency-Key`; Slack has no
//! such thing. Alertmanager takes a repeat for the same alert. Files are written under a
//! name of their own, so a repeat overwrites itself.

mod alertmanager;
mod files;
mod http;
mod limit;
mod mail;
mod notice;
mod slack;
mod told;
mod webhook;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use reqwest::Client;
use sqlx::{
    FromRow, PgPool, Postgres,
    postgres::{PgArguments, PgListener, PgQueryResult},
    query,
    query::Query,
    query_as,
    types::Json,
};
use tokio_util::sync::CancellationToken;
use warehouse::{
    outbox::Payload,
    pool::{PATIENCE, answered},
};
use workflow::project::{Channel, Smtp};

use self::{alertmanager::Alertmanager, files::Folder, mail::Postman, slack::Slack, told::Told, webhook::Webhook};

/// Messages that one pass takes.
const BATCH: i64 = 16;
/// Messages under way at once.
const AT_ONCE: usize = 4;
/// How long a deliverer that is told to stop goes on beginning with messages.
const LAST: Duration = Duration::from_secs(3);
/// How often a deliverer looks by itself.
const LOOK: Duration = Duration::from_secs(1);
/// How long the other side may take to answer a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often, and how patiently, a message is tried.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// How long a claim holds. A sending is broken off after three quarters of it.
    pub lease: Duration,
    /// Attempts before a message is given up.
    pub attempts: i32,
    /// Wait after the first failure; it doubles with each further one.
    pub backoff_from: Duration,
    /// The longest wait.
    pub backoff_to: Duration,
}

impl Default for Policy {
    /// Gives up after about an hour.
    fn default() -> Self {
        Self {
            lease: Duration::from_mins(1),
            attempts: 10,
            backoff_from: Duration::from_secs(5),
            backoff_to: Duration::from_mins(15),
        }
    }
}

impl Policy {
    /// How long a sending may take: less than the claim, so that what becomes of it is noted in time.
    fn patience(&self) -> Duration {
        self.lease / 4 * 3
    }

    fn wait(&self, attempts: i32) -> Duration {
        let doublings = u32::try_from(attempts.clamp(1, 20) - 1).unwrap_or_default();
        self.backoff_from.saturating_mul(2_u32.saturating_pow(doublings)).min(self.backoff_to)
    }
}

/// Who can be told, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The project's name, for mails.
    pub project: String,
    /// Channels by name.
    pub channels: BTreeMap<String, Channel>,
    /// How mail is sent; files without it.
    pub smtp: Option<Smtp>,
    /// `.sluice/outbox`.
    pub folder: PathBuf,
    /// How often a message is tried.
    pub policy: Policy,
}

/// Settings that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// `smtp.url` or `smtp.from`.
    #[error("`smtp` in sluice.yaml cannot be used: {0}")]
    Smtp(String),
    /// The HTTP client could not be made.
    #[error("no HTTP client can be made")]
    Http(#[source] reqwest::Error),
    /// The outbox could not be read or written.
    #[error("the outbox cannot be reached")]
    Outbox(#[from] sqlx::Error),
}

/// Why a message did not arrive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undelivered {
    /// Another attempt may succeed; not before this long if the other side said so.
    #[error("{message}")]
    Later { message: String, after: Option<Duration> },
    /// It will never arrive as it is.
    #[error("{0}")]
    Never(String),
}

impl Undelivered {
    fn later(message: impl Into<String>) -> Self {
        Self::Later { message: message.into(), after: None }
    }
}

impl From<io::Error> for Undelivered {
    fn from(error: io::Error) -> Self {
        Self::later(format!("the outbox folder cannot be written: {error}"))
    }
}

/// A message that this deliverer has claimed.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Claimed {
    pub(crate) outbox_id: i64,
    pub(crate) dedupe_key: String,
    pub(crate) channel: String,
    pub(crate) subject: String,
    pub(crate) payload: Json<Payload>,
    pub(crate) attempts: i32,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) alert_id: Option<i64>,
    pub(crate) case_id: Option<i64>,
}

impl Claimed {
    /// Whether it tells of many messages that found no place of their own.
    fn is_bundle(&self) -> bool {
        self.dedupe_key.starts_with(limit::BUNDLE)
    }
}

/// Delivers what is in the outbox. Any number may run.
pub struct Deliverer {
    pool: PgPool,
    channels: BTreeMap<String, Channel>,
    policy: Policy,
    page: Option<String>,
    limited: Vec<String>,
    postman: Postman,
    slack: Slack,
    webhook: Webhook,
    alertmanager: Alertmanager,
}

impl Deliverer {
    /// Reads the settings; connects to nobody.
    pub fn new(pool: PgPool, settings: Settings) -> Result<Self, DeliveryError> {
        let Settings { project, channels, smtp, folder, policy } = settings;
        let postman = Postman::new(project.clone(), smtp.as_ref(), Folder::new(folder.join("mail")))?;
        let client = Client::builder().timeout(TIMEOUT).build().map_err(DeliveryError::Http)?;
        let folder = |kind| Folder::new(folder.join(kind));
        let slack = Slack::new(project.clone(), client.clone(), folder("slack"));
        let webhook = Webhook::new(project.clone(), client.clone(), folder("webhook"));
        let alertmanager = Alertmanager::new(project, client, folder("alertmanager"));
        let limited = channels.iter().filter(|(_, channel)| channel.at_most().is_some());
        let limited = limited.map(|(name, _)| name.clone()).collect();
        Ok(Self { pool, channels, policy, page: None, limited, postman, slack, webhook, alertmanager })
    }

    /// Messages link to the web page, which people reach at `page`.
    #[must_use]
    pub fn with_page(self, page: impl Into<String>) -> Self {
        Self { page: Some(page.into().trim_end_matches('/').to_owned()), ..self }
    }

    /// Says which channels there are: who settles a case has to know whom to tell.
    pub async fn announce(&self) -> Result<(), DeliveryError> {
        let per = |channel: &Channel| channel.at_most().map(|rate| rate.per.0.as_secs_f64());
        let most = |channel: &Channel| channel.at_most().and_then(|rate| i32::try_from(rate.count.get()).ok());
        let note = query(include_str!("../../../sql/delivery/channels.sql"))
            .bind(self.channels.keys().cloned().collect::<Vec<_>>())
            .bind(self.channels.values().map(Channel::kind).collect::<Vec<_>>())
            .bind(self.channels.values().map(Channel::settles).collect::<Vec<_>>())
            .bind(self.channels.values().map(most).collect::<Vec<_>>())
            .bind(self.channels.values().map(per).collect::<Vec<_>>());
        self.note(note).await?;
        Ok(())
    }

    /// Delivers until `cancel`, and then what is due at that moment. A database that goes away is waited for.
    pub async fn run(&self, cancel: &CancellationToken) {
        let mut listener = None;
        while !cancel.is_cancelled() {
            let pass = async {
                if listener.is_none() {
                    let mut fresh = PgListener::connect_with(&self.pool).await?;
                    answered(PATIENCE, fresh.listen("sluice_outbox")).await?;
                    self.announce().await?;
                    listener = Some(fresh);
                }
                self.deliver_due().await
            };
            let wait = match pass.await {
                Ok(0) => LOOK,
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(error = %error, "the outbox waits for its database");
                    listener = None;
                    LOOK * 5
                }
            };
            let woken = async {
                match &mut listener {
                    Some(listener) => drop(listener.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = cancel.cancelled() => {}
                () = woken => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        let stopped = Instant::now();
        while stopped.elapsed() < LAST {
            match self.deliver_due().await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "messages stay in the outbox");
                    break;
                }
            }
        }
    }

    /// Delivers what is due now, a batch at most; gives how many messages were claimed.
    pub async fn deliver_due(&self) -> Result<usize, DeliveryError> {
        for (name, channel) in &self.channels {
            limit::admit(&self.pool, name, channel).await?;
        }
        let claim = query_as(include_str!("../../../sql/delivery/claim.sql"))
            .bind(BATCH)
            .bind(self.policy.lease.as_secs_f64())
            .bind(&self.limited)
            .fetch_all(&self.pool);
        let claimed: Vec<Claimed> = answered(PATIENCE, claim).await?;
        let count = claimed.len();
        let results: Vec<_> =
            stream::iter(claimed).map(|message| self.deliver(message)).buffer_unordered(AT_ONCE).collect().await;
        results.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(count)
    }

    async fn deliver(&self, mut message: Claimed) -> Result<(), DeliveryError> {
        // Others of the pass may have taken their time. Counted from here, the sending ends before the new claim.
        let until = tokio::time::Instant::now() + self.policy.patience();
        let rearm = query(include_str!("../../../sql/delivery/rearm.sql"))
            .bind(message.outbox_id)
            .bind(message.attempts)
            .bind(self.policy.lease.as_secs_f64());
        let held = self.note(rearm).await?;
        if held.rows_affected() == 0 {
            tracing::warn!(outbox_id = message.outbox_id, channel = message.channel, "another deliverer has it");
            return Ok(());
        }
        self.link(&mut message);
        let sent = tokio::time::timeout_at(until, self.send(&message)).await.unwrap_or_else(|_| {
            Err(Undelivered::later(format!("channel `{}` did not answer in time", message.channel)))
        });
        match sent {
            Ok(location) => {
                tracing::info!(outbox_id = message.outbox_id, channel = message.channel, "delivered");
                let note = query(include_str!("../../../sql/delivery/delivered.sql"))
                    .bind(message.outbox_id)
                    .bind(message.attempts)
                    .bind(location);
                self.note(note).await?;
            }
            Err(Undelivered::Later { message: error, after }) if message.attempts < self.policy.attempts => {
                let wait = after.unwrap_or_default().max(self.policy.wait(message.attempts));
                tracing::warn!(
                    outbox_id = message.outbox_id,
                    channel = message.channel,
                    error,
                    ?wait,
                    "not delivered yet"
                );
                let note = query(include_str!("../../../sql/delivery/postponed.sql"))
                    .bind(message.outbox_id)
                    .bind(message.attempts)
                    .bind(wait.as_secs_f64())
                    .bind(error);
                self.note(note).await?;
            }
            Err(error) => {
                tracing::error!(outbox_id = message.outbox_id, channel = message.channel, %error, "given up");
                let note = query(include_str!("../../../sql/delivery/failed.sql"))
                    .bind(message.outbox_id)
                    .bind(message.attempts)
                    .bind(error.to_string());
                self.note(note).await?;
            }
        }
        Ok(())
    }

    /// Runs a statement, which is a short one.
    async fn note(&self, statement: Query<'_, Postgres, PgArguments>) -> sqlx::Result<PgQueryResult> {
        answered(PATIENCE, statement.execute(&self.pool)).await
    }

    /// Where to read on, for messages that do not say so themselves.
    fn link(&self, message: &mut Claimed) {
        let is_bundle = message.is_bundle();
        let (Some(page), Payload::Notice(notice) | Payload::Case(notice)) = (&self.page, &mut message.payload.0) else {
            return;
        };
        let link = match (message.alert_id, message.case_id) {
            (Some(alert_id), _) => format!("{page}/alerts/{alert_id}"),
            (None, Some(case_id)) => format!("{page}/cases/{case_id}"),
            (None, None) if is_bundle => format!("{page}/alerts"),
            (None, None) => return,
        };
        notice.link.get_or_insert(link);
    }

    /// Where the message arrived.
    async fn send(&self, message: &Claimed) -> Result<String, Undelivered> {
        match self.channels.get(&message.channel) {
            Some(Channel::Mail { to, .. }) => self.postman.send(message, to).await,
            Some(Channel::Slack { webhook, .. }) => self.slack.send(message, webhook.as_ref()).await,
            Some(Channel::Webhook { url, secret, .. }) => {
                let told = Told::of(&self.pool, message).await?;
                self.webhook.send(message, &told, url.as_ref(), secret.as_ref()).await
            }
            Some(Channel::Alertmanager { url, .. }) => {
                let told = Told::of(&self.pool, message).await?;
                self.alertmanager.send(message, &told, url.as_ref(), self.page.as_deref()).await
            }
            None => Err(Undelivered::Never(format!("sluice.yaml has no channel `{}`", message.channel))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = Policy { backoff_to: Duration::from_mins(1), ..Policy::default() };
        let waits: Vec<_> = (1..=6).map(|attempts| policy.wait(attempts).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    }
}
