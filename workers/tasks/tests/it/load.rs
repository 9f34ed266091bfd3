//! The gate of a load.

use serde_json::{Value, json};

use crate::support::World;

const ORDERS: &str = "create table orders (id int primary key, quantity int, city varchar(20));
                      insert into orders values (1, 5, 'Ulm'), (2, -1, null), (3, 0, 'Bonn')";

const SUITE: &str = "
suite: orders
checks:
  - expect_column_values_to_be_between: { column: quantity, min_value: 1 }
  - expect_column_values_to_not_be_null: { column: city }
";

async fn gated(gate: Value) -> (World, Result<Value, workflow::error::TaskError>) {
    let world = World::new(ORDERS).await;
    world.suite("orders", SUITE);
    let load = json!({"from": "extract", "into": "staging.orders", "key": ["id"], "gate": gate});
    let outcome = world.move_rows(json!({"table": "orders"}), load).await;
    (world, outcome)
}

#[tokio::test]
async fn rows_that_fail_are_held_back_with_every_rule_they_broke() {
    let (world, outcome) = gated(json!({"suite": "orders", "on_fail": "quarantine"})).await;
    let outcome = outcome.expect("load");
    assert_eq!(
        (&outcome["verdict"], &outcome["loaded"], &outcome["quarantined"]),
        (&json!("quarantined"), &json!(1), &json!(2))
    );
    let rules = world
        .texts("select (row->>'id') || ' ' || array_to_string(rules, ' ') from sluice.quarantine order by 1")
        .await;
    assert_eq!(rules.iter().flatten().collect::<Vec<_>>(), ["2 quantity.between city.not_null", "3 quantity.between"]);
    let checks = world.texts("select check_id || ' ' || outcome from sluice.check_results order by check_id").await;
    assert_eq!(checks.iter().flatten().collect::<Vec<_>>(), ["city.not_null failed", "quantity.between failed"]);
}

#[tokio::test]
async fn a_gate_that_warns_lets_everything_through() {
    let (_, outcome) = gated(json!({"suite": "orders", "on_fail": "warn"})).await;
    let outcome = outcome.expect("load");
    assert_eq!((&outcome["verdict"], &outcome["loaded"]), (&json!("warned"), &json!(3)));
}

#[tokio::test]
async fn a_gate_that_fails_publishes_nothing_and_tells_its_channels() {
    let (world, outcome) = gated(json!({"suite": "orders", "on_fail": "fail", "notify": ["ops_mail"]})).await;
    let error = outcome.expect_err("refused");
    assert!(error.gate, "{}", error.chain());
    assert!(error.to_string().contains("quantity.between"), "{error}");
    assert_eq!(world.texts("select verdict || loaded from sluice.loads").await, [Some("failed0".to_owned())]);
    assert_eq!(world.texts("select count(*)::text from staging.orders").await, [Some("0".to_owned())]);
    assert_eq!(world.texts("select channel from sluice.outbox").await, [Some("ops_mail".to_owned())]);
}

#[tokio::test]
async fn too_many_rows_held_back_refuse_the_batch() {
    let gate = |limit: Value| {
        let mut gate = json!({"suite": "orders", "on_fail": "quarantine"});
        gate.as_object_mut().expect("a map").extend(limit.as_object().expect("a map").clone());
        gate
    };
    for (limit, passes) in [
        (json!({"max_failed_rows": 2}), true),
        (json!({"max_failed_rows": 1}), false),
        (json!({"max_failed_percent": 67}), true),
        (json!({"max_failed_percent": 66}), false),
    ] {
        let (_, outcome) = gated(gate(limit.clone())).await;
        assert_eq!(outcome.is_ok(), passes, "{limit}");
    }
}

/// One row of five breaks a check, one cannot be read, one has no key, and one does not fit.
#[tokio::test]
async fn a_limit_counts_every_row_that_is_held_back() {
    let rows = "set sql_mode = '';
                create table orders (id int, quantity int, city varchar(20), day date);
                insert into orders values (1, 5, 'Ulm', null), (2, -1, 'Ulm', null), (3, 5, 'Ulm', '0000-00-00'),
                                          (null, 5, 'Ulm', null), (5, 5, concat('U', char(0)), null)";
    for (limit, passes) in [
        (json!({"max_failed_rows": 4}), true),
        (json!({"max_failed_rows": 3}), false),
        (json!({"max_failed_percent": 80}), true),
        (json!({"max_failed_percent": 79}), false),
    ] {
        let world = World::new(rows).await;
        world.suite("orders", SUITE);
        let mut gate = json!({"suite": "orders", "on_fail": "quarantine"});
        gate.as_object_mut().expect("a map").extend(limit.as_object().expect("a map").clone());
        let load = json!({"from": "extract", "into": "staging.orders", "key": ["id"], "gate": gate});
        let outcome = world.move_rows(json!({"table": "orders"}), load).await;
        assert_eq!(outcome.is_ok(), passes, "{limit}");
        match outcome {
            Ok(outcome) => assert_eq!((&outcome["loaded"], &outcome["quarantined"]), (&json!(1), &json!(4))),
            Err(error) => assert!(error.gate && error.to_string().contains("held back"), "{}", error.chain()),
        }
    }
}

