//! A load whose connection is lost at every single step: what a reader sees meanwhile, and what a repeat makes of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use polars::prelude::DataFrame;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use testkit::{
    attempt,
    cutter::{Cut, Cutter},
};
use warehouse::{
    WarehouseError,
    lake::Lake,
    load::{Audit, Balance, Deduplicate, LoadRequest, Outcome, Staged, Verdict},
    manifest::{Manifest, Mark, Reading},
};
use workflow::kind::Fence;

use crate::support::{batch, column, frame, lake, lose, request};

/// Six rows: two alike, one without a key, one that its gate holds back, and two that are published.
fn rows() -> DataFrame {
    frame(vec![
        column("id", &[Some(1i64), Some(2), Some(2), None, Some(3), Some(1)]),
        column("quantity", &[7i32, 20, 20, 30, -1, 10]),
    ])
}

fn the_load(table: &str, manifest: Manifest, fence: Fence) -> LoadRequest {
    let mut load = request(table, manifest, fence);
    load.key = vec!["id".to_owned()];
    load.deduplicate = Deduplicate::Identical;
    load.balance = vec![Balance::parse("goods", "quantity").expect("a sum")];
    let of = Reading {
        dag: "d".to_owned(),
        task: table.to_owned(),
        connection: "shop".to_owned(),
        source: "orders".to_owned(),
        column: "id".to_owned(),
    };
    load.manifest.mark = Some(Mark { of, cursor: "3".to_owned(), key: "3".to_owned() });
    load
}

async fn load(pool: &PgPool, lake: &Lake, load: LoadRequest) -> Result<Outcome, WarehouseError> {
    let staged = Staged::stage(pool, lake, load).await?;
    let mut audit = Audit::unchecked();
    audit.verdict = Verdict::Quarantined;
    audit.suite = Some(("orders".to_owned(), "hash".to_owned()));
    audit.failed = vec![(4, vec!["positive".to_owned()])];
    staged.publish(audit).await
}

/// All that a load leaves, but for numbers and instants.
async fn state(connection: &mut PgConnection, table: &str) -> String {
    let sql = format!(
        "select concat_ws(' / ',
             (select string_agg(concat_ws(':', id, quantity), ' ' order by id) from {table}),
             (select string_agg(concat_ws(' ', read, loaded, quarantined, deduplicated, verdict, suite, sums, terms), '; ')
              from sluice.load_ledger where dataset = $1),
             (select string_agg(concat_ws(' ', seq, source_file, source_line, row, rules, state), '; ' order by seq)
              from sluice.quarantined_row where dataset = $1),
             (select string_agg(concat_ws(' ', cursor, key, load_id is not null), '; ')
              from sluice.high_water_mark where target = $1))"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(table).fetch_one(connection).await.expect("the state")
}

/// What any reader sees of it, in one statement: the rows and the ledger.
async fn seen(connection: &mut PgConnection, table: &str) -> String {
    let sql = format!(
        "select concat_ws(' / ', (select string_agg(concat_ws(':', id, quantity), ' ' order by id) from {table}),
                (select count(*) from sluice.load_ledger where dataset = $1),
                (select count(*) from sluice.quarantined_row where dataset = $1),
                (select count(*) from sluice.high_water_mark where target = $1))"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(table).fetch_one(connection).await.expect("what is seen")
}

/// A table that readers know, with a row that the load replaces.
async fn old_table(pool: &PgPool, table: &str) {
    let sql = format!(
        "create schema if not exists staging; create table {table} (id bigint primary key, quantity int);
         insert into {table} values (1, 0)"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.expect("a table");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_cut_off_at_any_step_is_repeated_to_the_same_end() {
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let manifest = batch(&lake, "b", rows()).await;
    let mut direct = PgConnection::connect(&db.url).await.expect("connect");

    old_table(&db.pool, "staging.whole").await;
    let counter = Cutter::before(&db.url, Cut::Never).await;
    let pool = PgPool::connect(&counter.url).await.expect("connect");
    let before = seen(&mut direct, "staging.whole").await;
    let outcome = load(&pool, &lake, the_load("staging.whole", manifest.clone(), attempt(&db.pool).await)).await;
    assert_eq!(outcome.map(|o| (o.read, o.loaded, o.quarantined, o.deduplicated)).expect("load"), (6, 2, 2, 2));
    let steps = counter.steps();
    let whole = state(&mut direct, "staging.whole").await;
    let after = seen(&mut direct, "staging.whole").await;
    assert_eq!((before.as_str(), after.as_str()), ("1:0 / 0 / 0 / 0", "1:10 2:20 / 1 / 2 / 1"));
    assert!(steps > 40, "{steps} steps cannot be all");

    let mut failed = 0;
    for cut in (0..steps).flat_map(|step| [Cut::Before(step), Cut::After(step)]) {
        let table = format!("staging.{}", format!("{cut:?}").to_lowercase().replace(['(', ')'], ""));
        old_table(&db.pool, &table).await;
        let over = Arc::new(AtomicBool::new(false));
        let reader = tokio::spawn(watch(db.url.clone(), table.clone(), Arc::clone(&over)));
        let cutter = Cutter::before(&db.url, cut).await;
        let pool = PgPoolOptions::new().max_connections(2).connect(&cutter.url).await;
        let doomed = attempt(&db.pool).await;
        // The first steps are those of connecting.
        let ended = match &pool {
            Ok(pool) => load(pool, &lake, the_load(&table, manifest.clone(), doomed)).await,
            Err(_) => Err(WarehouseError::LeaseLost(doomed)),
        };
        failed += u64::from(ended.is_err());
        lose(&db.pool, doomed).await;
        let outcome = load(&db.pool, &lake, the_load(&table, manifest.clone(), attempt(&db.pool).await)).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("{cut:?}: the repeat failed: {error}"));
        assert_eq!((outcome.read, outcome.loaded, outcome.quarantined, outcome.deduplicated), (6, 2, 2, 2), "{cut:?}");
        assert_eq!(state(&mut direct, &table).await, whole, "{cut:?}");
        over.store(true, Ordering::SeqCst);
        for seen in reader.await.expect("the reader") {
            assert!(seen == before || seen == after, "{cut:?}: a reader saw {seen}");
        }
    }
    // What comes after the commit (statistics, tables that are dropped) may fail without the load failing.
    assert!(failed > steps, "{failed} of {} loads failed", 2 * steps);
    let left: i64 = sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'sluice_staging'")
        .fetch_one(&mut direct)
        .await
        .expect("count");
    assert_eq!(left, 0, "what was cut off left nothing behind");
}

