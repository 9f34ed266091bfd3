//! Write, audit, publish.

use polars::prelude::DataFrame;
use serde_json::json;
use sqlx::PgPool;
use warehouse::{
    WarehouseError,
    load::{Audit, Balance, Deduplicate, Outcome, Staged, Verdict, ledger, marks},
    manifest::{Mark, Reading},
};

use testkit::attempt;
use workflow::error::{ErrorDomain, RetryHint, TaskError};

use crate::support::{batch, column, frame, interval, lake, lose, request};

fn orders(ids: &[i64], quantities: &[i32]) -> DataFrame {
    frame(vec![column("id", ids), column("quantity", quantities)])
}

async fn rows(pool: &PgPool) -> Vec<(i64, i32)> {
    sqlx::query_as("select id, quantity from staging.orders order by id, quantity").fetch_all(pool).await.expect("rows")
}

fn counts(outcome: &Outcome) -> (i64, i64, i64, i64) {
    (outcome.read, outcome.loaded, outcome.quarantined, outcome.deduplicated)
}

fn reading() -> Reading {
    Reading {
        dag: "t".to_owned(),
        task: "extract".to_owned(),
        connection: "shop".to_owned(),
        source: "orders".to_owned(),
        column: "version".to_owned(),
    }
}

fn mark(cursor: &str) -> Mark {
    Mark { of: reading(), cursor: cursor.to_owned(), key: "1".to_owned() }
}

async fn staging_tables(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'sluice_staging'")
        .fetch_one(pool)
        .await
        .expect("count")
}

#[tokio::test]
async fn a_batch_is_published_once_however_often_it_is_loaded() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let manifest = batch(&lake, "b1", orders(&[1, 2], &[10, 20])).await;
    for repeated in [false, true] {
        let fence = attempt(&db.pool).await;
        let staged = Staged::stage(&db.pool, &lake, request("staging.orders", manifest.clone(), fence)).await;
        let outcome = staged.expect("stage").publish(Audit::unchecked()).await.expect("publish");
        assert_eq!(counts(&outcome), (2, 2, 0, 0));
        assert_eq!(outcome.repeated, repeated);
    }
    assert_eq!(rows(&db.pool).await, [(1, 10), (2, 20)]);
    let found = ledger::find(&db.pool, "staging.orders", interval(), "b1").await.expect("read");
    assert!(found.is_some_and(|outcome| outcome.repeated));
    assert_eq!(staging_tables(&db.pool).await, 0, "staging tables are dropped");
}

#[tokio::test]
async fn rows_and_sums_balance_whatever_becomes_of_a_row() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let rows_in = frame(vec![
        column("id", &[Some(1i64), Some(1), None, Some(2), Some(3), Some(3), Some(4)]),
        column("quantity", &[1i32, 1, 5, 7, 100, 11, 13]),
        column("note", &["a", "a", "no key", "bad\0text", "old", "new", "gate"]),
    ]);
    let mut manifest = batch(&lake, "b1", rows_in).await;
    let mut unreadable = frame(vec![
        column("source_file", &["x.csv"]),
        column("source_line", &[42u32]),
        column("text", &["a,\"b"]),
        column("reason", &["open quote"]),
    ]);
    manifest.rejected = Some(vec![lake.write_parquet("rejected.parquet", &mut unreadable).await.expect("write")]);
    let fence = attempt(&db.pool).await;
    let mut load = request("staging.orders", manifest, fence);
    load.key = vec!["id".to_owned()];
    load.deduplicate = Deduplicate::Identical;
    load.balance = vec![Balance::parse("goods", "quantity * 1.5").expect("an expression")];
    let staged = Staged::stage(&db.pool, &lake, load).await.expect("stage");
    assert_eq!(staged.dropped(), [1, 4], "the second of two identical rows, the first of two versions");
    assert_eq!(staged.faults(), 1);

    let mut audit = Audit::unchecked();
    audit.verdict = Verdict::Quarantined;
    audit.failed = vec![(6, vec!["rule_a".to_owned(), "rule_b".to_owned()]), (2, vec!["rule_c".to_owned()])];
    let outcome = staged.publish(audit).await.expect("publish");
    assert_eq!(counts(&outcome), (8, 2, 4, 2));
    assert_eq!(
        outcome.sums["goods"],
        json!({"read": "207.0", "loaded": "18.0", "quarantined": "37.5", "deduplicated": "151.5"})
    );
    assert_eq!(rows(&db.pool).await, [(1, 1), (3, 11)]);

    let held: Vec<(i64, Option<i64>, serde_json::Value, Vec<String>)> =
        sqlx::query_as("select seq, source_line, row, rules from sluice.quarantined_row order by seq")
            .fetch_all(&db.pool)
            .await
            .expect("quarantine");
    let rules: Vec<_> = held.iter().map(|(seq, line, _, rules)| (*seq, *line, rules.join("|"))).collect();
    assert_eq!(
        rules,
        [
            (2, Some(3), "key(id): is null|rule_c".to_owned()),
            (3, Some(4), "fits(note): text holds a NUL character, at 4".to_owned()),
            (6, Some(7), "rule_a|rule_b".to_owned()),
            (7, Some(42), "readable: open quote".to_owned()),
        ]
    );
    assert_eq!(held[1].2["note"], "bad\\0text");
    assert_eq!(held[2].2, json!({"id": 4, "quantity": 13, "note": "gate"}));
}

