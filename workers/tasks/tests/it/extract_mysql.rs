//! MariaDB to Parquet to Postgres: nothing is lost, nothing is missed.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};
use workflow::error::ErrorDomain;

use crate::support::World;

const TORTURE: &str = "
    set sql_mode = '';
    create table torture (
        id bigint unsigned not null primary key,
        tiny tinyint(1), tiny_u tinyint unsigned, small smallint, medium_u mediumint unsigned, big bigint,
        money decimal(12, 2), wide decimal(38, 10), huge decimal(50, 0),
        single float, twice double, flag bit(1), bits bit(10), born year,
        day date, moment datetime(6), instant timestamp(6) null, span time(6),
        letters varchar(40) character set utf8mb4, raw varbinary(10), doc json,
        size enum('S', 'M'), tags set('a', 'b')
    );
    insert into torture values
    (1, 2, 255, -32768, 16777215, -9223372036854775808, 9999999999.99, 1234567890123456789012345678.0123456789,
     12345678901234567890123456789012345678901234567890, 0.1, 0.1, b'1', b'1000000001', 1901,
     '1000-01-01', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.000001', '-838:59:59.000001',
     'Zoë 🛒', x'00ff', '{\"a\": [1, \"é\"]}', 'M', 'a,b'),
    (18446744073709551615, -128, 0, 32767, 0, 9223372036854775807, -0.01, -0.0000000001,
     -1, -3.4028235e38, -1.7976931348623157e308, b'0', b'0', 2155,
     '9999-12-31', '1000-01-01 00:00:00', '1970-01-01 00:00:01', '838:59:59',
     '', '', 'null', 'S', ''),
    (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
     null, null, null, null),
    (4, null, null, null, null, null, null, null, null, null, null, null, null, null, '0000-00-00', null, null, null,
     null, null, null, null, null),
    (5, null, null, null, null, null, null, null, null, null, null, null, null, null, null, '2024-00-10', null, null,
     null, null, null, null, null),
    (6, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
     concat('a', char(0), 'b'), null, null, null, null)";

#[tokio::test]
async fn every_type_arrives_exactly_and_what_is_no_value_is_quarantined() {
    let world = World::new(TORTURE).await;
    let outcome = world
        .move_rows(json!({"table": "torture"}), json!({"from": "extract", "into": "staging.torture", "key": ["id"]}))
        .await
        .expect("move");
    assert_eq!(
        [&outcome["read"], &outcome["loaded"], &outcome["quarantined"], &outcome["deduplicated"]],
        [&json!(6), &json!(3), &json!(3), &json!(0)]
    );
    let rows = world.texts("select t::text from staging.torture t order by id").await;
    assert_eq!(
        rows[0].as_deref(),
        Some(
            r#"(1,2,255,-32768,16777215,-9223372036854775808,9999999999.99,1234567890123456789012345678.0123456789,12345678901234567890123456789012345678901234567890,0.1,0.1,t,513,1901,1000-01-01,"9999-12-31 23:59:59.999999","2038-01-19 03:14:07.000001+00",-838:59:59.000001,"Zoë 🛒","\\x00ff","{""a"": [1, ""é""]}",M,"a,b")"#
        )
    );
    assert_eq!(
        rows[2].as_deref(),
        Some(
            r#"(18446744073709551615,-128,0,32767,0,9223372036854775807,-0.01,-0.0000000001,-1,-3.4028235e+38,-1.7976931348623157e+308,f,0,2155,9999-12-31,"1000-01-01 00:00:00","1970-01-01 00:00:01+00",838:59:59,"","\\x",null,S,"")"#
        )
    );
    assert_eq!(rows[1].as_deref(), Some("(3,,,,,,,,,,,,,,,,,,,,,,)"));
    let types = world
        .texts(
            "select string_agg(distinct format_type(atttypid, atttypmod), ', ') from pg_attribute
             where attrelid = 'staging.torture'::regclass and attnum > 0",
        )
        .await;
    assert_eq!(
        types[0].as_deref(),
        Some(
            "bigint, boolean, bytea, date, double precision, interval, jsonb, numeric(12,2), numeric(20,0), numeric(38,10), numeric(50,0), \
             real, smallint, text, timestamp with time zone, timestamp without time zone"
        )
    );
    let held = world.texts("select rules[1] from sluice.quarantined_row order by seq").await;
    assert_eq!(
        held.iter().flatten().collect::<Vec<_>>(),
        [
            "fits(letters): text holds a NUL character, at 2",
            "readable: day: 0000-00-00 is not a date",
            "readable: moment: 2024-00-10 00:00:00.000000 is not a date",
        ]
    );
}