/// All the different things that a reader sees who looks all the time.
async fn watch(url: String, table: String, over: Arc<AtomicBool>) -> std::collections::BTreeSet<String> {
    let mut connection = PgConnection::connect(&url).await.expect("connect");
    let mut all = std::collections::BTreeSet::new();
    while !over.load(Ordering::SeqCst) {
        all.insert(seen(&mut connection, &table).await);
    }
    all.insert(seen(&mut connection, &table).await);
    all
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_named_and_nothing_of_it_is_published() {
    let db = testkit::database().await;
    let (folder, lake) = lake();
    let manifest = batch(&lake, "b", rows()).await;
    let path = folder.path().join(&manifest.files[0].path);
    let whole = std::fs::read(&path).expect("the file");
    old_table(&db.pool, "staging.t").await;
    let mut direct = PgConnection::connect(&db.url).await.expect("connect");
    let before = seen(&mut direct, "staging.t").await;
    for kept in [0, 3, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..kept]).expect("cut the file");
        let fence = attempt(&db.pool).await;
        let error = load(&db.pool, &lake, the_load("staging.t", manifest.clone(), fence)).await.expect_err("cut off");
        let task = workflow::error::TaskError::from(error);
        assert!(task.chain().contains(&manifest.files[0].path), "{kept} bytes: {}", task.chain());
        assert_eq!(seen(&mut direct, "staging.t").await, before, "{kept} bytes");
        lose(&db.pool, fence).await;
    }
    // In the middle of the rows, where only reading them finds it.
    let mut torn = whole.clone();
    let data = 4..whole.len() / 3;
    torn[data].fill(0xff);
    std::fs::write(&path, &torn).expect("tear the file");
    let fence = attempt(&db.pool).await;
    let error = load(&db.pool, &lake, the_load("staging.t", manifest.clone(), fence)).await.expect_err("torn");
    let task = workflow::error::TaskError::from(error);
    assert!(task.chain().contains(&manifest.files[0].path), "{}", task.chain());
    assert_eq!(seen(&mut direct, "staging.t").await, before);
    lose(&db.pool, fence).await;

    std::fs::write(&path, &whole).expect("mend the file");
    let outcome = load(&db.pool, &lake, the_load("staging.t", manifest, attempt(&db.pool).await)).await.expect("load");
    assert_eq!(outcome.read, 6);
}

const CHILD: &str = "SLUICE_TEST_FULL_DISK_CHILD";
const BIG: &str = "raw/big.parquet";

fn big() -> DataFrame {
    frame(vec![column(
        "id",
        (0..200_000i64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed())).collect::<Vec<_>>(),
    )])
}

/// What the test below runs as a process that may write no long file.
#[tokio::test]
async fn child_on_a_full_disk() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let lake = Lake::open(&folder).expect("a lake");
    let error = lake.write_parquet(BIG, &mut big()).await.expect_err("no room");
    println!("refused: {}", workflow::error::TaskError::from(error).chain());
}

#[tokio::test]
async fn a_full_disk_leaves_no_file_that_could_be_taken_for_whole() {
    let (folder, lake) = lake();
    // The limit stands for the disk: a write beyond it fails where the signal is ignored.
    let child = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$0\" --exact cut::child_on_a_full_disk --nocapture"])
        .arg(std::env::current_exe().expect("this program"))
        .env(CHILD, folder.path())
        .output()
        .expect("start a process");
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("refused: ") && said.contains(BIG) && said.contains("os error 27"), "{said}");
    assert!(!folder.path().join(BIG).exists(), "no half of it has the name");
    let file = lake.write_parquet(BIG, &mut big()).await.expect("there is room again");
    assert_eq!((file.rows, lake.read_parquet(BIG).await.expect("read").height()), (200_000, 200_000));
}