#[tokio::test]
async fn a_later_batch_replaces_rows_by_key_but_never_newer_ones() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let versions = |id: i64, quantity: i32, at: &str| {
        frame(vec![column("id", &[id]), column("quantity", &[quantity]), column("version", &[at])])
    };
    for (name, quantity, at, expected) in
        [("new", 2, "2026-02", 2), ("late", 1, "2026-01", 2), ("newer", 3, "2026-03", 3)]
    {
        let mut manifest = batch(&lake, name, versions(1, quantity, at)).await;
        manifest.order_by = Some("version".to_owned());
        manifest.mark = Some(mark(at));
        let fence = attempt(&db.pool).await;
        let mut load = request("staging.orders", manifest, fence);
        load.key = vec!["id".to_owned()];
        let staged = Staged::stage(&db.pool, &lake, load).await.expect("stage");
        let outcome = staged.publish(Audit::unchecked()).await.expect("publish");
        assert_eq!(counts(&outcome), (1, 1, 0, 0), "{name}");
        assert_eq!(rows(&db.pool).await, [(1, expected)], "{name}");
    }
    let mark = marks::read(&db.pool, &reading(), &[]).await.expect("read").expect("a mark");
    assert_eq!(mark.cursor, "2026-03");
}

#[tokio::test]
async fn every_target_of_an_extract_has_a_mark_of_its_own() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let publish = async |target: &str, cursor: &str, verdict: Verdict| {
        let mut manifest = batch(&lake, cursor, orders(&[1], &[10])).await;
        manifest.mark = Some(mark(cursor));
        let mut load = request(target, manifest, attempt(&db.pool).await);
        load.key = vec!["id".to_owned()];
        let audit = Audit { verdict, ..Audit::unchecked() };
        Staged::stage(&db.pool, &lake, load).await.expect("stage").publish(audit).await.expect("publish");
    };
    let cursor = async |of: &Reading, targets: &[&str]| {
        let targets: Vec<String> = targets.iter().map(|&target| target.to_owned()).collect();
        marks::read(&db.pool, of, &targets).await.expect("read").map(|mark| mark.cursor)
    };
    let both = ["staging.a", "staging.b"];
    publish("staging.a", "5", Verdict::Passed).await;
    publish("staging.b", "5", Verdict::Failed).await;
    assert_eq!(cursor(&reading(), &both).await, None, "one of them has nothing yet");
    assert_eq!(cursor(&reading(), &["staging.a"]).await.as_deref(), Some("5"));
    publish("staging.b", "9", Verdict::Passed).await;
    publish("staging.a", "10", Verdict::Passed).await;
    assert_eq!(cursor(&reading(), &both).await.as_deref(), Some("9"), "the lower of the two");
    assert_eq!(cursor(&reading(), &["staging.c"]).await, None, "a target that is new");
    for other in [
        Reading { source: "customers".to_owned(), ..reading() },
        Reading { column: "created_at".to_owned(), ..reading() },
        Reading { connection: "erp".to_owned(), ..reading() },
    ] {
        assert_eq!(cursor(&other, &["staging.a"]).await, None, "{other:?}");
    }
}

