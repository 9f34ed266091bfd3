use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, query_as, query_scalar, raw_sql};
use tasks::{alert_low_stock::AlertLowStock, sender::Sender};
use warehouse::outbox::Payload;
use workflow::{kind::Registry, project::Channel};

use crate::support::context;

const STOCK: &str = "
create schema if not exists staging;
create table staging.products (id numeric(20) primary key, name text, sku text, supplier_id numeric(20), cost numeric(12, 2));
create table staging.suppliers (id numeric(20) primary key, name text, email text, lead_time_days integer);
create table staging.distribution_centers (id numeric(20) primary key, code text);
create table staging.inventory (id numeric(20) primary key, product_id numeric(20), distribution_center_id numeric(20),
                                on_hand integer, reorder_point bigint, reorder_quantity bigint);
insert into staging.suppliers values (1, 'Maier & Sons', 'orders@maier.example', 4), (2, 'Weiß KG', 'orders@weiss.example', 1);
insert into staging.distribution_centers values (1, 'LEJ1'), (2, 'CGN1');
insert into staging.products values (1, 'Kettle', 'SM-1', 1, 20.50), (2, 'Tent', 'SM-2', 1, 90), (3, 'Beans', 'SM-3', 2, 5);
insert into staging.inventory values
    (1, 1, 1, 3, 10, 40), (2, 1, 2, 8, 10, 20),
    (3, 2, 1, 50, 10, 40), (4, 2, 2, 50, 10, 40),
    (5, 3, 1, 0, 5, 100), (6, 3, 2, 90, 5, 100);
";

async fn run(pool: &PgPool, at: &str) -> Value {
    let sender = Sender {
        project: "SimMart".to_owned(),
        currency: "EUR".to_owned(),
        web: None,
        channels: BTreeMap::from([
            ("purchasing".to_owned(), Channel::Mail { to: vec!["buy@shop.example".to_owned()], at_most: None }),
            ("ops".to_owned(), Channel::Slack { webhook: None, at_most: None }),
        ]),
    };
    let registry = Registry::new().with(AlertLowStock::new(pool.clone(), sender));
    let mut task = context(testkit::attempt(pool).await, &[]);
    "low_stock".clone_into(&mut task.dag);
    task.logical_time = at.parse::<DateTime<Utc>>().expect("an instant");
    let config = json!({ "to": ["purchasing", "ops"] });
    registry.get("alert_low_stock").expect("the kind").run(config, &task).await.expect("a run")
}

async fn set(pool: &PgPool, id: i32, on_hand: i32) {
    raw_sql(AssertSqlSafe(format!("update staging.inventory set on_hand = {on_hand} where id = {id}")))
        .execute(pool)
        .await
        .expect("a change of stock");
}

async fn open_alerts(pool: &PgPool) -> Vec<String> {
    query_scalar("select key from sluice.alert where state = 'open' order by key")
        .fetch_all(pool)
        .await
        .expect("alerts")
}

#[tokio::test]
async fn each_product_is_told_once_until_it_is_restocked() {
    let db = testkit::database().await;
    raw_sql(STOCK).execute(&db.pool).await.expect("stock");

    assert_eq!(run(&db.pool, "2026-03-02T10:00:00Z").await, json!({ "low": 2, "restocked": 0 }));
    assert_eq!(open_alerts(&db.pool).await, ["1", "3"]);
    let messages: Vec<(String, String, sqlx::types::Json<Payload>)> =
        query_as("select channel, subject, payload from sluice.outbox order by channel")
            .fetch_all(&db.pool)
            .await
            .expect("the outbox");
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].1, "2 products run low: order proposal");
    let Payload::Notice(notice) = &messages[0].2.0 else { panic!("a chat gets a notice") };
    // 7 + 40 and 2 + 20 kettles at 20.50, 5 + 100 packs of beans at 5.
    let line = "Kettle: 11 left, order 69 from Maier & Sons, €1,414.50";
    assert!(notice.text.contains(line), "{}", notice.text);
    let Payload::Mail(mail) = &messages[1].2.0 else { panic!("a mail channel gets a mail") };
    for words in ["€1,939.50", "105", "Delivers in 4 days", "CGN1, LEJ1"] {
        assert!(mail.html.contains(words), "no `{words}` in {}", mail.html);
    }
    let told: i64 = query_scalar("select count(*) from sluice.alert_message").fetch_one(&db.pool).await.expect("links");
    assert_eq!(told, 4, "both messages tell of both alerts");

    // An hour later nothing is better, and nobody hears of it again.
    set(&db.pool, 5, 1).await;
    assert_eq!(run(&db.pool, "2026-03-02T11:00:00Z").await, json!({ "low": 0, "restocked": 0 }));
    // One of two places filled up is not restocked.
    set(&db.pool, 1, 60).await;
    assert_eq!(run(&db.pool, "2026-03-02T12:00:00Z").await, json!({ "low": 0, "restocked": 0 }));
    set(&db.pool, 2, 60).await;
    assert_eq!(run(&db.pool, "2026-03-02T13:00:00Z").await, json!({ "low": 0, "restocked": 1 }));
    assert_eq!(open_alerts(&db.pool).await, ["3"]);
    set(&db.pool, 2, 4).await;
    assert_eq!(run(&db.pool, "2026-03-02T14:00:00Z").await, json!({ "low": 1, "restocked": 0 }));
    assert_eq!(open_alerts(&db.pool).await, ["1", "3"]);
    let count: i64 = query_scalar("select count(*) from sluice.outbox").fetch_one(&db.pool).await.expect("a count");
    assert_eq!(count, 4);
}

#[tokio::test]
async fn a_run_that_is_tried_again_tells_of_what_it_finds_then() {
    let db = testkit::database().await;
    raw_sql(STOCK).execute(&db.pool).await.expect("stock");
    let at = "2026-03-02T10:00:00Z";
    assert_eq!(run(&db.pool, at).await["low"], json!(2));
    assert_eq!(run(&db.pool, at).await["low"], json!(0), "a repeat tells nobody anything");
    set(&db.pool, 3, 2).await;
    assert_eq!(run(&db.pool, at).await["low"], json!(1));
    let subjects: Vec<String> = query_scalar(
        "select o.subject from sluice.alert_message m join sluice.outbox o using (outbox_id)
         join sluice.alert a on a.alert_id = m.alert_id where a.key = '2' order by o.channel",
    )
    .fetch_all(&db.pool)
    .await
    .expect("messages");
    assert_eq!(subjects, ["1 product runs low: order proposal"; 2]);
    // Restocked and low again in the same instant: the next run tells of it.
    set(&db.pool, 3, 90).await;
    assert_eq!(run(&db.pool, at).await, json!({ "low": 0, "restocked": 1 }));
    set(&db.pool, 3, 2).await;
    assert_eq!(run(&db.pool, at).await["low"], json!(0));
    assert_eq!(run(&db.pool, "2026-03-02T11:00:00Z").await["low"], json!(1));
}
