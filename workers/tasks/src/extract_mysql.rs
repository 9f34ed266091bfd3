//! `extract_mysql`: a `MySQL` or MariaDB table into Parquet files of the lake, whole or from a high-water mark on.
//!
//! The table is read in one consistent snapshot, as one stream; what is held in memory is a few row groups,
//! however long the table is. An incremental read takes what `cursor` says changed after the mark, less an
//! overlap, up to a bound that no open transaction can still write below. The mark itself moves only when a
//! `load` publishes what was read.

mod bounds;
pub(crate) mod columns;
mod decode;
pub(crate) mod keys;
mod sink;

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgPool};
use warehouse::{
    lake::{Lake, attempt_stem},
    load::marks,
    manifest::{Manifest, Reading},
    runs,
};
use workflow::{
    datasets::{Dataset, Datasets},
    diagnostic::Problem,
    endpoint::Endpoint,
    error::TaskError,
    kind::{Reference, Target, TaskContext, TaskKind},
    span::Span,
    template,
};

use self::{bounds::Window, columns::SourceColumn, sink::Sink};
use crate::mysql;

/// Rows of one row group, and of what is decoded before it is handed on.
const ROW_GROUP: usize = 64 * 1024;

/// The kind.
pub struct ExtractMysql {
    connections: BTreeMap<String, Endpoint>,
    marks: PgPool,
    lake: Lake,
}

impl ExtractMysql {
    /// Reads through these connections (by name), from the marks in `marks`, into `lake`.
    pub fn new(connections: BTreeMap<String, Endpoint>, marks: PgPool, lake: Lake) -> Self {
        Self { connections, marks, lake }
    }
}

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the table is.
    #[serde(default = "shop")]
    pub connection: String,
    /// The table, in the connection's database.
    pub table: String,
    /// Which columns; all of them if not said.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// Only what changed; the whole table if not said.
    #[serde(default)]
    pub incremental: Option<Incremental>,
    /// What becomes of `0000-00-00` and of dates with a zero in them.
    #[serde(default)]
    pub zero_dates: ZeroDates,
}

/// How changes are found.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// A `datetime` (in UTC) or `timestamp` column that every change of a row moves forward.
    pub cursor: String,
    /// A unique column, which orders rows of one cursor value.
    pub key: String,
    /// How far below the mark is read again, for transactions that committed late.
    #[serde(default = "two_minutes")]
    pub overlap: Span,
    /// How far behind the server's clock reading ends.
    #[serde(default = "one_second")]
    pub lag: Span,
}

/// What becomes of dates that are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZeroDates {
    /// The row is rejected: it ends in the quarantine, with the reason.
    #[default]
    Reject,
    /// The value becomes null; the log says how many did.
    Null,
    /// All dates and times but the cursor are text, as the source writes them.
    Text,
}

fn shop() -> String {
    "shop".to_owned()
}

fn two_minutes() -> Span {
    Span::from_secs(120)
}

fn one_second() -> Span {
    Span::from_secs(1)
}

#[async_trait]
impl TaskKind for ExtractMysql {
    const NAME: &'static str = "extract_mysql";
    const SUMMARY: &'static str = "Reads a MySQL or MariaDB table, whole or what changed, into Parquet in the lake";

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        if config.table.is_empty() || config.table.contains(['`', '\0']) {
            problems.push(Problem::new("table", format!("`{}` is not a table's name", config.table)));
        }
        if config.columns.as_ref().is_some_and(Vec::is_empty) {
            problems.push(Problem::new("columns", "no column is named").hint("leave the key out to read all of them"));
        }
        if let (Some(columns), Some(incremental)) = (&config.columns, &config.incremental) {
            for (field, name) in [("cursor", &incremental.cursor), ("key", &incremental.key)] {
                if !columns.contains(name) {
                    problems.push(
                        Problem::new(format!("incremental.{field}"), format!("`{name}` is not among `columns`"))
                            .hint("add it there; the load needs it to tell newer rows from older ones"),
                    );
                }
            }
        }
        problems
    }

    fn references(config: &Config) -> Vec<Reference> {
        vec![Reference::new("connection", Target::Connection(config.connection.clone()))]
    }

    fn datasets(config: &Config, output: Option<&Value>) -> Datasets {
        let source = Dataset::Source { connection: config.connection.clone(), table: config.table.clone() };
        Datasets::extracted(source, output)
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let mut connection = mysql::connect_to(&self.connections, &config.connection).await?;
        let extracted = tokio::select! {
            extracted = self.extract(&mut connection, &config, task) => extracted,
            () = task.cancel.cancelled() => Err(TaskError::external("the extract was told to stop")),
        };
        // The snapshot ends with its connection, also where reading broke off.
        let _ = connection.close().await;
        let manifest = extracted?;
        task.log.info(format!(
            "{}: {} rows in {} files, {} rejected",
            manifest.dataset,
            manifest.rows,
            manifest.files.len(),
            manifest.rejected_rows()
        ));
        serde_json::to_value(manifest).map_err(|error| TaskError::internal("cannot write the manifest").because(error))
    }
}

