use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use sqlx::{PgPool, query, query_as, query_scalar};
use tasks::delivery::{Deliverer, Policy, Settings};
use testkit::tls::Authority;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Mutex,
};
use warehouse::outbox::{self, Image, Mail, Message, Notice, Payload};
use workflow::project::{Channel, Smtp};

use crate::mail_server::{LOGIN, MailServer, free_port};

/// The smallest PNG: one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn settings(folder: &Path, smtp: Option<String>, webhook: Option<String>) -> Settings {
    let mail =
        Channel::Mail { to: vec!["ops@shop.example".to_owned(), "Ann <ann@shop.example>".to_owned()], at_most: None };
    let slack = Channel::Slack { webhook: webhook.map(Into::into), at_most: None };
    Settings {
        project: "SimMart".to_owned(),
        channels: BTreeMap::from([("mail".to_owned(), mail), ("slack".to_owned(), slack)]),
        smtp: smtp.map(|url| Smtp { url: url.into(), from: "Sluice <sluice@shop.example>".to_owned(), ca: None }),
        folder: folder.to_owned(),
        policy: Policy { attempts: 3, backoff_from: Duration::ZERO, ..Policy::default() },
    }
}

fn notice(title: &str) -> Payload {
    Payload::Notice(Notice {
        severity: "high".to_owned(),
        title: title.to_owned(),
        text: "14 tries on one card".to_owned(),
        why: vec!["count(*) is 14, 6 was allowed".to_owned()],
        fields: vec![("Card".to_owned(), "c_1".to_owned())],
        link: Some("http://127.0.0.1:8180/alerts/1".to_owned()),
        ..Notice::default()
    })
}

fn report() -> Payload {
    Payload::Mail(Mail {
        html: "<p>Größe</p><img src=\"cid:chart\">".to_owned(),
        text: "Größe".to_owned(),
        images: vec![Image { cid: "chart".to_owned(), mime: "image/png".to_owned(), base64: PIXEL.to_owned() }],
    })
}

async fn enqueue(pool: &PgPool, key: &str, channel: &str, payload: Payload) -> i64 {
    let message = Message {
        dedupe_key: key.to_owned(),
        channel: channel.to_owned(),
        alert_id: None,
        subject: format!("About {key}"),
        payload,
    };
    let mut connection = pool.acquire().await.expect("a connection");
    outbox::enqueue(&mut connection, &message).await.expect("queue a message").expect("a new message")
}

/// State, attempts, location and error of a message.
async fn standing(pool: &PgPool, id: i64) -> (String, i32, Option<String>, Option<String>) {
    query_as("select state, attempts, location, error from sluice.outbox where outbox_id = $1")
        .bind(id)
        .fetch_one(pool)
        .await
        .expect("the message")
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    mail.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

/// An HTTP server that gives `answers` one by one and keeps the bodies that it was sent.
async fn webhook(answers: Vec<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/services/T0/B0/secret", listener.local_addr().expect("an address"));
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    tokio::spawn(async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.expect("a caller");
            let body = exchange(stream, answer).await;
            seen.lock().await.push(body);
        }
    });
    (url, bodies)
}

async fn exchange(mut stream: TcpStream, answer: &str) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    let body_from = loop {
        let read = stream.read(&mut chunk).await.expect("a request");
        request.extend_from_slice(&chunk[..read]);
        if let Some(end) = request.windows(4).position(|part| part == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&request[..body_from]).to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .expect("a request with a length");
    while request.len() < body_from + length {
        let read = stream.read(&mut chunk).await.expect("the body");
        request.extend_from_slice(&chunk[..read]);
    }
    stream.write_all(format!("HTTP/1.1 {answer}\r\n").as_bytes()).await.expect("answer");
    String::from_utf8_lossy(&request[body_from..]).into_owned()
}

