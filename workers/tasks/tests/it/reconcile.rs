//! Source against warehouse: what differs is found exactly, told with both values, and mended when asked.

use serde_json::{Value, json};
use testkit::Dice;
use workflow::error::{ErrorDomain, RetryHint};

use crate::support::World;

const ORDERS: &str = "create table orders (id int unsigned primary key auto_increment, customer varchar(40), amount decimal(12, 2),
                                          paid_at datetime(6), rate double, seen timestamp(3) null, lasted time(2), raw blob);
                      insert into orders select seq, concat('Zoë ', seq), seq / 7, '2026-01-01' + interval seq * 1000001 microsecond,
                             seq / 3, '2026-01-01' + interval seq second, sec_to_time(seq * 60.25 - 100000), unhex(seq)
                      from seq_1_to_50000";

async fn loaded() -> World {
    let world = World::new(ORDERS).await;
    let load = json!({"from": "extract", "into": "staging.orders", "key": ["id"]});
    world.move_rows(json!({"table": "orders"}), load).await.expect("move");
    world
}

fn keys(more: Value) -> Value {
    let mut keys = json!({"table": "orders", "target": "staging.orders", "key": "id"});
    keys.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    keys
}

async fn kept(world: &World) -> String {
    let sql = "select concat_ws(' ', source_rows, target_rows, missing, extra, different, \"left\") from sluice.reconciliations
               order by attempt_id desc limit 1";
    world.texts(sql).await[0].clone().expect("a row")
}

/// An inserted, a changed and a deleted row; a null that is none, and a text that looks like another.
const DRIFT: &str = "insert into orders (id, customer) values (60000, 'new');
                     update orders set amount = amount + 0.01 where id = 777;
                     update orders set customer = null where id = 778;
                     delete from orders where id = 12345";

#[tokio::test]
async fn tables_that_are_alike_take_one_statement_each() {
    let world = loaded().await;
    let report = world.run("reconcile", keys(json!({})), &[]).await.expect("alike");
    assert_eq!(
        [&report["source_rows"], &report["target_rows"], &report["left"]],
        [&json!(50_000), &json!(50_000), &json!(0)]
    );
    assert_eq!(report["statements"], json!(2), "the ends of the keys, and the checksums");
    assert_eq!(report["compared"].as_array().map(Vec::len), Some(8));
    assert_eq!(kept(&world).await, "50000 50000 0 0 0 0");
}

#[tokio::test]
async fn rows_that_were_inserted_changed_and_deleted_are_told_with_both_values() {
    let world = loaded().await;
    world.shop(DRIFT).await;
    let error = world.run("reconcile", keys(json!({})), &[]).await.expect_err("they differ");
    assert!(error.gate, "{}", error.chain());
    let told = error.to_string();
    assert!(told.contains("1 missing, 1 extra and 2 different of 50000 rows; 0 are tolerated"), "{told}");
    assert!(told.contains("missing 60000, extra 12345, different 777 778"), "{told}");
    assert_eq!(kept(&world).await, "50000 50000 1 1 2 4");
    let samples: Value =
        sqlx::query_scalar("select samples from sluice.reconciliations").fetch_one(&world.pool).await.expect("samples");
    assert_eq!(
        samples["different"],
        json!([
            {"key": "777", "source": {"amount": "111.01"}, "target": {"amount": "111.00"}},
            {"key": "778", "source": {"customer": null}, "target": {"customer": "Zoë 778"}},
        ])
    );
    assert_eq!(samples["missing"][0]["source"]["customer"], json!("new"));
    assert_eq!(samples["extra"][0]["target"]["customer"], json!("Zoë 12345"));
    assert_eq!(samples["extra"][0]["target"]["paid_at"], json!("2026-01-01 03:25:45.012345"));

    world.run("reconcile", keys(json!({"tolerate": 4})), &[]).await.expect("tolerated");
    let error = world.run("reconcile", keys(json!({"tolerate": 3})), &[]).await.expect_err("one too many");
    assert!(error.gate);
}

