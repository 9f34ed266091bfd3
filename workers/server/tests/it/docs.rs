//! The site of the suites: whole in its folder, and the same as the live page.

use std::collections::BTreeMap;

use chrono::Utc;
use quality::Suite;
use server::{Docs, docs};

use crate::TestServer;

async fn site(server: &TestServer) -> BTreeMap<String, String> {
    let text = "suite: payments\ndescription: <b>Bold</b>\nchecks:\n  - expect_column_values_to_be_unique: { column: id, description: Once each. }\n";
    let suite = Suite::parse("quality/payments.yaml", text).expect("a suite");
    let options = Docs { project: "SimMart", timezone: chrono_tz::UTC, suites: vec![&suite], now: Utc::now() };
    let made = docs(server.pool(), &options).await.expect("a site");
    made.into_iter().map(|file| (file.path, String::from_utf8_lossy(&file.content).into_owned())).collect()
}

/// What a page refers to.
fn references(page: &str) -> Vec<&str> {
    let parts = page.split(" href=\"").chain(page.split(" src=\"")).chain(page.split("url(\""));
    parts
        .filter(|part| !part.starts_with("<!DOCTYPE") && !part.starts_with("/*"))
        .filter_map(|part| part.split('"').next())
        .collect()
}

#[tokio::test]
async fn everything_that_a_page_of_the_site_needs_is_in_its_folder() {
    let server = TestServer::seeded().await;
    let site = site(&server).await;
    let mut followed = 0;
    for (path, content) in site.iter().filter(|(path, _)| path.ends_with(".html") || path.ends_with(".css")) {
        assert!(
            !content.contains("/static/") && !content.contains("<script") && !content.contains(" style=\""),
            "{path}"
        );
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for reference in references(content) {
            let target = match reference.strip_prefix("../") {
                Some(rest) => rest.to_owned(),
                None if folder.is_empty() => reference.to_owned(),
                None => format!("{folder}/{reference}"),
            };
            assert!(site.contains_key(&target), "{path} refers to {reference}");
            followed += 1;
        }
    }
    assert!(followed > 20, "{followed} references");
}

#[tokio::test]
async fn the_site_tells_what_suites_say_and_how_they_went() {
    let server = TestServer::seeded().await;
    let site = site(&server).await;
    let orders = &site["suites/orders.html"];
    for told in [
        "An order that is there twice is paid twice.",
        "mean of total 187.4; the median of 28 batches is 61.2, MAD 0.7, limit 7.29: 180.3 above",
        "changed <code>beef01</code> to <code>c0ffee</code>",
        "mostly: <code>0.95</code> → <code>0.99</code>",
        "trend-chart",
        "delivered ×702",
    ] {
        assert!(orders.contains(told), "{told}\n{orders}");
    }
    let live = server.get("/quality/suites/orders").await.text;
    assert!(live.contains("180.3 above") && live.contains("/runs/"));
    assert!(!orders.contains("/runs/"), "a page of a folder has no server to ask");
    let payments = &site["suites/payments.html"];
    assert!(payments.contains("Once each.") && payments.contains("&lt;b&gt;Bold") && !payments.contains("<b>Bold"));
    assert!(site["index.html"].contains("suites/orders.html"));
}

#[tokio::test]
async fn a_suite_that_is_deployed_and_never_evaluated_is_a_page() {
    let server = TestServer::empty().await;
    let suite = Suite::parse("quality/s.yaml", "suite: s\nanomalies:\n  - { metric: row_count }\n").expect("a suite");
    let mut connection = server.pool().acquire().await.expect("a connection");
    quality::versions::deploy(&mut connection, [&suite], "ada").await.expect("deployed");
    let page = server.get("/quality/suites/s").await;
    assert!(
        page.status == 200 && page.text.contains("row_count.anomaly") && page.text.contains("ada"),
        "{}",
        page.text
    );
    assert_eq!(server.get("/quality/suites/t").await.status, 404);
}
