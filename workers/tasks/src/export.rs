//! `export`: a table, or what a query gives, as one Parquet or CSV file in the lake.
//!
//! The rows are those of one instant, however long the export takes, and the query cannot write. The file appears when
//! it is whole, over the one of an earlier run with the same name: name files by date, and a repeat makes the same file
//! again. An attempt that has lost its lease puts none there.
//!
//! A query is not templated, since a value of the run would become SQL. What depends on the run comes as session
//! settings, as it does for models: `current_setting('sluice.interval_start')`, `sluice.interval_end`,
//! `sluice.timezone`, and the parameters as JSON in `sluice.params`. The session's own time zone is UTC.

mod frames;

use async_trait::async_trait;
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, query, query_scalar};
use warehouse::{
    WarehouseError, fence,
    ident::{TableName, quote_all},
    lake::{Lake, SealedFile},
};
use workflow::{
    datasets::{Dataset, Datasets, Touched},
    diagnostic::Problem,
    error::TaskError,
    kind::{TaskContext, TaskKind},
    template,
};

use crate::session;

/// The kind.
pub struct Export {
    pool: PgPool,
    lake: Lake,
}

impl Export {
    /// Reads from `pool`, writes into `lake`.
    pub fn new(pool: PgPool, lake: Lake) -> Self {
        Self { pool, lake }
    }
}

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `schema.table`; its rows go in the order of its primary key.
    #[serde(default)]
    pub table: Option<String>,
    /// One SELECT, without templates; its rows go in its own order.
    #[serde(default)]
    pub query: Option<String>,
    /// Path in the lake, ending in `.parquet` or `.csv`: `exports/sales/{{ ds }}.parquet`.
    pub to: String,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Parquet,
    Csv,
}

