//! Random batches and replays against a model that knows nothing of SQL: every load balances, and the table is the model's.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AssertSqlSafe, PgPool};
use testkit::{Dice, attempt};
use warehouse::load::{
    Audit, Deduplicate, Staged, Verdict,
    replay::{Correction, Replay, dismiss, replay},
};

use crate::{
    replay::{Above, all, balances, person},
    support::{batch, column, frame, lake, request},
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    id: Option<i64>,
    quantity: i32,
    version: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Append,
    AppendDistinct,
    Merge,
    MergeByVersion,
}

impl Strategy {
    fn is_keyed(self) -> bool {
        matches!(self, Self::Merge | Self::MergeByVersion)
    }
}

/// A row that is held back.
struct Held {
    load: i64,
    seq: i64,
    row: Row,
    /// It had no key when it came.
    keyless: bool,
}

/// What the table, the quarantine and the ledger should be.
struct Model {
    strategy: Strategy,
    bag: Vec<Row>,
    keyed: BTreeMap<i64, Row>,
    held: Vec<Held>,
    /// Number of each load, and of the load whose rows it is about.
    ledger: Vec<(i64, i64)>,
    /// Keys under which rows of a load were settled.
    settled: BTreeSet<(i64, Option<i64>)>,
}

/// read, loaded, quarantined, deduplicated.
type Counts = (i64, i64, i64, i64);

impl Model {
    /// Which rows are taken out as said before, and which go on.
    fn distinct(&self, rows: Vec<(i64, Row)>) -> (i64, Vec<(i64, Row)>) {
        let read = rows.len();
        let mut seen = BTreeSet::new();
        let mut left = rows;
        if self.strategy == Strategy::AppendDistinct {
            left.retain(|(_, row)| seen.insert(row.clone()));
        }
        if self.strategy.is_keyed() {
            let last: BTreeMap<Option<i64>, i64> = left.iter().map(|(seq, row)| (row.id, *seq)).collect();
            left.retain(|(seq, row)| last[&row.id] == *seq);
        }
        (i64::try_from(read - left.len()).expect("few"), left)
    }

    fn publish(&mut self, row: Row) {
        match row.id.filter(|_| self.strategy.is_keyed()) {
            None => self.bag.push(row),
            Some(id) => {
                let newer = self.keyed.get(&id).is_some_and(|there| there.version > row.version);
                if !(newer && self.strategy == Strategy::MergeByVersion) {
                    self.keyed.insert(id, row);
                }
            }
        }
    }

    fn load(&mut self, load: i64, rows: &[Row]) -> Counts {
        let numbered: Vec<(i64, Row)> = (0..).zip(rows.iter().cloned()).collect();
        let (without, with): (Vec<_>, Vec<_>) =
            numbered.into_iter().partition(|(_, row)| self.strategy.is_keyed() && row.id.is_none());
        let (again, rest) = self.distinct(with);
        let (bad, good): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(_, row)| row.quantity <= 0);
        let counts = (
            i64::try_from(rows.len()).expect("few"),
            i64::try_from(good.len()).expect("few"),
            i64::try_from(without.len() + bad.len()).expect("few"),
            again,
        );
        self.held.extend(without.into_iter().map(|(seq, row)| Held { load, seq, row, keyless: true }));
        self.held.extend(bad.into_iter().map(|(seq, row)| Held { load, seq, row, keyless: false }));
        self.held.sort_by_key(|held| (held.load, held.seq));
        for (_, row) in good {
            self.publish(row);
        }
        self.ledger.push((load, load));
        counts
    }

    /// Takes the open rows of a load through again; `replay` is what the ledger calls it.
    fn replay(&mut self, load: i64, replay: i64, wish: &Wish) -> Counts {
        let (own, others) = std::mem::take(&mut self.held).into_iter().partition::<Vec<_>, _>(|held| held.load == load);
        self.held = others;
        let since = self.ledger.iter().any(|(number, about)| *number > load && *about > load);
        let mut keyless = BTreeMap::new();
        let mut rows = Vec::new();
        let mut stay: Vec<(i64, Row)> = Vec::new();
        let read = i64::try_from(own.len()).expect("few");
        for Held { seq, mut row, keyless: never_judged, .. } in own {
            let had = row.id;
            if wish.quantity {
                row.quantity = 7;
            }
            if wish.id {
                row.id = row.id.or(Some(3));
            }
            keyless.insert(seq, (never_judged, had != row.id));
            if self.strategy.is_keyed() && row.id.is_none() {
                stay.push((seq, row));
            } else {
                rows.push((seq, row));
            }
        }
        let gone: Vec<(i64, Row)> = rows.clone();
        let (mut again, rest) = self.distinct(rows);
        let kept: BTreeSet<i64> = rest.iter().map(|(seq, _)| *seq).collect();
        let mut settled: Vec<Option<i64>> =
            gone.iter().filter(|(seq, _)| !kept.contains(seq)).map(|(_, row)| row.id).collect();
        let mut loaded = 0;
        let mut publish = Vec::new();
        for (seq, row) in rest {
            let there = row.id.filter(|_| self.strategy.is_keyed()).and_then(|id| self.keyed.get(&id));
            let (never_judged, key_changed) = keyless[&seq];
            if row.quantity <= wish.above {
                stay.push((seq, row));
            } else if self.strategy == Strategy::MergeByVersion
                && there.is_some_and(|there| there.version > row.version)
            {
                again += 1;
                settled.push(row.id);
            } else if self.strategy == Strategy::Merge
                && there.is_some()
                && !wish.overwrite
                && (since || never_judged || key_changed || self.settled.contains(&(load, row.id)))
            {
                stay.push((seq, row));
            } else {
                loaded += 1;
                settled.push(row.id);
                publish.push(row);
            }
        }
        for row in publish {
            self.publish(row);
        }
        self.settled.extend(settled.into_iter().map(|id| (load, id)));
        let quarantined = i64::try_from(stay.len()).expect("few");
        let back = |(seq, row)| Held { load, seq, row, keyless: keyless[&seq].0 };
        self.held.extend(stay.into_iter().map(back));
        self.held.sort_by_key(|held| (held.load, held.seq));
        self.ledger.push((replay, load));
        (read, loaded, quarantined, again)
    }

    fn table(&self) -> Vec<Row> {
        let mut all: Vec<Row> = self.bag.iter().chain(self.keyed.values()).cloned().collect();
        all.sort();
        all
    }
}