#[tokio::test]
async fn zero_dates_may_become_nulls() {
    let world = World::new(
        "set sql_mode = ''; create table t (id int primary key, day date); insert into t values (1, '0000-00-00')",
    )
    .await;
    let outcome = world
        .move_rows(json!({"table": "t", "zero_dates": "null"}), json!({"from": "extract", "into": "staging.t"}))
        .await
        .expect("move");
    assert_eq!(outcome["loaded"], json!(1));
    assert_eq!(world.texts("select day::text from staging.t").await, [None]);
}

const CHANGES: &str = "create table t (id bigint unsigned primary key, v int not null,
                                       updated_at datetime(6) not null, key t_updated (updated_at, id))";

async fn pull(world: &World, overlap: &str, lag: &str) -> (Value, Value) {
    let extract = json!({"table": "t", "incremental": {
        "cursor": "updated_at", "key": "id", "overlap": overlap, "lag": lag}});
    let manifest = world.run("extract_mysql", extract, &[]).await.expect("extract");
    let load = json!({"from": "extract", "into": "staging.t", "key": ["id"]});
    let outcome = world.run("load", load, &[("extract", &manifest)]).await.expect("load");
    (manifest, outcome)
}

#[tokio::test]
async fn rows_of_one_microsecond_are_told_apart_by_their_key() {
    let world = World::new(CHANGES).await;
    world.shop("insert into t values (1, 1, '2026-01-01 00:00:00.000001'), (2, 1, '2026-01-01 00:00:00.000001')").await;
    let (manifest, outcome) = pull(&world, "0s", "0s").await;
    assert_eq!(outcome["loaded"], json!(2));
    let of = json!({"dag": "d", "task": "t", "connection": "shop", "source": "t", "column": "updated_at"});
    assert_eq!(manifest["mark"], json!({"of": of, "cursor": "2026-01-01 00:00:00.000001", "key": "2"}));

    world
        .shop(
            "insert into t values (3, 1, '2026-01-01 00:00:00.000001');
             update t set v = 2, updated_at = '2026-01-01 00:00:00.000002' where id = 1",
        )
        .await;
    let (manifest, outcome) = pull(&world, "0s", "0s").await;
    assert_eq!(outcome["read"], json!(2), "the new row of the same microsecond, and the change");
    assert_eq!(manifest["mark"]["cursor"], json!("2026-01-01 00:00:00.000002"));
    assert_eq!(
        world.texts("select id || ':' || v from staging.t order by id").await,
        [Some("1:2".to_owned()), Some("2:1".to_owned()), Some("3:1".to_owned())]
    );
    let (_, outcome) = pull(&world, "0s", "0s").await;
    assert_eq!(outcome["read"], json!(0), "nothing is new");
}