impl ExtractMysql {
    /// The tables that loads of this run publish the batch in.
    async fn targets(&self, task: &TaskContext) -> Result<Vec<String>, TaskError> {
        let mut targets = Vec::new();
        for (load, into) in marks::targets(&self.marks, task.run_id, &task.task).await? {
            let into = Value::String(into);
            let trigger = if template::may_read_trigger(&into) {
                let started_by = runs::started_by(&self.marks, task.run_id).await;
                started_by.map_err(|error| TaskError::external("cannot tell what started the run").because(error))?
            } else {
                Value::Null
            };
            let scope = template::Scope {
                dag: &task.dag,
                task: &load,
                run_id: task.run_id,
                logical_time: task.logical_time,
                interval: task.interval,
                timezone: task.timezone,
                params: &task.params,
                trigger: &trigger,
                outputs: &task.inputs,
                item: None,
            };
            match template::render(&into, &scope) {
                Ok(Value::String(into)) => targets.push(into),
                Ok(_) => {}
                Err(fault) => return Err(TaskError::user(format!("`{load}`: `into`: {}", fault.message))),
            }
        }
        Ok(targets)
    }

    async fn extract(
        &self,
        connection: &mut MySqlConnection,
        config: &Config,
        task: &TaskContext,
    ) -> Result<Manifest, TaskError> {
        let mut columns = columns::read(connection, &config.table, config.columns.as_deref()).await?;
        if config.zero_dates == ZeroDates::Text {
            let cursor = config.incremental.as_ref().map(|incremental| incremental.cursor.as_str());
            for column in columns.iter_mut().filter(|column| Some(column.name.as_str()) != cursor) {
                column.kind = column.kind.dates_as_text();
            }
        }
        let window = match &config.incremental {
            None => None,
            Some(incremental) => {
                let of = Reading {
                    dag: task.dag.clone(),
                    task: task.task.clone(),
                    connection: config.connection.clone(),
                    source: config.table.clone(),
                    column: incremental.cursor.clone(),
                };
                let targets = self.targets(task).await?;
                let mark = marks::read(&self.marks, &of, &targets).await?;
                Some(Window::find(connection, incremental, &columns, of, mark, &task.log).await?)
            }
        };
        for statement in [
            "set session transaction isolation level repeatable read",
            "start transaction with consistent snapshot, read only",
        ] {
            connection.execute(statement).await.map_err(failed)?;
        }
        let started: String = sqlx::query_scalar("select cast(utc_timestamp(6) as char)")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;

        let folder = format!(
            "raw/{}/{}/date={}",
            path_part(&config.connection),
            path_part(&config.table),
            task.logical_time.with_timezone(&task.timezone).date_naive()
        );
        let stem = format!("{folder}/{}", attempt_stem(task));
        let source = format!("{}.{}", config.connection, config.table);
        let sink = Sink::start(self.lake.clone(), stem, source.clone(), &columns, config.zero_dates);
        let (written, mark) = stream(connection, config, &columns, window.as_ref(), sink, task).await?;
        let batch_id = match &window {
            Some(window) => window.batch_id(),
            None => format!("whole@{started}"),
        };
        Ok(Manifest {
            dataset: source,
            rows: written.files.iter().map(|file| file.rows).sum(),
            files: written.files,
            rejected: (!written.rejected.is_empty()).then_some(written.rejected),
            mark,
            batch_id,
            order_by: config.incremental.as_ref().map(|incremental| incremental.cursor.clone()),
            types: columns.iter().filter_map(|column| Some((column.name.clone(), column.kind.hint()?))).collect(),
        })
    }
}

/// Reads the rows and hands them to the sink; gives what was written and where reading ended.
async fn stream(
    connection: &mut MySqlConnection,
    config: &Config,
    columns: &[SourceColumn],
    window: Option<&Window>,
    mut sink: Sink,
    task: &TaskContext,
) -> Result<(sink::Written, Option<warehouse::manifest::Mark>), TaskError> {
    let names: Vec<String> = columns.iter().map(|column| columns::quote(&column.name)).collect();
    let mut sql = format!("select {} from {}", names.join(", "), columns::quote(&config.table));
    let mut arguments = Vec::new();
    if let Some(window) = window {
        sql.push_str(&window.condition(&mut arguments));
    }
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for argument in arguments {
        query = query.bind(argument);
    }
    {
        let mut rows = query.fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            sink.push(row).await?;
        }
    }
    let written = sink.finish().await?;
    for (column, count) in &written.nulled {
        task.log.warn(format!("`{column}`: {count} values are no dates, and became null (`zero_dates: null`)"));
    }
    let mark = match (window, &written.last) {
        (Some(window), Some(row)) => Some(window.mark_at(row, columns).map_err(TaskError::internal)?),
        _ => None,
    };
    Ok((written, mark))
}

/// An error of the source's server: a table or right that is missing is the user's, the rest may pass.
pub(crate) fn failed(error: sqlx::Error) -> TaskError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let task = match code.as_deref().map(|code| code.get(..2).unwrap_or_default()) {
        Some("42" | "28") => TaskError::user("the source refused the query"),
        _ => TaskError::external("reading from the source failed"),
    };
    task.because(error)
}

/// A name as part of a path in the lake.
pub(crate) fn path_part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}