#[tokio::test]
async fn mail_arrives_whole_and_keeps_its_identity_when_sent_again() {
    let (db, server, folder) = (testkit::database().await, MailServer::start(), tempfile::tempdir().expect("a folder"));
    let deliverer = Deliverer::new(db.pool.clone(), settings(folder.path(), Some(server.url()), None)).expect("set up");
    let first = enqueue(&db.pool, "report:1", "mail", report()).await;
    let second = enqueue(&db.pool, "alert:1", "mail", notice("Card testing")).await;
    assert_eq!(deliverer.deliver_due().await.expect("a pass"), 2);
    for id in [first, second] {
        let (state, attempts, location, _) = standing(&db.pool, id).await;
        assert_eq!((state.as_str(), attempts, location.as_deref()), ("delivered", 1, Some(server.url().as_str())));
    }
    let mails = server.mails();
    let report = mails.iter().find(|mail| header(mail, "Subject") == "About report:1").expect("the report");
    assert!(report.contains("multipart/alternative") && report.contains("multipart/related"), "{report}");
    assert!(report.contains("Content-ID: <chart>") && report.contains(&PIXEL[..40]), "{report}");
    assert!(report.contains("ops@shop.example") && report.contains("ann@shop.example"), "{report}");
    let alert = mails.iter().find(|mail| header(mail, "Subject") == "About alert:1").expect("the alert");
    assert!(alert.contains("14 tries on one card") && alert.contains("c_1"), "{alert}");

    // A deliverer that died after sending and before marking: its claim runs out, and the mail goes out again.
    query("update sluice.outbox set state = 'sending', not_before = now() where outbox_id = $1")
        .bind(first)
        .execute(&db.pool)
        .await
        .expect("pretend");
    assert_eq!(deliverer.deliver_due().await.expect("a pass"), 1);
    let ids: Vec<_> = server
        .mails()
        .iter()
        .filter(|mail| header(mail, "Subject") == "About report:1")
        .map(|mail| header(mail, "Message-ID").to_owned())
        .collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].ends_with(".sluice@shop.example>"), "{ids:?}");
    assert_eq!(deliverer.deliver_due().await.expect("a pass"), 0);
}

#[tokio::test]
async fn a_server_that_is_down_is_tried_again_and_given_up_in_the_end() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let nowhere = format!("smtp://user:hidden@127.0.0.1:{}", free_port());
    let deliverer = Deliverer::new(db.pool.clone(), settings(folder.path(), Some(nowhere), None)).expect("set up");
    let id = enqueue(&db.pool, "a", "mail", notice("x")).await;
    for attempt in 1..=3 {
        assert_eq!(deliverer.deliver_due().await.expect("a pass"), 1);
        let (state, attempts, _, error) = standing(&db.pool, id).await;
        assert_eq!((state.as_str(), attempts), (if attempt < 3 { "pending" } else { "failed" }, attempt));
        let error = error.expect("a reason");
        assert!(error.contains("127.0.0.1") && !error.contains("hidden"), "{error}");
    }
    assert_eq!(deliverer.deliver_due().await.expect("a pass"), 0);
}

#[tokio::test]
async fn slack_may_ask_for_patience() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let (url, bodies) = webhook(vec![
        "429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 0\r\n",
        "200 OK\r\nContent-Length: 2\r\n\r\nok",
        "404 Not Found\r\nContent-Length: 7\r\n\r\nno_team",
    ])
    .await;
    let deliverer = Deliverer::new(db.pool.clone(), settings(folder.path(), None, Some(url))).expect("set up");
    let id = enqueue(&db.pool, "a", "slack", notice("Card <testing>")).await;
    deliverer.deliver_due().await.expect("a pass");
    let wait: f64 = query_scalar("select extract(epoch from not_before - now())::float8 from sluice.outbox")
        .fetch_one(&db.pool)
        .await
        .expect("when it is due");
    assert!((25.0..=30.0).contains(&wait), "{wait}");
    assert_eq!(deliverer.deliver_due().await.expect("a pass"), 0, "it is not due yet");

    query("update sluice.outbox set not_before = now()").execute(&db.pool).await.expect("let time pass");
    deliverer.deliver_due().await.expect("a pass");
    assert_eq!(standing(&db.pool, id).await.0, "delivered");
    let bodies = bodies.lock().await.clone();
    let body: serde_json::Value = serde_json::from_str(&bodies[1]).expect("JSON");
    assert_eq!(body["blocks"][0]["type"], "header");
    assert_eq!(body["blocks"][0]["text"]["text"], ":red_circle: Card <testing>");
    assert_eq!(body["blocks"][2]["text"]["text"], "• count(*) is 14, 6 was allowed");
    assert_eq!(body["blocks"][3]["fields"][0]["text"], "*Card*\nc_1");

    let gone = enqueue(&db.pool, "b", "slack", notice("x")).await;
    deliverer.deliver_due().await.expect("a pass");
    let (state, _, _, error) = standing(&db.pool, gone).await;
    assert_eq!(state, "failed");
    let error = error.expect("a reason");
    assert!(error.contains("404") && error.contains("no_team") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn without_settings_messages_are_files() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let deliverer = Deliverer::new(db.pool.clone(), settings(folder.path(), None, None)).expect("set up");
    let mail = enqueue(&db.pool, "Report: Daily", "mail", report()).await;
    let slack = enqueue(&db.pool, "c", "slack", notice("Card testing")).await;
    let lost = enqueue(&db.pool, "d", "pigeon", notice("x")).await;
    assert_eq!(deliverer.deliver_due().await.expect("a pass"), 3);
    let location = standing(&db.pool, mail).await.2.expect("where it is");
    assert!(location.ends_with(&format!("mail/{mail}-about-report-daily.eml")), "{location}");
    let eml = std::fs::read_to_string(location).expect("the mail");
    assert!(eml.contains("Content-ID: <chart>") && eml.contains("Message-ID: <"), "{eml}");
    let location = standing(&db.pool, slack).await.2.expect("where it is");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(location).expect("the message")).expect("JSON");
    assert_eq!(json["text"], "About c");
    let (state, _, _, error) = standing(&db.pool, lost).await;
    assert_eq!((state.as_str(), error.as_deref()), ("failed", Some("sluice.yaml has no channel `pigeon`")));
}