/// The plan says where the batches go; what one target lacks is read again, and so is all of it for a new target.
#[tokio::test]
async fn two_loads_of_one_extract_each_get_every_row() {
    let world = World::new(CHANGES).await;
    world.suite("t", "suite: t\nchecks:\n  - expect_column_values_to_be_between: { column: v, min_value: 1 }\n");
    world.shop("insert into t values (1, 0, '2026-01-01 00:00:00')").await;
    let plan = |targets: &[&str]| {
        let loads =
            targets.iter().map(|into| json!({"name": "l", "kind": "load", "config": {"from": "t", "into": into}}));
        json!({"tasks": loads.collect::<Vec<_>>()})
    };
    let extract =
        json!({"table": "t", "incremental": {"cursor": "updated_at", "key": "id", "overlap": "0s", "lag": "0s"}});
    let load = |into: &str| json!({"from": "extract", "into": into, "key": ["id"]});
    let strict = json!({"from": "extract", "into": "staging.b", "key": ["id"], "gate": {"suite": "t"}});

    let both = plan(&["staging.a", "staging.{{ 'b' }}"]);
    let first = world.run_planned(&both, "extract_mysql", extract.clone()).await;
    world.run("load", load("staging.a"), &[("extract", &first)]).await.expect("load");
    world.run("load", strict.clone(), &[("extract", &first)]).await.expect_err("its gate refuses");
    world.shop("update t set v = 1; insert into t values (2, 1, '2026-01-01 00:00:01')").await;
    let mut manifest = world.run_planned(&both, "extract_mysql", extract.clone()).await;
    // While a transaction of another test holds the bound where it was, this is the same batch of the same interval.
    while manifest["batch_id"] == first["batch_id"] {
        manifest = world.run_planned(&both, "extract_mysql", extract.clone()).await;
    }
    assert_eq!(manifest["rows"], json!(2), "the row that one of them refused comes again");
    world.run("load", load("staging.a"), &[("extract", &manifest)]).await.expect("load");
    world.run("load", strict, &[("extract", &manifest)]).await.expect("load");
    let count = "select count(*)::text from staging.";
    for table in ["a", "b"] {
        assert_eq!(world.texts(&format!("{count}{table}")).await, [Some("2".to_owned())], "{table}");
    }
    assert_eq!(world.run_planned(&both, "extract_mysql", extract.clone()).await["rows"], json!(0));

    let other = plan(&["staging.c"]);
    assert_eq!(
        world.run_planned(&other, "extract_mysql", extract).await["rows"],
        json!(2),
        "all of it for a new target"
    );
}

#[tokio::test]
async fn a_row_that_was_committed_late_is_caught_by_the_overlap() {
    let world = World::new(CHANGES).await;
    world.shop("insert into t values (1, 1, '2026-01-01 00:10:00')").await;
    pull(&world, "2m", "0s").await;
    // Its transaction was open while the first extract ran; its cursor is below the mark.
    world.shop("insert into t values (2, 1, '2026-01-01 00:09:00')").await;
    let (_, without) = pull(&world, "0s", "0s").await;
    assert_eq!(without["read"], json!(0));
    let (_, with) = pull(&world, "2m", "0s").await;
    assert_eq!((&with["read"], &with["loaded"]), (&json!(2), &json!(2)));
    let ids = world.texts("select id::text from staging.t order by id").await;
    assert_eq!(ids, [Some("1".to_owned()), Some("2".to_owned())], "read again, and there once");
}

#[tokio::test]
async fn reading_ends_before_the_oldest_transaction_that_writes() {
    let world = World::new(CHANGES).await;
    let mut open = MySqlConnection::connect(&world.mysql_url).await.expect("connect");
    open.execute("set time_zone = '+00:00'").await.expect("set");
    open.execute("start transaction").await.expect("begin");
    open.execute("insert into t values (1, 1, utc_timestamp(6))").await.expect("insert");
    world.shop("insert into t values (2, 1, utc_timestamp(6))").await;
    let (manifest, _) = pull(&world, "0s", "0s").await;
    assert_eq!(manifest["rows"], json!(0), "the second row waits, lest the mark pass the first");
    open.execute("commit").await.expect("commit");
    // Other tests write to the same server; their open transactions hold the rows back a while longer.
    let both = async {
        let mut rows = 0;
        while rows < 2 {
            rows += pull(&world, "0s", "0s").await.0["rows"].as_i64().expect("a count");
        }
        rows
    };
    let rows = tokio::time::timeout(std::time::Duration::from_mins(1), both).await.expect("both rows are read");
    assert_eq!(rows, 2, "each once");
}

