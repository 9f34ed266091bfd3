//! The held rows of one load as a batch: staged, judged, published, settled.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, value::RawValue};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, types::Json};
use uuid::Uuid;
use workflow::{diagnostic::did_you_mean, kind::Fence};

use super::{Asked, CorrectedRow, Correction, Held, Judged, Replay, ReplayError, ReplayedLoad, RowJudge};
use crate::{
    copy::{CopyColumn, PgType},
    error::WarehouseError,
    ident::{TableName, quote},
    lake::LakeFile,
    load::{
        Audit, LoadRequest, Staged, Verdict, ledger,
        staging::{SCHEMA, SEQUENCE},
        target,
        terms::Terms,
    },
    manifest::Manifest,
};

/// What the ledger says of the load that held the rows back.
#[derive(Debug, sqlx::FromRow)]
struct Origin {
    run_id: Option<i64>,
    task: Option<String>,
    interval_start: DateTime<Utc>,
    interval_end: DateTime<Utc>,
    suite: Option<String>,
    terms: Option<Json<Terms>>,
    /// The last load that was published into the dataset since.
    since: Option<i64>,
}

/// Rows of one load in staging tables of this transaction.
pub(super) struct Batch {
    load_id: i64,
    origin: Origin,
    terms: Terms,
    staged: Staged,
    view: TableName,
    /// Rows about which nothing was done, with what they broke: nobody could read them, or the table could not hold a value.
    standing: BTreeMap<i64, Vec<String>>,
    /// Of those, the ones of which there are no values at all.
    unreadable: Vec<i64>,
    /// Rows that their load never compared with the rest of its batch.
    unjudged: Vec<i64>,
}

impl Batch {
    /// Writes the rows, corrected, into tables that only this transaction sees.
    pub(super) async fn stage(
        pool: &PgPool,
        connection: &mut PgConnection,
        target: &TableName,
        wish: &Replay,
        (load_id, rows): (i64, Vec<Held>),
        corrected: &BTreeMap<i64, &CorrectedRow>,
    ) -> Result<Self, ReplayError> {
        let origin = Origin::of(connection, load_id).await?;
        let terms = origin.terms.clone().map(|terms| terms.0).ok_or_else(|| {
            ReplayError::Refused(format!(
                "load {load_id} is of an earlier Sluice, which did not keep what it was asked for; its rows can be \
                 dismissed, or loaded from their source again"
            ))
        })?;
        let rewritten: BTreeMap<i64, BTreeMap<String, Box<RawValue>>> =
            corrected.iter().map(|(seq, row)| Ok((*seq, row.cells()?))).collect::<Result<_, ReplayError>>()?;
        let standing = standing(&rows, &rewritten, &wish.set)?;
        let unreadable: Vec<i64> =
            rows.iter().filter(|row| row.unreadable && !rewritten.contains_key(&row.seq)).map(|row| row.seq).collect();
        let held: Vec<i64> =
            rows.iter().filter(|row| !row.unreadable && !rewritten.contains_key(&row.seq)).map(|row| row.seq).collect();
        let columns = columns(connection, target, load_id, &held, &rewritten, &wish.set).await?;
        let request = request(target, &origin, &terms, load_id, rows.len())?;
        let name = |what: &str| TableName::parse(&format!("{SCHEMA}.replay{what}_{load_id}"));
        let tables = (name("")?, name("_out")?);
        let view = name("_view")?;
        sqlx::query("select sluice.ensure_schema($1)").bind(SCHEMA).execute(&mut *connection).await?;
        let staged = Staged::from_quarantine(pool, request, columns, tables);
        staged.create(connection).await?;
        let unjudged = rows.iter().filter(|row| row.unjudged).map(|row| row.seq).collect();
        let mut batch = Self { load_id, origin, terms, staged, view, standing, unreadable, unjudged };
        batch.fill(connection, &held, corrected).await?;
        batch.set(connection, &wish.set).await?;
        Ok(batch)
    }