#[tokio::test]
async fn deliverers_share_the_work_and_wake_by_themselves() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let cancel = tokio_util::sync::CancellationToken::new();
    let mut running = Vec::new();
    for _ in 0..3 {
        let deliverer = Deliverer::new(db.pool.clone(), settings(folder.path(), None, None)).expect("set up");
        let cancel = cancel.clone();
        running.push(tokio::spawn(async move { deliverer.run(&cancel).await }));
    }
    for number in 0..60 {
        enqueue(&db.pool, &format!("m{number}"), "slack", notice("x")).await;
    }
    let all = async {
        loop {
            let open: i64 = query_scalar("select count(*) from sluice.outbox where state <> 'delivered'")
                .fetch_one(&db.pool)
                .await
                .expect("a count");
            if open == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), all).await.expect("every message is delivered");
    cancel.cancel();
    for task in running {
        task.await.expect("a deliverer that ends");
    }
    let attempts: i64 =
        query_scalar("select sum(attempts) from sluice.outbox").fetch_one(&db.pool).await.expect("a sum");
    assert_eq!(attempts, 60, "each was tried once");
    assert_eq!(std::fs::read_dir(folder.path().join("slack")).expect("files").count(), 60);
}

/// A server that takes calls and leaves it to the test to answer them.
struct Mute {
    url: String,
    calls: tokio::sync::mpsc::UnboundedReceiver<TcpStream>,
}

impl Mute {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/services/T0/B0/secret", listener.local_addr().expect("an address"));
        let (taken, calls) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if taken.send(stream).is_err() {
                    break;
                }
            }
        });
        Self { url, calls }
    }
}

/// Four messages keep a deliverer waiting while the claims on the rest run out and another deliverer takes those.
#[tokio::test]
async fn a_claim_that_has_run_out_is_not_sent() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let mut mute = Mute::start().await;
    let slow = Deliverer::new(db.pool.clone(), settings(folder.path(), None, Some(mute.url.clone()))).expect("set up");
    for number in 0..8 {
        enqueue(&db.pool, &format!("m{number}"), "slack", notice("x")).await;
    }
    let pass = tokio::spawn(async move { slow.deliver_due().await });
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(mute.calls.recv().await.expect("a call"));
    }
    // The claims run out on the messages that still wait for their turn, and another deliverer sends them.
    let waiting = "update sluice.outbox set not_before = now()
                   where outbox_id in (select outbox_id from sluice.outbox order by not_before, outbox_id desc limit 4)";
    query(waiting).execute(&db.pool).await.expect("let time pass");
    let other = Deliverer::new(db.pool.clone(), settings(folder.path(), None, None)).expect("set up");
    assert_eq!(other.deliver_due().await.expect("a pass"), 4);
    for stream in held {
        exchange(stream, "200 OK\r\nContent-Length: 0\r\n").await;
    }
    assert_eq!(pass.await.expect("a deliverer").expect("a pass"), 8);
    assert!(mute.calls.try_recv().is_err(), "nothing is sent that another deliverer has sent");
    let (delivered, by_slack): (i64, i64) = query_as(
        "select count(*) filter (where state = 'delivered'), count(*) filter (where location = 'slack') from sluice.outbox",
    )
    .fetch_one(&db.pool)
    .await
    .expect("counts");
    assert_eq!((delivered, by_slack), (8, 4));
}

#[tokio::test]
async fn a_sending_ends_before_its_claim() {
    let (db, folder) = (testkit::database().await, tempfile::tempdir().expect("a folder"));
    let mute = Mute::start().await;
    let mut settings = settings(folder.path(), None, Some(mute.url.clone()));
    settings.policy.lease = Duration::from_secs(2);
    let deliverer = Deliverer::new(db.pool.clone(), settings).expect("set up");
    let id = enqueue(&db.pool, "m", "slack", notice("x")).await;
    let started = std::time::Instant::now();
    assert_eq!(deliverer.deliver_due().await.expect("a pass"), 1);
    assert!(started.elapsed() < Duration::from_secs(9), "Slack's own patience is 10 s");
    let (state, attempts, _, error) = standing(&db.pool, id).await;
    assert_eq!(
        (state.as_str(), attempts, error.as_deref()),
        ("pending", 1, Some("channel `slack` did not answer in time"))
    );
}

