//! `reconcile`: whether a warehouse table holds just what its table in `MySQL` or MariaDB does, row by row; and, where it is
//! told to, what is wrong of it read and published anew.
//!
//! Each server reads from one snapshot and sums up checksums of its rows by ranges of the key, each value as a text that
//! both print alike. Ranges that differ are cut smaller until their rows can be read. A repair goes the way of every load:
//! through the gate, the ledger and the fence, rows that the source no longer has among it, in one transaction.

mod compare;
mod pairs;
mod ranges;
mod sides;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{Connection, MySqlConnection, PgPool};
use warehouse::{
    WarehouseError,
    copy::PgType,
    fence,
    ident::TableName,
    lake::{Lake, attempt_stem},
    load::{Audit, Deduplicate, LoadRequest, Outcome, Repair, Seen, Staged, Verdict},
};
use workflow::{
    datasets::{Dataset, Datasets, Touched},
    diagnostic::Problem,
    endpoint::Endpoint,
    error::TaskError,
    kind::{Reference, Target as Named, TaskContext, TaskKind},
};

use self::{
    compare::{Differences, KEPT},
    pairs::Pair,
    sides::{Source, Target},
};
use crate::{
    beside::beside,
    extract_mysql::{
        ZeroDates,
        columns::{self, SourceColumn},
        keys, path_part,
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
    /// The column of whole numbers that names a row, unique in the source.
    pub key: String,
    /// Which columns the target has of the source; all of them if not said.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// Which of them are not compared; a repair writes them all the same.
    #[serde(default)]
    pub except: Vec<String>,
    /// As the extract has it.
    #[serde(default)]
    pub zero_dates: ZeroDates,
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

fn shop() -> String {
    "shop".to_owned()
}

fn twenty() -> usize {
    20
}

/// Samples that an output has room for.
const MOST_SAMPLES: usize = 100;
/// Characters of a value that a sample shows.
const SHOWN: usize = 200;

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
        if config.columns.as_ref().is_some_and(|columns| !columns.contains(&config.key)) {
            problems.push(
                Problem::new("columns", format!("the key `{}` is not among them", config.key)).hint("add it there"),
            );
        }
        if config.except.contains(&config.key) {
            problems.push(Problem::new("except", format!("`{}` is the key, and always compared", config.key)));
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
        let opened = Target::begin(&mut transaction, &table, &config.key).await?;
        let source_at = Source::begin(connection).await?;
        let mut columns = columns::read(connection, &config.table, config.columns.as_deref()).await?;
        if config.zero_dates == ZeroDates::Text {
            for column in &mut columns {
                column.kind = column.kind.dates_as_text();
            }
        }
        let key = check_key(connection, config, &columns, &opened).await?;
        let pairs = pairs::pairs(&columns, &opened.types, &config.except, config.zero_dates)?;
        let (mine, theirs) = pairs::row_texts(&pairs);
        let mut source = Source { connection: &mut *connection, table: config.table.clone(), key, text: mine };
        let mut target =
            Target { connection: &mut transaction, table: table.clone(), key: config.key.clone(), text: theirs };
        let keyless = target.keyless().await?;
        if keyless > 0 {
            return Err(TaskError::user(format!("{keyless} rows of {table} have no `{}`", config.key)));
        }
        let found = compare::compare(&mut source, &mut target, &task.cancel).await?;
        let samples = samples(&mut source, &mut target, &pairs, &found, config.samples).await?;
        transaction.rollback().await.map_err(WarehouseError::from)?;

        let setting = Setting { columns, pairs, seen: opened.seen, source_at, target_at: opened.at };
        let repair = if config.repair && found.count() > 0 {
            Some(self.repair(connection, config, task, &setting, &found).await?)
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

    /// Reads the rows that differ anew, from the snapshot that they were compared in, and publishes them.
    async fn repair(
        &self,
        connection: &mut MySqlConnection,
        config: &Config,
        task: &TaskContext,
        setting: &Setting,
        found: &Differences,
    ) -> Result<Outcome, TaskError> {
        if ![&found.missing, &found.extra, &found.different].into_iter().all(compare::Keys::are_known) {
            return Err(TaskError::user(format!(
                "{} rows differ, and a repair mends {KEPT} of a sort at most: load the table whole",
                found.count()
            )));
        }
        let suite = match &config.gate {
            Some(gate) => Some(gate.read_suite(&self.project).await?),
            None => None,
        };
        let wrong: BTreeSet<i128> = found.missing.kept.iter().chain(&found.different.kept).copied().collect();
        let gone: BTreeSet<i128> = found.extra.kept.iter().filter(|key| !wrong.contains(key)).copied().collect();
        let folder = format!(
            "raw/{}/{}/date={}",
            path_part(&config.connection),
            path_part(&config.table),
            task.logical_time.with_timezone(&task.timezone).date_naive()
        );
        let manifest = keys::read(
            connection,
            keys::Wanted {
                lake: self.lake.clone(),
                stem: format!("{folder}/{}-repair", attempt_stem(task)),
                dataset: format!("{}.{}", config.connection, config.table),
                table: &config.table,
                columns: &setting.columns,
                key: &config.key,
                keys: &wrong.into_iter().collect::<Vec<_>>(),
                zero_dates: config.zero_dates,
                batch_id: format!("reconcile@{}", setting.source_at),
            },
        )
        .await?;
        let request = LoadRequest {
            target: TableName::parse(&config.target)?,
            manifest,
            key: vec![config.key.clone()],
            deduplicate: Deduplicate::Never,
            balance: Vec::new(),
            run_id: task.run_id,
            task: task.task.clone(),
            interval: (task.interval.start, task.interval.end),
            fence: task.fence,
        };
        let staged = Staged::stage(&self.pool, &self.lake, request.clone()).await?.repairing(Repair {
            seen: setting.seen.clone(),
            key: config.key.clone(),
            gone: gone.iter().map(ToString::to_string).collect(),
        });
        let (audit, refusal) = match (&config.gate, suite) {
            (Some(gate), Some(suite)) => {
                let beside = beside(Some(self.pool.clone()), self.lake.clone(), &self.project);
                gate.audit(suite, beside, &self.lake, &staged, &request, task).await?
            }
            _ => (Audit::unchecked(), String::new()),
        };
        let outcome = staged.publish(audit).await?;
        if outcome.verdict == Verdict::Failed {
            task.log.error(format!("the gate refused the repair: {refusal}"));
        }
        Ok(outcome)
    }

    /// Keeps what was found where people look for it.
    async fn keep(&self, report: &Report, task: &TaskContext) -> Result<(), TaskError> {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
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
            .execute(&mut *transaction)
            .await
            .map_err(WarehouseError::from)?;
        transaction.commit().await.map_err(WarehouseError::from)?;
        Ok(())
    }
}

/// The source's key column, where rows can be told apart and put into ranges by it on both sides.
async fn check_key(
    connection: &mut MySqlConnection,
    config: &Config,
    columns: &[SourceColumn],
    opened: &sides::Opened,
) -> Result<SourceColumn, TaskError> {
    let (key, table) = (&config.key, &config.table);
    if opened.types.is_empty() {
        return Err(TaskError::user(format!("the warehouse has no table {}", config.target)));
    }
    let Some(column) = columns.iter().find(|column| column.name == *key) else {
        return Err(TaskError::user(format!("`{table}` has no column `{key}`")));
    };
    let theirs = opened.types.get(key).map(String::as_str);
    let whole_there = theirs.and_then(PgType::parse).is_some_and(PgType::is_whole);
    if !column.kind.is_whole() || !whole_there {
        return Err(TaskError::user(format!(
            "the key `{key}` is {:?} in the source and {} in the target; ranges are cut over one column of whole numbers: \
             name another unique one, such as an auto_increment",
            column.kind,
            theirs.unwrap_or("absent")
        )));
    }
    let unique: bool = sqlx::query_scalar(include_str!("../../../sql/reconcile/mysql_unique.sql"))
        .bind(table)
        .bind(key)
        .fetch_one(connection)
        .await
        .map_err(crate::extract_mysql::failed)?;
    if !unique || column.nullable {
        return Err(TaskError::user(format!(
            "`{table}` has no unique index on the key `{key}` alone, or it may be null: rows could not be told apart"
        )));
    }
    if config.repair && !opened.unique {
        return Err(TaskError::user(format!(
            "{} has no unique index on `{key}`, by which a repair replaces rows; add one, or remove `repair`",
            config.target
        )));
    }
    Ok(column.clone())
}

/// The first keys of each sort with their values: of a row that differs, those that do.
async fn samples(
    source: &mut Source<'_>,
    target: &mut Target<'_>,
    pairs: &[Pair],
    found: &Differences,
    most: usize,
) -> Result<Value, TaskError> {
    let first = |keys: &compare::Keys| keys.kept.iter().take(most).copied().collect::<Vec<_>>();
    let (missing, extra, different) = (first(&found.missing), first(&found.extra), first(&found.different));
    let texts: Vec<String> = pairs.iter().map(Pair::source).collect();
    let mine = source.values(&[missing.clone(), different.clone()].concat(), &texts).await?;
    let texts: Vec<String> = pairs.iter().map(|pair| pair.target.clone()).collect();
    let theirs = target.values(&[extra.clone(), different.clone()].concat(), &texts).await?;
    let shown = |values: &[Option<String>], place: usize| match values.get(place).and_then(Option::as_ref) {
        Some(text) => Value::String(text.chars().take(SHOWN).collect()),
        None => Value::Null,
    };
    let row = |values: Option<&Vec<Option<String>>>, wanted: &dyn Fn(usize) -> bool| -> Value {
        let values = values.map(Vec::as_slice).unwrap_or_default();
        let fields = pairs.iter().enumerate().filter(|(place, _)| wanted(*place));
        Value::Object(fields.map(|(place, pair)| (pair.name.clone(), shown(values, place))).collect())
    };
    let alone = |keys: &[i128], side: &str, values: &sides::Values| -> Vec<Value> {
        keys.iter().map(|key| json!({ "key": key.to_string(), side: row(values.get(key), &|_| true) })).collect()
    };
    let both = different.iter().map(|key| {
        let (left, right) = (mine.get(key), theirs.get(key));
        let differs = |place: usize| left.and_then(|v| v.get(place)) != right.and_then(|v| v.get(place));
        json!({ "key": key.to_string(), "source": row(left, &differs), "target": row(right, &differs) })
    });
    Ok(json!({
        "missing": alone(&missing, "source", &mine),
        "extra": alone(&extra, "target", &theirs),
        "different": both.collect::<Vec<_>>(),
    }))
}

/// Some keys for a message; no values, which may be personal.
fn first_keys(samples: &Value) -> String {
    let mut text = String::new();
    for sort in ["missing", "extra", "different"] {
        let keys: Vec<&str> = samples[sort]
            .as_array()
            .into_iter()
            .flatten()
            .take(3)
            .filter_map(|sample| sample["key"].as_str())
            .collect();
        if !keys.is_empty() {
            text.push_str(&format!(", {sort} {}", keys.join(" ")));
        }
    }
    text
}