/// `InnoDB` shows an old list of transactions for as long as somebody reads it without a pause.
#[tokio::test]
async fn a_transaction_is_seen_however_often_others_look() {
    let world = World::new(CHANGES).await;
    let mut look = MySqlConnection::connect(&world.mysql_url).await.expect("connect");
    let mut open = MySqlConnection::connect(&world.mysql_url).await.expect("connect");
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let (looks, mut looked) = tokio::sync::watch::channel(0);
    let looking = async {
        while stopped.try_recv().is_err() {
            let listed = "select count(*) from information_schema.innodb_trx";
            look.execute(listed).await.expect("look");
            looks.send_modify(|n| *n += 1);
            if *looks.borrow() > 200 {
                tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            }
        }
    };
    let extracting = async {
        looked.wait_for(|n| *n > 2).await.expect("looks");
        open.execute("set time_zone = '+00:00'").await.expect("set");
        open.execute("start transaction").await.expect("begin");
        open.execute("insert into t values (1, 1, utc_timestamp(6))").await.expect("insert");
        world.shop("insert into t values (2, 1, utc_timestamp(6))").await;
        let (manifest, _) = pull(&world, "0s", "0s").await;
        assert_eq!(manifest["rows"], json!(0), "the open transaction holds the second row back");
        open.execute("rollback").await.expect("rollback");
        stop.send(()).expect("stop");
    };
    tokio::join!(looking, extracting);
}

/// Each needs the list to be made anew, and reads it until it is.
#[tokio::test]
async fn extracts_that_start_together_do_not_keep_each_other_waiting() {
    let world = World::new(CHANGES).await;
    world.shop("insert into t values (1, 1, '2026-01-01 00:00:00')").await;
    let extract = json!({"table": "t", "incremental": {"cursor": "updated_at", "key": "id", "overlap": "0s"}});
    let all = futures::future::join_all((0..12).map(|_| world.run("extract_mysql", extract.clone(), &[])));
    // Twelve that poll by themselves would not end before their patience of 30 seconds does.
    let manifests = tokio::time::timeout(std::time::Duration::from_secs(20), all).await.expect("they end");
    for manifest in manifests {
        assert_eq!(manifest.expect("extract")["rows"], json!(1));
    }
}

#[tokio::test]
async fn a_connection_whose_server_does_not_run_is_waited_for() {
    let world = World::new(CHANGES).await;
    let error = world.run("extract_mysql", json!({"table": "t", "connection": "away"}), &[]).await.expect_err("away");
    assert_eq!((error.domain, error.service), (ErrorDomain::External, Some("MariaDB")));
    assert_eq!(
        error.to_string(),
        "MariaDB cannot be reached at 127.0.0.1:1/shop; start the private services with `sluice up`, or set \
         `services.mysql` in sluice.yaml"
    );
}

#[tokio::test]
async fn a_table_that_is_not_there_is_the_users_fault_with_the_nearest_name() {
    let world = World::new(CHANGES).await;
    let error = world.run("extract_mysql", json!({"table": "tt"}), &[]).await.expect_err("no table");
    assert_eq!(error.to_string(), "the source has no table `tt`; did you mean `t`?");
    let error = world.run("extract_mysql", json!({"table": "t", "columns": ["vv"]}), &[]).await.expect_err("no column");
    assert_eq!(error.to_string(), "`t` has no column `vv`; did you mean `v`?");
}