/// Settings for a server that shows a certificate of `authority`.
fn encrypted(folder: &Path, url: String, authority: Option<&Authority>) -> Settings {
    let mut settings = settings(folder, Some(url), None);
    if let Some(smtp) = &mut settings.smtp {
        smtp.ca = authority.map(Authority::ca);
    }
    settings
}

#[tokio::test]
async fn mail_goes_under_tls_from_the_start_and_by_starttls() {
    let (db, folder, authority) = (testkit::database().await, tempfile::tempdir().expect("a folder"), Authority::new());
    for (mode, scheme, end) in [("smtps", "smtps", ""), ("starttls", "smtp", "?tls=required")] {
        let server = MailServer::start_tls(mode, &authority);
        let url = |login: &str| format!("{scheme}://{login}{}{end}", server.address());
        let deliverer =
            |url, authority| Deliverer::new(db.pool.clone(), encrypted(folder.path(), url, authority)).expect("set up");
        let id = enqueue(&db.pool, mode, "mail", report()).await;

        // Each pass is a try: a certificate that nobody vouches for, then a wrong password, then all is right.
        deliverer(url(&format!("{LOGIN}@")), None).deliver_due().await.expect("a pass");
        let (state, _, _, error) = standing(&db.pool, id).await;
        let error = error.expect("an error");
        assert_eq!(state, "pending", "{mode}: {error}");
        assert!(error.contains("certificate verify failed") && error.contains("`smtp.ca`"), "{mode}: {error}");
        assert!(error.contains(&server.address()) && !error.contains("sesame"), "{mode}: {error}");

        deliverer(url("sluice:wrong@"), Some(&authority)).deliver_due().await.expect("a pass");
        let (state, _, _, error) = standing(&db.pool, id).await;
        let error = error.expect("an error");
        assert_eq!(state, "pending", "{mode}: a login can be put right: {error}");
        assert!(error.contains("535"), "{mode}: {error}");
        assert_eq!(server.mails(), [""; 0], "{mode}: nothing went out");

        deliverer(url(&format!("{LOGIN}@")), Some(&authority)).deliver_due().await.expect("a pass");
        let (state, attempts, location, error) = standing(&db.pool, id).await;
        assert_eq!((state.as_str(), attempts), ("delivered", 3), "{mode}: {error:?}");
        assert_eq!(location.as_deref(), Some(format!("{scheme}://{}", server.address()).as_str()));
        assert_eq!(server.mails().len(), 1, "{mode}");
    }
}

/// Whoever is in the way could take the offer out: no mail then, and above all no password.
#[tokio::test]
async fn a_server_that_offers_no_tls_gets_nothing_where_tls_is_required() {
    let (db, server, folder) = (testkit::database().await, MailServer::start(), tempfile::tempdir().expect("a folder"));
    let url = format!("smtp://{LOGIN}@{}?tls=required", server.address());
    let deliverer = Deliverer::new(db.pool.clone(), settings(folder.path(), Some(url), None)).expect("set up");
    let id = enqueue(&db.pool, "a", "mail", report()).await;
    deliverer.deliver_due().await.expect("a pass");
    let (state, _, _, error) = standing(&db.pool, id).await;
    assert_eq!(state, "pending", "{error:?}");
    assert!(error.as_ref().is_some_and(|error| error.contains("STARTTLS")), "{error:?}");
    assert_eq!(server.mails(), [""; 0]);
}

#[tokio::test]
async fn settings_of_mail_that_cannot_work_are_refused_at_once() {
    let (db, folder, authority) = (testkit::database().await, tempfile::tempdir().expect("a folder"), Authority::new());
    let refused = |url: &str, ca: Option<std::path::PathBuf>| {
        let mut settings = settings(folder.path(), Some(url.to_owned()), None);
        if let Some(smtp) = &mut settings.smtp {
            smtp.ca = ca;
        }
        Deliverer::new(db.pool.clone(), settings).err().expect("refused").to_string()
    };
    assert!(refused("smtp://h?tls=opportunistic", None).contains("sends in the clear"));
    assert!(refused("smtp://h?tls=maybe", None).contains("smtps://"));
    assert!(refused("smtp://h", Some(authority.ca())).contains("asks for no TLS"));
    assert!(refused("smtps://h", Some(authority.key())).contains("holds no certificate"));
    assert!(refused("smtps://h", Some("/nowhere.pem".into())).contains("cannot read `ca: /nowhere.pem`"));
}
