//! Channels that programs are behind, and channels with limits.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::{PgPool, query, query_as, query_scalar};
use tasks::delivery::{Deliverer, Policy, Settings};
use tokio::sync::Mutex;
use warehouse::{
    alerts::{self, Alert, Severity},
    cases::{self, Verdict},
    outbox::{self, Message, Notice, Payload},
    runs::{Actor, Via},
};
use workflow::{
    hex,
    project::{Channel, Rate},
};

/// A receiver that answers with the statuses it is given, and 200 after them.
#[derive(Clone, Default)]
struct Receiver {
    answers: Arc<Mutex<Vec<u16>>>,
    got: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Receiver {
    async fn start(answers: &[u16]) -> (Self, String) {
        let this = Self { answers: Arc::new(Mutex::new(answers.to_vec())), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let take = post(async |State(this): State<Receiver>, headers: HeaderMap, body: Bytes| {
            let mut answers = this.answers.lock().await;
            let status = if answers.is_empty() { 200 } else { answers.remove(0) };
            this.got.lock().await.push((headers, body));
            StatusCode::from_u16(status).expect("a status")
        });
        let router = Router::new().route("/{*path}", take).with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (this, url)
    }

    async fn bodies(&self) -> Vec<Value> {
        self.got.lock().await.iter().map(|(_, body)| serde_json::from_slice(body).expect("JSON")).collect()
    }
}

fn deliverer(pool: &PgPool, folder: &Path, channels: &[(&str, Channel)]) -> Deliverer {
    let channels: BTreeMap<_, _> =
        channels.iter().map(|(name, channel)| ((*name).to_owned(), channel.clone())).collect();
    let policy = Policy { backoff_from: std::time::Duration::ZERO, ..Policy::default() };
    let settings = Settings { project: "SimMart".to_owned(), channels, smtp: None, folder: folder.to_owned(), policy };
    Deliverer::new(pool.clone(), settings).expect("set up").with_page("https://sluice.example/")
}

fn slack(url: &str, at_most: Option<&str>) -> Channel {
    Channel::Slack {
        webhook: Some(format!("{url}/hook").into()),
        at_most: at_most.map(|text| text.parse().expect(text)),
    }
}

async fn raise(pool: &PgPool, number: usize, severity: Severity, channels: &[&str]) -> i64 {
    let alert = Alert {
        dedupe_key: format!("alert {number}"),
        source: "stream:fraud".to_owned(),
        rule: if severity == Severity::Critical { "burst" } else { "card_velocity" }.to_owned(),
        severity,
        key: format!("c_{number}"),
        event_time: Utc::now(),
        message: format!("Card c_{number} placed 7 orders within 5 seconds"),
        detail: json!({ "version": "v1", "why": ["count(*) over burst is 7, 6 was allowed"], "labels": { "team": "fraud" } }),
        fields: vec![("Key".to_owned(), format!("c_{number}"))],
        link: None,
    };
    let channels: Vec<_> = channels.iter().map(|name| (*name).to_owned()).collect();
    let mut connection = pool.acquire().await.expect("a connection");
    alerts::raise(&mut connection, &alert, &channels).await.expect("raised").expect("new")
}

async fn drain(deliverer: &Deliverer) -> usize {
    let mut delivered = 0;
    loop {
        match deliverer.deliver_due().await.expect("a pass") {
            0 => return delivered,
            more => delivered += more,
        }
    }
}

fn grace() -> Actor {
    Actor { name: "grace".to_owned(), via: Via::Web }
}

/// Every alert is told of by exactly one message that arrived.
async fn every_alert_is_told_once(pool: &PgPool) {
    let wrong: Vec<(i64, i64)> = query_as(
        "select a.alert_id, count(o.outbox_id)
         from sluice.alert a
         left join (
             select outbox_id, alert_id from sluice.outbox where alert_id is not null and state = 'delivered'
             union all
             select m.outbox_id, m.alert_id from sluice.alert_message m join sluice.outbox o using (outbox_id) where o.state = 'delivered'
         ) o using (alert_id)
         group by a.alert_id having count(o.outbox_id) <> 1",
    )
    .fetch_all(pool)
    .await
    .expect("counts");
    assert_eq!(wrong, [], "alerts and the messages that told of them");
}

#[tokio::test]
async fn what_goes_beyond_a_channels_limit_is_told_together_and_nothing_is_lost() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let (receiver, url) = Receiver::start(&[]).await;
    let deliverer = deliverer(&db.pool, folder.path(), &[("slack", slack(&url, Some("5/min")))]);
    for number in 0..40 {
        let severity = if number == 33 { Severity::Critical } else { Severity::Medium };
        raise(&db.pool, number, severity, &["slack"]).await;
    }
    assert_eq!(drain(&deliverer).await, 5);
    let bodies = receiver.bodies().await;
    let bundle = bodies.iter().find(|body| body["text"].as_str().is_some_and(|text| text.contains("36 alerts")));
    let bundle = bundle.expect("one message for all the rest");
    assert_eq!(bundle["text"], "[critical] 36 alerts at once");
    let text = bundle.to_string();
    assert!(text.contains("Card c_33 placed"), "the worst is named: {text}");
    assert!(text.contains("35 × medium, 35 keys") && text.contains("https://sluice.example/alerts|"), "{text}");
    let single =
        bodies.iter().map(Value::to_string).find(|body| body.contains("Card c_0 placed")).expect("the first alert");
    assert!(single.contains("count(*) over burst is 7, 6 was allowed"), "{single}");
    assert!(single.contains("https://sluice.example/alerts/1|"), "{single}");
    every_alert_is_told_once(&db.pool).await;

    // No place is left; what comes now waits, and then goes together.
    for number in 40..50 {
        raise(&db.pool, number, Severity::Low, &["slack"]).await;
    }
    assert_eq!(drain(&deliverer).await, 0);
    query("update sluice.outbox set admitted_at = admitted_at - interval '1 minute' where outbox_id = 1")
        .execute(&db.pool)
        .await
        .expect("let time pass");
    assert_eq!(drain(&deliverer).await, 1);
    assert_eq!(receiver.bodies().await.last().expect("a message")["text"], "[low] 10 alerts at once");
    every_alert_is_told_once(&db.pool).await;
}

#[tokio::test]
async fn deliverers_keep_a_limit_together_and_a_killed_one_leaves_nothing_untold() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let (receiver, url) = Receiver::start(&[500, 503]).await;
    for number in 0..60 {
        raise(&db.pool, number, Severity::Medium, &["slack"]).await;
    }
    let mut running = Vec::new();
    for _ in 0..4 {
        let pool = warehouse::pool::connect(&db.url).await.expect("a pool of its own");
        let deliverer = deliverer(&pool, folder.path(), &[("slack", slack(&url, Some("10/h")))]);
        running.push(tokio::spawn(async move {
            // Dropped in the middle of whatever it does; its connections end with it, as those of a killed process do.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(30), drain(&deliverer)).await;
            pool.close().await;
        }));
    }
    for task in running {
        task.await.expect("a deliverer that ends");
    }
    query("update sluice.outbox set not_before = now() where state = 'sending'")
        .execute(&db.pool)
        .await
        .expect("let time pass");
    let last = deliverer(&db.pool, folder.path(), &[("slack", slack(&url, Some("10/h")))]);
    drain(&last).await;
    let admitted: i64 = query_scalar("select count(*) from sluice.outbox where admitted_at is not null")
        .fetch_one(&db.pool)
        .await
        .expect("a count");
    assert_eq!(admitted, 10);
    assert!(receiver.bodies().await.len() >= 12, "ten that arrived and two that were refused");
    every_alert_is_told_once(&db.pool).await;
}

