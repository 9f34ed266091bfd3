//! What readers see before, during and after a publication.

use testkit::database;
use warehouse::models::{Changes, ModelError, ModelRunner};

use super::support::{Does, Finds, Overtakes, attempt, catalog, model, publish, publish_as, rows, sql, with};

const SOURCE: &str = "create schema if not exists staging; create table staging.t (k int, v int);
                      insert into staging.t values (1, 10), (2, 20), (3, 30)";

/// Row versions and their storage: equal before and after where nothing was written.
async fn versions(pool: &sqlx::PgPool, table: &str) -> Vec<String> {
    rows(pool, &format!("select ctid, xmin, * from {table} order by 3")).await
}

#[tokio::test]
async fn a_table_holds_the_rows_of_the_last_build_and_rewrites_only_what_differs() {
    let db = database().await;
    sql(&db.pool, SOURCE).await;
    let catalog = catalog(model("marts.m", "table", "k v", "select k, v from staging.t"));
    let reports = publish(&db.pool, &catalog).await.expect("published");
    assert_eq!((reports[0].rows, reports[0].changes.inserted, reports[0].verdict), (3, 3, "unchecked"));
    let before = versions(&db.pool, "marts.m").await;

    let reports = publish(&db.pool, &catalog).await.expect("published again");
    assert_eq!(reports[0].changes, Changes::default());
    assert_eq!(versions(&db.pool, "marts.m").await, before, "a repeat writes no row");

    sql(&db.pool, "create view public.reader as select sum(v) from marts.m; grant select on marts.m to public").await;
    sql(&db.pool, "delete from staging.t where k = 1; update staging.t set v = 21 where k = 2").await;
    sql(&db.pool, "insert into staging.t values (4, null)").await;
    let reports = publish(&db.pool, &catalog).await.expect("published the third time");
    let expected = Changes { inserted: 1, updated: 1, deleted: 1, ..Changes::default() };
    assert_eq!(reports[0].changes, expected);
    assert_eq!(rows(&db.pool, "select k, v from marts.m order by k").await, ["(2,21)", "(3,30)", "(4,)"]);
    assert_eq!(rows(&db.pool, "select * from public.reader").await, ["(51)"], "views on it go on");
    assert_eq!(rows(&db.pool, "select has_table_privilege('public', 'marts.m', 'select')").await, ["(t)"]);
    let comments =
        rows(&db.pool, "select obj_description('marts.m'::regclass), col_description('marts.m'::regclass, 2)");
    assert_eq!(comments.await, ["(\"one row per k\",\"What it is\")"]);
    assert!(
        rows(
            &db.pool,
            "select relname from pg_class c join pg_namespace n on n.oid = relnamespace
                            where nspname = 'sluice_staging'"
        )
        .await
        .is_empty(),
        "builds are cleared away"
    );
    let ledger = rows(&db.pool, "select dataset, read, loaded, verdict from sluice.loads order by load_id").await;
    assert_eq!(ledger, ["(marts.m,3,3,unchecked)"; 3]);
}

#[tokio::test]
async fn incremental_rows_stay_unless_their_group_is_replaced() {
    let db = database().await;
    sql(&db.pool, SOURCE).await;
    let kept = model("marts.kept", "incremental", "k v", "select k, v from staging.t");
    let grouped = model("marts.grouped", "incremental", "k g v", "select k, k % 2 as g, v from staging.t");
    let catalog = catalog([kept, with(grouped, "replace: [g]\n")].concat());
    publish(&db.pool, &catalog).await.expect("published");
    sql(&db.pool, "delete from staging.t where k in (1, 2); update staging.t set v = 31 where k = 3").await;
    publish(&db.pool, &catalog).await.expect("published again");
    assert_eq!(rows(&db.pool, "select k, v from marts.kept order by k").await, ["(1,10)", "(2,20)", "(3,31)"]);
    // The odd group was built again without 1; the even one was not built at all.
    assert_eq!(rows(&db.pool, "select k, v from marts.grouped order by k").await, ["(2,20)", "(3,31)"]);
}

