use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, query_as, raw_sql};
use tasks::{report::Report, sender::Sender};
use warehouse::outbox::Payload;
use workflow::{
    error::{ErrorDomain, TaskError},
    kind::{Fence, Registry},
    project::Channel,
};

use crate::support::context;

const SETUP: &str = "create schema if not exists staging; create schema if not exists warehouse;
create schema if not exists marts; set search_path to public;";

fn sender() -> Sender {
    Sender {
        project: "SimMart".to_owned(),
        currency: "EUR".to_owned(),
        web: Some("http://127.0.0.1:8180".to_owned()),
        channels: BTreeMap::from([
            ("management".to_owned(), Channel::Mail { to: vec!["boss@shop.example".to_owned()], at_most: None }),
            ("ops".to_owned(), Channel::Slack { webhook: None, at_most: None }),
        ]),
    }
}

async fn sales(pool: &PgPool) {
    let script = [
        SETUP.to_owned(),
        include_str!("../../../../sql/warehouse/01_dimensions.sql").to_owned(),
        include_str!("../../../../sql/warehouse/02_facts.sql").to_owned(),
        include_str!("report.sql").to_owned(),
        format!(
            "create table marts.sales_daily as {};",
            include_str!("../../../../sql/models/marts/sales_daily.sql").trim_end().trim_end_matches(';')
        ),
        format!(
            "create table marts.sales_by_category as {};",
            include_str!("../../../../sql/models/marts/sales_by_category.sql").trim_end().trim_end_matches(';')
        ),
    ];
    raw_sql(AssertSqlSafe(script.join("\n"))).execute(pool).await.expect("a warehouse");
}

async fn run(pool: &PgPool, fence: Fence) -> Result<Value, TaskError> {
    let registry = Registry::new().with(Report::new(pool.clone(), sender()));
    let config = json!({ "report": "daily_sales", "to": ["management", "ops"] });
    registry.get("report").expect("the kind").run(config, &context(fence, &[])).await
}

async fn messages(pool: &PgPool) -> Vec<(String, String, String, sqlx::types::Json<Payload>)> {
    query_as("select dedupe_key, channel, subject, payload from sluice.outbox order by channel")
        .fetch_all(pool)
        .await
        .expect("the outbox")
}

#[tokio::test]
async fn the_report_goes_to_each_channel_once() {
    let db = testkit::database().await;
    sales(&db.pool).await;
    let fence = testkit::attempt(&db.pool).await;
    let output = run(&db.pool, fence).await.expect("a report");
    // The run stands for 2 March in Berlin: the day before is a Sunday.
    assert_eq!(output, json!({ "report": "daily_sales", "date": "2026-03-01", "messages": 2 }));
    let sent = messages(&db.pool).await;
    let keys: Vec<_> = sent.iter().map(|message| message.0.as_str()).collect();
    assert_eq!(keys, ["report:daily_sales:2026-03-02:management", "report:daily_sales:2026-03-02:ops"]);

    let (revenue, orders): (String, i64) =
        query_as("select to_char(revenue, 'FM999,999'), orders from marts.sales_daily where date = '2026-03-01'")
            .fetch_one(&db.pool)
            .await
            .expect("the day");
    assert!(sent[0].2.starts_with(&format!("SimMart: €{revenue} (")), "{}", sent[0].2);
    assert!(sent[0].2.ends_with(&format!("{orders} orders on Sunday")), "{}", sent[0].2);
    let Payload::Mail(mail) = &sent[0].3.0 else { panic!("a mail channel gets a mail") };
    let cids: Vec<_> = mail.images.iter().map(|image| image.cid.as_str()).collect();
    assert_eq!(cids, ["trend-day", "trend-night", "departments-day", "departments-night"]);
    for cid in cids {
        assert!(mail.html.contains(&format!("cid:{cid}\"")), "{cid} is shown");
    }
    for words in
        ["Sunday 1 March 2026", "Fjell Tent Duo", "14,610 rows were read", "country_code_is_known", "card_velocity"]
    {
        assert!(mail.html.contains(words) && mail.text.contains(words), "no `{words}`");
    }
    assert!(!mail.html.contains("bot_browsing"), "a closed alert is not open");
    let Payload::Notice(notice) = &sent[1].3.0 else { panic!("a chat gets a notice") };
    assert!(notice.text.contains("Top products") && notice.fields.len() == 4, "{notice:?}");

    // The same run again, as after a crash between publishing and finishing.
    let again = run(&db.pool, testkit::attempt(&db.pool).await).await.expect("a report");
    assert_eq!(again["messages"], 0);
    assert_eq!(messages(&db.pool).await.len(), 2);
}

#[tokio::test]
async fn an_attempt_that_lost_its_lease_sends_nothing() {
    let db = testkit::database().await;
    sales(&db.pool).await;
    let fence = testkit::attempt(&db.pool).await;
    sqlx::query("update sluice.attempt set state = 'lost'").execute(&db.pool).await.expect("reap it");
    let refused = run(&db.pool, fence).await.expect_err("a lost lease");
    assert!(refused.chain().contains("lease lost"), "{}", refused.chain());
    assert!(messages(&db.pool).await.is_empty());
}

#[tokio::test]
async fn without_marts_it_says_what_to_run() {
    let db = testkit::database().await;
    let refused = run(&db.pool, testkit::attempt(&db.pool).await).await.expect_err("no marts");
    assert_eq!(refused.domain, ErrorDomain::External);
    assert!(refused.to_string().contains("run daily_sales first"), "{refused}");
}