    /// Judges the rows and publishes those that pass. The staging tables are gone then.
    pub(super) async fn publish(
        mut self,
        connection: &mut PgConnection,
        judge: &dyn RowJudge,
        overwrite: bool,
    ) -> Result<ReplayedLoad, ReplayError> {
        let standing: Vec<_> = self.standing.iter().map(|(seq, rules)| (*seq, rules.clone())).collect();
        self.staged.hold_back(connection, &standing).await?;
        self.staged.mark(connection).await?;
        let judged = self.judge(connection, judge).await?;
        self.staged.hold_back(connection, &judged.failed).await?;
        self.spare_newer(connection, overwrite).await?;

        let tally = self.staged.tally(connection).await?;
        let suite = self.origin.suite.clone();
        let mut audit = Audit::unchecked();
        audit.suite = suite.clone().map(|suite| (suite, judged.suite_hash.clone()));
        audit.verdict = match (tally.quarantined > 0, judged.warned, &suite) {
            (true, ..) => Verdict::Quarantined,
            (false, true, _) => Verdict::Warned,
            (false, false, Some(_)) => Verdict::Passed,
            (false, false, None) => Verdict::Unchecked,
        };
        let replay = ledger::insert(connection, &self.staged.request, &audit, &tally, Some(self.load_id))
            .await?
            .ok_or_else(|| ReplayError::Refused(format!("load {} is being replayed already", self.load_id)))?;
        self.staged.insert_rows(connection).await.map_err(|error| self.refused(error))?;
        let settle = self.staged.fill_in(include_str!("../../../../../sql/engine/replay_settle.sql"));
        sqlx::query(AssertSqlSafe(settle))
            .bind(self.load_id)
            .bind(replay)
            .bind(&self.unreadable)
            .execute(&mut *connection)
            .await?;
        let rules = format!(
            "select rule, count(*) from {}, unnest(rules) as rule group by rule order by rule",
            self.staged.out.quoted()
        );
        let rules: Vec<(String, i64)> = sqlx::query_as(AssertSqlSafe(rules)).fetch_all(&mut *connection).await?;
        let drop = format!(
            "drop view if exists {}; drop table {}, {}",
            self.view.quoted(),
            self.staged.table.quoted(),
            self.staged.out.quoted()
        );
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(connection).await?;
        Ok(ReplayedLoad {
            load_id: self.load_id,
            replay: Some(replay),
            suite_hash: suite.is_some().then_some(judged.suite_hash),
            suite,
            read: tally.read,
            loaded: tally.loaded,
            quarantined: tally.quarantined,
            deduplicated: tally.deduplicated,
            rules: rules.into_iter().collect(),
            left_out: judged.left_out,
        })
    }

    async fn fill(
        &mut self,
        connection: &mut PgConnection,
        held: &[i64],
        corrected: &BTreeMap<i64, &CorrectedRow>,
    ) -> Result<(), ReplayError> {
        let (mut names, mut values) = (String::new(), String::new());
        for column in &self.staged.columns {
            names.push_str(&format!(", {}", quote(&column.name)?));
            values.push_str(&format!(", {}", value(column)));
        }
        let fill = |template: &str| {
            AssertSqlSafe(self.staged.fill_in(template).replace("{columns}", &names).replace("{values}", &values))
        };
        sqlx::query(fill(include_str!("../../../../../sql/engine/replay_stage.sql")))
            .bind(self.load_id)
            .bind(held)
            .execute(&mut *connection)
            .await
            .map_err(|error| self.refused(error.into()))?;

        let seqs: Vec<i64> = corrected.keys().copied().collect();
        let texts: Vec<&str> = corrected.values().map(|row| row.row.get()).collect();
        let names: Vec<&str> = self.staged.columns.iter().map(|column| column.name.as_str()).collect();
        let types: Vec<String> = self.staged.columns.iter().map(|column| column.pg.to_string()).collect();
        let misread: Vec<(i64, String, String)> =
            sqlx::query_as(include_str!("../../../../../sql/engine/replay_misread.sql"))
                .bind(&seqs)
                .bind(&texts)
                .bind(&names)
                .bind(&types)
                .fetch_all(&mut *connection)
                .await?;
        let mut bad: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        let mut rules: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (seq, column, why) in misread {
            rules.entry(seq).or_default().push(format!("fits({column}): {why}"));
            bad.entry(seq).or_default().push(column);
        }
        let bad: Vec<Value> = seqs.iter().map(|seq| bad.remove(seq).unwrap_or_default().into()).collect();
        sqlx::query(fill(include_str!("../../../../../sql/engine/replay_stage_corrected.sql")))
            .bind(&seqs)
            .bind(&texts)
            .bind(bad)
            .execute(&mut *connection)
            .await
            .map_err(|error| self.refused(error.into()))?;
        sqlx::query(AssertSqlSafe(format!(
            "insert into {} ({SEQUENCE}) select unnest($1::bigint[])",
            self.staged.table.quoted()
        )))
        .bind(&self.unreadable)
        .execute(&mut *connection)
        .await?;
        let rules: Vec<_> = rules.into_iter().collect();
        self.staged.hold_back(connection, &rules).await?;
        Ok(())
    }