#[tokio::test]
async fn a_repeated_attempt_does_nothing_and_a_new_load_of_its_inputs_does() {
    let db = database().await;
    sql(&db.pool, SOURCE).await;
    let view = model("staging.v", "view", "k v", "select k, v from staging.t");
    let catalog = catalog([view, model("marts.m", "table", "k v", "select k, v from staging.v")].concat());
    let task = attempt(&db.pool).await;
    publish_as(&db.pool, &catalog, &task).await.expect("published");
    sql(&db.pool, "insert into staging.t values (4, 40)").await;
    let again = publish_as(&db.pool, &catalog, &task).await.expect("repeated");
    assert_eq!(again[1].verdict, "repeated");
    assert_eq!(rows(&db.pool, "select count(*) from marts.m").await, ["(3)"]);
    // What the view reads was loaded again: the same run has news to publish.
    sql(
        &db.pool,
        "insert into sluice.load_ledger (dataset, batch_id, interval_start, interval_end, verdict, read,
                   loaded, quarantined, deduplicated) values ('staging.t', 'b', now(), now(), 'passed', 1, 1, 0, 0)",
    )
    .await;
    publish_as(&db.pool, &catalog, &task).await.expect("published");
    assert_eq!(rows(&db.pool, "select count(*) from marts.m").await, ["(4)"]);
}

#[tokio::test]
async fn a_lost_lease_publishes_nothing() {
    let db = database().await;
    sql(&db.pool, SOURCE).await;
    let catalog = catalog(model("marts.m", "table", "k v", "select k, v from staging.t"));
    let task = attempt(&db.pool).await;
    sql(&db.pool, "update sluice.attempt set state = 'lost'").await;
    let error = publish_as(&db.pool, &catalog, &task).await.expect_err("refused");
    assert!(error.to_string().starts_with("lease lost"), "{error}");
    assert_eq!(rows(&db.pool, "select to_regclass('marts.m')").await, ["()"]);
    // What it left is swept by the next attempt, whatever became of this one.
    sql(&db.pool, &format!("create table sluice_staging.model_{}_m (k int)", task.fence.attempt_id)).await;
    publish(&db.pool, &catalog).await.expect("published by another attempt");
    let left = rows(&db.pool, "select relname from pg_class where relname like 'model\\_%'").await;
    assert!(left.is_empty(), "{left:?}");
}

/// Recovery from a crash empties unlogged tables, as `truncate` does.
#[tokio::test]
async fn a_build_whose_rows_a_crash_took_is_not_published() {
    let db = database().await;
    sql(&db.pool, SOURCE).await;
    let gated =
        with(model("marts.m", "table", "k v", "select k, v from staging.t"), "gate: { suite: m, on_fail: warn }\n");
    let catalog = catalog(gated);
    publish(&db.pool, &catalog).await.expect("published");
    let words = ["m".to_owned()];
    let task = attempt(&db.pool).await;
    let gate = Does(&db.pool, "truncate {build}");
    let run = ModelRunner { pool: &db.pool, catalog: &catalog, task: &task, timezone: chrono_tz::UTC, gate: &gate };
    let error = run.run(&words).await.expect_err("nothing is left to publish");
    let error = workflow::error::TaskError::from(error);
    assert_eq!(error.domain, workflow::error::ErrorDomain::External, "{}", error.chain());
    assert_eq!(rows(&db.pool, "select count(*) from marts.m").await, ["(3)"]);
    assert_eq!(rows(&db.pool, "select count(*) from sluice.loads").await, ["(1)"]);

    let gate = Does(&db.pool, "select 1");
    let run = ModelRunner { gate: &gate, ..run };
    assert_eq!(run.run(&words).await.expect("published")[0].rows, 3);
}

/// While a run judges its build, the source is loaded anew and another run publishes what it holds then.
#[tokio::test]
async fn an_older_build_does_not_overwrite_a_newer_publication() {
    let db = database().await;
    sql(&db.pool, SOURCE).await;
    let plain = model("marts.m", "table", "k v", "select k, v from staging.t");
    let gated = catalog(with(plain.clone(), "gate: { suite: m, on_fail: warn }\n"));
    let other = catalog(plain);
    let gate = Overtakes { pool: &db.pool, other: &other, times: 1.into() };
    let task = attempt(&db.pool).await;
    let run = ModelRunner { pool: &db.pool, catalog: &gated, task: &task, timezone: chrono_tz::UTC, gate: &gate };
    let words = ["m".to_owned()];
    let reports = run.run(&words).await.expect("published");
    assert_eq!(reports[0].changes, Changes::default(), "the second build finds what the other run published");
    assert_eq!(rows(&db.pool, "select v from marts.m order by k").await, ["(11)", "(21)", "(31)"]);

    let gate = Overtakes { pool: &db.pool, other: &other, times: 100.into() };
    let task = attempt(&db.pool).await;
    let run = ModelRunner { task: &task, gate: &gate, ..run };
    let error = run.run(&words).await.expect_err("never the newest");
    assert!(matches!(error, ModelError::Overtaken(_)), "{error}");
    assert_eq!(workflow::error::TaskError::from(error).domain, workflow::error::ErrorDomain::External);
    assert_eq!(rows(&db.pool, "select v from marts.m order by k").await, ["(14)", "(24)", "(34)"]);
}

