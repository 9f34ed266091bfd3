//! Extract, gate, load and export over a lake in a bucket.

use serde_json::json;
use testkit::s3::S3Server;
use workflow::error::ErrorDomain;

use crate::support::World;

const ORDERS: &str = "set sql_mode = '';
    create table orders (id int primary key, quantity int, day date);
    insert into orders values (1, 5, '2026-03-01'), (2, -1, '2026-03-01'), (3, 7, '0000-00-00')";

const SUITE: &str = "
suite: orders
checks:
  - expect_column_values_to_be_between: { column: quantity, min_value: 1 }
";

#[tokio::test]
async fn rows_go_from_the_shop_through_the_bucket_to_the_warehouse_and_back() {
    let mut server = S3Server::start();
    let lake = server.lake();
    let world = World::with_lake(ORDERS, Some(lake.clone())).await;
    world.suite("orders", SUITE);
    let extract = json!({"table": "orders"});
    let load = json!({"from": "extract", "into": "staging.orders", "key": ["id"],
                      "gate": {"suite": "orders", "on_fail": "quarantine"}});
    let export = json!({"table": "staging.orders", "to": "exports/orders.csv"});

    // Nobody is there: the attempt fails and may be tried again, and nothing was published.
    server.kill();
    let error = world.run("extract_mysql", extract.clone(), &[]).await.expect_err("no server");
    assert_eq!((error.domain, error.service), (ErrorDomain::External, Some("S3")), "{}", error.chain());
    assert!(error.to_string().contains(&server.endpoint()) && error.to_string().contains("s3.endpoint"), "{error}");
    server.resume();

    let manifest = world.run("extract_mysql", extract, &[]).await.expect("extract");
    let inputs = [("extract", &manifest)];
    server.kill();
    let error = world.run("load", load.clone(), &inputs).await.expect_err("no server");
    assert_eq!((error.domain, error.service), (ErrorDomain::External, Some("S3")), "{}", error.chain());
    server.resume();

    let outcome = world.run("load", load.clone(), &inputs).await.expect("load");
    assert_eq!((&outcome["loaded"], &outcome["quarantined"]), (&json!(1), &json!(2)), "{outcome}");
    world.run("load", load, &inputs).await.expect("again");
    assert_eq!(world.texts("select count(*)::text from sluice.loads").await, [Some("1".to_owned())]);
    assert_eq!(world.texts("select count(*)::text from sluice.quarantine").await, [Some("2".to_owned())]);
    assert_eq!(world.texts("select count(*)::text from staging.orders").await, [Some("1".to_owned())]);

    for _ in 0..2 {
        let said = world.run("export", export.clone(), &[]).await.expect("export");
        assert_eq!((&said["path"], &said["rows"]), (&json!("exports/orders.csv"), &json!(1)));
        let text = String::from_utf8(lake.get("exports/orders.csv").await.expect("the file")).expect("UTF-8");
        assert!(text.lines().nth(1).expect("a row").starts_with("1,5,2026-03-01"), "{text}");
    }
    let parquet = json!({"table": "staging.orders", "to": "exports/orders.parquet"});
    world.run("export", parquet, &[]).await.expect("export");
    let frame = lake.read_parquet("exports/orders.parquet").await.expect("Parquet");
    assert_eq!(frame.height(), 1);
}

/// The lease is lost before the file has its name; the file of the successor stays.
#[tokio::test]
async fn an_attempt_that_lost_its_lease_puts_no_file_into_the_bucket() {
    let server = S3Server::start();
    let lake = server.lake();
    let world = World::with_lake("create table t (id int)", Some(lake.clone())).await;
    let export = |query: &str| json!({"query": query, "to": "exports/one.csv"});
    world.run("export", export("select 1 as newer"), &[]).await.expect("export");
    let fence = testkit::attempt(&world.pool).await;
    sqlx::query("update sluice.attempt set state = 'lost' where attempt_id = $1")
        .bind(fence.attempt_id)
        .execute(&world.pool)
        .await
        .expect("lose the lease");
    let task = crate::support::context(fence, &[]);
    // Longer than what one request takes.
    let long = export("select repeat('x', 1000) as older from generate_series(1, 20000)");
    let error = world.registry.get("export").expect("a kind").run(long, &task).await.expect_err("refused");
    assert!(error.to_string().starts_with("lease lost"), "{error}");
    assert_eq!(lake.get("exports/one.csv").await.expect("the file"), b"newer\n1\n");
    assert_eq!(lake.list("exports").await.expect("a list").len(), 1);
}