    /// All corrections at once, each over the row as it was.
    async fn set(&self, connection: &mut PgConnection, set: &[Correction]) -> Result<(), ReplayError> {
        if set.is_empty() {
            return Ok(());
        }
        let mut assignments = Vec::new();
        for correction in set {
            assignments.push(format!("{} = {}", quote(correction.column())?, correction.sql()));
        }
        let sql = format!(
            "update {} set {} where {SEQUENCE} <> all ($1)",
            self.staged.table.quoted(),
            assignments.join(", ")
        );
        let done = sqlx::query(AssertSqlSafe(sql)).bind(&self.unreadable).execute(connection).await;
        done.map(drop).map_err(|error| match error.as_database_error() {
            Some(said) => {
                ReplayError::Refused(format!("the correction {}: {}", assignments.join(", "), said.message()))
            }
            None => error.into(),
        })
    }

    async fn judge(&self, connection: &mut PgConnection, judge: &dyn RowJudge) -> Result<Judged, ReplayError> {
        let Some(suite) = self.origin.suite.as_deref().filter(|_| !self.staged.columns.is_empty()) else {
            return Ok(Judged::default());
        };
        let standing: Vec<String> = self.standing.keys().map(ToString::to_string).collect();
        let view = self
            .staged
            .fill_in(include_str!("../../../../../sql/engine/replay_view.sql"))
            .replace("{view}", &self.view.quoted())
            .replace("{{standing}}", &format!("{{{}}}", standing.join(",")));
        sqlx::query(AssertSqlSafe(view)).execute(&mut *connection).await?;
        let asked = Asked { suite, on_fail: self.terms.on_fail.as_deref(), rows: &self.view, number: SEQUENCE };
        judge.judge(connection, asked).await
    }