#[tokio::test]
async fn a_repair_mends_just_those_rows_and_the_ledger_balances() {
    let world = loaded().await;
    world.shop(DRIFT).await;
    let report = world.run("reconcile", keys(json!({"repair": true})), &[]).await.expect("mended");
    let load = &report["repair"];
    assert_eq!([&load["read"], &load["loaded"], &report["left"]], [&json!(3), &json!(3), &json!(0)]);
    assert_eq!(
        world.texts("select concat_ws(' ', read, loaded, quarantined, deduplicated, removed) from sluice.loads order by load_id desc limit 1").await,
        [Some("3 3 0 0 1".to_owned())]
    );
    let report = world.run("reconcile", keys(json!({"repair": true})), &[]).await.expect("alike");
    assert_eq!((&report["left"], report.get("repair")), (&json!(0), None));
    assert_eq!(
        world.texts("select count(*)::text from sluice.loads").await,
        [Some("2".to_owned())],
        "nothing more to load"
    );
}

#[tokio::test]
async fn a_repair_that_its_gate_holds_back_is_left_over() {
    let world = loaded().await;
    world.suite("orders", "suite: orders\nchecks:\n  - expect_column_values_to_not_be_null: { column: customer }\n");
    world.shop(DRIFT).await;
    let gate = |on_fail: &str| keys(json!({"repair": true, "gate": {"suite": "orders", "on_fail": on_fail}}));
    let error = world.run("reconcile", gate("fail"), &[]).await.expect_err("refused");
    assert!(error.gate && error.to_string().contains("refused the repair"), "{}", error.chain());
    assert_eq!(
        world.texts("select concat_ws(' ', count(*), max(id)) from staging.orders where id in (12345, 60000)").await,
        [Some("1 12345".to_owned())],
        "nothing is written and nothing deleted"
    );
    let error = world.run("reconcile", gate("quarantine"), &[]).await.expect_err("one row is left");
    assert!(error.gate && error.to_string().contains("1 left by the repair"), "{}", error.chain());
    assert_eq!(kept(&world).await, "50000 50000 1 1 2 1");
    assert_eq!(
        world
            .texts("select row->>'id' from sluice.quarantine where load_id = (select max(load_id) from sluice.loads)")
            .await,
        [Some("778".to_owned())]
    );
    let mut tolerant = gate("quarantine");
    tolerant["tolerate"] = json!(1);
    world.run("reconcile", tolerant, &[]).await.expect("one is tolerated");
}

/// A load that came in between has newer rows; the repair would put older ones over them.
#[tokio::test]
async fn a_repair_that_another_load_overtook_writes_nothing() {
    use sqlx::Connection;
    let world = loaded().await;
    world.shop(DRIFT).await;
    // The lock under which loads of the table take turns holds the repair back once it has compared.
    let mut other = sqlx::PgConnection::connect(&world.postgres_url).await.expect("connect");
    let mut held = other.begin().await.expect("begin");
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('sluice.load:staging.orders', 0))")
        .execute(&mut *held)
        .await
        .expect("lock");
    let repair = world.run("reconcile", keys(json!({"repair": true})), &[]);
    let overtake = async {
        let waits = "select exists (select from pg_locks where locktype = 'advisory' and not granted
                                     and database = (select oid from pg_database where datname = current_database()))";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&world.pool).await.expect("look") {
            tokio::task::yield_now().await;
        }
        sqlx::query(
            "insert into sluice.load_ledger (dataset, batch_id, interval_start, interval_end, verdict, read, loaded,
                                             quarantined, deduplicated)
             values ('staging.orders', 'newer', now(), now(), 'unchecked', 0, 0, 0, 0)",
        )
        .execute(&mut *held)
        .await
        .expect("publish");
        held.commit().await.expect("commit");
    };
    // A repair that fails before it waits would be waited for without an end.
    let both = async { tokio::join!(repair, overtake) };
    let (repaired, ()) = tokio::time::timeout(std::time::Duration::from_mins(1), both).await.expect("the repair waits");
    let error = repaired.expect_err("overtaken");
    assert!(error.to_string().starts_with("another load published into staging.orders"), "{}", error.chain());
    assert_eq!((error.domain, error.retry), (ErrorDomain::External, RetryHint::Backoff));
    assert_eq!(
        world.texts("select string_agg(id::text, ' ') from staging.orders where id in (12345, 60000)").await,
        [Some("12345".to_owned())]
    );
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused_by_name() {
    let world = World::new(
        "create table t (id int primary key, doc json, code varchar(9) not null unique, part int not null);
         insert into t values (1, '{}', 'x', 1)",
    )
    .await;
    let load = json!({"from": "extract", "into": "staging.t", "key": ["id"]});
    world.move_rows(json!({"table": "t"}), load).await.expect("move");
    let keys = |key: &str, except: &[&str]| json!({"table": "t", "target": "staging.t", "key": key, "except": except});
    for (keys, told) in [
        (keys("id", &[]), "column `doc` is text in the source, and jsonb rewrites it; leave it out with `except`"),
        (keys("id", &["dok"]), "`except` names `dok`, which is not a column of the source (did you mean `doc`?)"),
        (keys("part", &["doc"]), "`t` has no unique index on the key `part` alone"),
        (json!({"table": "t", "target": "staging.tt", "key": "id"}), "the warehouse has no table staging.tt"),
    ] {
        let error = world.run("reconcile", keys, &[]).await.expect_err(told);
        assert_eq!(error.domain, ErrorDomain::User);
        assert!(error.to_string().starts_with(told), "{error}");
    }
    for (more, told) in [
        (json!({"sums": ["idd"]}), "`sums` names `idd`, which is not a column of the source (did you mean `id`?)"),
        (
            json!({"sums": ["code"]}),
            "`sums` names `code`, which is Text in the source and text in the target: only whole numbers",
        ),
        (
            json!({"grace": {"column": "part", "for": "5m"}}),
            "`grace` names `part`, which is no datetime or timestamp column",
        ),
    ] {
        let mut keys = keys("id", &["doc"]);
        keys.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        let error = world.run("reconcile", keys, &[]).await.expect_err(told);
        assert!(error.domain == ErrorDomain::User && error.to_string().starts_with(told), "{error}");
    }
    for key in ["id", "code"] {
        world.run("reconcile", keys(key, &["doc"]), &[]).await.expect("alike");
    }
}