#[tokio::test]
async fn a_gate_refuses_or_warns_before_anyone_can_read() {
    let db = database().await;
    sql(&db.pool, SOURCE).await;
    let gated = |on_fail: &str| {
        let files = model("marts.m", "table", "k v", "select k, v from staging.t");
        catalog(with(files, &format!("gate: {{ suite: m, on_fail: {on_fail} }}\n")))
    };
    let gate = Finds(vec!["v must be even".to_owned()]);
    let words = ["m".to_owned()];
    let task = attempt(&db.pool).await;
    let strict = gated("fail");
    let run = ModelRunner { pool: &db.pool, catalog: &strict, task: &task, timezone: chrono_tz::UTC, gate: &gate };
    let error = run.run(&words).await.expect_err("refused");
    assert!(matches!(error, ModelError::Gate { .. }), "{error}");
    assert!(workflow::error::TaskError::from(error).gate);
    assert_eq!(rows(&db.pool, "select to_regclass('marts.m')").await, ["()"]);
    let ledger = "select dataset, read, loaded, verdict, suite from sluice.loads order by load_id";
    assert_eq!(rows(&db.pool, ledger).await, ["(marts.m,3,0,failed,m)"]);

    let lenient = gated("warn");
    let run = ModelRunner { catalog: &lenient, ..run };
    assert_eq!(run.run(&words).await.expect("published")[0].verdict, "warned");
    assert_eq!(rows(&db.pool, ledger).await, ["(marts.m,3,0,failed,m)", "(marts.m,3,3,warned,m)"]);
}

#[tokio::test]
async fn a_broken_grain_names_an_example() {
    let db = database().await;
    sql(&db.pool, SOURCE).await;
    sql(&db.pool, "insert into staging.t values (3, 31)").await;
    let catalog = catalog(model("marts.m", "table", "k v", "select k, v from staging.t"));
    let error = publish(&db.pool, &catalog).await.expect_err("refused").to_string();
    assert!(error.contains("marts.m is not one row per k") && error.contains("Key (k)=(3)"), "{error}");
}

#[tokio::test]
async fn a_fault_of_the_sql_names_its_file() {
    let db = database().await;
    let catalog = catalog(model("marts.m", "table", "k v", "select k, v from staging.nowhere"));
    let error = publish(&db.pool, &catalog).await.expect_err("refused");
    assert_eq!(error.to_string(), "sql/models/marts/m.sql: relation \"staging.nowhere\" does not exist");
}

#[tokio::test]
async fn a_table_follows_its_model_and_views_may_grow_or_change() {
    let db = database().await;
    sql(&db.pool, SOURCE).await;
    let versions = [
        ("k v", "select k, v from staging.t"),
        ("k v w", "select k, v, v / 4.0 as w from staging.t"),
        ("k w", "select k, v / 4.0 as w from staging.t"),
        ("k w", "select k, k as w from staging.t"),
    ];
    for (columns, text) in versions {
        let view = model("marts.shown", "view", columns, text);
        let catalog = catalog([model("marts.kept", "table", columns, text), view].concat());
        publish(&db.pool, &catalog).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        let list = columns.replace(' ', ", ");
        let expected = rows(&db.pool, &format!("select {list} from ({text}) as t order by k")).await;
        for name in ["kept", "shown"] {
            let found = rows(&db.pool, &format!("select {list} from marts.{name} order by k")).await;
            assert_eq!(numbers(&found), numbers(&expected), "{name}: {text}");
        }
    }
    assert_eq!(rows(&db.pool, "select k, w::int from marts.kept order by k").await, ["(1,1)", "(2,2)", "(3,3)"]);
    assert_eq!(rows(&db.pool, "select * from marts.shown order by k").await, ["(1,1)", "(2,2)", "(3,3)"]);
}

/// Rows as numbers: 1 and 1.0000 are the same.
fn numbers(rows: &[String]) -> Vec<Vec<f64>> {
    let row = |row: &String| row.trim_matches(['(', ')']).split(',').map(|v| v.parse().expect("a number")).collect();
    rows.iter().map(row).collect()
}