#[tokio::test]
async fn a_report_finds_its_place_whole() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let (receiver, url) = Receiver::start(&[]).await;
    let deliverer = deliverer(&db.pool, folder.path(), &[("slack", slack(&url, Some("2/min")))]);
    raise(&db.pool, 0, Severity::Low, &["slack"]).await;
    let report = Message {
        dedupe_key: "report".to_owned(),
        channel: "slack".to_owned(),
        alert_id: None,
        subject: "The day".to_owned(),
        payload: Payload::Notice(Notice { title: "The day".to_owned(), ..Notice::default() }),
    };
    outbox::enqueue(&mut db.pool.acquire().await.expect("a connection"), &report).await.expect("written");
    for number in 1..4 {
        raise(&db.pool, number, Severity::Low, &["slack"]).await;
    }
    drain(&deliverer).await;
    let texts: Vec<_> = receiver.bodies().await.iter().map(|body| body["text"].clone()).collect();
    assert!(texts.contains(&"[low] 3 alerts at once".into()) && texts.len() == 2, "{texts:?}");
    query("update sluice.outbox set admitted_at = admitted_at - interval '1 minute'")
        .execute(&db.pool)
        .await
        .expect("let time pass");
    drain(&deliverer).await;
    assert_eq!(receiver.bodies().await.last().expect("a message")["text"], "The day");
}

