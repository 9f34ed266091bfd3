//! Server-sent events. A browser that lost its connection says in `Last-Event-ID` what it saw last, and gets
//! what it missed: no alert and no log line twice, none left out.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State as Extract,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use utoipa::IntoParams;

use crate::{
    access::Pass,
    api::{
        extract::{ApiPath, ApiQuery},
        runs::no_run,
    },
    error::{ApiError, Problem, StoreError},
    state::State,
    store::{alerts, runs},
};

/// How often a stream looks for news.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a stream goes on after its token was revoked or has expired, or its log-in has ended.
const RECHECK: Duration = Duration::from_secs(5);
/// The most alerts that one look sends; the next look goes on behind them.
const ALERTS: i64 = 100;
/// How many log lines one look reads.
const LINES: i64 = 500;

/// Where a page's events come from. It remembers what it has sent.
trait Source: Send + 'static {
    /// What is new since the last look.
    fn look(&mut self, state: &State) -> impl Future<Output = Result<Vec<Event>, StoreError>> + Send;
}

/// Looks once a second and sends what is new, until the server stops or the listener may no longer listen. While the
/// database does not answer nothing is sent; the connection stays, and goes on where it was.
fn respond(source: impl Source, state: State, pass: Pass) -> Response {
    let stop = state.cancel().clone();
    let mut clock = interval(PERIOD);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let running = Running { source, state, clock, pass, asked: Instant::now(), ready: VecDeque::new() };
    let events = stream::unfold(running, next);
    Sse::new(events.take_until(stop.cancelled_owned())).keep_alive(KeepAlive::default()).into_response()
}

struct Running<S> {
    source: S,
    state: State,
    clock: Interval,
    pass: Pass,
    /// When the pass was looked at last.
    asked: Instant,
    /// What is to be sent.
    ready: VecDeque<Event>,
}

async fn next<S: Source>(mut running: Running<S>) -> Option<(Result<Event, Infallible>, Running<S>)> {
    loop {
        if let Some(event) = running.ready.pop_front() {
            return Some((Ok(event), running));
        }
        running.clock.tick().await;
        if running.asked.elapsed() >= RECHECK {
            match running.pass.holds(&running.state).await {
                Ok(true) => running.asked = Instant::now(),
                Ok(false) => return None,
                // Nothing is sent to someone of whom nobody knows whether they may read it.
                Err(_) => continue,
            }
        }
        match running.source.look(&running.state).await {
            Ok(events) => running.ready.extend(events),
            Err(cause) => tracing::warn!(error = %cause, "an event stream could not look for news"),
        }
    }
}

fn event(name: &str, id: impl AsRef<str>, data: &impl Serialize) -> Event {
    Event::default().event(name).id(id).data(serde_json::to_string(data).unwrap_or_default())
}

fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|value| value.to_str().ok())
}

/// The last alert that a page was told of, and the revision of the board that it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BoardSource {
    alert_id: i64,
    revision: String,
}

impl BoardSource {
    /// Reads back an event's id: `<alert>-<revision>`.
    fn parse(id: &str) -> Option<Self> {
        let (alert_id, revision) = id.split_once('-')?;
        Some(Self { alert_id: alert_id.parse().ok()?, revision: revision.to_owned() })
    }

    fn id(&self) -> String {
        format!("{}-{}", self.alert_id, self.revision)
    }
}

impl Source for BoardSource {
    async fn look(&mut self, state: &State) -> Result<Vec<Event>, StoreError> {
        let board = state.board().await?;
        let mut events = Vec::new();
        for alert in alerts::after(state.pool(), self.alert_id, ALERTS).await? {
            self.alert_id = alert.alert_id;
            events.push(event("alert", self.id(), &alert));
        }
        if board.revision != self.revision {
            self.revision.clone_from(&board.revision);
            events.push(event("board", self.id(), board.as_ref()));
        }
        Ok(events)
    }
}

/// The board as it changes: an event `board` with the whole board whenever it differs, and an event `alert`
/// for each alert raised. Send `Last-Event-ID` to go on where a connection was lost.
#[utoipa::path(get, path = "/api/v1/board/stream", tag = "streams",
    params(("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event seen")),
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub(crate) async fn board_stream(Extract(state): Extract<State>, headers: HeaderMap) -> Result<Response, ApiError> {
    let source = if let Some(seen) = last_event_id(&headers).and_then(BoardSource::parse) {
        seen
    } else {
        let newest = sqlx::query_scalar("select coalesce(max(alert_id), 0) from sluice.alerts");
        BoardSource { alert_id: newest.fetch_one(state.pool()).await?, revision: String::new() }
    };
    Ok(respond(source, state, Pass::of(&headers, "/api/v1/board/stream")))
}

/// Which log to follow.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Follow {
    /// Which attempt.
    attempt: i32,
    /// Lines after this `seq` only; `Last-Event-ID` goes before it.
    after: Option<i64>,
}

struct LogSource {
    run_id: i64,
    task: String,
    attempt: i32,
    seq: i64,
    ended: bool,
}

impl Source for LogSource {
    async fn look(&mut self, state: &State) -> Result<Vec<Event>, StoreError> {
        // Whether it has ended is read before the lines: what was written before the end is then among them.
        let attempts = runs::attempts(state.pool(), self.run_id, Some(&self.task)).await?;
        let ended = attempts.iter().any(|a| a.attempt == self.attempt && a.finished_at.is_some());
        let lines = runs::logs(state.pool(), (self.run_id, &self.task, self.attempt), self.seq, LINES).await?;
        let mut events = Vec::new();
        for line in &lines {
            self.seq = line.seq;
            events.push(event("line", line.seq.to_string(), line));
        }
        if ended && lines.is_empty() && !self.ended {
            self.ended = true;
            events.push(event("end", self.seq.to_string(), &self.attempt));
        }
        Ok(events)
    }
}

/// An attempt's log as it grows: an event `line` for each line, and `end` once the attempt has ended and all
/// its lines are sent. Send `Last-Event-ID` to go on where a connection was lost.
#[utoipa::path(get, path = "/api/v1/runs/{run_id}/tasks/{task}/logs/stream", tag = "runs",
    params(("run_id" = i64, Path), ("task" = String, Path), Follow,
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event seen")),
    responses((status = 200, content_type = "text/event-stream", body = String),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn log_stream(
    Extract(state): Extract<State>,
    ApiPath((run_id, task)): ApiPath<(i64, String)>,
    ApiQuery(follow): ApiQuery<Follow>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    runs::get(state.pool(), run_id).await?.ok_or_else(|| no_run(run_id))?;
    let seq = last_event_id(&headers).and_then(|id| id.parse().ok()).or(follow.after).unwrap_or(-1);
    let pass = Pass::of(&headers, "/api/v1/runs/{run_id}/tasks/{task}/logs/stream");
    Ok(respond(LogSource { run_id, task, attempt: follow.attempt, seq, ended: false }, state, pass))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_says_where_to_go_on() {
        let seen = BoardSource { alert_id: 41, revision: "00ff".to_owned() };
        assert_eq!(BoardSource::parse(&seen.id()), Some(seen));
        assert_eq!(BoardSource::parse("x-00ff"), None);
        assert_eq!(BoardSource::parse(""), None);
    }
}
