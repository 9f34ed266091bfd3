//! Messages as JSON to a program, signed if there is a secret, or kept as `.json`.
//!
//! The signature is that of `/hooks/NAME`: `Sluice-Signature: t=SECONDS,v1=HEX`, HMAC-SHA256 of the time, a dot, the
//! `Idempotency-Key`, a dot and the body. The key is the same for every attempt at a message.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, header::CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use warehouse::outbox::{Notice, Payload};
use workflow::hex;

use super::{
    Claimed, Undelivered,
    files::Folder,
    http,
    told::{Told, ToldAlert, ToldMessage},
};

/// Posts to programs, or files.
pub(super) struct Webhook {
    project: String,
    client: Client,
    folder: Folder,
}

impl Webhook {
    pub(super) fn new(project: String, client: Client, folder: Folder) -> Self {
        Self { project, client, folder }
    }

    pub(super) async fn send(
        &self,
        message: &Claimed,
        told: &Told,
        url: Option<&SecretString>,
        secret: Option<&SecretString>,
    ) -> Result<String, Undelivered> {
        let body = compose(&self.project, message, told);
        let Some(url) = url else { return self.folder.put_json(message, &body).await };
        let body = serde_json::to_vec(&body).map_err(|e| Undelivered::Never(e.to_string()))?;
        let key = hex::encode(&Sha256::digest(message.dedupe_key.as_bytes())[..16]);
        let mut request = self
            .client
            .post(url.expose_secret())
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", &key);
        if let Some(secret) = secret {
            request = request.header("Sluice-Signature", sign(secret, &key, &body, Utc::now())?);
        }
        http::deliver("the webhook", request.body(body)).await?;
        Ok("webhook".to_owned())
    }
}

fn sign(secret: &SecretString, key: &str, body: &[u8], now: DateTime<Utc>) -> Result<String, Undelivered> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.expose_secret().as_bytes())
        .map_err(|error| Undelivered::Never(format!("the webhook's secret cannot be used: {error}")))?;
    let time = now.timestamp().to_string();
    for part in [time.as_bytes(), b".", key.as_bytes(), b".", body] {
        mac.update(part);
    }
    Ok(format!("t={time},v1={}", hex::encode(&mac.finalize().into_bytes())))
}

fn compose(project: &str, message: &Claimed, told: &Told) -> Value {
    let kind = match (&message.payload.0, message.alert_id, told.alerts.is_empty()) {
        (Payload::Case(_), ..) => "case",
        _ if message.is_bundle() => "bundle",
        (_, Some(_), _) => "alert",
        (_, None, false) => "alerts",
        (_, None, true) => "message",
    };
    let case = told.alerts.first().filter(|_| kind == "case");
    let case = case
        .map(|alert| json!({ "case_id": alert.case_id, "state": alert.case_state, "settled_at": alert.settled_at }));
    let mut body = say(&message.subject, message.created_at, &message.payload.0);
    body["version"] = 1.into();
    body["kind"] = kind.into();
    body["project"] = project.into();
    body["case"] = json!(case);
    body["alerts"] = told.alerts.iter().map(ToldAlert::json).collect();
    body["messages"] = told
        .messages
        .iter()
        .map(|ToldMessage { subject, payload, created_at }| say(subject, *created_at, payload))
        .collect();
    body
}

/// What a message says.
fn say(subject: &str, written_at: DateTime<Utc>, payload: &Payload) -> Value {
    let empty = Notice::default();
    let (notice, text) = match payload {
        Payload::Notice(notice) | Payload::Case(notice) => (notice, &notice.text),
        Payload::Mail(mail) => (&empty, &mail.text),
    };
    json!({
        "written_at": written_at, "subject": subject, "severity": notice.severity, "title": notice.title, "text": text,
        "why": notice.why, "link": notice.link,
        "fields": notice.fields.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
    })
}