/// A run that fails every few seconds must not fill its channel's places for ever.
#[tokio::test]
async fn runs_that_fail_often_are_told_together_too() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let (people, slack_url) = Receiver::start(&[]).await;
    let (program, hook_url) = Receiver::start(&[]).await;
    let (prometheus, prometheus_url) = Receiver::start(&[]).await;
    let at_most: Option<Rate> = Some("2/min".parse().expect("a rate"));
    let channels = [
        ("slack", slack(&slack_url, Some("2/min"))),
        ("hook", Channel::Webhook { url: Some(format!("{hook_url}/in").into()), secret: None, at_most }),
        ("prometheus", Channel::Alertmanager { url: Some(prometheus_url.into()), at_most }),
    ];
    for channel in ["slack", "hook", "prometheus"] {
        for number in 0..5 {
            let failed = Message {
                dedupe_key: format!("run:{number}@{channel}"),
                channel: channel.to_owned(),
                alert_id: None,
                subject: format!("sales failed, run {number}"),
                payload: Payload::Notice(Notice {
                    severity: "high".to_owned(),
                    title: "sales failed".to_owned(),
                    text: format!("run {number}"),
                    brief: true,
                    ..Notice::default()
                }),
            };
            outbox::enqueue(&mut db.pool.acquire().await.expect("a connection"), &failed).await.expect("written");
        }
    }
    raise(&db.pool, 1, Severity::Low, &["slack", "hook", "prometheus"]).await;
    drain(&deliverer(&db.pool, folder.path(), &channels)).await;
    let left: i64 = query_scalar("select count(*) from sluice.outbox where state not in ('delivered', 'bundled')")
        .fetch_one(&db.pool)
        .await
        .expect("a count");
    assert_eq!(left, 0);
    let bundle = people.bodies().await.into_iter().find(|body| body["text"] == "[high] 5 messages at once");
    let text = bundle.expect("one message for all but the first").to_string();
    assert!(text.contains("sales failed (4 times)") && text.contains("*sales failed*\\n4 × high"), "{text}");
    let bundle = program.bodies().await.into_iter().find(|body| body["kind"] == "bundle").expect("a bundle");
    let told: Vec<_> = bundle["messages"].as_array().expect("messages").iter().map(|one| one["text"].clone()).collect();
    assert_eq!(told, ["run 1", "run 2", "run 3", "run 4"]);
    assert_eq!(bundle["alerts"].as_array().map(Vec::len), Some(1));
    let posted = prometheus.bodies().await.into_iter().find(|body| body.as_array().is_some_and(|all| all.len() == 5));
    let subjects: Vec<_> = posted
        .expect("four runs and an alert")
        .as_array()
        .expect("alerts")
        .iter()
        .map(|one| one["labels"]["subject"].clone())
        .collect();
    assert!(subjects.contains(&"sales failed, run 4".into()), "{subjects:?}");
}

#[tokio::test]
async fn a_webhook_gets_the_alert_signed_and_the_same_key_when_it_is_sent_again() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let (receiver, url) = Receiver::start(&[503]).await;
    let channel =
        Channel::Webhook { url: Some(format!("{url}/in").into()), secret: Some("sesame".into()), at_most: None };
    let deliverer = deliverer(&db.pool, folder.path(), &[("hook", channel)]);
    let alert_id = raise(&db.pool, 1, Severity::High, &["hook"]).await;
    assert_eq!(drain(&deliverer).await, 2, "one in vain and one more");
    let got = receiver.got.lock().await.clone();
    let key = |n: usize| got[n].0["idempotency-key"].to_str().expect("a key").to_owned();
    assert_eq!(key(0), key(1));
    let body = &receiver.bodies().await[1];
    assert_eq!((&body["kind"], &body["severity"]), (&json!("alert"), &json!("high")));
    assert_eq!(body["link"], format!("https://sluice.example/alerts/{alert_id}"));
    assert_eq!(body["alerts"][0]["why"], json!(["count(*) over burst is 7, 6 was allowed"]));
    assert_eq!((&body["alerts"][0]["case_id"], &body["alerts"][0]["version"]), (&json!(1), &json!("v1")));
    let signature = got[1].0["sluice-signature"].to_str().expect("a signature");
    let (time, digest) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("its two parts");
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"sesame").expect("a key");
    mac.update(format!("{time}.{}.", key(1)).as_bytes());
    mac.update(&got[1].1);
    assert_eq!(hex::encode(&mac.finalize().into_bytes()), digest);
}