/// Texts that differ in case or blanks alone, several columns, and a number that is negative: whatever names a row.
#[tokio::test]
async fn rows_that_no_whole_number_names_are_told_and_mended() {
    let world = World::new(
        "create table orders (shop varchar(9) collate utf8mb4_bin not null, day date not null, place int not null,
                              amount decimal(12, 2), primary key (shop, day, place));
         insert into orders select elt(1 + seq mod 3, 'Zoë', 'zoë', 'a|b'), '2026-01-01' + interval seq div 90 day, cast(seq as signed) - 100, seq / 7
         from seq_1_to_30000",
    )
    .await;
    let key = json!(["shop", "day", "place"]);
    let load = json!({"from": "extract", "into": "staging.orders", "key": key});
    world.move_rows(json!({"table": "orders"}), load).await.expect("move");
    let report =
        world.run("reconcile", keys(json!({"key": key, "sums": ["amount", "place"]})), &[]).await.expect("alike");
    assert_eq!([&report["source_rows"], &report["left"]], [&json!(30_000), &json!(0)]);
    assert_eq!(report["sums"]["place"], json!({"source": "447015000", "target": "447015000"}));
    assert_eq!(report["sums"]["amount"]["source"], report["sums"]["amount"]["target"]);

    world
        .shop(
            "insert into orders values ('new', '2027-01-01', -1, 1);
             update orders set amount = amount + 1 where place = 23;
             delete from orders where place = 5",
        )
        .await;
    let error = world.run("reconcile", keys(json!({"key": key, "sums": ["amount"]})), &[]).await.expect_err("differ");
    let told = error.to_string();
    assert!(told.contains("1 missing, 1 extra and 1 different of 30000 rows"), "{told}");
    assert!(
        told.contains("missing new, 2027-01-01, -1, extra Zoë, 2026-01-02, 5, different Zoë, 2026-01-02, 23"),
        "{told}"
    );
    let sums = "select sums -> 'amount' ->> 'source' from sluice.reconciliations order by attempt_id desc limit 1";
    let there: String = world.texts(sums).await[0].clone().expect("a sum");
    let here = world.texts("select sum(amount)::text from staging.orders").await[0].clone().expect("a sum");
    assert_ne!(there, here);

    let report = world.run("reconcile", keys(json!({"key": key, "repair": true})), &[]).await.expect("mended");
    assert_eq!([&report["repair"]["loaded"], &report["left"]], [&json!(2), &json!(0)]);
    let report = world.run("reconcile", keys(json!({"key": key})), &[]).await.expect("alike");
    assert_eq!(report["target_rows"], json!(30_000));
}

