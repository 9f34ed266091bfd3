//! What is kept of suites that change.

use quality::{
    RunRef, Suite, record,
    versions::{self, Version},
};
use serde_json::json;

use crate::{
    cases::{frame, suite},
    postgres::in_frame,
};

fn read(text: &str) -> Suite {
    Suite::parse("quality/orders.yaml", text).expect("a suite")
}

const FIRST: &str = "suite: orders
owner: ada
checks:
  - expect_column_values_to_not_be_null: { column: id, mostly: 0.9 }
  - expect_column_values_to_be_unique: { column: id }
";

const SECOND: &str = "# A comment.
suite: orders
owner: grace
checks:
  - expect_column_values_to_not_be_null: { column: id, mostly: 0.99 }
  - expect_column_values_to_be_in_set: { column: status, value_set: [open] }
";

#[test]
fn a_difference_is_told_check_by_check() {
    let (old, new) = (Version::of(&read(FIRST)), Version::of(&read(SECOND)));
    let found = serde_json::to_value(versions::diff("orders", &old, &new)).expect("JSON");
    assert_eq!(found["changes"], json!([{ "key": "owner", "old": "ada", "new": "grace" }]));
    assert_eq!((&found["added"], &found["removed"]), (&json!(["status.in_set"]), &json!(["id.unique"])));
    let mostly = json!([{ "check": "id.not_null", "changes": [{ "key": "mostly", "old": 0.9, "new": 0.99 }] }]);
    assert_eq!(found["changed"], mostly);
    assert!(versions::diff("orders", &old, &Version::of(&read(&format!("# Said otherwise.\n{FIRST}")))).is_empty());
}

#[tokio::test]
async fn who_deployed_which_version_when_is_written_down_once() {
    let database = testkit::database().await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    let (first, second, other) =
        (read(FIRST), read(SECOND), suite("  - expect_table_row_count_to_be_between: { min_value: 1 }\n"));
    let mut changed = Vec::new();
    for (suites, actor) in [
        (vec![&first, &other], "ada"),
        (vec![&first, &other], "grace"),
        (vec![&second, &other], "grace"),
        (vec![&first, &other], "ada"),
        (vec![&other], "ada"),
    ] {
        changed.push(versions::deploy(&mut connection, suites, actor).await.expect("deployed"));
    }
    assert_eq!(changed, [2, 0, 1, 1, 1]);

    let history = versions::history(&mut connection, "orders", 10).await.expect("changes");
    let told: Vec<_> = history.iter().map(|row| (row.before.as_deref(), row.hash.as_deref(), &*row.actor)).collect();
    let (one, two) = (Some(&*first.hash), Some(&*second.hash));
    assert_eq!(told, [(one, None, "ada"), (two, one, "ada"), (one, two, "grace"), (None, one, "ada")]);
    assert!(versions::current(&mut connection, "orders").await.expect("an answer").is_none(), "its file is gone");

    let kept = versions::find(&mut connection, "orders", &second.hash[..9]).await.expect("an answer").expect("kept");
    assert_eq!((kept.text.as_str(), &kept), (SECOND, &Version::of(&second)));
    assert!(versions::find(&mut connection, "orders", "").await.expect("an answer").is_none());
}

#[tokio::test]
async fn an_evaluation_keeps_the_version_that_judged() {
    let database = testkit::database().await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    let suite = suite("  - expect_table_row_count_to_be_between: { min_value: 1 }\n");
    let evaluation = in_frame(suite.clone(), frame()).await;
    for run_id in [1, 2] {
        let run = RunRef { run_id: Some(run_id), task: Some("t".to_owned()), load_id: None };
        record(&mut connection, &run, "staging.a", &suite, &evaluation).await.expect("recorded");
    }
    let rows = versions::versions(&mut connection, &suite.name).await.expect("versions");
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((&*row.hash, row.current, &row.actor, row.loads), (&*suite.hash, false, &None, 0));
    assert!(row.judged_at.is_some());
}