impl Format {
    fn of(path: &str) -> Option<Self> {
        match path.rsplit_once('.')?.1 {
            "parquet" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

#[async_trait]
impl TaskKind for Export {
    const NAME: &'static str = "export";
    const SUMMARY: &'static str = "Writes a table or a query's rows as Parquet or CSV into the lake";
    const SCRATCH: bool = true;

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        match (&config.table, &config.query) {
            (Some(table), None) => {
                if let Err(error) = TableName::parse(table) {
                    problems.push(Problem::new("table", error.to_string()).hint("write it as `schema.table`"));
                }
            }
            (None, Some(_)) => {}
            (None, None) => {
                problems.push(Problem::new("table", "nothing to export").hint("give a `table` or a `query`"));
            }
            (Some(_), Some(_)) => {
                problems.push(Problem::new("query", "there is a `table` already").hint("keep one of the two"));
            }
        }
        if Format::of(&config.to).is_none() {
            let message = format!("`{}` is neither Parquet nor CSV", config.to);
            problems.push(Problem::new("to", message).hint("end it in `.parquet` or `.csv`"));
        }
        if config.to.starts_with('/') || config.to.split('/').any(|part| part == "..") {
            let message = format!("`{}` leads out of the lake", config.to);
            problems.push(Problem::new("to", message).hint("give a path inside the lake, such as `exports/sales.csv`"));
        }
        problems
    }

    fn datasets(config: &Config, output: Option<&Value>) -> Datasets {
        let count = |key: &str| output.and_then(|output| output[key].as_u64());
        let file = output.and_then(|output| output["path"].as_str()).unwrap_or(&config.to);
        let written = Touched {
            dataset: Dataset::Lake(file.to_owned()),
            rows: count("rows"),
            bytes: count("bytes"),
            files: output.map(|_| 1),
        };
        let reads = config.table.iter().map(|table| Touched::table(table, None)).collect();
        Datasets { reads, writes: vec![written] }
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let problems = Self::check(&config);
        let Some(format) = Format::of(&config.to).filter(|_| problems.is_empty()) else {
            // Templates are filled in by now, so the path may be another than the one that was checked.
            return Err(TaskError::user(problems.into_iter().map(|p| p.message).collect::<Vec<_>>().join("; ")));
        };
        let sealed = tokio::select! {
            () = task.cancel.cancelled() => return Err(TaskError::external("stopped before the file was whole")),
            sealed = self.write(&config, format, task) => sealed?,
        };
        // Held until the file has its name: no successor can have written a newer one by then.
        let mut tx = self.pool.begin().await.map_err(WarehouseError::from)?;
        fence::check(&mut tx, task.fence).await?;
        let file = sealed.place().await?;
        tx.commit().await.map_err(WarehouseError::from)?;
        task.log.info(format!("{}: {} rows, {} bytes", file.path, file.rows, file.bytes));
        Ok(json!({ "path": file.path, "rows": file.rows, "bytes": file.bytes }))
    }
}

/// What is wrong with a task's keys as they are written, before their templates are rendered.
pub fn check_written(config: &Value) -> Option<Problem> {
    let query = config.get("query")?.as_str()?;
    template::is_template(query).then(|| {
        Problem::new("query", "a template here would put values of the run into SQL").hint(
            "read them from the session: `current_setting('sluice.interval_start')`, \
             `current_setting('sluice.params')::jsonb ->> 'city'`",
        )
    })
}

impl Export {
    async fn write(&self, config: &Config, format: Format, task: &TaskContext) -> Result<SealedFile, TaskError> {
        let mut tx = self.pool.begin().await.map_err(WarehouseError::from)?;
        let isolation = "set transaction isolation level repeatable read";
        query(isolation).execute(&mut *tx).await.map_err(WarehouseError::from)?;
        session::begin(&mut tx, task).await?;
        let select = select(&mut tx, config).await?;
        // A view tells the types of the columns before any row is read.
        let view = format!("create temporary view sluice_export as {}", select.trim_end().trim_end_matches(';'));
        query(AssertSqlSafe(view)).execute(&mut *tx).await.map_err(refused)?;
        // Whatever functions the query calls, they change nothing.
        query("set transaction read only").execute(&mut *tx).await.map_err(WarehouseError::from)?;
        let written = match format {
            Format::Csv => csv(&mut tx, &self.lake, &config.to).await?,
            Format::Parquet => frames::parquet(&mut tx, &self.lake, &config.to).await?,
        };
        // Nothing is to be kept: the view goes with the transaction.
        tx.rollback().await.map_err(WarehouseError::from)?;
        Ok(written)
    }
}

async fn select(tx: &mut PgConnection, config: &Config) -> Result<String, TaskError> {
    if let Some(query) = &config.query {
        return Ok(query.clone());
    }
    let table = TableName::parse(config.table.as_deref().unwrap_or_default())?;
    let key: Vec<String> = query_scalar(include_str!("../../../sql/engine/primary_key.sql"))
        .bind(table.schema())
        .bind(table.table())
        .fetch_all(tx)
        .await
        .map_err(WarehouseError::from)?;
    let order = quote_all(key.iter().map(String::as_str))?;
    let order = if order.is_empty() { order } else { format!(" order by {order}") };
    Ok(format!("select * from {}{order}", table.quoted()))
}

/// Postgres writes the CSV itself: one header line, `,`, quotes where needed, empty for null.
async fn csv(tx: &mut PgConnection, lake: &Lake, path: &str) -> Result<SealedFile, TaskError> {
    let count = query_scalar::<_, i64>("select count(*) from sluice_export").fetch_one(&mut *tx).await;
    let rows = count.map_err(refused)?;
    let copy = "copy (select * from sluice_export) to stdout with (format csv, header)";
    let mut file = lake.text_writer(path).await?;
    let mut chunks = tx.copy_out_raw(copy).await.map_err(refused)?;
    while let Some(chunk) = chunks.try_next().await.map_err(refused)? {
        file.write(&chunk).await?;
    }
    Ok(file.seal(u64::try_from(rows).unwrap_or_default()).await?)
}

/// A query that Postgres does not accept is the user's; it says what is wrong.
fn refused(error: sqlx::Error) -> TaskError {
    match error.as_database_error() {
        // 22: values; 25006: it would write; 42: names and syntax.
        Some(said)
            if said.code().is_some_and(|code| code.starts_with("42") || code.starts_with("22") || code == "25006") =>
        {
            TaskError::user(format!("the export's query: {}", said.message()))
        }
        _ => WarehouseError::from(error).into(),
    }
}