#[tokio::test]
async fn a_row_that_an_overlap_reads_again_is_held_back_once() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    // What the gate says of the row with id 2, and where that row goes then.
    for (name, quantity, rule, held) in [
        ("first", -1, "positive", 1),
        ("overlap", -1, "positive", 0),
        ("changed", -2, "positive", 1),
        ("judged anew", -2, "above -2", 1),
    ] {
        let mut manifest = batch(&lake, name, orders(&[1, 2], &[10, quantity])).await;
        manifest.mark = Some(mark(name));
        let mut load = request("staging.orders", manifest, attempt(&db.pool).await);
        load.key = vec!["id".to_owned()];
        let staged = Staged::stage(&db.pool, &lake, load).await.expect("stage");
        let mut audit = Audit::unchecked();
        audit.verdict = Verdict::Quarantined;
        audit.failed = vec![(1, vec![rule.to_owned()])];
        let outcome = staged.publish(audit).await.expect("publish");
        assert_eq!(counts(&outcome), (2, 1, held, 1 - held), "{name}");
    }
    let rows: i64 =
        sqlx::query_scalar("select count(*) from sluice.quarantine").fetch_one(&db.pool).await.expect("count");
    assert_eq!(rows, 3);
}

#[tokio::test]
async fn first_loads_that_start_together_make_their_schemas_once() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let mut requests = Vec::new();
    for n in 0..8 {
        let name = format!("b{n}");
        let manifest = batch(&lake, &name, orders(&[1], &[10])).await;
        requests.push(request(&format!("fresh.t{n}"), manifest, attempt(&db.pool).await));
    }
    let loads = requests.into_iter().map(|request| async {
        let staged = Staged::stage(&db.pool, &lake, request).await.expect("stage");
        staged.publish(Audit::unchecked()).await.expect("publish")
    });
    for outcome in futures::future::join_all(loads).await {
        assert_eq!(counts(&outcome), (1, 1, 0, 0));
    }
}

#[tokio::test]
async fn a_stale_token_publishes_nothing() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let manifest = batch(&lake, "b1", orders(&[1], &[10])).await;
    let zombie = attempt(&db.pool).await;
    let staged =
        Staged::stage(&db.pool, &lake, request("staging.orders", manifest.clone(), zombie)).await.expect("stage");
    lose(&db.pool, zombie).await;
    let successor = attempt(&db.pool).await;
    let second =
        Staged::stage(&db.pool, &lake, request("staging.orders", manifest.clone(), successor)).await.expect("stage");
    let outcome = second.publish(Audit::unchecked()).await.expect("publish");
    assert_eq!(counts(&outcome), (1, 1, 0, 0));
    let error = staged.publish(Audit::unchecked()).await.expect_err("the lease is lost");
    assert!(matches!(error, WarehouseError::LeaseLost(_)), "{error}");
    assert_eq!(rows(&db.pool).await, [(1, 10)]);
    let error = Staged::stage(&db.pool, &lake, request("staging.orders", manifest, zombie)).await.expect_err("lost");
    assert!(matches!(error, WarehouseError::LeaseLost(_)), "{error}");
}

#[tokio::test]
async fn what_a_dead_attempt_left_behind_is_swept_and_its_batch_loads() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let manifest = batch(&lake, "b1", orders(&[1], &[10])).await;
    let dead = attempt(&db.pool).await;
    // The process ends here: nothing of `Staged` cleans up after itself.
    drop(Staged::stage(&db.pool, &lake, request("staging.orders", manifest.clone(), dead)).await.expect("stage"));
    assert_eq!(staging_tables(&db.pool).await, 2);
    assert_eq!(rows(&db.pool).await, []);
    lose(&db.pool, dead).await;
    let fence = attempt(&db.pool).await;
    let staged = Staged::stage(&db.pool, &lake, request("staging.orders", manifest, fence)).await.expect("stage");
    assert_eq!(staging_tables(&db.pool).await, 2, "only those of the living attempt");
    staged.publish(Audit::unchecked()).await.expect("publish");
    assert_eq!(rows(&db.pool).await, [(1, 10)]);
    assert_eq!(staging_tables(&db.pool).await, 0);
}

