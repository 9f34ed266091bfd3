//! `reconcile`: whether a warehouse table holds just what its table in `MySQL` or MariaDB does, row by row; and, where it is
//! told to, what is wrong of it read and published anew.
//!
//! Each server reads from one snapshot and sums up checksums of its rows by ranges of the key, each value as a text that
//! both print alike. Ranges that differ are cut smaller until their rows can be read. A repair goes the way of every load:
//! through the gate, the ledger and the fence, rows that the source no longer has among it, in one transaction.

mod compare;
mod key;
mod mend;
mod pairs;
mod ranges;
mod samples;
mod sides;
mod sums;

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{Connection, MySqlConnection, PgPool};
use warehouse::{
    WarehouseError, fence,
    ident::TableName,
    lake::Lake,
    load::{Outcome, Seen, Verdict},
};
use workflow::{
    datasets::{Dataset, Datasets, Touched},
    diagnostic::Problem,
    endpoint::Endpoint,
    error::TaskError,
    kind::{Reference, Target as Named, TaskContext, TaskKind},
    span::Span,
};

pub use self::key::Names;
use self::{
    compare::Differences,
    key::Key,
    pairs::Pair,
    samples::{first_keys, samples},
    sides::{Source, Target},
    sums::Sum,
};
use crate::{
    extract_mysql::{
        ZeroDates,
        columns::{self, SourceColumn, SourceType},
    },
    load::Gate,
    mysql,
};

/// The kind.
pub struct Reconcile {
    connections: BTreeMap<String, Endpoint>,
    pool: PgPool,
    lake: Lake,
    project: PathBuf,
}

impl Reconcile {
    /// Compares tables of these connections (by name) with tables of `pool`; suites are in `project`'s folder `quality`.
    pub fn new(connections: BTreeMap<String, Endpoint>, pool: PgPool, lake: Lake, project: impl Into<PathBuf>) -> Self {
        Self { connections, pool, lake, project: project.into() }
    }
}

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the source is.
    #[serde(default = "shop")]
    pub connection: String,
    /// The source's table, in the connection's database.
    pub table: String,
    /// `schema.table` of the warehouse, which should hold the same.
    pub target: String,
    /// What names a row, unique in the source: best a column of whole numbers, else any column, or several.
    pub key: Names,
    /// Which columns the target has of the source; all of them if not said.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// Which of them are not compared; a repair writes them all the same.
    #[serde(default)]
    pub except: Vec<String>,
    /// As the extract has it.
    #[serde(default)]
    pub zero_dates: ZeroDates,
    /// Columns whose sums are told.
    #[serde(default)]
    pub sums: Vec<String>,
    /// Rows that the source has just changed do not count.
    #[serde(default)]
    pub grace: Option<Grace>,
    /// So many rows may differ.
    #[serde(default)]
    pub tolerate: u64,
    /// Of how many keys of each sort the values are shown.
    #[serde(default = "twenty")]
    pub samples: usize,
    /// Whether the rows that differ are read again and published, and rows that the source no longer has deleted.
    #[serde(default)]
    pub repair: bool,
    /// What the rows of a repair must meet.
    #[serde(default)]
    pub gate: Option<Gate>,
}

/// For how long a change may be on its way.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grace {
    /// A `datetime` (in UTC) or `timestamp` column that every change of a row moves forward.
    pub column: String,
    /// How long before the comparison a change does not count yet.
    #[serde(rename = "for")]
    pub span: Span,
}

fn shop() -> String {
    "shop".to_owned()
}

fn twenty() -> usize {
    20
}

/// Samples that an output has room for.
const MOST_SAMPLES: usize = 100;

/// What was found, as the task's output has it and `sluice.reconciliation` keeps it.
#[derive(Debug, Serialize)]
struct Report {
    source: String,
    target: String,
    /// The instant that the source's rows are of, UTC.
    source_at: String,
    /// The instant that the target's rows are of.
    target_at: String,
    source_rows: u64,
    target_rows: u64,
    missing: u64,
    extra: u64,
    different: u64,
    /// Rows that differ, and changed in the source within the grace period.
    recent: u64,
    /// By column, where asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sums: BTreeMap<String, Sum>,
    /// Columns that were compared.
    compared: Vec<String>,
    /// Statements that each side was asked.
    statements: u64,
    /// Differences that are left once the repair is published.
    left: u64,
    /// The repair's load.
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<Outcome>,
    /// By `missing`, `extra` and `different`, keys with their values.
    samples: Value,
}