#[tokio::test]
async fn a_cursor_or_key_that_may_be_null_is_refused() {
    let world = World::new(
        "create table t (id int primary key, changed datetime(6), number int unique, at datetime(6) not null)",
    )
    .await;
    world.shop("insert into t values (1, null, null, now())").await;
    for (cursor, key, told) in
        [("changed", "id", "the cursor `changed` may be null"), ("at", "number", "the key `number`")]
    {
        let extract = json!({"table": "t", "incremental": {"cursor": cursor, "key": key}});
        let error = world.run("extract_mysql", extract, &[]).await.expect_err("refused");
        assert!(error.to_string().starts_with(told), "{error}");
        assert_eq!(error.domain, workflow::error::ErrorDomain::User);
    }
}

#[tokio::test]
async fn a_table_without_a_cursor_is_refused_with_what_it_can_do_instead() {
    let world = World::new("create table t (id int primary key, v float not null, at datetime not null)").await;
    for (cursor, key, told) in [
        ("changed", "id", "the cursor `changed` is not a column of the table; a cursor is a `datetime`"),
        ("id", "id", "the cursor `id` is not a datetime or timestamp column; a cursor is"),
        ("at", "v", "the key `v` cannot be part of a mark; name a unique column"),
    ] {
        let extract = json!({"table": "t", "incremental": {"cursor": cursor, "key": key}});
        let error = world.run("extract_mysql", extract, &[]).await.expect_err("refused");
        assert!(error.to_string().starts_with(told), "{error}");
        assert_eq!(error.domain, ErrorDomain::User);
        assert_eq!(error.to_string().contains("`kind: reconcile`"), key != "v");
    }
}

/// Without PROCESS the list of transactions is closed, and the lag must do.
#[tokio::test]
async fn a_user_who_may_not_see_transactions_reads_behind_the_lag() {
    let mut world = World::new(CHANGES).await;
    let mut url = url::Url::parse(&world.mysql_url).expect("a URL");
    let user = testkit::unique("u");
    world
        .shop(&format!(
            "create user '{user}'@'%' identified by 'pw'; grant select on {}.* to '{user}'@'%';
             insert into t values (1, 1, utc_timestamp(6) - interval 1 hour), (2, 1, utc_timestamp(6))",
            url.path().trim_start_matches('/')
        ))
        .await;
    url.set_username(&user).expect("a user");
    url.set_password(Some("pw")).expect("a password");
    world.registry = crate::support::registry(&world.pool, url.as_str(), world.folder.path());
    let (manifest, _) = pull(&world, "0s", "10m").await;
    assert_eq!(manifest["rows"], json!(1));
}

#[tokio::test]
async fn a_table_of_several_row_groups_arrives_whole() {
    let world = World::new("create table t (id int primary key, name varchar(20), price decimal(10, 2))").await;
    world.shop("insert into t select seq, concat('n', seq), seq / 7 from seq_1_to_150000").await;
    let manifest = world.run("extract_mysql", json!({"table": "t"}), &[]).await.expect("extract");
    let path = manifest["files"][0]["path"].as_str().expect("a path");
    assert!(path.starts_with("raw/shop/t/date=2026-03-02/run-"), "{path}");
    let load = json!({"from": "extract", "into": "staging.t", "balance": {"value": "id * price"}});
    let outcome = world.run("load", load, &[("extract", &manifest)]).await.expect("load");
    assert_eq!(outcome["loaded"], json!(150_000));
    assert_eq!(outcome["sums"]["value"]["read"], outcome["sums"]["value"]["loaded"]);
    let sums = "select concat(sum(id), '/', sum(price), '/', count(distinct name)) from ";
    let mut shop = MySqlConnection::connect(&world.mysql_url).await.expect("connect");
    let there: Vec<u8> =
        sqlx::query_scalar(AssertSqlSafe(format!("{sums} t"))).fetch_one(&mut shop).await.expect("sum up");
    let here = world.texts(&format!("{sums} staging.t")).await;
    assert_eq!(here[0].as_deref(), std::str::from_utf8(&there).ok());
}