/// Recovery from a crash empties unlogged tables, as `truncate` does.
#[tokio::test]
async fn a_batch_whose_rows_a_crash_took_is_not_published_and_may_be_tried_again() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let mut manifest = batch(&lake, "b1", orders(&[1, 2], &[10, 20])).await;
    manifest.mark = Some(mark("5"));
    let fence = attempt(&db.pool).await;
    let staged = Staged::stage(&db.pool, &lake, request("staging.orders", manifest.clone(), fence)).await;
    let staged = staged.expect("stage");
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'sluice_staging'",
    )
    .fetch_all(&db.pool)
    .await
    .expect("tables");
    assert_eq!(tables.len(), 2);
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("truncate {}", tables.join(", "))))
        .execute(&db.pool)
        .await
        .expect("empty them");
    let error = staged.publish(Audit::unchecked()).await.expect_err("nothing is left to publish");
    assert!(matches!(error, WarehouseError::StagingLost { written: 2, found: 0, .. }), "{error}");
    let task = TaskError::from(error);
    assert_eq!((task.domain, task.retry), (ErrorDomain::External, RetryHint::Backoff));
    let found = ledger::find(&db.pool, "staging.orders", interval(), "b1").await.expect("read");
    assert!(found.is_none(), "the ledger does not know it");
    assert!(marks::read(&db.pool, &reading(), &[]).await.expect("read").is_none(), "the mark stays");

    let fence = attempt(&db.pool).await;
    let staged = Staged::stage(&db.pool, &lake, request("staging.orders", manifest, fence)).await.expect("stage");
    assert_eq!(counts(&staged.publish(Audit::unchecked()).await.expect("publish")), (2, 2, 0, 0));
}

#[tokio::test]
async fn a_refused_batch_publishes_nothing_and_may_be_tried_again() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let mut manifest = batch(&lake, "b1", orders(&[1, 2], &[10, -1])).await;
    manifest.mark = Some(mark("5"));
    let fence = attempt(&db.pool).await;
    let staged =
        Staged::stage(&db.pool, &lake, request("staging.orders", manifest.clone(), fence)).await.expect("stage");
    let mut audit = Audit::unchecked();
    audit.verdict = Verdict::Failed;
    audit.failed = vec![(1, vec!["positive".to_owned()])];
    let outcome = staged.publish(audit).await.expect("publish");
    assert_eq!((outcome.verdict, outcome.read, outcome.loaded, outcome.quarantined), (Verdict::Failed, 2, 0, 1));
    assert_eq!(rows(&db.pool).await, []);
    assert!(marks::read(&db.pool, &reading(), &[]).await.expect("read").is_none(), "the mark stays");

    let fence = attempt(&db.pool).await;
    let staged = Staged::stage(&db.pool, &lake, request("staging.orders", manifest, fence)).await.expect("stage");
    let again = staged.publish(Audit::unchecked()).await.expect("publish");
    assert_eq!((again.load_id, counts(&again)), (outcome.load_id, (2, 2, 0, 0)));
    assert!(marks::read(&db.pool, &reading(), &[]).await.expect("read").is_some());
    let held: i64 =
        sqlx::query_scalar("select count(*) from sluice.quarantined_row").fetch_one(&db.pool).await.expect("count");
    assert_eq!(held, 0, "what the refused try held back is gone");
}

