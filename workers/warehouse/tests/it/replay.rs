//! Rows that a gate held back, taken through it again.

use polars::prelude::DataFrame;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use testkit::attempt;
use warehouse::{
    load::{
        Audit, Deduplicate, LoadRequest, Staged, Verdict,
        replay::{
            Asked, Chosen, CorrectedRow, Correction, Judged, Replay, ReplayError, Replayed, RowJudge, dismiss, replay,
        },
    },
    manifest::{Mark, Reading},
    runs::{Actor, Via},
};

use crate::support::{batch, column, frame, lake, request};

/// The suite of these tests: a quantity is above a bound.
pub(crate) struct Above(pub(crate) i32);

#[async_trait::async_trait]
impl RowJudge for Above {
    async fn judge(&self, connection: &mut PgConnection, asked: Asked<'_>) -> Result<Judged, ReplayError> {
        let sql = format!("select {} from {} where quantity <= $1", asked.number, asked.rows.quoted());
        let failed: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(self.0).fetch_all(connection).await?;
        let failed = failed.into_iter().map(|seq| (seq, vec!["quantity".to_owned()])).collect();
        Ok(Judged { suite_hash: format!("above {}", self.0), failed, ..Judged::default() })
    }
}

pub(crate) fn person() -> Actor {
    Actor { name: "ada".to_owned(), via: Via::Cli }
}

/// All open rows of the table of these tests.
pub(crate) fn all() -> Replay {
    Replay { chosen: Chosen { dataset: "staging.orders".to_owned(), ..Chosen::default() }, ..Replay::default() }
}

fn orders(rows: &[(i64, i32, &str)]) -> DataFrame {
    frame(vec![
        column("id", rows.iter().map(|row| row.0).collect::<Vec<_>>()),
        column("quantity", rows.iter().map(|row| row.1).collect::<Vec<_>>()),
        column("version", rows.iter().map(|row| row.2).collect::<Vec<_>>()),
    ])
}

struct World {
    db: testkit::TestDatabase,
    lake: warehouse::lake::Lake,
    _folder: tempfile::TempDir,
    batches: std::cell::Cell<u32>,
}

impl World {
    async fn new() -> Self {
        let (folder, lake) = lake();
        Self { db: testkit::database().await, lake, _folder: folder, batches: 0.into() }
    }

    /// Loads rows; those of no positive quantity are held back. Gives the load's number.
    async fn load(&self, rows: &[(i64, i32, &str)], shape: impl FnOnce(&mut LoadRequest)) -> i64 {
        self.batches.set(self.batches.get() + 1);
        let manifest = batch(&self.lake, &format!("b{}", self.batches.get()), orders(rows)).await;
        let mut load = request("staging.orders", manifest, attempt(&self.db.pool).await);
        shape(&mut load);
        let staged = Staged::stage(&self.db.pool, &self.lake, load).await.expect("stage");
        let mut audit = Audit::unchecked();
        audit.suite = Some(("orders".to_owned(), "above 0".to_owned()));
        audit.verdict = Verdict::Passed;
        let bad = rows
            .iter()
            .enumerate()
            .filter(|(place, row)| row.1 <= 0 && !staged.dropped().contains(&i64::try_from(*place).expect("few")));
        audit.failed =
            bad.map(|(place, _)| (i64::try_from(place).expect("few"), vec!["quantity".to_owned()])).collect();
        staged.publish(audit).await.expect("publish").load_id
    }

    async fn replay(&self, wish: &Replay) -> Replayed {
        replay(&self.db.pool, &Above(0), wish, &person(), false).await.expect("replay")
    }

    async fn refused(&self, wish: &Replay) -> String {
        replay(&self.db.pool, &Above(0), wish, &person(), false).await.expect_err("refused").to_string()
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        texts(&self.db.pool, sql).await
    }

    async fn rows(&self) -> Vec<String> {
        self.texts("select concat_ws(' ', id, quantity, version) from staging.orders order by 1").await
    }

    async fn held(&self) -> Vec<String> {
        self.texts(
            "select concat_ws(' ', load_id, seq, state, settled_by, array_to_string(rules, '|')) from sluice.quarantine
             order by load_id, seq",
        )
        .await
    }
}