#[async_trait]
impl TaskKind for Reconcile {
    const NAME: &'static str = "reconcile";
    const SUMMARY: &'static str =
        "Compares a MySQL or MariaDB table with a warehouse table by checksums, and mends what differs if told to";

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        if config.table.is_empty() || config.table.contains(['`', '\0']) {
            problems.push(Problem::new("table", format!("`{}` is not a table's name", config.table)));
        }
        if let Err(error) = TableName::parse(&config.target) {
            problems.push(Problem::new("target", error.to_string()).hint("write it as `schema.table`"));
        }
        if config.key.all().is_empty() {
            problems.push(Problem::new("key", "no column is named"));
        }
        for name in config.key.all() {
            if config.columns.as_ref().is_some_and(|columns| !columns.contains(name)) {
                problems
                    .push(Problem::new("columns", format!("the key `{name}` is not among them")).hint("add it there"));
            }
            if config.except.contains(name) {
                problems.push(Problem::new("except", format!("`{name}` is the key, and always compared")));
            }
        }
        if config.samples > MOST_SAMPLES {
            problems.push(Problem::new("samples", format!("{} is more than {MOST_SAMPLES}", config.samples)));
        }
        if config.gate.is_some() && !config.repair {
            let problem = Problem::new("gate", "nothing is published, so there is nothing to judge");
            problems.push(problem.hint("add `repair: true`, or remove the gate"));
        }
        problems.extend(config.gate.iter().flat_map(Gate::check));
        problems
    }

    fn references(config: &Config) -> Vec<Reference> {
        let mut references = vec![Reference::new("connection", Named::Connection(config.connection.clone()))];
        references.extend(config.gate.iter().flat_map(Gate::references));
        references
    }

    fn datasets(config: &Config, output: Option<&Value>) -> Datasets {
        let source = Dataset::Source { connection: config.connection.clone(), table: config.table.clone() };
        let rows = output.and_then(|output| output["repair"]["loaded"].as_u64());
        Datasets {
            reads: vec![source.into(), Touched::table(&config.target, None)],
            writes: rows.map(|rows| Touched::table(&config.target, Some(rows))).into_iter().collect(),
        }
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let mut connection = mysql::connect_to(&self.connections, &config.connection).await?;
        let reconciled = tokio::select! {
            reconciled = self.reconcile(&mut connection, &config, task) => reconciled,
            () = task.cancel.cancelled() => Err(TaskError::external("the comparison was told to stop")),
        };
        // The snapshot ends with its connection, also where reading broke off.
        let _ = connection.close().await;
        let report = reconciled?;
        let found = format!(
            "{} at {} UTC against {} at {}: {} missing, {} extra and {} different of {} rows",
            report.source,
            report.source_at,
            report.target,
            report.target_at,
            report.missing,
            report.extra,
            report.different,
            report.source_rows
        );
        let found = match report.recent {
            0 => found,
            recent => format!("{found}, and {recent} that changed just now"),
        };
        for (column, sum) in &report.sums {
            task.log.info(sum.told(column));
        }
        if let Some(load) = &report.repair {
            task.log.info(format!("{found}; mended by load {}, {} left", load.load_id, report.left));
        } else if report.left > 0 {
            task.log.warn(&found);
        } else {
            task.log.info(&found);
        }
        if report.left > config.tolerate {
            let left =
                if report.repair.is_some() { format!(", {} left by the repair", report.left) } else { String::new() };
            return Err(TaskError::gate(format!(
                "{found}{left}; {} are tolerated{}; `sluice.reconciliations` has the values",
                config.tolerate,
                first_keys(&report.samples)
            )));
        }
        serde_json::to_value(report).map_err(|error| TaskError::internal("cannot write the report").because(error))
    }
}

/// What both sides say of themselves before rows are compared.
struct Setting {
    columns: Vec<SourceColumn>,
    key: Key,
    pairs: Vec<Pair>,
    seen: Seen,
    source_at: String,
    target_at: String,
}

