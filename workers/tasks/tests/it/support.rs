//! Attempts, contexts and sources for the kinds under test.

use std::collections::BTreeMap;

use chrono::{TimeZone, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgPool};
use tasks::{export::Export, extract_mysql::ExtractMysql, load::Load, reconcile::Reconcile};
use tempfile::TempDir;
use warehouse::lake::Lake;
use workflow::{
    endpoint::Endpoint,
    error::TaskError,
    kind::{DataInterval, Fence, Registry, TaskContext},
    log::TaskLog,
};

/// A project of its own: databases, lake, suites.
pub(crate) struct World {
    pub(crate) pool: PgPool,
    pub(crate) postgres_url: String,
    pub(crate) mysql_url: String,
    pub(crate) folder: TempDir,
    pub(crate) registry: Registry,
}

impl World {
    /// A world whose shop runs `ddl`.
    pub(crate) async fn new(ddl: &str) -> Self {
        Self::with_lake(ddl, None).await
    }

    /// As [`World::new`], with a lake elsewhere.
    pub(crate) async fn with_lake(ddl: &str, lake: Option<Lake>) -> Self {
        let db = testkit::database().await;
        let mysql_url = testkit::mysql_database().await;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("quality")).expect("a folder");
        let lake = lake.unwrap_or_else(|| local_lake(folder.path()));
        let registry = kinds(&db.pool, &mysql_url, folder.path(), lake);
        let world = Self { pool: db.pool, postgres_url: db.url, mysql_url, folder, registry };
        world.shop(ddl).await;
        world
    }

    /// Runs statements in the shop.
    pub(crate) async fn shop(&self, sql: &str) {
        let mut connection = MySqlConnection::connect(&self.mysql_url).await.expect("connect to MariaDB");
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("run in the shop");
    }

    /// A suite of the project.
    pub(crate) fn suite(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(format!("quality/{name}.yaml")), text).expect("write a suite");
    }

    /// Runs a kind as an attempt of its own.
    pub(crate) async fn run(&self, kind: &str, config: Value, inputs: &[(&str, &Value)]) -> Result<Value, TaskError> {
        let task = context(testkit::attempt(&self.pool).await, inputs);
        self.registry.get(kind).expect("a kind").run(config, &task).await
    }

    /// Runs a kind as an attempt of a run that has this plan.
    pub(crate) async fn run_planned(&self, plan: &Value, kind: &str, config: Value) -> Value {
        let fence = testkit::attempt(&self.pool).await;
        let run_id = sqlx::query_scalar(
            "update sluice.dag_version v set plan = $2
             from sluice.dag_run r, sluice.task_run t, sluice.attempt a
             where v.dag = r.dag and v.version = r.version and r.run_id = t.run_id and t.task_run_id = a.task_run_id
               and a.attempt_id = $1
             returning r.run_id",
        )
        .bind(fence.attempt_id)
        .bind(plan)
        .fetch_one(&self.pool)
        .await
        .expect("the attempt's run");
        let mut task = context(fence, &[]);
        task.run_id = run_id;
        self.registry.get(kind).expect("a kind").run(config, &task).await.expect(kind)
    }

    /// Extracts and loads; gives the load's outcome.
    pub(crate) async fn move_rows(&self, extract: Value, load: Value) -> Result<Value, TaskError> {
        let manifest = self.run("extract_mysql", extract, &[]).await?;
        self.run("load", load, &[("extract", &manifest)]).await
    }

    /// One text column of Postgres, row by row.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<Option<String>> {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&self.pool).await.expect(sql)
    }
}

/// The kinds on these services.
pub(crate) fn registry(pool: &PgPool, mysql_url: &str, project: &std::path::Path) -> Registry {
    kinds(pool, mysql_url, project, local_lake(project))
}

fn local_lake(project: &std::path::Path) -> Lake {
    Lake::open(project.join("lake").to_str().expect("a UTF-8 path")).expect("a lake")
}

fn kinds(pool: &PgPool, mysql_url: &str, project: &std::path::Path, lake: Lake) -> Registry {
    // Nobody listens at the second.
    let connections = [("shop", mysql_url), ("away", "mysql://nobody@127.0.0.1:1/shop")];
    let connections: BTreeMap<_, _> =
        connections.into_iter().map(|(name, url)| (name.to_owned(), Endpoint::fixed("MariaDB", url))).collect();
    Registry::new()
        .with(ExtractMysql::new(connections.clone(), pool.clone(), lake.clone()))
        .with(Reconcile::new(connections, pool.clone(), lake.clone(), project))
        .with(Load::new(pool.clone(), lake.clone(), project))
        .with(Export::new(pool.clone(), lake))
}

/// A file of published data, where it is there.
pub(crate) fn shared(file: &str) -> Option<std::path::PathBuf> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(file);
    let found = path.canonicalize().ok().or_else(|| {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data").join(file);
        root.canonicalize().ok()
    });
    if found.is_none() {
        eprintln!("{file} is not in ../shared/data: its test checks nothing here");
    }
    found
}

/// The context of an attempt of task `t` in DAG `d`.
pub(crate) fn context(fence: Fence, inputs: &[(&str, &Value)]) -> TaskContext {
    let day = |d| Utc.with_ymd_and_hms(2026, 3, d, 0, 0, 0).single().expect("a valid time");
    TaskContext {
        dag: "d".to_owned(),
        run_id: fence.attempt_id,
        task: "t".to_owned(),
        attempt: 1,
        fence,
        logical_time: day(2),
        interval: DataInterval { start: day(1), end: day(2) },
        timezone: chrono_tz::Europe::Berlin,
        params: json!({}),
        inputs: inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())).collect(),
        log: TaskLog::discard(),
        cancel: tokio_util::sync::CancellationToken::new(),
    }
}
