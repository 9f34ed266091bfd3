//! OTLP.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use serde_json::Value;
use warehouse::runs;
use workflow::state::RunState;

use super::{Stage, receiver::Receiver, tell};

/// Every span that was sent, each request checked for what the protocol asks.
fn spans(receiver: &Receiver) -> Vec<Value> {
    let mut spans = Vec::new();
    for request in receiver.requests() {
        assert_eq!(request.path, "/v1/traces");
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.headers["x-api-key"], "s3cret");
        let resource = &request.body["resourceSpans"][0];
        assert_eq!(attributes(&resource["resource"])["service.name"], "sluice");
        for span in resource["scopeSpans"][0]["spans"].as_array().expect("spans") {
            let hex = |key: &str, length: usize| {
                let id = span[key].as_str().unwrap_or_default();
                assert!(id.len() == length && id.bytes().all(|b| b.is_ascii_hexdigit()), "{key}: {id}");
                assert!(id.bytes().any(|b| b != b'0'), "{key} is not to be zero");
            };
            hex("traceId", 32);
            hex("spanId", 16);
            assert!(nanos(span, "startTimeUnixNano") <= nanos(span, "endTimeUnixNano"), "{span}");
            assert_eq!(span["kind"], 1);
            spans.push(span.clone());
        }
    }
    spans
}

fn nanos(span: &Value, key: &str) -> i64 {
    span[key].as_str().expect(key).parse().expect(key)
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let list = of["attributes"].as_array().expect("attributes");
    let value = |attribute: &Value| {
        let value = &attribute["value"];
        value["stringValue"].as_str().or(value["intValue"].as_str()).expect("a value").to_owned()
    };
    list.iter().map(|attribute| (attribute["key"].as_str().expect("a key").to_owned(), value(attribute))).collect()
}

fn named<'a>(spans: &'a [Value], name: &str) -> Vec<&'a Value> {
    spans.iter().filter(|span| span["name"] == name).collect()
}

#[tokio::test]
async fn a_run_is_a_trace_with_a_span_for_each_attempt() {
    let stage = Stage::new("select 1").await;
    let teller = stage.traces();
    tell(&teller).await;
    let retries = "attempts: 2, backoff: { from: 1ms, to: 1ms }";
    let text = format!(
        "{{ dag: d, tasks: {{ a: {{ kind: moody }}, b: {{ kind: moody, needs: a, bad_until: 1, {retries} }} }} }}"
    );
    let (run_id, state) = stage.run(&stage.plan(&text)).await;
    assert_eq!(state, RunState::Success);
    tell(&teller).await;

    let spans = spans(&stage.receiver);
    assert_eq!(spans.len(), 4);
    assert_eq!(spans.iter().map(|span| span["traceId"].to_string()).collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(spans.iter().map(|span| span["spanId"].to_string()).collect::<BTreeSet<_>>().len(), 4);
    let root = named(&spans, "d")[0];
    assert!(root["parentSpanId"].is_null());
    assert_eq!(root["status"]["code"], 1);
    assert_eq!(attributes(root)["sluice.run.id"], run_id.to_string());
    for span in named(&spans, "a").into_iter().chain(named(&spans, "b")) {
        assert_eq!(span["parentSpanId"], root["spanId"]);
        assert!(nanos(root, "startTimeUnixNano") <= nanos(span, "startTimeUnixNano"), "{root} {span}");
        assert!(nanos(span, "endTimeUnixNano") <= nanos(root, "endTimeUnixNano"), "{root} {span}");
        let attributes = attributes(span);
        assert_eq!(attributes["sluice.task.kind"], "moody");
        assert!(attributes["sluice.attempt.queued_ms"].parse::<i64>().expect("a number") >= 0);
        assert!(!attributes["sluice.worker"].is_empty());
    }
    let [first, second] = named(&spans, "b")[..] else { panic!("{spans:?}") };
    assert_eq!((&first["status"]["code"], &second["status"]["code"]), (&2.into(), &1.into()));
    assert_eq!(first["status"]["message"], "attempt 1 had a bad day");
    assert_eq!(attributes(first)["error.type"], "external");
    assert_eq!(
        (attributes(first)["sluice.attempt"].as_str(), attributes(second)["sluice.attempt"].as_str()),
        ("1", "2")
    );
    // The rows say the same times, to the microsecond.
    let times: Vec<(i64, i64)> = sqlx::query_as(
        "select (extract(epoch from a.started_at) * 1000000)::bigint, (extract(epoch from a.finished_at) * 1000000)::bigint
         from sluice.attempt a join sluice.task_run t using (task_run_id) where t.task = 'b' order by a.attempt",
    )
    .fetch_all(stage.pool())
    .await
    .expect("times");
    let sent = [first, second].map(|span| (nanos(span, "startTimeUnixNano"), nanos(span, "endTimeUnixNano")));
    assert_eq!(times.iter().map(|(from, to)| (from * 1000, to * 1000)).collect::<Vec<_>>(), sent);
}

#[tokio::test]
async fn a_triggered_run_links_to_what_it_follows_from_and_a_retried_one_stays_in_its_trace() {
    let stage = Stage::new("select 1").await;
    let teller = stage.traces();
    tell(&teller).await;
    let before =
        stage.plan("{ dag: before, schedule: '@daily', tasks: { a: { kind: moody, bad_until: 1, attempts: 1 } } }");
    let after = stage.plan("{ dag: after, triggers: [{ dag: before }], tasks: { a: { kind: moody } } }");
    for plan in [&before, &after] {
        runs::deploy(stage.pool(), plan, Utc::now()).await.expect("deployed");
    }
    let (run_id, state) = stage.run(&before).await;
    assert_eq!(state, RunState::Failed);
    stage.retry(run_id, None).await;
    assert_eq!(stage.drain(run_id).await, RunState::Success);
    let fired = runs::fire(stage.pool(), Utc::now()).await.expect("fired");
    let follower = fired.into_iter().next().expect("a run").created.run_id();
    assert_eq!(stage.drain(follower).await, RunState::Success);
    tell(&teller).await;

    let spans = spans(&stage.receiver);
    let [failed, mended] = named(&spans, "before")[..] else { panic!("{spans:?}") };
    assert_eq!(failed["traceId"], mended["traceId"]);
    assert_ne!(failed["spanId"], mended["spanId"]);
    assert_eq!((&failed["status"]["code"], &mended["status"]["code"]), (&2.into(), &1.into()));
    let of_before: Vec<_> =
        named(&spans, "a").into_iter().filter(|span| span["traceId"] == failed["traceId"]).collect();
    let parents: Vec<_> = of_before.iter().map(|span| &span["parentSpanId"]).collect();
    assert_eq!(parents, [&failed["spanId"], &mended["spanId"]]);
    let follower = named(&spans, "after")[0];
    assert_ne!(follower["traceId"], failed["traceId"]);
    assert_eq!(follower["links"][0]["traceId"], failed["traceId"]);
    assert_eq!(attributes(&follower["links"][0])["sluice.run.id"], run_id.to_string());
}
