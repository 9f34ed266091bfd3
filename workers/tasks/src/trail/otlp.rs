//! Spans by the `OpenTelemetry` protocol, as JSON over HTTP.
//!
//! A run is a span with those of its attempts below it, in a trace of its own. Spans are made when something has ended, from
//! what the tables say of it, so nothing has to be kept in memory while it runs.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use warehouse::trail::{AttemptFacts, EndFacts, Event, RunFacts};

use super::ids::Ids;

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u8 = 1;
/// `STATUS_CODE_UNSET`, `_OK`, `_ERROR`.
const CODES: [u8; 3] = [0, 1, 2];

/// Encodes spans.
#[derive(Debug, Clone)]
pub(super) struct Otlp {
    pub(super) ids: Ids,
    /// `service.name`.
    pub(super) service: String,
}

impl Otlp {
    /// The span that an event ends, if it ends one.
    pub(super) fn span(&self, event: &Event) -> Option<Value> {
        match event {
            Event::RunEnded(run, end) => Some(self.of_run(run, end)),
            Event::AttemptEnded(run, attempt, end) => Some(self.of_attempt(run, attempt, end)),
            Event::RunBegan(_) | Event::AttemptBegan(..) => None,
        }
    }

    /// A request with these spans.
    pub(super) fn request(&self, spans: &[Value]) -> Value {
        json!({ "resourceSpans": [{
            "resource": { "attributes": [
                text("service.name", &self.service),
                text("service.version", env!("CARGO_PKG_VERSION")),
                text("service.instance.id", &self.ids.0.to_string()),
            ] },
            "scopeSpans": [{ "scope": { "name": "sluice", "version": env!("CARGO_PKG_VERSION") }, "spans": spans }],
        }] })
    }

    fn trace(&self, run_id: i64, created_at: DateTime<Utc>) -> String {
        self.ids.whole(run_id, created_at).simple().to_string()
    }

    fn of_run(&self, run: &RunFacts, end: &EndFacts) -> Value {
        let links: Vec<Value> = run
            .causes
            .iter()
            .map(|(cause, created_at)| {
                json!({
                    "traceId": self.trace(*cause, *created_at),
                    "spanId": self.ids.run_span(*cause, 0),
                    "attributes": [number("sluice.run.id", *cause)],
                })
            })
            .collect();
        let mut attributes = of(run);
        attributes.extend([
            text("sluice.run.trigger", &run.trigger),
            text("sluice.run.logical_time", &run.logical_time.to_rfc3339()),
            text("sluice.run.state", &end.state),
            number("sluice.run.life", i64::from(run.life)),
            number("sluice.run.queued_ms", (run.began - run.created_at).num_milliseconds().max(0)),
        ]);
        json!({
            "traceId": self.trace(run.run_id, run.created_at),
            "spanId": self.ids.run_span(run.run_id, run.life),
            "name": run.dag,
            "kind": INTERNAL,
            "startTimeUnixNano": nanos(run.began),
            "endTimeUnixNano": nanos(end.at.max(run.began)),
            "attributes": attributes,
            "links": links,
            "status": status(end),
        })
    }

    fn of_attempt(&self, run: &RunFacts, attempt: &AttemptFacts, end: &EndFacts) -> Value {
        let mut attributes = of(run);
        attributes.extend([
            text("sluice.task", &attempt.task),
            text("sluice.task.kind", &attempt.kind),
            text("sluice.task.queue", &attempt.queue),
            number("sluice.attempt", i64::from(attempt.attempt)),
            text("sluice.attempt.state", &end.state),
        ]);
        attributes.extend(attempt.worker.as_deref().map(|worker| text("sluice.worker", worker)));
        attributes.extend(
            attempt
                .queued_at
                .map(|at| number("sluice.attempt.queued_ms", (attempt.started_at - at).num_milliseconds().max(0))),
        );
        attributes.extend(end.domain.as_deref().map(|domain| text("error.type", domain)));
        json!({
            "traceId": self.trace(run.run_id, run.created_at),
            "spanId": self.ids.attempt_span(attempt),
            "parentSpanId": self.ids.run_span(run.run_id, run.life),
            // Of few names: which item it is, the attributes say.
            "name": attempt.parent.as_deref().unwrap_or(&attempt.task),
            "kind": INTERNAL,
            "startTimeUnixNano": nanos(attempt.started_at),
            "endTimeUnixNano": nanos(end.at.max(attempt.started_at)),
            "attributes": attributes,
            "status": status(end),
        })
    }
}

fn of(run: &RunFacts) -> Vec<Value> {
    vec![text("sluice.dag", &run.dag), text("sluice.dag.version", &run.version), number("sluice.run.id", run.run_id)]
}

fn status(end: &EndFacts) -> Value {
    let [unset, ok, error] = CODES;
    match end.state.as_str() {
        "success" => json!({ "code": ok }),
        "cancelled" | "skipped" => json!({ "code": unset }),
        _ => json!({ "code": error, "message": end.error.as_deref().unwrap_or_default() }),
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// JSON of the protocol writes 64-bit numbers as text.
fn number(key: &str, value: i64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

fn nanos(at: DateTime<Utc>) -> String {
    at.timestamp_nanos_opt().unwrap_or_default().to_string()
}
