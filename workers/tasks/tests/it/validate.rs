//! `validate`: outcomes are kept whatever they are, and a failure stops the run as a gate.

use polars::prelude::{Column, DataFrame};
use serde_json::{Value, json};
use sqlx::PgPool;
use tasks::validate::Validate;
use tempfile::TempDir;
use warehouse::{lake::Lake, manifest::Manifest};
use workflow::{
    error::TaskError,
    kind::{Fence, Registry},
};

use crate::support::context;

struct Project {
    pool: PgPool,
    folder: TempDir,
    lake: Lake,
}

impl Project {
    async fn new(checks: &str) -> Self {
        let pool = testkit::database().await.pool;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("quality")).expect("a folder");
        std::fs::write(folder.path().join("quality/things.yaml"), format!("suite: things\nchecks:\n{checks}"))
            .expect("a suite");
        let lake = Lake::open(folder.path().join("lake").to_str().expect("a UTF-8 path")).expect("a lake");
        sqlx::raw_sql("create table public.things (id int, name text); insert into things values (1, 'a'), (2, null)")
            .execute(&pool)
            .await
            .expect("a table");
        Self { pool, folder, lake }
    }

    async fn run(&self, config: Value, fence: Fence, inputs: &[(&str, &Value)]) -> Result<Value, TaskError> {
        let kind = Validate::new(self.pool.clone(), self.lake.clone(), self.folder.path());
        Registry::new().with(kind).get("validate").expect("a kind").run(config, &context(fence, inputs)).await
    }

    async fn results(&self) -> Vec<(String, String)> {
        sqlx::query_as("select check_id, outcome from sluice.check_results order by check_id")
            .fetch_all(&self.pool)
            .await
            .expect("results")
    }
}

const NAMES: &str = "  - expect_column_values_to_not_be_null: { column: id }
  - expect_column_values_to_not_be_null: { column: name }
";

fn pairs(results: &[(String, String)]) -> Vec<(&str, &str)> {
    results.iter().map(|(id, outcome)| (id.as_str(), outcome.as_str())).collect()
}

#[tokio::test]
async fn a_table_that_fails_stops_the_run_and_is_recorded_once() {
    let project = Project::new(NAMES).await;
    let fence = testkit::attempt(&project.pool).await;
    let config = json!({ "suite": "things", "table": "public.things" });
    for _ in 0..2 {
        let refused = project.run(config.clone(), fence, &[]).await.expect_err("a refusal");
        assert!(refused.gate, "{refused}");
        assert_eq!(
            refused.to_string(),
            "public.things does not meet suite `things`: name.not_null failed: 1 of 2 rows"
        );
    }
    assert_eq!(pairs(&project.results().await), [("id.not_null", "passed"), ("name.not_null", "failed")]);

    let warned =
        project.run(json!({ "suite": "things", "table": "public.things", "on_fail": "warn" }), fence, &[]).await;
    assert_eq!(warned.expect("an output")["verdict"], "warned");
}

#[tokio::test]
async fn a_batch_is_judged_as_it_lies_in_the_lake() {
    let project = Project::new("  - expect_column_values_to_not_be_null: { column: id }\n").await;
    let columns = vec![Column::new("id".into(), [1i64, 2]), Column::new("_source_line".into(), [2i64, 3])];
    let mut frame = DataFrame::new(2, columns).expect("a frame");
    let file = project.lake.write_parquet("raw/x.parquet", &mut frame).await.expect("a file");
    let manifest = json!(Manifest {
        dataset: "files.things".into(),
        files: vec![file.clone(), file],
        rows: 4,
        rejected: None,
        mark: None,
        batch_id: "x".into(),
        order_by: None,
        types: std::collections::BTreeMap::default(),
    });
    let fence = testkit::attempt(&project.pool).await;
    let output = project.run(json!({ "suite": "things", "from": "extract" }), fence, &[("extract", &manifest)]).await;
    let output = output.expect("an output");
    assert_eq!((&output["verdict"], &output["rows"]), (&json!("passed"), &json!(4)));
}

#[tokio::test]
async fn an_attempt_that_lost_its_lease_records_nothing() {
    let project = Project::new(NAMES).await;
    let fence = testkit::attempt(&project.pool).await;
    sqlx::query("update sluice.attempt set state = 'lost'").execute(&project.pool).await.expect("lost");
    let late = project.run(json!({ "suite": "things", "table": "public.things" }), fence, &[]).await;
    assert!(late.expect_err("a late attempt").to_string().contains("lease lost"));
    assert!(project.results().await.is_empty());
}

#[tokio::test]
async fn keys_that_cannot_be_meant_are_refused() {
    let pool = PgPool::connect_lazy("postgres://127.0.0.1/unconnected").expect("a pool that never connects");
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(folder.path().to_str().expect("a UTF-8 path")).expect("a lake");
    let registry = Registry::new().with(Validate::new(pool, lake, folder.path()));
    let messages = |config: Value| {
        let problems = registry.get("validate").expect("a kind").check(&config).expect_err("faults");
        problems.into_iter().map(|p| p.message).collect::<Vec<_>>()
    };
    assert_eq!(messages(json!({ "suite": "x" })), ["expected `table` or `from`, one of them"]);
    assert_eq!(
        messages(json!({ "suite": "x", "table": "x", "on_fail": "quarantine" })),
        ["`x` is not a table; write `schema.table`", "`quarantine` is not for `validate`"]
    );
}