/// The labels of each alert, and whether it has ended.
fn standing(body: &Value) -> Vec<(Value, bool)> {
    let alerts = body.as_array().expect("alerts").iter();
    let ended = |alert: &Value| {
        alert["endsAt"].as_str().expect("an end").parse::<chrono::DateTime<Utc>>().expect("a time") <= Utc::now()
    };
    alerts.map(|alert| (alert["labels"].clone(), ended(alert))).collect()
}

#[tokio::test]
async fn alertmanager_hears_of_a_case_and_of_its_end() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let (receiver, url) = Receiver::start(&[]).await;
    let channel = Channel::Alertmanager { url: Some(url.into()), at_most: None };
    let channels = [("prometheus", channel), ("slack", Channel::Slack { webhook: None, at_most: None })];
    let deliverer = deliverer(&db.pool, folder.path(), &channels);
    deliverer.announce().await.expect("announced");
    raise(&db.pool, 1, Severity::High, &["prometheus", "slack"]).await;
    raise(&db.pool, 2, Severity::High, &["slack"]).await;
    drain(&deliverer).await;
    let fired = receiver.bodies().await;
    let labels = json!({ "alertname": "card_velocity", "source": "stream:fraud", "key": "c_1", "severity": "high", "case": "1",
                         "project": "SimMart", "team": "fraud" });
    assert_eq!(fired.iter().map(standing).collect::<Vec<_>>(), [[(labels.clone(), false)]]);
    assert_eq!(fired[0][0]["generatorURL"], "https://sluice.example/alerts/1");
    assert_eq!(fired[0][0]["annotations"]["description"], "count(*) over burst is 7, 6 was allowed");

    cases::settle(&db.pool, &grace(), 1, Verdict::FalseAlarm, Some("a test card")).await.expect("settled");
    cases::settle(&db.pool, &grace(), 2, Verdict::Confirmed, None).await.expect("settled");
    assert_eq!(drain(&deliverer).await, 1, "people, and a channel that was not told of it, hear nothing");
    assert_eq!(standing(receiver.bodies().await.last().expect("its end")), [(labels.clone(), true)]);
    cases::settle(&db.pool, &grace(), 1, Verdict::Open, None).await.expect("opened");
    drain(&deliverer).await;
    assert_eq!(standing(receiver.bodies().await.last().expect("it goes on")), [(labels.clone(), false)]);

    // What was raised before a case was settled, and is sent after it, does not fire for ever.
    raise(&db.pool, 3, Severity::High, &["prometheus"]).await;
    cases::settle(&db.pool, &grace(), 3, Verdict::Confirmed, None).await.expect("settled");
    drain(&deliverer).await;
    let late: Vec<_> =
        receiver.bodies().await.iter().flat_map(standing).filter(|(labels, _)| labels["case"] == "3").collect();
    assert!(late.len() == 2 && late.iter().all(|(_, ended)| *ended), "{late:?}");
}

#[tokio::test]
async fn without_an_address_programs_get_files() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let limit: Option<Rate> = Some("3/min".parse().expect("a rate"));
    let channels = [
        ("hook", Channel::Webhook { url: None, secret: None, at_most: limit }),
        ("prometheus", Channel::Alertmanager { url: None, at_most: limit }),
    ];
    let deliverer = deliverer(&db.pool, folder.path(), &channels);
    for number in 0..9 {
        raise(&db.pool, number, Severity::Low, &["hook", "prometheus"]).await;
    }
    assert_eq!(drain(&deliverer).await, 6);
    for (kind, counted) in [("webhook", "alerts"), ("alertmanager", "")] {
        let mut alerts = 0;
        for file in std::fs::read_dir(folder.path().join(kind)).expect("files") {
            let text = std::fs::read(file.expect("a file").path()).expect("text");
            let body: Value = serde_json::from_slice(&text).expect("JSON");
            let list = if counted.is_empty() { &body } else { &body[counted] };
            alerts += list.as_array().expect("alerts").len();
        }
        assert_eq!(alerts, 9, "{kind}: a program gets every alert, also of those that come together");
    }
}

#[tokio::test]
async fn the_channels_told_of_cases_are_those_that_the_project_has_now() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let hook = || Channel::Webhook { url: None, secret: None, at_most: None };
    for names in [&["new", "old"][..], &["new"]] {
        let channels: Vec<_> = names.iter().map(|name| (*name, hook())).collect();
        deliverer(&db.pool, folder.path(), &channels).announce().await.expect("announced");
        let known: Vec<String> = sqlx::query_scalar("select channel from sluice.channels order by 1")
            .fetch_all(&db.pool)
            .await
            .expect("channels");
        assert_eq!(known, names);
    }
}