    /// Keeps rows from replacing newer ones of their key.
    async fn spare_newer(&self, connection: &mut PgConnection, overwrite: bool) -> Result<(), ReplayError> {
        let key = &self.terms.key;
        if key.is_empty() || self.staged.columns.is_empty() {
            return Ok(());
        }
        let mut same_key = Vec::new();
        let (mut staged, mut stood, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        for name in key {
            let (column, text) = (quote(name)?, literal(name));
            same_key.push(format!("t.{column} = s.{column}"));
            staged.push(format!("to_jsonb(s.{column})"));
            stood.push(format!("coalesce(coalesce(q.corrected, q.row) -> {text}, 'null'::jsonb)"));
            settled.push(format!("coalesce(coalesce(z.corrected, z.row) -> {text}, 'null'::jsonb)"));
        }
        let row = |cells: &[String]| format!("row({})", cells.join(", "));
        let fill = |template: &str| self.staged.fill_in(template).replace("{same_key}", &same_key.join(" and "));
        let cursor = self.terms.order_by.as_ref();
        let mut no_cursor = "true".to_owned();
        if let Some(cursor) = cursor.filter(|name| self.staged.columns.iter().any(|column| column.name == **name)) {
            let cursor = quote(cursor)?;
            no_cursor = format!("s.{cursor} is null");
            let sql =
                fill(include_str!("../../../../../sql/engine/replay_superseded.sql")).replace("{cursor}", &cursor);
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
        }
        if overwrite {
            return Ok(());
        }
        let sql = fill(include_str!("../../../../../sql/engine/replay_newer.sql"))
            .replace("{no_cursor}", &no_cursor)
            .replace("{stood_key}", &row(&stood))
            .replace("{staged_key}", &row(&staged))
            .replace("{settled_key}", &settled.join(", "));
        sqlx::query(AssertSqlSafe(sql))
            .bind(self.load_id)
            .bind(self.origin.since.is_some())
            .bind(&self.unjudged)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// What Postgres says of values, in words of the rows; anything else as it is.
    fn refused(&self, error: WarehouseError) -> ReplayError {
        let said = match &error {
            WarehouseError::Database(inner) => inner.as_database_error(),
            _ => None,
        };
        match said.filter(|said| said.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23"))) {
            Some(said) => ReplayError::Refused(format!(
                "rows that load {} holds cannot go into {}: {}",
                self.load_id,
                self.staged.request.target,
                said.message()
            )),
            None => error.into(),
        }
    }
}

impl Origin {
    async fn of(connection: &mut PgConnection, load_id: i64) -> Result<Self, ReplayError> {
        let origin = sqlx::query_as(include_str!("../../../../../sql/engine/replay_origin.sql"));
        Ok(origin.bind(load_id).fetch_one(connection).await?)
    }
}

/// Rows about which nothing was done. What could not be read, or held, was not kept as it was: to publish what is left of it
/// would be to publish something else.
fn standing(
    rows: &[Held],
    rewritten: &BTreeMap<i64, BTreeMap<String, Box<RawValue>>>,
    set: &[Correction],
) -> Result<BTreeMap<i64, Vec<String>>, ReplayError> {
    let mut standing = BTreeMap::new();
    for row in rows {
        let cells = rewritten.get(&row.seq);
        if row.unreadable && cells.is_none() {
            standing.insert(row.seq, row.rules.clone());
            continue;
        }
        for rule in &row.rules {
            let Some(column) = rule.strip_prefix("fits(").and_then(|rest| rest.split_once("): ")).map(|(name, _)| name)
            else {
                continue;
            };
            let was = row.stood.as_ref().and_then(|stood| stood.get(column)).cloned().unwrap_or_default();
            let is = match cells.and_then(|cells| cells.get(column)) {
                Some(cell) => serde_json::from_str(cell.get()).map_err(WarehouseError::from)?,
                None => was.clone(),
            };
            if is == was && !set.iter().any(|correction| correction.column() == column) {
                standing.insert(row.seq, row.rules.clone());
            }
        }
    }
    Ok(standing)
}

/// The columns of the rows, which the table must have. Says of each name that it does not know where it stands.
async fn columns(
    connection: &mut PgConnection,
    target: &TableName,
    load_id: i64,
    held: &[i64],
    rewritten: &BTreeMap<i64, BTreeMap<String, Box<RawValue>>>,
    set: &[Correction],
) -> Result<Vec<CopyColumn>, ReplayError> {
    let types = target::types(connection, target).await?;
    let mut names: BTreeSet<String> = sqlx::query_scalar(include_str!("../../../../../sql/engine/replay_columns.sql"))
        .bind(load_id)
        .bind(held)
        .fetch_all(&mut *connection)
        .await?
        .into_iter()
        .collect();
    let mut problems = Vec::new();
    let mut unknown = |place: String, name: &str| {
        let hint = did_you_mean(name, types.keys().map(String::as_str));
        problems.push(format!("{place} names `{name}`, which is not a column of {target} ({hint})"));
    };
    for name in &names {
        if !types.contains_key(name) {
            unknown(format!("a row of load {load_id}"), name);
        }
    }
    for (seq, cells) in rewritten {
        for name in cells.keys() {
            if !types.contains_key(name) {
                unknown(format!("row {seq} of load {load_id}"), name);
            }
        }
    }
    names.extend(rewritten.values().flat_map(|cells| cells.keys().cloned()));
    for correction in set {
        for name in correction.names() {
            // Where nothing can be read, nothing is set.
            if !names.is_empty() && !names.contains(name) {
                unknown(format!("`{} = {}`", correction.column(), correction.sql()), name);
            }
        }
    }
    if !problems.is_empty() {
        return Err(ReplayError::Refused(problems.join("; ")));
    }
    let column = |name: String| {
        let pg = types.get(&name).and_then(|kind| PgType::parse(kind));
        pg.map(|pg| CopyColumn { name: name.clone(), pg })
            .ok_or_else(|| ReplayError::Refused(format!("`{name}` of {target} has a type that Sluice does not write")))
    };
    names.into_iter().map(column).collect()
}

/// The load that the replay is, by the terms of the one that held its rows back.
fn request(
    target: &TableName,
    origin: &Origin,
    terms: &Terms,
    load_id: i64,
    rows: usize,
) -> Result<LoadRequest, ReplayError> {
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    let manifest = Manifest {
        dataset: target.to_string(),
        files: vec![LakeFile { path: String::new(), rows, bytes: 0 }],
        rows,
        rejected: None,
        mark: None,
        batch_id: format!("replay of load {load_id}: {}", Uuid::now_v7()),
        order_by: terms.order_by.clone(),
        types: BTreeMap::new(),
    };
    Ok(LoadRequest {
        target: target.clone(),
        manifest,
        key: terms.key.clone(),
        deduplicate: terms.deduplicate.clone(),
        balance: terms.sums().map_err(ReplayError::Refused)?,
        run_id: origin.run_id.unwrap_or_default(),
        task: origin.task.clone().unwrap_or_default(),
        interval: (origin.interval_start, origin.interval_end),
        // Nobody's: what keeps a replay from happening twice are the locks on its rows.
        fence: Fence { attempt_id: 0, token: 0 },
    })
}

/// A column's value out of `r.row`.
fn value(column: &CopyColumn) -> String {
    let (name, kind) = (literal(&column.name), column.pg);
    match kind {
        PgType::Json | PgType::Jsonb => format!("nullif(r.row -> {name}, 'null'::jsonb)::{kind}"),
        _ => format!("(r.row ->> {name})::{kind}"),
    }
}

/// A text literal of SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