/// What a replay does to rows, and what it lets through.
struct Wish {
    quantity: bool,
    id: bool,
    above: i32,
    overwrite: bool,
}

async fn table(pool: &PgPool) -> Vec<Row> {
    let rows: Vec<(Option<i64>, i32, i64)> =
        sqlx::query_as(AssertSqlSafe("select id, quantity, version from staging.orders".to_owned()))
            .fetch_all(pool)
            .await
            .expect("rows");
    let mut rows: Vec<Row> = rows.into_iter().map(|(id, quantity, version)| Row { id, quantity, version }).collect();
    rows.sort();
    rows
}

/// A batch, some of whose rows say the same as the one before.
fn some_rows(dice: &mut Dice) -> Vec<Row> {
    let count = 1 + dice.roll(12);
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..count {
        let again = rows.last().filter(|_| dice.once_in(4)).cloned();
        rows.push(again.unwrap_or_else(|| Row {
            id: (!dice.once_in(6)).then(|| i64::try_from(dice.roll(8)).expect("small")),
            quantity: i32::try_from(dice.roll(14)).expect("small") - 4,
            version: i64::try_from(dice.roll(5)).expect("small"),
        }));
    }
    rows
}

async fn a_life(seed: u64) {
    let mut dice = Dice::new(seed);
    let strategy = *dice.pick(&[
        Strategy::Append,
        Strategy::AppendDistinct,
        Strategy::Merge,
        Strategy::Merge,
        Strategy::MergeByVersion,
    ]);
    let db = testkit::database().await;
    let (_folder, lake) = lake();
    let mut model = Model {
        strategy,
        bag: Vec::new(),
        keyed: BTreeMap::new(),
        held: Vec::new(),
        ledger: Vec::new(),
        settled: BTreeSet::new(),
    };
    for step in 0..14 {
        let place = format!("seed {seed}, {strategy:?}, step {step}");
        if step == 0 || !dice.once_in(3) {
            let rows = some_rows(&mut dice);
            let batch_of = frame(vec![
                column("id", rows.iter().map(|row| row.id).collect::<Vec<_>>()),
                column("quantity", rows.iter().map(|row| row.quantity).collect::<Vec<_>>()),
                column("version", rows.iter().map(|row| row.version).collect::<Vec<_>>()),
            ]);
            let manifest = batch(&lake, &format!("b{step}"), batch_of).await;
            let mut load = request("staging.orders", manifest, attempt(&db.pool).await);
            match strategy {
                Strategy::Append => {}
                Strategy::AppendDistinct => load.deduplicate = Deduplicate::Identical,
                Strategy::Merge => load.key = vec!["id".to_owned()],
                Strategy::MergeByVersion => {
                    load.key = vec!["id".to_owned()];
                    load.manifest.order_by = Some("version".to_owned());
                }
            }
            let staged = Staged::stage(&db.pool, &lake, load).await.expect("stage");
            let mut audit = Audit::unchecked();
            audit.suite = Some(("orders".to_owned(), "above 0".to_owned()));
            audit.verdict = Verdict::Passed;
            audit.failed = (0i64..)
                .zip(&rows)
                .filter(|(seq, row)| row.quantity <= 0 && !staged.dropped().contains(seq))
                .map(|(seq, _)| (seq, vec!["quantity".to_owned()]))
                .collect();
            let done = staged.publish(audit).await.expect("publish");
            let counts = model.load(done.load_id, &rows);
            assert_eq!((done.read, done.loaded, done.quarantined, done.deduplicated), counts, "{place}: {rows:?}");
        } else if dice.once_in(5) {
            let chosen = model.held.first().map(|held| (held.load, held.seq));
            if let Some(row) = chosen {
                let chosen = warehouse::load::replay::Chosen { rows: Some(vec![row]), ..all().chosen };
                dismiss(&db.pool, &chosen, "no use", &person(), false).await.expect("dismiss");
                model.held.remove(0);
            }
        } else {
            let wish = Wish {
                quantity: dice.once_in(2),
                id: dice.once_in(3),
                above: if dice.once_in(2) { 0 } else { -2 },
                overwrite: dice.once_in(4),
            };
            let mut asked = Replay { overwrite: wish.overwrite, ..all() };
            let set = [(wish.quantity, "quantity = 7"), (wish.id, "id = coalesce(id, 3)")];
            asked.set = set
                .iter()
                .filter(|(wanted, _)| *wanted)
                .map(|(_, text)| Correction::parse(text).expect("a correction"))
                .collect();
            let loads: BTreeSet<i64> = model.held.iter().map(|held| held.load).collect();
            asked.chosen.load_id = if dice.once_in(2) || loads.is_empty() {
                None
            } else {
                Some(*dice.pick(&loads.iter().copied().collect::<Vec<_>>()))
            };
            let judge = Above(wish.above);
            let shown = replay(&db.pool, &judge, &asked, &person(), true).await.expect("preview");
            let done = replay(&db.pool, &judge, &asked, &person(), false).await.expect("replay");
            let expected: Vec<i64> =
                loads.into_iter().filter(|load| asked.chosen.load_id.is_none_or(|only| only == *load)).collect();
            assert_eq!(done.loads.iter().map(|load| load.load_id).collect::<Vec<_>>(), expected, "{place}");
            for (load, shown) in done.loads.iter().zip(&shown.loads) {
                let counts = model.replay(load.load_id, load.replay.expect("a ledger row"), &wish);
                let is = (load.read, load.loaded, load.quarantined, load.deduplicated);
                assert_eq!(is, counts, "{place}: load {}, {:?}", load.load_id, load.rules);
                assert_eq!(
                    (shown.read, shown.loaded, shown.quarantined, shown.deduplicated),
                    counts,
                    "{place}: preview"
                );
            }
        }
        assert_eq!(table(&db.pool).await, model.table(), "{place}");
        balances(&db.pool).await;
    }
}