async fn texts(pool: &PgPool, sql: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(pool).await.expect("texts")
}

/// Of each dataset: what was held, less what was replayed and dismissed, is open; and every load balances.
pub(crate) async fn balances(pool: &PgPool) {
    let wrong = texts(
        pool,
        "with held as (
             select dataset, count(*) as all_of_them, count(*) filter (where state = 'open') as open,
                    count(*) filter (where state = 'dismissed') as dismissed
             from sluice.quarantined_row q join sluice.load_ledger l using (dataset, load_id)
             where l.verdict <> 'failed' group by dataset
         ), ledger as (
             select dataset, sum(quarantined) filter (where replay_of is null) as quarantined,
                    coalesce(sum(loaded + deduplicated) filter (where replay_of is not null), 0) as settled,
                    bool_and(read = loaded + quarantined + deduplicated) as balanced
             from sluice.load_ledger where verdict <> 'failed' group by dataset
         )
         select concat_ws(' ', dataset, all_of_them, open, dismissed, quarantined, settled, balanced)
         from ledger join held using (dataset)
         where not balanced or all_of_them <> quarantined or open <> quarantined - settled - dismissed",
    )
    .await;
    assert_eq!(
        wrong,
        [] as [&str; 0],
        "dataset, held, open, dismissed; quarantined, settled and balanced by the ledger"
    );
}

fn corrected(load_id: i64, seq: i64, row: &str) -> CorrectedRow {
    CorrectedRow { load_id, seq, row: serde_json::value::RawValue::from_string(row.to_owned()).expect("JSON") }
}