impl Reconcile {
    async fn reconcile(
        &self,
        connection: &mut MySqlConnection,
        config: &Config,
        task: &TaskContext,
    ) -> Result<Report, TaskError> {
        let table = TableName::parse(&config.target)?;
        let mut transaction = self.pool.begin().await.map_err(WarehouseError::from)?;
        // First the target, then the source: what is published in between could not be told from rows that got lost.
        let opened = Target::begin(&mut transaction, &table, config.key.all()).await?;
        let source_at = Source::begin(connection).await?;
        let mut columns = columns::read(connection, &config.table, config.columns.as_deref()).await?;
        if config.zero_dates == ZeroDates::Text {
            for column in &mut columns {
                column.kind = column.kind.dates_as_text();
            }
        }
        let key = Key::find(connection, config, &columns, &opened).await?;
        let pairs = pairs::pairs(&columns, &opened.types, &config.except, config.zero_dates)?;
        sums::check(&config.sums, &columns, &opened.types)?;
        let (mine, theirs) = pairs::row_texts(&pairs);
        let mut source =
            Source { connection: &mut *connection, table: config.table.clone(), key: key.clone(), text: mine };
        let mut target = Target { connection: &mut transaction, table: table.clone(), key: key.clone(), text: theirs };
        let keyless = target.keyless().await?;
        if keyless > 0 {
            return Err(TaskError::user(format!("{keyless} rows of {table} have no `{}`", key.names.join(", "))));
        }
        let sums = sums::sums(&mut source, &mut target, &config.sums).await?;
        let mut found = compare::compare(&mut source, &mut target, &task.cancel).await?;
        if let Some(grace) = &config.grace {
            set_aside(&mut source, grace, &columns, &source_at, &mut found).await?;
        }
        let samples = samples(&mut source, &mut target, (&key, &pairs), &found, config.samples).await?;
        transaction.rollback().await.map_err(WarehouseError::from)?;

        let setting = Setting { columns, key, pairs, seen: opened.seen, source_at, target_at: opened.at };
        let repair = if config.repair && found.count() > 0 {
            Some(self.mend(connection, config, task, &setting, &found).await?)
        } else {
            None
        };
        let refused = repair.as_ref().is_some_and(|load| load.verdict == Verdict::Failed);
        let left = match &repair {
            Some(load) if !refused => load.quarantined.unsigned_abs(),
            _ => found.count(),
        };
        let report = Report {
            source: format!("{}.{}", config.connection, config.table),
            target: table.to_string(),
            source_at: setting.source_at,
            target_at: setting.target_at,
            source_rows: found.source_rows,
            target_rows: found.target_rows,
            missing: found.missing.count,
            extra: found.extra.count,
            different: found.different.count,
            recent: found.recent,
            sums,
            compared: setting.pairs.into_iter().map(|pair| pair.name).collect(),
            statements: found.statements,
            left,
            repair,
            samples,
        };
        self.keep(&report, task).await?;
        if refused {
            return Err(TaskError::gate(format!("the gate of {table} refused the repair of {left} rows")));
        }
        Ok(report)
    }

    /// Keeps what was found where people look for it.
    async fn keep(&self, report: &Report, task: &TaskContext) -> Result<(), TaskError> {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let sums = serde_json::to_value(&report.sums)
            .map_err(|error| TaskError::internal("cannot write the sums").because(error))?;
        let mut transaction = self.pool.begin().await.map_err(WarehouseError::from)?;
        fence::check(&mut transaction, task.fence).await?;
        sqlx::query(include_str!("../../../sql/reconcile/insert_reconciliation.sql"))
            .bind(task.fence.attempt_id)
            .bind(task.run_id)
            .bind(&task.task)
            .bind(&report.source)
            .bind(&report.target)
            .bind(&report.source_at)
            .bind(&report.target_at)
            .bind(signed(report.source_rows))
            .bind(signed(report.target_rows))
            .bind(signed(report.missing))
            .bind(signed(report.extra))
            .bind(signed(report.different))
            .bind(signed(report.left))
            .bind(report.repair.as_ref().map(|load| load.load_id))
            .bind(&report.samples)
            .bind(signed(report.recent))
            .bind(sums)
            .execute(&mut *transaction)
            .await
            .map_err(WarehouseError::from)?;
        transaction.commit().await.map_err(WarehouseError::from)?;
        Ok(())
    }
}

/// Takes rows that changed within the grace period out of what was found: the next load has them.
async fn set_aside(
    source: &mut Source<'_>,
    grace: &Grace,
    columns: &[SourceColumn],
    at: &str,
    found: &mut Differences,
) -> Result<(), TaskError> {
    let column = columns.iter().find(|column| column.name == grace.column);
    if !column.is_some_and(|column| matches!(column.kind, SourceType::Datetime | SourceType::Timestamp)) {
        return Err(TaskError::user(format!(
            "`grace` names `{}`, which is no datetime or timestamp column that is read",
            grace.column
        )));
    }
    let keys: Vec<i128> = found.missing.kept.iter().chain(&found.different.kept).copied().collect();
    let changed = source.changed(&keys, &grace.column, (at, grace.span.0.as_secs())).await?;
    found.set_aside(&changed.into_iter().collect());
    Ok(())
}
