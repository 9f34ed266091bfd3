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

use super::{Claimed, Undelivered, files::Folder, http, told::Told};

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
        told: &[Told],
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

fn compose(project: &str, message: &Claimed, told: &[Told]) -> Value {
    let kind = match (&message.payload.0, message.alert_id, told.is_empty()) {
        (Payload::Case(_), ..) => "case",
        (_, Some(_), _) => "alert",
        (_, None, false) => "alerts",
        (_, None, true) => "message",
    };
    let empty = Notice::default();
    let (notice, text) = match &message.payload.0 {
        Payload::Notice(notice) | Payload::Case(notice) => (notice, &notice.text),
        Payload::Mail(mail) => (&empty, &mail.text),
    };
    let case = told.first().filter(|_| kind == "case");
    let case = case
        .map(|alert| json!({ "case_id": alert.case_id, "state": alert.case_state, "settled_at": alert.settled_at }));
    json!({
        "version": 1, "kind": kind, "project": project, "written_at": message.created_at, "subject": message.subject,
        "severity": notice.severity, "title": notice.title, "text": text, "why": notice.why,
        "fields": notice.fields.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
        "link": notice.link, "case": case, "alerts": told.iter().map(Told::json).collect::<Vec<_>>(),
    })
}