#[tokio::test]
async fn every_load_and_replay_balances_and_the_table_is_the_models() {
    for seed in 0..24 {
        a_life(seed).await;
    }
}

/// A target keeps what hangs on it: it is written, and never made anew.
#[tokio::test]
async fn views_and_grants_of_a_target_survive_every_strategy() {
    for keyed in [false, true] {
        let db = testkit::database().await;
        let (_folder, lake) = lake();
        let publish = async |name: &str, quantity: i32| {
            let rows = frame(vec![column("id", &[1i64, 2]), column("quantity", &[quantity, -1])]);
            let mut load = request("staging.orders", batch(&lake, name, rows).await, attempt(&db.pool).await);
            load.key = if keyed { vec!["id".to_owned()] } else { Vec::new() };
            let staged = Staged::stage(&db.pool, &lake, load).await.expect("stage");
            let mut audit = Audit::unchecked();
            audit.failed = vec![(1, vec!["quantity".to_owned()])];
            staged.publish(audit).await.expect("publish");
        };
        publish("first", 10).await;
        sqlx::raw_sql(
            "create view staging.big_orders as select * from staging.orders where quantity > 10;
             create index orders_by_quantity on staging.orders (quantity);
             grant select on staging.orders to public",
        )
        .execute(&db.pool)
        .await
        .expect("what hangs on the table");
        let hangs = "select concat_ws(' ', c.oid, c.relacl, (select count(*) from pg_index where indrelid = c.oid))
                     from pg_class c where c.oid = 'staging.orders'::regclass";
        let before: String = sqlx::query_scalar(hangs).fetch_one(&db.pool).await.expect("before");
        publish("second", 20).await;
        let mut again = all();
        again.set = vec![Correction::parse("quantity = 30").expect("a correction")];
        replay(&db.pool, &Above(0), &Replay { overwrite: true, ..again }, &person(), false).await.expect("replay");
        let after: String = sqlx::query_scalar(hangs).fetch_one(&db.pool).await.expect("after");
        assert_eq!(before, after);
        assert!(after.contains("=r/"), "{after}");
        let seen: Vec<(i64, i32)> = sqlx::query_as("select id, quantity from staging.big_orders order by id, quantity")
            .fetch_all(&db.pool)
            .await
            .expect("the view");
        let expected: &[(i64, i32)] = if keyed { &[(1, 20), (2, 30)] } else { &[(1, 20), (2, 30), (2, 30)] };
        assert_eq!(seen, expected);
    }
}
