//! Ways in which movers of data are known to lose some and to say that all is well. Each test has the name of one.

use serde_json::{Value, json};

use crate::support::World;

async fn moved(ddl: &str, extract: Value) -> (World, Value) {
    let world = World::new(&format!("set sql_mode = ''; {ddl}")).await;
    let load = json!({"from": "extract", "into": "staging.t", "key": ["id"]});
    let outcome = world.move_rows(extract, load).await.expect("move");
    (world, outcome)
}

async fn values(world: &World) -> Vec<Option<String>> {
    world.texts("select v::text from staging.t order by id").await
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

#[tokio::test]
async fn empty_text_does_not_become_null() {
    let ddl = "create table t (id int primary key, v varchar(9)); insert into t values (1, ''), (2, null), (3, ' ')";
    let (world, _) = moved(ddl, json!({"table": "t"})).await;
    assert_eq!(values(&world).await, [Some(String::new()), None, Some(" ".to_owned())]);
}

#[tokio::test]
async fn a_time_beyond_a_day_does_not_wrap_around() {
    let ddl = "create table t (id int primary key, v time(1));
               insert into t values (1, '-838:59:58.5'), (2, '24:00:00'), (3, '838:59:59.9')";
    let (world, _) = moved(ddl, json!({"table": "t"})).await;
    assert_eq!(values(&world).await, some(&["-838:59:58.5", "24:00:00", "838:59:59.9"]));
}

#[tokio::test]
async fn a_tinyint_of_two_does_not_become_true() {
    let ddl = "create table t (id int primary key, v tinyint(1)); insert into t values (1, 2), (2, 1), (3, -1)";
    let (world, _) = moved(ddl, json!({"table": "t"})).await;
    assert_eq!(values(&world).await, some(&["2", "1", "-1"]));
}

const DATES: &str = "set sql_mode = 'ALLOW_INVALID_DATES';
    create table t (id int primary key, v date, at datetime(6));
    insert into t values (1, '2024-02-29', null), (2, '0000-00-00', null), (3, '2024-00-10', null),
                         (4, '2023-02-29', null), (5, '2024-04-31', null), (6, null, '2024-06-31 10:00:00.5')";

#[tokio::test]
async fn rows_with_dates_that_are_none_are_held_back_and_counted() {
    let (world, outcome) = moved(DATES, json!({"table": "t"})).await;
    assert_eq!((&outcome["read"], &outcome["loaded"], &outcome["quarantined"]), (&json!(6), &json!(1), &json!(5)));
    assert_eq!(
        world.texts("select rules[1] from sluice.quarantined_row order by seq").await,
        some(&[
            "readable: v: 0000-00-00 is not a date",
            "readable: v: 2024-00-10 is not a date",
            "readable: v: 2023-02-29 is not a date",
            "readable: v: 2024-04-31 is not a date",
            "readable: at: 2024-06-31 10:00:00.500000 is not a date",
        ])
    );
}

#[tokio::test]
async fn dates_that_are_none_may_become_nulls_or_text() {
    let (world, outcome) = moved(DATES, json!({"table": "t", "zero_dates": "null"})).await;
    assert_eq!(outcome["loaded"], json!(6));
    assert_eq!(values(&world).await, [Some("2024-02-29".to_owned()), None, None, None, None, None]);
    let keys = |policy: &str| json!({"table": "t", "target": "staging.t", "key": "id", "zero_dates": policy});
    world.run("reconcile", keys("null"), &[]).await.expect("alike, by the same policy");
    let error = world.run("reconcile", keys("reject"), &[]).await.expect_err("values became nulls");
    assert!(error.to_string().contains("0 missing, 0 extra and 5 different"), "{error}");
    let (world, outcome) = moved(DATES, json!({"table": "t", "zero_dates": "text"})).await;
    assert_eq!(outcome["loaded"], json!(6));
    assert_eq!(
        world.texts("select coalesce(v, at) from staging.t order by id").await,
        some(&["2024-02-29", "0000-00-00", "2024-00-10", "2023-02-29", "2024-04-31", "2024-06-31 10:00:00.500000"])
    );
    world.run("reconcile", keys("text"), &[]).await.expect("alike");
}

#[tokio::test]
async fn text_with_a_nul_is_held_back_with_its_place_and_not_stripped() {
    let ddl = "create table t (id int primary key, v varchar(9));
               insert into t values (1, concat('é', char(0), 'b')), (2, 'ab')";
    let (world, outcome) = moved(ddl, json!({"table": "t"})).await;
    assert_eq!((&outcome["loaded"], &outcome["quarantined"]), (&json!(1), &json!(1)));
    assert_eq!(values(&world).await, some(&["ab"]));
    let held =
        world.texts("select concat(source_line, ' ', rules[1], ' ', row->>'v') from sluice.quarantined_row").await;
    assert_eq!(held, some(&[r"1 fits(v): text holds a NUL character, at 2 é\0b"]));
}

#[tokio::test]
async fn json_with_a_key_twice_is_held_back_as_jsonb_would_keep_one() {
    let ddl = r#"create table t (id int primary key, v json);
                 insert into t values (1, '{"a": 1, "a": 2}'), (2, '{"a": {"a": 1}}')"#;
    let (world, outcome) = moved(ddl, json!({"table": "t"})).await;
    assert_eq!((&outcome["loaded"], &outcome["quarantined"]), (&json!(1), &json!(1)));
    let held = world.texts("select rules[1] from sluice.quarantined_row").await;
    assert!(held[0].as_deref().is_some_and(|rule| rule.contains("the key `a` twice")), "{held:?}");
}

#[tokio::test]
async fn a_check_that_cannot_run_does_not_pass() {
    let world = World::new("create table t (id int primary key, v int); insert into t values (1, 1)").await;
    world.suite("t", "suite: t\nchecks:\n  - expect_column_values_to_not_be_null: { column: vv }\n");
    for on_fail in ["fail", "quarantine"] {
        let gate = json!({"suite": "t", "on_fail": on_fail});
        let load = json!({"from": "extract", "into": "staging.t", "key": ["id"], "gate": gate});
        let error = world.move_rows(json!({"table": "t"}), load).await.expect_err("refused");
        assert!(error.gate && error.to_string().contains("vv"), "{on_fail}: {}", error.chain());
        assert_eq!(values(&world).await, [], "{on_fail}: nothing is published");
        let told = world.texts("select distinct outcome from sluice.check_results").await;
        assert_eq!(told, some(&["errored"]), "{on_fail}");
    }
}

/// A number and its text are compared as floats by servers that are not careful: 2^53 + 1 is then 2^53.
#[tokio::test]
async fn keys_beyond_what_a_float_tells_apart_are_read_once_each() {
    let world = World::new(
        "create table t (id bigint unsigned primary key, at datetime(6) not null);
         insert into t values (9007199254740992, '2026-01-01'), (18446744073709551614, '2026-01-01')",
    )
    .await;
    let extract = json!({"table": "t", "incremental": {"cursor": "at", "key": "id", "overlap": "0s", "lag": "0s"}});
    let load = json!({"from": "extract", "into": "staging.t", "key": ["id"]});
    let first = world.move_rows(extract.clone(), load.clone()).await.expect("move");
    assert_eq!(first["loaded"], json!(2));
    world.shop("insert into t values (18446744073709551615, '2026-01-01')").await;
    let second = world.move_rows(extract, load).await.expect("move");
    assert_eq!((&second["read"], &second["loaded"]), (&json!(1), &json!(1)));
}
