//! Alerts to Prometheus' Alertmanager (API v2), or kept as `.json`.
//!
//! What Alertmanager takes for one alert is a rule's alerts in one case: its labels are rule, source, key, severity and
//! case. It fires until a person settles the case; whichever message is sent last says how that stands.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use warehouse::outbox::{Notice, Payload};

use super::{Claimed, Undelivered, files::Folder, http, told::Told};

/// An alert whose case nobody settles ends after this.
const LASTS: TimeDelta = TimeDelta::days(30);
/// What tells of no alert, a run that failed or a report, ends after this.
const NOTED: TimeDelta = TimeDelta::hours(1);

/// An alert as `POST /api/v2/alerts` takes it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

/// Posts to an Alertmanager, or files.
pub(super) struct Alertmanager {
    project: String,
    client: Client,
    folder: Folder,
}

impl Alertmanager {
    pub(super) fn new(project: String, client: Client, folder: Folder) -> Self {
        Self { project, client, folder }
    }

    /// `page` is where the web page is, for links.
    pub(super) async fn send(
        &self,
        message: &Claimed,
        told: &Told,
        url: Option<&SecretString>,
        page: Option<&str>,
    ) -> Result<String, Undelivered> {
        let posted = compose(&self.project, message, told, page, Utc::now());
        let Some(url) = url else { return self.folder.put_json(message, &posted).await };
        let url = format!("{}/api/v2/alerts", url.expose_secret().trim_end_matches('/'));
        http::deliver("Alertmanager", self.client.post(url).json(&posted)).await?;
        Ok("alertmanager".to_owned())
    }
}

fn compose(project: &str, message: &Claimed, told: &Told, page: Option<&str>, now: DateTime<Utc>) -> Vec<Posted> {
    if told.alerts.is_empty() && told.messages.is_empty() {
        return vec![noted(project, &message.subject, message.created_at, &message.payload, now)];
    }
    let mut posted: BTreeMap<BTreeMap<String, String>, Posted> = BTreeMap::new();
    for alert in &told.alerts {
        let case = alert.case_id.map(|id| id.to_string()).unwrap_or_default();
        let labels = [
            ("alertname", &alert.rule),
            ("source", &alert.source),
            ("key", &alert.key),
            ("severity", &alert.severity),
            ("case", &case),
            ("project", &project.to_owned()),
        ];
        let mut labels: BTreeMap<_, _> =
            labels.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let own = alert.detail["labels"].as_object().into_iter().flatten();
        for (name, value) in own.filter(|(name, _)| is_label(name)) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            labels.entry(name.clone()).or_insert(value);
        }
        let annotations = [("summary", alert.message.clone()), ("description", alert.why().join("\n"))];
        let one = Posted {
            labels: labels.clone(),
            annotations: annotations.map(|(name, value)| (name.to_owned(), value)).into(),
            starts_at: alert.event_time.min(now),
            ends_at: alert.settled_at.unwrap_or(now + LASTS),
            generator_url: page.map(|page| format!("{page}/alerts/{}", alert.alert_id)),
        };
        posted.entry(labels).and_modify(|first| first.starts_at = first.starts_at.min(one.starts_at)).or_insert(one);
    }
    let noted = told.messages.iter().map(|one| noted(project, &one.subject, one.created_at, &one.payload, now));
    posted.into_values().chain(noted).collect()
}

/// Prometheus' rule for the names of labels.
fn is_label(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn noted(project: &str, subject: &str, at: DateTime<Utc>, payload: &Payload, now: DateTime<Utc>) -> Posted {
    let (severity, text) = match payload {
        Payload::Notice(Notice { severity, text, .. }) | Payload::Case(Notice { severity, text, .. }) => {
            (severity.as_str(), text)
        }
        Payload::Mail(mail) => ("info", &mail.text),
    };
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Posted {
        labels: pairs(&[
            ("alertname", "SluiceMessage"),
            ("subject", subject),
            ("severity", severity),
            ("project", project),
        ]),
        annotations: pairs(&[("summary", subject), ("description", text)]),
        starts_at: at,
        ends_at: now + NOTED,
        generator_url: None,
    }
}
