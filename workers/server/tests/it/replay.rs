//! Held rows replayed and dismissed over HTTP, judged by a suite of the project's folder.

use std::net::SocketAddr;

use serde_json::json;

use crate::{TestServer, options};

const HELD: &str = r#"
create schema staging;
create table staging.orders (id bigint primary key, quantity int, city text);
with l as (
    insert into sluice.load_ledger (dataset, batch_id, run_id, task, interval_start, interval_end, suite, suite_hash, verdict, read,
                                    loaded, quarantined, deduplicated, terms)
    values ('staging.orders', 'b', 1, 'load', now(), now(), 'orders', 'h', 'quarantined', 3, 0, 3, 0, '{"key": ["id"], "on_fail": "quarantine"}')
    returning load_id
)
insert into sluice.quarantined_row (load_id, seq, dataset, row, rules)
select load_id, n, 'staging.orders', jsonb_build_object('id', n, 'quantity', -n, 'city', case when n < 3 then 'Ulm' end),
       '{quantity.between}'
from l, generate_series(1, 3) n
"#;

/// `mostly` would let the third row through, and the number of rows is nothing that a few of them can have.
const SUITE: &str = "
suite: orders
checks:
  - expect_column_values_to_be_between: { column: quantity, min_value: 1 }
  - expect_column_values_to_not_be_null: { column: city, mostly: 0.5 }
  - expect_table_row_count_to_be_between: { min_value: 1000 }
";

#[tokio::test]
async fn held_rows_go_through_their_gate_again_as_the_project_has_it() {
    let database = testkit::database().await;
    sqlx::raw_sql(HELD).execute(&database.pool).await.expect("held rows");
    let folder = tempfile::tempdir().expect("a folder");
    let mut set_up = options(SocketAddr::from(([127, 0, 0, 1], 0)), database.pool.clone());
    set_up.folder = folder.path().to_owned();
    let server = TestServer::with(set_up, database).await;

    let wish = json!({"dataset": "staging.orders", "set": {"quantity": "-quantity"}, "preview": true});
    let answer = server.post("/api/v1/quarantine/replay", Some(wish.clone())).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("the suite `orders`, which held the rows back, cannot be read"), "{}", answer.text);
    std::fs::create_dir(folder.path().join("quality")).expect("a folder");
    std::fs::write(folder.path().join("quality/orders.yaml"), SUITE).expect("a suite");

    let answer = server.post("/api/v1/quarantine/replay", Some(wish.clone())).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let shown: serde_json::Value = serde_json::from_str(&answer.text).expect("JSON");
    let load = &shown["loads"][0];
    assert_eq!(
        (&load["read"], &load["loaded"], &load["quarantined"], &load["replay"], &load["rules"], &load["left_out"]),
        (&json!(3), &json!(2), &json!(1), &json!(null), &json!({"city.not_null": 1}), &json!(["table.row_count"]))
    );
    let mut done = wish;
    done["preview"] = json!(false);
    assert_eq!(server.post("/api/v1/quarantine/replay", Some(done)).await.status, 200);
    let dismissed = json!({"dataset": "staging.orders", "reason": "no city", "rows": [{"load_id": 1, "seq": 3}]});
    assert_eq!(server.post("/api/v1/quarantine/dismiss", Some(dismissed.clone())).await.status, 200);
    let again = server.post("/api/v1/quarantine/dismiss", Some(dismissed)).await;
    assert_eq!(again.status, 409, "{}", again.text);
    for (state, rows) in [("open", 0), ("replayed", 2), ("dismissed", 1)] {
        let answer = server.get(&format!("/api/v1/quarantine?state={state}")).await;
        let page: serde_json::Value = serde_json::from_str(&answer.text).expect("JSON");
        assert_eq!(page["items"].as_array().map(Vec::len), Some(rows), "{page}");
    }
    let page = server.get("/quality/rows?state=dismissed").await;
    assert!(page.text.contains("no city") && page.text.contains("Dismissed"), "{}", page.text);

    for (path, wish, why) in [
        (
            "replay",
            json!({"dataset": "staging.orders", "set": {"quantity": "(select 1)"}}),
            "cannot be part of a correction",
        ),
        ("replay", json!({"dataset": "orders"}), "expected `schema.table`"),
        ("dismiss", json!({"dataset": "staging.orders", "reason": " "}), "a reason is needed"),
    ] {
        let answer = server.post(&format!("/api/v1/quarantine/{path}"), Some(wish)).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.text.contains(why), "{}", answer.text);
    }
}
