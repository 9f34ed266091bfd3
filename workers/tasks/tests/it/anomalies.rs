//! A gate that compares a batch with those before it.

use serde_json::json;

use crate::support::World;

const ORDERS: &str = "create table orders (id int primary key, total decimal(10,2), city varchar(20));
                      insert into orders values (1, 5.50, 'Ulm'), (2, 7.00, null), (3, 0.50, 'Bonn')";

const SUITE: &str = "
suite: orders
profile: true
checks:
  - expect_column_values_to_not_be_null: { column: id }
anomalies:
  - { metric: row_count, direction: down }
  - { id: revenue, sql: 'select sum(total) from {batch}', severity: critical }
";

/// Fourteen days of a thousand orders before the day of the tests' runs.
const HISTORY: &str = "
    insert into sluice.profile (run_id, task, suite, dataset, data_at, day, \"column\", place, metrics)
    select 0, 't', 'orders', 'staging.orders', at, at, '', 0, jsonb_build_object('row_count', 1000 + n, 'sql.revenue', 12 + n)
    from generate_series(1, 14) n, lateral (select timestamptz '2026-03-01 00:00+00' - n * interval '1 day' as at) d";

#[tokio::test]
async fn an_anomaly_is_told_with_its_numbers_to_the_channels_of_the_gate() {
    let world = World::new(ORDERS).await;
    world.suite("orders", SUITE);
    sqlx::raw_sql(HISTORY).execute(&world.pool).await.expect("a history");
    let load = json!({
        "from": "extract", "into": "staging.orders", "key": ["id"],
        "gate": { "suite": "orders", "notify": ["ops_mail"] },
    });
    let outcome = world.move_rows(json!({"table": "orders"}), load.clone()).await.expect("published");
    assert_eq!((&outcome["verdict"], &outcome["loaded"]), (&json!("warned"), &json!(3)));

    let checks = world.texts("select check_id || ' ' || outcome from sluice.check_results order by result_id").await;
    let checks: Vec<_> = checks.iter().flatten().collect();
    assert_eq!(checks, ["id.not_null passed", "row_count.anomaly failed", "revenue passed"]);
    let message = "staging.orders: row_count 3; the median of 14 batches is 1,008, MAD 3.5, taken as 1 % of the median, 10.08, \
                   limit 8.57: 99.7 below";
    let alerts = world.texts("select severity || ' ' || message from sluice.alerts").await;
    assert_eq!(alerts, [Some(format!("medium {message}"))]);
    assert_eq!(world.texts("select channel from sluice.outbox").await, [Some("ops_mail".to_owned())]);

    // What was seen is kept with the load: the batch, and each of its columns.
    let kept = "select \"column\" || coalesce(' ' || (metrics ->> 'null_share')::numeric(4, 3), '') || coalesce(' ' || (metrics ->> 'mean')::numeric(6, 3), '')
                from sluice.profiles p join sluice.loads l using (load_id) where not refused order by place";
    let kept: Vec<_> = world.texts(kept).await.into_iter().flatten().collect();
    assert_eq!(kept, ["", "id 0.000 2.000", "total 0.000 4.333", "city 0.333"]);
    let revenue = world
        .texts("select metrics ->> 'sql.revenue' from sluice.profiles where load_id is not null and place = 0")
        .await;
    assert_eq!(revenue, [Some("13.0".to_owned())]);
}
