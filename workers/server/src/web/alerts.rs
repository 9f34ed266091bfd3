//! Alerts, and the messages that told of them.

use axum::extract::{Query, State as Extract};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    format::{ago, count, duration, encode, time},
    layout::{Live, OrPage, Page, Section, WebError},
    parts::{badge, empty, filters, pager},
};
use crate::{
    api::extract::cursor,
    state::State,
    store::alerts::{self, Alert, AlertFilter, Delivery},
};

#[derive(Debug, Default, Deserialize)]
pub(super) struct AlertQuery {
    severity: Option<String>,
    source: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn page(Extract(state): Extract<State>, Query(query): Query<AlertQuery>) -> Result<Markup, WebError> {
    let before = cursor(query.cursor.as_deref()).or_page(&state)?;
    let (source, severity) = (query.source.clone(), query.severity.clone());
    let filter = AlertFilter { source, severity, state: None, before, limit: 50 };
    let page = alerts::list(state.pool(), &filter).await.or_page(&state)?;
    let address = match (&query.severity, &query.source) {
        (Some(severity), _) => format!("/alerts?severity={}", encode(severity)),
        (None, Some(source)) => format!("/alerts?source={}", encode(source)),
        (None, None) => "/alerts".to_owned(),
    };
    let body = html! {
        (filters("severity", "/alerts", query.severity.as_deref(), &["critical", "high", "medium", "low"]))
        section.card.flush { (alert_table(&page.items, &state)) }
        (pager(page.next_cursor.as_ref(), &address))
    };
    let lead = html! { "Raised by stream rules, gates, stock and failed runs. Each is raised once and told once." };
    let live = if before.is_none() { Live::Every(2000) } else { Live::No };
    Ok(Page { lead, live, body, ..Page::new(Section::Alerts, "Alerts") }.render(&state))
}

fn alert_table(alerts: &[Alert], state: &State) -> Markup {
    let zone = state.timezone();
    html! {
        @if alerts.is_empty() {
            (empty("No alerts", "Rules stand in dags/streams/; a backtest shows what they would have raised.", Some("sluice stream backtest fraud")))
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "Severity" } th { "Alert" } th { "Rule" } th.end { "Noticed" } th.end { "Raised" } th { "Told" } } }
                    tbody {
                        @for alert in alerts {
                            tr {
                                td { (badge(&alert.severity)) }
                                td { div.message { (alert.message) } div.sub { code { (alert.key) } } }
                                td.nowrap { (alert.rule) div.sub { a href={ "/alerts?source=" (encode(&alert.source)) } { (alert.source) } } }
                                td.num title="From the event to the alert" { (latency(alert)) }
                                td.end.nowrap { (time(alert.raised_at, zone)) div.sub { (ago(alert.raised_at, zone)) } }
                                td { @if alert.delivered_at.is_some() { (badge("delivered")) } @else { (badge("pending")) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn latency(alert: &Alert) -> String {
    let seconds = (alert.raised_at - alert.event_time).num_milliseconds() as f64 / 1000.0;
    if seconds >= 0.0 { format!("{} later", duration(seconds)) } else { "–".to_owned() }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct DeliveryQuery {
    state: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn deliveries(
    Extract(state): Extract<State>,
    Query(query): Query<DeliveryQuery>,
) -> Result<Markup, WebError> {
    let before = cursor(query.cursor.as_deref()).or_page(&state)?;
    let page = alerts::deliveries(state.pool(), query.state.as_deref(), None, before, 50).await.or_page(&state)?;
    let address =
        query.state.as_ref().map_or_else(|| "/deliveries".to_owned(), |s| format!("/deliveries?state={}", encode(s)));
    let body = html! {
        (filters("state", "/deliveries", query.state.as_deref(), &["pending", "sending", "delivered", "failed"]))
        section.card.flush { (delivery_table(&page.items, &state)) }
        (pager(page.next_cursor.as_ref(), &address))
    };
    let lead =
        html! { "Reports and alerts by mail and Slack. A message is written with what it tells, and sent once." };
    let live = if before.is_none() { Live::Every(3000) } else { Live::No };
    Ok(Page { lead, live, body, ..Page::new(Section::Deliveries, "Deliveries") }.render(&state))
}

fn delivery_table(messages: &[Delivery], state: &State) -> Markup {
    html! {
        @if messages.is_empty() {
            (empty("No messages", "The daily report and every alert with a channel appear here.", Some("sluice run daily_report --wait")))
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "Subject" } th { "Channel" } th { "State" } th { "Where" } th.end { "Tries" } th.end { "Written" } } }
                    tbody {
                        @for message in messages {
                            tr {
                                td.wide { div.message { (message.subject) } @if let Some(error) = &message.error { div.sub.bad-text { (error) } } }
                                td.nowrap { code { (message.channel) } }
                                td { (badge(&message.state)) }
                                td { @if let Some(location) = &message.location { div.clip.sub title=(location) { (location) } } @else { span.sub { "–" } } }
                                td.num { (count(message.attempts.into())) }
                                td.end.sub.nowrap { (ago(message.created_at, state.timezone())) }
                            }
                        }
                    }
                }
            }
        }
    }
}