#[tokio::test]
async fn readers_never_see_a_part_of_a_batch_and_loads_of_one_table_take_turns() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let first = batch(&lake, "b0", orders(&(0..2000).collect::<Vec<_>>(), &[0; 2000])).await;
    let fence = attempt(&db.pool).await;
    let mut load = request("staging.orders", first, fence);
    load.key = vec!["id".to_owned()];
    Staged::stage(&db.pool, &lake, load).await.expect("stage").publish(Audit::unchecked()).await.expect("publish");

    let mut writers = tokio::task::JoinSet::new();
    for version in 1..=4i32 {
        let manifest =
            batch(&lake, &format!("b{version}"), orders(&(0..2000).collect::<Vec<_>>(), &[version; 2000])).await;
        let fence = attempt(&db.pool).await;
        let (pool, lake) = (db.pool.clone(), lake.clone());
        writers.spawn(async move {
            let mut load = request("staging.orders", manifest, fence);
            load.key = vec!["id".to_owned()];
            Staged::stage(&pool, &lake, load).await.expect("stage").publish(Audit::unchecked()).await.expect("publish")
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    while !writers.is_empty() {
        let (versions, rows): (i64, i64) =
            sqlx::query_as("select count(distinct quantity), count(*) from staging.orders")
                .fetch_one(&db.pool)
                .await
                .expect("read");
        assert_eq!((versions, rows), (1, 2000), "one batch, whole");
        while let Some(done) = writers.try_join_next() {
            seen.insert(done.expect("a writer").load_id);
        }
    }
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn a_batch_that_does_not_fit_its_table_is_refused_with_every_misfit() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    sqlx::raw_sql("create schema staging; create table staging.orders (id text, quantity int, must int not null)")
        .execute(&db.pool)
        .await
        .expect("a table");
    let manifest = batch(&lake, "b1", frame(vec![column("id", &[1i64]), column("colour", &["red"])])).await;
    let fence = attempt(&db.pool).await;
    let mut load = request("staging.orders", manifest, fence);
    load.key = vec!["id".to_owned()];
    let error = Staged::stage(&db.pool, &lake, load).await.expect_err("it does not fit");
    assert_eq!(
        error.to_string(),
        "the batch does not fit staging.orders: column `id` is i64, which text cannot hold; column `colour` is new; \
         add it to the table first; column `must` must not be null and is not in the batch; \
         no unique index on the key (id)"
    );
}

#[tokio::test]
async fn a_misspelt_name_is_the_users_error_with_the_nearest_name() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    for (name, target) in [("new", "staging.orders"), ("there", "staging.there")] {
        if name == "there" {
            sqlx::raw_sql(
                "create schema if not exists staging; create table staging.there (id bigint primary key, quantity int)",
            )
            .execute(&db.pool)
            .await
            .expect("a table");
        }
        let mut manifest = batch(&lake, name, orders(&[1, 2], &[10, 10])).await;
        manifest.order_by = Some("idd".to_owned());
        let mut load = request(target, manifest, attempt(&db.pool).await);
        load.deduplicate = Deduplicate::By(vec!["quantity".to_owned(), "quantiti".to_owned()]);
        load.balance = vec![Balance::parse("goods", "quantty * 2").expect("an expression")];
        let error = Staged::stage(&db.pool, &lake, load).await.expect_err("no such columns");
        assert_eq!(
            error.to_string(),
            format!(
                "the batch does not fit {target}: \
                 `deduplicate` names `quantiti`, which is not a column of the batch (did you mean `quantity`?); \
                 the extract's cursor names `idd`, which is not a column of the batch (did you mean `id`?); \
                 `balance.goods` names `quantty`, which is not a column of the batch (did you mean `quantity`?)"
            )
        );
        assert_eq!(TaskError::from(error).domain, ErrorDomain::User);
    }
    let mut load = request("staging.orders", batch(&lake, "b", orders(&[1], &[1])).await, attempt(&db.pool).await);
    load.key = vec!["ix".to_owned()];
    let error = Staged::stage(&db.pool, &lake, load).await.expect_err("no such column").to_string();
    assert!(error.ends_with("`key` names `ix`, which is not a column of the batch (did you mean `id`?)"), "{error}");
}

#[tokio::test]
async fn a_batch_without_a_file_balances() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let mut manifest = batch(&lake, "b", orders(&[1], &[1])).await;
    manifest.files.clear();
    let mut load = request("staging.orders", manifest, attempt(&db.pool).await);
    load.balance = vec![Balance::parse("goods", "quantity").expect("an expression")];
    let staged = Staged::stage(&db.pool, &lake, load).await.expect("stage");
    let outcome = staged.publish(Audit::unchecked()).await.expect("publish");
    assert_eq!(outcome.sums["goods"]["read"], json!("0"));
}
