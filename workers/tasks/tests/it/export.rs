//! Tables and queries as files.

use polars::prelude::DataType;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, raw_sql};
use tasks::export::Export;
use tempfile::TempDir;
use warehouse::lake::Lake;
use workflow::{
    error::{ErrorDomain, TaskError},
    kind::{Fence, Registry},
};

use crate::support::context;

const SALES: &str = "create schema marts;
    create table marts.sales (id int primary key, city text, amount numeric(12, 2), at timestamptz);
    insert into marts.sales values (2, 'Köln, \"Süd\"', -0.05, '2026-03-01 12:00+00'), (1, null, 10.00, null)";

struct Exports {
    pool: PgPool,
    folder: TempDir,
    lake: Lake,
}

impl Exports {
    async fn new() -> Self {
        let db = testkit::database().await;
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::open(folder.path().to_str().expect("a UTF-8 path")).expect("a lake");
        let exports = Self { pool: db.pool, folder, lake };
        exports.sql(SALES).await;
        exports
    }

    async fn sql(&self, text: &str) {
        raw_sql(AssertSqlSafe(text.to_owned())).execute(&self.pool).await.expect("run SQL");
    }

    async fn run(&self, config: Value) -> Result<Value, TaskError> {
        self.run_as(testkit::attempt(&self.pool).await, config).await
    }

    async fn run_as(&self, fence: Fence, config: Value) -> Result<Value, TaskError> {
        let registry = Registry::new().with(Export::new(self.pool.clone(), self.lake.clone()));
        let mut task = context(fence, &[]);
        task.params = json!({"city": "'; drop table marts.sales --"});
        registry.get("export").expect("the kind").run(config, &task).await
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(path)).expect("the file")
    }

    fn files(&self) -> usize {
        match std::fs::read_dir(self.folder.path().join("exports")) {
            Ok(entries) => entries.count(),
            Err(_) => 0,
        }
    }
}

#[tokio::test]
async fn a_table_becomes_a_file_in_the_order_of_its_key() {
    let exports = Exports::new().await;
    let said = exports.run(json!({"table": "marts.sales", "to": "exports/sales.csv"})).await.expect("a file");
    let text = "id,city,amount,at\n1,,10.00,\n2,\"Köln, \"\"Süd\"\"\",-0.05,2026-03-01 12:00:00+00\n";
    assert_eq!(exports.text("exports/sales.csv"), text);
    assert_eq!(said, json!({"path": "exports/sales.csv", "rows": 2, "bytes": text.len()}));

    let said = exports.run(json!({"table": "marts.sales", "to": "exports/sales.parquet"})).await.expect("a file");
    assert_eq!(said["rows"], json!(2));
    let frame = exports.lake.read_parquet("exports/sales.parquet").await.expect("Parquet");
    assert_eq!(frame.column("amount").expect("a column").dtype(), &DataType::Decimal(12, 2));
    let ids: Vec<_> = frame.column("id").expect("a column").i32().expect("numbers").iter().collect();
    assert_eq!(ids, [Some(1), Some(2)]);
    assert_eq!(exports.files(), 2, "nothing lies beside them");
}

#[tokio::test]
async fn a_query_reads_what_depends_on_the_run_from_its_session() {
    let exports = Exports::new().await;
    let query = "select current_setting('sluice.interval_start')::timestamptz as start,
                        current_setting('sluice.timezone') as zone,
                        current_setting('sluice.params')::jsonb ->> 'city' as city;";
    exports.run(json!({"query": query, "to": "exports/run.csv"})).await.expect("a file");
    let text = "start,zone,city\n2026-03-01 00:00:00+00,Europe/Berlin,'; drop table marts.sales --\n";
    assert_eq!(exports.text("exports/run.csv"), text);
}

#[tokio::test]
async fn a_query_cannot_write() {
    let exports = Exports::new().await;
    exports
        .sql(
            "create function public.sweep() returns int language sql as $$ delete from marts.sales; select 1 $$;
             create sequence public.s",
        )
        .await;
    for query in ["select public.sweep()", "select nextval('public.s')"] {
        let error = exports.run(json!({"query": query, "to": "exports/x.csv"})).await.expect_err("refused");
        assert_eq!(error.domain, ErrorDomain::User, "{}", error.chain());
        assert!(error.to_string().contains("read-only"), "{error}");
    }
    for query in ["select 1; drop table marts.sales", "select nowhere", "delete from marts.sales returning 1"] {
        let error = exports.run(json!({"query": query, "to": "exports/x.csv"})).await.expect_err("refused");
        assert_eq!(error.domain, ErrorDomain::User, "{}", error.chain());
    }
    let rows: i64 =
        sqlx::query_scalar("select count(*) from marts.sales").fetch_one(&exports.pool).await.expect("rows");
    assert_eq!((rows, exports.files()), (2, 0));
}

/// The lease is lost while the rows are read; the file of the successor stays.
#[tokio::test]
async fn an_attempt_that_lost_its_lease_leaves_no_file() {
    let exports = Exports::new().await;
    for to in ["exports/sales.csv", "exports/sales.parquet"] {
        exports.run(json!({"table": "marts.sales", "to": to})).await.expect("a file");
        let before = std::fs::read(exports.folder.path().join(to)).expect("the file");
        exports.sql("insert into marts.sales select max(id) + 1 from marts.sales").await;
        let fence = testkit::attempt(&exports.pool).await;
        let mut holder = exports.pool.begin().await.expect("begin");
        sqlx::query("lock table marts.sales in access exclusive mode").execute(&mut *holder).await.expect("lock");
        let lost = async {
            let waits =
                "select exists (select 1 from pg_locks where not granted and relation = 'marts.sales'::regclass)";
            while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&exports.pool).await.expect("look") {
                tokio::task::yield_now().await;
            }
            sqlx::query("update sluice.attempt set state = 'lost' where attempt_id = $1")
                .bind(fence.attempt_id)
                .execute(&exports.pool)
                .await
                .expect("lose the lease");
            holder.rollback().await.expect("release");
        };
        let (outcome, ()) = tokio::join!(exports.run_as(fence, json!({"table": "marts.sales", "to": to})), lost);
        let error = outcome.expect_err("refused");
        assert!(error.to_string().starts_with("lease lost"), "{error}");
        assert_eq!(std::fs::read(exports.folder.path().join(to)).expect("the file"), before, "{to}");
    }
    assert_eq!(exports.files(), 2, "no part of a file is left");
}