/// What is published is there, the task fails, and a repeat goes on once nothing of it is open.
#[tokio::test]
async fn a_gate_that_blocks_lets_nothing_behind_it_run_until_its_rows_are_settled() {
    let world = World::new(ORDERS).await;
    world.suite("orders", SUITE);
    let gate = json!({"suite": "orders", "on_fail": "quarantine", "block_downstream": true, "notify": ["ops_mail"]});
    let load = json!({"from": "extract", "into": "staging.orders", "key": ["id"], "gate": gate});
    let manifest = world.run("extract_mysql", json!({"table": "orders"}), &[]).await.expect("extract");
    let again = async || world.run("load", load.clone(), &[("extract", &manifest)]).await;
    let error = again().await.expect_err("blocked");
    assert!(error.gate, "{}", error.chain());
    assert_eq!(
        error.to_string(),
        "staging.orders is published as load 1, and its gate lets nothing behind it run: 2 rows are held back; \
         quantity.between failed: 2 of 3 rows; city.not_null failed: 1 of 3 rows"
    );
    assert_eq!(world.texts("select id::text from staging.orders").await, [Some("1".to_owned())]);
    assert_eq!(world.texts("select channel from sluice.outbox").await, [Some("ops_mail".to_owned())]);
    let error = again().await.expect_err("blocked still");
    assert!(error.gate && error.to_string().ends_with("2 rows of it are still held back"), "{}", error.chain());
    world
        .texts(
            "update sluice.quarantined_row set state = 'dismissed', settled_at = now(), reason = 'x' returning state",
        )
        .await;
    assert_eq!(again().await.expect("go on")["repeated"], json!(true));
    assert_eq!(world.texts("select count(*)::text from sluice.outbox").await, [Some("1".to_owned())], "told once");
}

/// There is nothing to settle about a check that warns: a person marks the task.
#[tokio::test]
async fn a_gate_that_blocks_for_a_warning_blocks_every_repeat() {
    let world = World::new(ORDERS).await;
    world.suite("orders", SUITE);
    let gate = json!({"suite": "orders", "on_fail": "warn", "block_downstream": true});
    let load = json!({"from": "extract", "into": "staging.orders", "key": ["id"], "gate": gate});
    let manifest = world.run("extract_mysql", json!({"table": "orders"}), &[]).await.expect("extract");
    for _ in 0..2 {
        let error = world.run("load", load.clone(), &[("extract", &manifest)]).await.expect_err("blocked");
        assert!(error.gate, "{}", error.chain());
        assert_eq!(world.texts("select count(*)::text from staging.orders").await, [Some("3".to_owned())]);
    }
}

/// What could not be checked was not passed: whatever a failure would do, short of a warning, nothing is published.
#[tokio::test]
async fn a_suite_that_names_a_missing_column_is_errored_and_publishes_nothing() {
    for (policy, published) in [("fail", "0"), ("quarantine", "0"), ("warn", "3")] {
        let world = World::new(ORDERS).await;
        world.suite("orders", "suite: orders\nchecks:\n  - expect_column_values_to_not_be_null: { column: colour }\n");
        let load = json!({"from": "extract", "into": "staging.orders", "key": ["id"],
                          "gate": {"suite": "orders", "on_fail": policy}});
        let outcome = world.move_rows(json!({"table": "orders"}), load).await;
        match outcome {
            Ok(outcome) => assert_eq!((policy, &outcome["verdict"]), ("warn", &json!("warned"))),
            Err(error) => assert!(error.gate && error.to_string().contains("colour"), "{}", error.chain()),
        }
        assert_eq!(world.texts("select outcome from sluice.check_results").await, [Some("errored".to_owned())]);
        assert_eq!(world.texts("select count(*)::text from staging.orders").await, [Some(published.to_owned())]);
    }
}

#[tokio::test]
async fn keys_that_are_in_no_other_dataset_are_held_back() {
    let world = World::new(ORDERS).await;
    world.suite(
        "orders",
        "
suite: orders
checks:
  - expect_column_values_to_exist_in: { id: in_table, column: city, dataset: public.cities, other_column: name }
  - expect_column_values_to_exist_in: { id: in_file, column: city, dataset: cities.csv, other_column: name }
  - expect_table_row_count_to_agree_with: { dataset: public.cities, tolerance: 200 % }
  - unexpected_rows_expectation:
      { id: asked, on_fail: warn, unexpected_rows_query: 'select id from {batch} where quantity < 0' }
",
    );
    std::fs::write(world.folder.path().join("cities.csv"), "name,country\nUlm,DE\n").expect("a file");
    sqlx::raw_sql("create table public.cities (name text); insert into public.cities values ('Ulm'), (null)")
        .execute(&world.pool)
        .await
        .expect("a table");
    let gate = json!({"suite": "orders", "on_fail": "quarantine"});
    let load = json!({"from": "extract", "into": "staging.orders", "key": ["id"], "gate": gate});
    let outcome = world.move_rows(json!({"table": "orders"}), load).await.expect("load");
    // The order without a city refers to none.
    assert_eq!((&outcome["loaded"], &outcome["quarantined"]), (&json!(2), &json!(1)));
    let rules = world.texts("select (row->>'id') || ' ' || array_to_string(rules, ' ') from sluice.quarantine").await;
    assert_eq!(rules.iter().flatten().collect::<Vec<_>>(), ["3 in_table in_file"]);
    let found = "select outcome || (observed #>> '{details,unexpected_rows}') from sluice.check_results where check_id = 'asked'";
    assert_eq!(world.texts(found).await, [Some("failed[{\"id\": 2}]".to_owned())]);
}
