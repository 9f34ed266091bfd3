//! Slack: Block Kit through an incoming webhook, or kept as `.json`.

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use warehouse::outbox::{Notice, Payload};

use super::{Claimed, Undelivered, files::Folder, http};

/// Slack's limit for a header, in characters.
const HEADER: usize = 150;
/// For a section's text.
const SECTION: usize = 3_000;
/// For a field.
const FIELD: usize = 2_000;
/// Fields of a section at most.
const FIELDS: usize = 10;

/// Sends to webhooks, or files.
pub(super) struct Slack {
    project: String,
    client: Client,
    folder: Folder,
}

impl Slack {
    pub(super) fn new(project: String, client: Client, folder: Folder) -> Self {
        Self { project, client, folder }
    }

    pub(super) async fn send(&self, message: &Claimed, webhook: Option<&SecretString>) -> Result<String, Undelivered> {
        let body = self.compose(message);
        let Some(webhook) = webhook else { return self.folder.put_json(message, &body).await };
        http::deliver("Slack", self.client.post(webhook.expose_secret()).json(&body)).await?;
        Ok("slack".to_owned())
    }

    fn compose(&self, message: &Claimed) -> Value {
        match &message.payload.0 {
            Payload::Notice(notice) | Payload::Case(notice) => blocks(&self.project, &message.subject, notice),
            Payload::Mail(mail) => {
                let notice = Notice {
                    severity: "info".to_owned(),
                    title: message.subject.clone(),
                    text: mail.text.clone(),
                    ..Notice::default()
                };
                blocks(&self.project, &message.subject, &notice)
            }
        }
    }
}

/// The message: a heading, the text, the facts, and where to read on. `text` is what notifications show.
fn blocks(project: &str, subject: &str, notice: &Notice) -> Value {
    let sign = match notice.severity.as_str() {
        "critical" | "high" => ":red_circle: ",
        "medium" => ":large_orange_circle: ",
        "low" => ":large_yellow_circle: ",
        _ => "",
    };
    let heading = cut(&format!("{sign}{}", notice.title), HEADER);
    let mut blocks =
        vec![json!({ "type": "header", "text": { "type": "plain_text", "text": heading, "emoji": true } })];
    if !notice.text.trim().is_empty() {
        let text = cut(&escape(&notice.text), SECTION);
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }));
    }
    if !notice.why.is_empty() {
        let why: Vec<_> = notice.why.iter().map(|why| format!("• {}", escape(why))).collect();
        let text = cut(&why.join("\n"), SECTION);
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }));
    }
    for fields in notice.fields.chunks(FIELDS) {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| {
                let text = format!("*{}*\n{}", escape(name), escape(value));
                json!({ "type": "mrkdwn", "text": cut(&text, FIELD) })
            })
            .collect();
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    let mut context = format!("{} · Sluice", escape(project));
    if let Some(link) = &notice.link {
        context = format!("<{}|Open in Sluice> · {context}", escape(link));
    }
    blocks.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": context }] }));
    json!({ "text": cut(&escape(subject), SECTION), "blocks": blocks })
}

/// The three characters that mean something to Slack.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// At most `limit` characters, the last of them an ellipsis if some are missing.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit - 1).collect();
    // Half an entity would be shown as it is.
    if let Some(start) = short.rfind('&').filter(|start| !short[*start..].contains(';')) {
        short.truncate(start);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_to_slacks_limits() {
        let notice = Notice {
            severity: "high".to_owned(),
            title: "x".repeat(400),
            text: "a < b & c ".repeat(600),
            why: vec!["count(*) is 7, 6 was allowed & more".repeat(200)],
            fields: (0..23).map(|n| (format!("field {n}"), "v".repeat(3_000))).collect(),
            link: Some("http://127.0.0.1:8180/alerts/1".to_owned()),
            brief: false,
        };
        let message = blocks("SimMart", "subject", &notice);
        let all = message["blocks"].as_array().expect("blocks");
        assert_eq!(all.len(), 7);
        for block in all {
            for text in block["fields"].as_array().into_iter().flatten().chain([&block["text"]]) {
                let length = text["text"].as_str().map_or(0, |text| text.chars().count());
                assert!(length <= SECTION, "{length}");
            }
            assert!(block["fields"].as_array().is_none_or(|fields| fields.len() <= FIELDS));
        }
        let text = all[1]["text"]["text"].as_str().expect("text");
        assert!(text.contains("a &lt; b &amp; c") && text.ends_with('…'));
    }

    #[test]
    fn no_entity_is_cut_in_half() {
        assert_eq!(cut("ab&amp;cd", 6), "ab…");
        assert_eq!(cut("abcd", 4), "abcd");
    }
}