#[tokio::test]
async fn corrected_rows_are_published_once_and_the_others_stay_with_what_they_broke() {
    let world = World::new().await;
    let load = world.load(&[(1, 5, "a"), (2, -2, "a"), (3, -3, "a"), (4, 0, "a")], |_| ()).await;
    let mut wish = all();
    wish.set = vec![Correction::parse("quantity = -quantity").expect("a correction")];

    // A preview says what would be, and nothing is.
    let before = (world.rows().await, world.held().await);
    let preview = replay(&world.db.pool, &Above(0), &wish, &person(), true).await.expect("preview");
    assert_eq!((world.rows().await, world.held().await), before);
    assert_eq!(world.texts("select act from sluice.audit_log").await, [] as [&str; 0]);

    let done = world.replay(&wish).await;
    let of = &done.loads[0];
    assert_eq!((of.load_id, of.read, of.loaded, of.quarantined, of.deduplicated), (load, 3, 2, 1, 0));
    assert_eq!(preview.loads, [warehouse::load::replay::ReplayedLoad { replay: None, ..of.clone() }]);
    let replay_id = of.replay.expect("a ledger row");
    assert_eq!(world.rows().await, ["1 5 a", "2 2 a", "3 3 a"]);
    assert_eq!(
        world.held().await,
        [
            format!("{load} 1 replayed {replay_id} quantity"),
            format!("{load} 2 replayed {replay_id} quantity"),
            format!("{load} 3 open quantity")
        ]
    );
    assert_eq!(
        world.texts("select concat_ws(' ', replay_of, run_id, task, suite, suite_hash, verdict, read, loaded, quarantined) from sluice.load_ledger order by load_id desc limit 1").await,
        [format!("{load} 1 load orders above 0 quarantined 3 2 1")]
    );
    assert_eq!(
        world.texts("select concat_ws(' ', actor, act, detail -> 'loads' -> 0 ->> 'loaded', detail ->> 'set') from sluice.audit_log").await,
        [r#"ada replay 2 {"quantity": "-quantity"}"#]
    );
    assert_eq!(
        world
            .texts(
                "select concat(row ->> 'quantity', ' ', corrected ->> 'quantity') from sluice.quarantine order by seq"
            )
            .await,
        ["-2 2", "-3 3", "0 "],
        "the row is kept as its source had it"
    );
    // Again: those that passed take no part any more.
    let again = world.replay(&wish).await;
    assert_eq!((again.loads[0].read, again.loads[0].loaded), (1, 0));
    assert_eq!(world.rows().await.len(), 3);
    let tables = "select relname::text from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = 'sluice_staging'";
    assert_eq!(world.texts(tables).await, [] as [&str; 0], "nothing is left behind");
    balances(&world.db.pool).await;
}

#[tokio::test]
async fn a_suite_that_changed_lets_rows_through_as_they_are() {
    let world = World::new().await;
    world.load(&[(1, -1, "a"), (2, -9, "a")], |load| load.key = vec!["id".to_owned()]).await;
    let done = replay(&world.db.pool, &Above(-5), &all(), &person(), false).await.expect("replay");
    assert_eq!((done.loads[0].loaded, done.loads[0].quarantined), (1, 1));
    assert_eq!(done.loads[0].suite_hash.as_deref(), Some("above -5"));
    assert_eq!(world.rows().await, ["1 -1 a"]);
    balances(&world.db.pool).await;
}

#[tokio::test]
async fn rows_come_back_from_a_file_to_the_last_digit_or_are_named() {
    let world = World::new().await;
    let load = world.load(&[(9_007_199_254_740_993, -1, "a"), (2, -2, "b"), (3, -3, "c")], |_| ()).await;
    let mut wish = all();
    wish.corrected = Some(vec![
        corrected(load, 0, r#"{"id": 9007199254740993, "quantity": 1, "version": "a"}"#),
        corrected(load, 1, r#"{"id": 2, "quantity": "many", "version": "b"}"#),
    ]);
    let done = world.replay(&wish).await;
    assert_eq!((done.loads[0].read, done.loads[0].loaded, done.loads[0].quarantined), (2, 1, 1));
    assert_eq!(world.rows().await, ["9007199254740993 1 a"]);
    assert_eq!(
        world.held().await[1..],
        [
            format!(r#"{load} 1 open fits(quantity): invalid input syntax for type integer: "many""#),
            format!("{load} 2 open quantity")
        ]
    );
    for (rows, why) in [
        (vec![corrected(load, 0, "{}")], format!("row 0 of load {load} was replayed, by load {}", load + 1)),
        (vec![corrected(load, 7, "{}")], format!("load {load} holds no row 7")),
        (
            vec![corrected(load, 2, r#"{"id": 3, "quantty": 3}"#)],
            format!(
                "row 2 of load {load} names `quantty`, which is not a column of staging.orders (did you mean `quantity`?)"
            ),
        ),
        (vec![corrected(load, 2, "[]")], format!("row 2 of load {load} is not an object of columns")),
        (vec![corrected(load, 2, r#"{"version": "a\u0000"}"#)], format!("row 2 of load {load} holds a NUL character")),
        (vec![corrected(load, 2, "{}"), corrected(load, 2, "{}")], format!("row 2 of load {load} is given twice")),
    ] {
        wish.corrected = Some(rows);
        let refused = world.refused(&wish).await;
        assert!(refused.starts_with(&why), "{refused}\n{why}");
    }
    wish.corrected = None;
    wish.set = vec![Correction::parse("quantity = quantity / (id - id)").expect("a correction")];
    let refused = world.refused(&wish).await;
    assert!(refused.ends_with("division by zero"), "{refused}");
    wish.set = vec![Correction::parse("quantiti = 1").expect("a correction")];
    let refused = world.refused(&wish).await;
    assert!(refused.ends_with("(did you mean `quantity`?)"), "{refused}");
    balances(&world.db.pool).await;
}

/// What a table could not hold is null or spelled out where it was staged: publishing that would be another row.
#[tokio::test]
async fn a_value_that_was_not_kept_holds_its_row_until_someone_gives_one() {
    let world = World::new().await;
    let load = world.load(&[(1, 5, "a\0b"), (2, 6, "c")], |_| ()).await;
    let done = world.replay(&all()).await;
    assert_eq!((done.loads[0].loaded, done.loads[0].quarantined), (0, 1));
    let mut wish = all();
    wish.set = vec![Correction::parse("quantity = quantity + 1").expect("a correction")];
    assert_eq!(world.replay(&wish).await.loads[0].loaded, 0, "another column");
    wish.set = vec![Correction::parse(r"version = replace(version, '\0', '')").expect("a correction")];
    let done = world.replay(&wish).await;
    assert_eq!((done.loads[0].load_id, done.loads[0].loaded), (load, 1));
    assert_eq!(world.rows().await, ["1 6 ab", "2 6 c"], "with what was set before");
    balances(&world.db.pool).await;
}

#[tokio::test]
async fn a_line_that_could_not_be_read_waits_for_a_row() {
    let world = World::new().await;
    let mut manifest = batch(&world.lake, "b", orders(&[(1, 1, "a")])).await;
    let mut unreadable = frame(vec![
        column("source_file", &["x.csv"]),
        column("source_line", &[42u32]),
        column("text", &["a,\"b"]),
        column("reason", &["open quote"]),
    ]);
    manifest.rejected = Some(vec![world.lake.write_parquet("r.parquet", &mut unreadable).await.expect("write")]);
    let load = request("staging.orders", manifest, attempt(&world.db.pool).await);
    let staged = Staged::stage(&world.db.pool, &world.lake, load).await.expect("stage");
    let load = staged.publish(Audit::unchecked()).await.expect("publish").load_id;
    let done = world.replay(&all()).await;
    assert_eq!((done.loads[0].read, done.loads[0].quarantined), (1, 1));
    assert_eq!(world.held().await, [format!("{load} 1 open readable: open quote")]);
    let mut wish = all();
    wish.corrected = Some(vec![corrected(load, 1, r#"{"id": 2, "quantity": 2, "version": "b"}"#)]);
    assert_eq!(world.replay(&wish).await.loads[0].loaded, 1);
    assert_eq!(world.rows().await, ["1 1 a", "2 2 b"]);
    balances(&world.db.pool).await;
}

#[tokio::test]
async fn two_replays_at_once_publish_a_row_once() {
    let world = World::new().await;
    world.load(&[(1, -1, "a"), (2, -2, "a"), (3, -3, "a")], |_| ()).await;
    let mut wish = all();
    wish.set = vec![Correction::parse("quantity = 7").expect("a correction")];
    let both = futures::future::join_all((0..4).map(|_| world.replay(&wish))).await;
    let published: i64 = both.iter().flat_map(|done| &done.loads).map(|load| load.loaded).sum();
    assert_eq!(published, 3);
    assert_eq!(world.rows().await, ["1 7 a", "2 7 a", "3 7 a"]);
    balances(&world.db.pool).await;
}

/// The strategies, each with a row of the key that another load has published meanwhile.
#[tokio::test]
async fn an_older_row_replaces_a_newer_one_only_when_told() {
    let keyed = |load: &mut LoadRequest| load.key = vec!["id".to_owned()];
    let mut fixed = all();
    fixed.set = vec![Correction::parse("quantity = 7").expect("a correction")];

    // By a cursor, the newer is known.
    let world = World::new().await;
    let by_cursor = |load: &mut LoadRequest| {
        load.key = vec!["id".to_owned()];
        load.manifest.order_by = Some("version".to_owned());
        let of = Reading {
            dag: "t".to_owned(),
            task: "e".to_owned(),
            connection: "shop".to_owned(),
            source: "orders".to_owned(),
            column: "version".to_owned(),
        };
        load.manifest.mark = Some(Mark { of, cursor: load.manifest.batch_id.clone(), key: "1".to_owned() });
    };
    world.load(&[(1, -1, "2026-02"), (2, -2, "2026-02")], by_cursor).await;
    world.load(&[(1, 3, "2026-03"), (2, 4, "2026-01")], by_cursor).await;
    let done = world.replay(&Replay { overwrite: true, ..fixed.clone() }).await;
    assert_eq!((done.loads[0].loaded, done.loads[0].deduplicated), (1, 1));
    assert_eq!(world.rows().await, ["1 3 2026-03", "2 7 2026-02"]);
    balances(&world.db.pool).await;

    // Without one, what a later load has published stays until someone says otherwise; what an earlier one has does not.
    let world = World::new().await;
    world.load(&[(1, 1, "a"), (2, 1, "a")], keyed).await;
    world.load(&[(1, -1, "b"), (3, -1, "b")], keyed).await;
    let done = world
        .replay(&Replay { chosen: Chosen { rule: Some("quantity".to_owned()), ..all().chosen }, ..fixed.clone() })
        .await;
    assert_eq!(done.loads[0].loaded, 2, "nothing came after it");
    world.load(&[(2, -1, "c"), (4, -1, "c")], keyed).await;
    world.load(&[(2, 9, "d")], keyed).await;
    let done = world.replay(&fixed).await;
    assert_eq!((done.loads[0].loaded, done.loads[0].quarantined), (1, 1));
    let newer = "newer: the table has a row of this key, which may be the newer one";
    assert_eq!(done.loads[0].rules, [(newer.to_owned(), 1)].into());
    assert_eq!(world.rows().await, ["1 7 b", "2 9 d", "3 7 b", "4 7 c"]);
    let done = world.replay(&Replay { overwrite: true, ..fixed.clone() }).await;
    assert_eq!(done.loads[0].loaded, 1);
    assert_eq!(world.rows().await, ["1 7 b", "2 7 c", "3 7 b", "4 7 c"]);
    balances(&world.db.pool).await;

    // A row that was never compared with its batch may be older than one of the same batch.
    let world = World::new().await;
    world.load(&[(1, 1, "x\0"), (1, 2, "good")], keyed).await;
    let mut cleaned = all();
    cleaned.set = vec![Correction::parse("version = 'x'").expect("a correction")];
    assert_eq!(world.replay(&cleaned).await.loads[0].quarantined, 1);
    assert_eq!(world.rows().await, ["1 2 good"]);
}

#[tokio::test]
async fn a_dismissal_needs_a_reason_and_is_final() {
    let world = World::new().await;
    let load = world.load(&[(1, -1, "a"), (2, -2, "a")], |_| ()).await;
    let chosen = Chosen { rows: Some(vec![(load, 1)]), ..all().chosen };
    let refused = dismiss(&world.db.pool, &chosen, "  ", &person(), false).await.expect_err("no reason");
    assert!(matches!(refused, ReplayError::NoReason), "{refused}");
    dismiss(&world.db.pool, &chosen, "a test order", &person(), true).await.expect("preview");
    assert_eq!(world.texts("select count(*)::text from sluice.quarantine where state = 'open'").await, ["2"]);
    let done = dismiss(&world.db.pool, &chosen, "a test order", &person(), false).await.expect("dismiss");
    assert_eq!(done.loads, [(load, 1)].into());
    let again = dismiss(&world.db.pool, &chosen, "a test order", &person(), false).await.expect_err("dismissed");
    assert_eq!(again.to_string(), format!("row 1 of load {load} was dismissed: a test order"));
    let mut wish = all();
    wish.set = vec![Correction::parse("quantity = 7").expect("a correction")];
    assert_eq!(world.replay(&wish).await.loads[0].read, 1);
    assert_eq!(world.rows().await, ["1 7 a"]);
    assert_eq!(
        world
            .texts(
                "select concat_ws(' ', act, reason, detail ->> 'loads') from sluice.audit_log order by audit_id limit 1"
            )
            .await,
        [format!("dismiss a test order {}", json!({ load.to_string(): 1 }).to_string().replace(':', ": "))]
    );
    balances(&world.db.pool).await;
}

/// A batch that was refused comes again whole, and its rows with it.
#[tokio::test]
async fn rows_of_a_refused_batch_are_not_replayed() {
    let world = World::new().await;
    let manifest = batch(&world.lake, "b", orders(&[(1, 1, "a"), (2, -1, "a")])).await;
    let mut load = request("staging.orders", manifest, attempt(&world.db.pool).await);
    load.deduplicate = Deduplicate::Identical;
    let staged = Staged::stage(&world.db.pool, &world.lake, load).await.expect("stage");
    let mut audit = Audit::unchecked();
    (audit.verdict, audit.failed) = (Verdict::Failed, vec![(1, vec!["quantity".to_owned()])]);
    let load = staged.publish(audit).await.expect("refuse").load_id;
    assert_eq!(world.replay(&all()).await.loads, []);
    let mut wish = all();
    wish.corrected = Some(vec![corrected(load, 1, r#"{"id": 2, "quantity": 2, "version": "b"}"#)]);
    assert_eq!(world.refused(&wish).await, format!("load {load} was refused whole: retry its run instead"));
}
