//! Versions of suites at the API.

use quality::{Suite, versions};

use crate::TestServer;

fn suite(least: u32) -> Suite {
    let text = format!("suite: orders\nchecks:\n  - expect_table_row_count_to_be_between: {{ min_value: {least} }}\n");
    Suite::parse("quality/orders.yaml", &text).expect("a suite")
}

#[tokio::test]
async fn versions_of_a_suite_are_listed_and_compared() {
    let server = TestServer::empty().await;
    let mut connection = server.pool().acquire().await.expect("a connection");
    let (old, new) = (suite(1), suite(2));
    for (suite, actor) in [(&old, "ada"), (&new, "grace")] {
        versions::deploy(&mut connection, [suite], actor).await.expect("deployed");
    }
    let listed = server.get("/api/v1/suites/orders/versions").await.json();
    let told: Vec<_> = listed.as_array().expect("versions").iter().map(|v| (&v["actor"], &v["current"])).collect();
    assert_eq!(told, [(&"grace".into(), &true.into()), (&"ada".into(), &false.into())]);
    let diff = server.get(&format!("/api/v1/suites/orders/diff?old={}", &old.hash[..8])).await.json();
    assert_eq!(diff["new"], new.hash);
    assert_eq!(diff["changed"][0]["check"], "table.row_count");
    assert_eq!(diff["changed"][0]["changes"][0]["new"], 2);
    for path in ["nope/versions", "orders/diff?old=zzz", "nope/diff?old=1"] {
        assert_eq!(server.get(&format!("/api/v1/suites/{path}")).await.status, 404, "{path}");
    }
}