#[tokio::test]
async fn what_changed_within_the_grace_period_does_not_count() {
    let world = World::new(
        "create table orders (id int primary key, v int, changed_at datetime(6) not null);
         insert into orders select seq, seq, '2026-01-01' from seq_1_to_1000",
    )
    .await;
    let load = json!({"from": "extract", "into": "staging.orders", "key": ["id"]});
    world.move_rows(json!({"table": "orders"}), load).await.expect("move");
    world
        .shop(
            "insert into orders values (2000, 1, utc_timestamp(6)), (2001, 1, '2026-01-02');
             update orders set v = 0, changed_at = utc_timestamp(6) where id in (7, 8);
             update orders set v = 0, changed_at = '2026-01-02' where id = 9",
        )
        .await;
    let grace = json!({"grace": {"column": "changed_at", "for": "10m"}});
    let error = world.run("reconcile", keys(grace), &[]).await.expect_err("two are old");
    let told = error.to_string();
    assert!(told.contains("1 missing, 0 extra and 1 different of 1002 rows, and 3 that changed just now"), "{told}");
    assert!(told.contains("missing 2001, different 9"), "{told}");
    assert_eq!(world.texts("select recent::text from sluice.reconciliations").await, [Some("3".to_owned())]);
    let grace = json!({"grace": {"column": "changed_at", "for": "10m"}, "repair": true});
    let report = world.run("reconcile", keys(grace.clone()), &[]).await.expect("mended");
    assert_eq!([&report["repair"]["loaded"], &report["recent"]], [&json!(2), &json!(3)], "the rest is the next load's");
    let report = world.run("reconcile", keys(grace), &[]).await.expect("alike but for what is new");
    assert_eq!([&report["left"], &report["recent"]], [&json!(0), &json!(3)]);
}

/// Keys at both ends of their types, with gaps of any size, and a repair of whatever was changed at random.
#[tokio::test]
async fn random_differences_are_found_exactly_and_mended() {
    for seed in 0..4 {
        let mut dice = Dice::new(seed);
        let (kind, low) = *dice.pick(&[("bigint", i128::from(i64::MIN)), ("bigint unsigned", 0), ("int", -40_000)]);
        let span = if kind == "int" { 80_000 } else { u64::MAX };
        let mut ids: Vec<i128> = (0..3_000).map(|_| low + i128::from(dice.roll(span) >> dice.roll(12))).collect();
        ids.extend([low, low + i128::from(span)]);
        ids.sort_unstable();
        ids.dedup();
        let row = |id: i128, dice: &mut Dice| {
            format!(
                "({id}, {}, '{}')",
                dice.roll(50),
                ["", "|", "~", "1:~"][usize::try_from(dice.roll(4)).expect("few")]
            )
        };
        let rows: Vec<String> = ids.iter().map(|id| row(*id, &mut dice)).collect();
        let world = World::new(&format!(
            "create table orders (id {kind} primary key, v int, note varchar(9)); insert into orders values {}",
            rows.join(", ")
        ))
        .await;
        let load = json!({"from": "extract", "into": "staging.orders", "key": ["id"]});
        world.move_rows(json!({"table": "orders"}), load).await.expect("move");
        let (mut extra, mut different, mut missing, mut sql) = (0, 0, 0, String::new());
        let often = [3, 40, 1_000][usize::try_from(seed % 3).expect("few")];
        for id in &ids {
            match dice.roll(often) {
                0 => {
                    extra += 1;
                    sql.push_str(&format!("delete from orders where id = {id};"));
                }
                1 => {
                    different += 1;
                    sql.push_str(&format!("update orders set v = v + 1 where id = {id};"));
                }
                2 if *id > low && !ids.contains(&(id - 1)) => {
                    missing += 1;
                    sql.push_str(&format!("insert into orders values ({}, 1, 'n');", id - 1));
                }
                _ => {}
            }
        }
        world.shop(&format!("start transaction; {sql} commit")).await;
        let report = world.run("reconcile", keys(json!({"repair": true})), &[]).await.expect("mended");
        let told = |name: &str| report[name].as_u64().expect("a count");
        assert_eq!((told("missing"), told("extra"), told("different")), (missing, extra, different), "seed {seed}");
        let report = world.run("reconcile", keys(json!({})), &[]).await.expect("alike");
        assert_eq!(report["source_rows"], report["target_rows"], "seed {seed}");
    }
}
