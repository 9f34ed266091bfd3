//! The private half of a load: the batch in a table of this attempt alone, and which of its rows must not
//! be published.
//!
//! Beside the staging table stands an `out` table: the places of rows that stay out, with the rules that they
//! broke, or with none where they are duplicates.

use polars::prelude::{DataFrame, DataType};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::{Deduplicate, LoadRequest, Repair, SOURCE_FILE, SOURCE_LINE, target};
use crate::{
    copy::{CellFault, CopyColumn, CopyTarget, PgType, copy_frames},
    error::WarehouseError,
    fence,
    ident::{TableName, quote},
    lake::Lake,
};

/// Schema of all staging tables.
pub(super) const SCHEMA: &str = "sluice_staging";
/// Numbers the rows of the batch from 0.
pub(super) const SEQUENCE: &str = "_sluice_seq";
/// Rows below which the planner does well enough without statistics.
const ANALYZE_FROM: u64 = 10_000;

/// A batch that stands in its staging table, ready to be audited and published.
#[derive(Debug)]
pub struct Staged {
    pub(super) pool: PgPool,
    /// Where its files are; rows of a replay come from the quarantine instead.
    lake: Option<Lake>,
    pub(super) request: LoadRequest,
    /// The rows.
    pub(super) table: TableName,
    /// Places of rows that stay out.
    pub(super) out: TableName,
    /// Columns of the target that the batch fills.
    pub(super) columns: Vec<CopyColumn>,
    /// The batch's own columns for [`SOURCE_FILE`] and [`SOURCE_LINE`].
    pub(super) has_source: (bool, bool),
    /// What publishing does besides.
    pub(super) repair: Option<Repair>,
    dropped: Vec<i64>,
    held: Vec<i64>,
    faults: u64,
}

impl Staged {
    /// Copies the batch into staging tables of this attempt, making the target first where there is none.
    pub async fn stage(pool: &PgPool, lake: &Lake, request: LoadRequest) -> Result<Self, WarehouseError> {
        let schema = batch_schema(lake, &request).await?;
        let mut transaction = pool.begin().await?;
        fence::check(&mut transaction, request.fence).await?;
        target::lock(&mut transaction, &request.target).await?;
        let columns = match &schema {
            Some(schema) => target::prepare(&mut transaction, &request, schema).await?,
            // Nothing was extracted, so there is nothing to hold against the target.
            None => Vec::new(),
        };
        transaction.commit().await?;

        let has = |name: &str| schema.as_ref().is_some_and(|s| s.contains(name));
        let (table, out) = names(&request)?;
        let mut staged = Self {
            pool: pool.clone(),
            lake: Some(lake.clone()),
            has_source: (has(SOURCE_FILE), has(SOURCE_LINE)),
            request,
            table,
            out,
            columns,
            repair: None,
            dropped: Vec::new(),
            held: Vec::new(),
            faults: 0,
        };
        let mut connection = pool.acquire().await?;
        sweep(&mut connection).await?;
        staged.create(&mut connection).await?;
        staged.fill(&mut connection).await?;
        staged.mark(&mut connection).await?;
        Ok(staged)
    }

    /// A batch of rows that come from no file, as yet without its tables.
    pub(super) fn from_quarantine(
        pool: &PgPool,
        request: LoadRequest,
        columns: Vec<CopyColumn>,
        (table, out): (TableName, TableName),
    ) -> Self {
        Self {
            pool: pool.clone(),
            lake: None,
            request,
            table,
            out,
            columns,
            has_source: (false, false),
            repair: None,
            dropped: Vec::new(),
            held: Vec::new(),
            faults: 0,
        }
    }

    pub(super) fn lake(&self) -> Result<&Lake, WarehouseError> {
        self.lake.as_ref().ok_or_else(|| WarehouseError::Missing(self.table.to_string()))
    }

    /// Places in the batch of the rows that are duplicates: an audit need not look at them.
    pub fn dropped(&self) -> &[i64] {
        &self.dropped
    }

    /// Places in the batch of the rows that are held back whatever an audit says: without a key, or with a value that
    /// the target cannot hold.
    pub fn held(&self) -> &[i64] {
        &self.held
    }

    /// Values that the target cannot hold. Their rows stay out.
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// Where it stands.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A query that gives the batch's rows, as the target would have them, without those that stay out already.
    pub fn rows_sql(&self) -> String {
        let sql = "select s.* from {staging} s where not exists (select from {out} o where o.seq = s.";
        format!("{}{SEQUENCE})", self.fill_in(sql))
    }

    /// Whether it mends what an earlier load left, and is no batch like others.
    pub fn is_repair(&self) -> bool {
        self.repair.is_some()
    }

    /// Publishes the batch as a repair.
    #[must_use]
    pub fn repairing(self, repair: Repair) -> Self {
        Self { repair: Some(repair), ..self }
    }

    /// Drops the staging tables. A load that publishes does it by itself; orphans are swept by later loads.
    pub async fn discard(self) -> Result<(), WarehouseError> {
        drop_tables(&self.pool, &self.table, &self.out).await
    }

    /// Holds rows back for the rules that they broke; adds to what is known of a row already.
    pub(super) async fn hold_back(
        &self,
        connection: &mut PgConnection,
        failed: &[(i64, Vec<String>)],
    ) -> Result<(), WarehouseError> {
        for chunk in failed.chunks(10_000) {
            let places: Vec<i64> = chunk.iter().map(|(place, _)| *place).collect();
            let rules: Vec<serde_json::Value> = chunk.iter().map(|(_, rules)| rules.clone().into()).collect();
            sqlx::query(AssertSqlSafe(self.fill_in(include_str!("../../../../sql/engine/hold_back.sql"))))
                .bind(places)
                .bind(rules)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    /// A template of sql/engine with the names of this load in it.
    pub(super) fn fill_in(&self, template: &str) -> String {
        template
            .replace("{staging}", &self.table.quoted())
            .replace("{out}", &self.out.quoted())
            .replace("{target}", &self.request.target.quoted())
    }

    pub(super) async fn create(&self, connection: &mut PgConnection) -> Result<(), WarehouseError> {
        let mut lines = vec![format!("{SEQUENCE} bigint not null")];
        for column in self.staged_columns() {
            lines.push(format!("{} {}", quote(&column.name)?, column.pg));
        }
        let sql = self
            .fill_in(include_str!("../../../../sql/engine/create_staging.sql"))
            .replace("{columns}", &lines.join(", "));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
        // The comment carries the batch. Postgres itself quotes what it is to say.
        let comment: String = sqlx::query_scalar("select format('comment on table %s is %L', $1, $2)")
            .bind(self.table.quoted())
            .bind(&self.request.manifest.batch_id)
            .fetch_one(&mut *connection)
            .await?;
        sqlx::query(AssertSqlSafe(comment)).execute(connection).await?;
        Ok(())
    }

    fn staged_columns(&self) -> Vec<CopyColumn> {
        let mut columns = self.columns.clone();
        if self.has_source.0 {
            columns.push(CopyColumn { name: SOURCE_FILE.to_owned(), pg: PgType::Text(None) });
        }
        if self.has_source.1 {
            columns.push(CopyColumn { name: SOURCE_LINE.to_owned(), pg: PgType::Int8 });
        }
        columns
    }

    async fn fill(&mut self, connection: &mut PgConnection) -> Result<(), WarehouseError> {
        let target = CopyTarget {
            table: self.table.clone(),
            columns: self.staged_columns(),
            sequence: Some(SEQUENCE.to_owned()),
        };
        let lake = self.lake()?.clone();
        let files: Vec<String> = self.request.manifest.files.iter().map(|file| file.path.clone()).collect();
        let frames = files.into_iter().flat_map(move |path| row_groups(&lake, &path));
        let report = copy_frames(&mut *connection, &target, frames).await?;
        // Rows that are appended as they are go by in one scan, which no statistics would change.
        let is_plain = self.request.key.is_empty() && matches!(self.request.deduplicate, Deduplicate::Never);
        if report.rows >= ANALYZE_FROM && !is_plain {
            let sql = format!("analyze {}", self.table.quoted());
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
        }
        self.faults = report.faults.len() as u64;
        self.hold_back(connection, &by_row(report.faults)).await
    }

    /// Finds the rows that stay out whatever an audit says: without a key, and said before.
    pub(super) async fn mark(&mut self, connection: &mut PgConnection) -> Result<(), WarehouseError> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let mut statements = Vec::new();
        let key = &self.request.key;
        let key_columns = self.comparable(|name| key.iter().any(|k| k == name))?;
        if !key.is_empty() {
            let rules = key
                .iter()
                .map(|name| {
                    let rule = format!("key({name}): is null").replace('\'', "''");
                    Ok(format!("case when {} is null then '{rule}' end", quote(name)?))
                })
                .collect::<Result<Vec<_>, WarehouseError>>()?;
            statements.push(
                self.fill_in(include_str!("../../../../sql/engine/mark_keyless.sql"))
                    .replace("{rules}", &rules.join(", "))
                    .replace("{key}", &key_columns),
            );
        }
        let alike = match &self.request.deduplicate {
            Deduplicate::Never => None,
            Deduplicate::Identical => Some(self.comparable(|_| true)?),
            Deduplicate::By(names) => Some(self.comparable(|name| names.iter().any(|n| n == name))?),
        };
        if let Some(columns) = alike {
            let template = include_str!("../../../../sql/engine/mark_duplicates.sql");
            statements.push(self.fill_in(template).replace("{columns}", &columns));
        }
        if !key.is_empty() {
            let template = include_str!("../../../../sql/engine/mark_superseded.sql");
            statements.push(self.fill_in(template).replace("{key}", &key_columns));
        }
        for statement in statements {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
        }
        let sql = format!("select seq from {} where rules is null order by seq", self.out.quoted());
        self.dropped = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
        let sql = format!("select seq from {} where rules is not null order by seq", self.out.quoted());
        self.held = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await?;
        Ok(())
    }

    /// The chosen columns as expressions that can be compared; `json` can be only as text.
    fn comparable(&self, chosen: impl Fn(&str) -> bool) -> Result<String, WarehouseError> {
        let columns = self.columns.iter().filter(|column| chosen(&column.name));
        Ok(columns.map(comparable).collect::<Result<Vec<_>, _>>()?.join(", "))
    }
}

/// A column as an expression that can be compared.
pub(super) fn comparable(column: &CopyColumn) -> Result<String, WarehouseError> {
    let name = quote(&column.name)?;
    Ok(if column.pg == PgType::Json { format!("{name}::text") } else { name })
}

pub(super) async fn drop_tables(pool: &PgPool, table: &TableName, out: &TableName) -> Result<(), WarehouseError> {
    let sql = format!("drop table if exists {}, {}", table.quoted(), out.quoted());
    sqlx::query(AssertSqlSafe(sql)).execute(pool).await?;
    Ok(())
}

/// Drops the staging tables of attempts that have ended.
async fn sweep(connection: &mut PgConnection) -> Result<(), WarehouseError> {
    sqlx::query("select sluice.ensure_schema($1)").bind(SCHEMA).execute(&mut *connection).await?;
    let orphans: Vec<String> = sqlx::query_scalar(include_str!("../../../../sql/engine/staging_orphans.sql"))
        .bind(SCHEMA)
        .fetch_all(&mut *connection)
        .await?;
    for orphan in orphans {
        let sql = format!("drop table if exists {SCHEMA}.{}", quote(&orphan)?);
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Names of the two tables. The attempt's id stands last, where [`sweep`] reads it.
fn names(request: &LoadRequest) -> Result<(TableName, TableName), WarehouseError> {
    let stem: String = format!("{}__{}", request.target.schema(), request.target.table()).chars().take(36).collect();
    let attempt = request.fence.attempt_id;
    Ok((
        TableName::parse(&format!("{SCHEMA}.{stem}_{attempt}"))?,
        TableName::parse(&format!("{SCHEMA}.{stem}_out_{attempt}"))?,
    ))
}

/// The schema of the batch: that of its first file. Files of another schema are refused while they are copied.
async fn batch_schema(lake: &Lake, request: &LoadRequest) -> Result<Option<polars::prelude::Schema>, WarehouseError> {
    let Some(first) = request.manifest.files.first() else { return Ok(None) };
    let (lake, path) = (lake.clone(), first.path.clone());
    let mut schema = tokio::task::spawn_blocking(move || lake.parquet_schema(&path)).await??;
    // Sources number their lines in many integer types.
    if schema.get(SOURCE_LINE).is_some_and(DataType::is_integer) {
        schema.insert(SOURCE_LINE.into(), DataType::Int64);
    }
    Ok(Some(schema))
}

/// The row groups of a file, one frame each.
fn row_groups(lake: &Lake, path: &str) -> Box<dyn Iterator<Item = Result<DataFrame, WarehouseError>> + Send> {
    let opened = lake.open_parquet(path).and_then(|file| Ok((file.row_group_sizes()?, file)));
    match opened {
        Err(error) => Box::new(std::iter::once(Err(error))),
        Ok((sizes, file)) => {
            let mut start = 0;
            Box::new(sizes.into_iter().map(move |rows| {
                let from = start;
                start += rows;
                file.rows(Some((from, rows)))
            }))
        }
    }
}

/// Faults of cells as rules that rows broke.
fn by_row(faults: Vec<CellFault>) -> Vec<(i64, Vec<String>)> {
    let mut rows: Vec<(i64, Vec<String>)> = Vec::new();
    for fault in faults {
        let rule = format!("fits({}): {}", fault.column, fault.reason.replace('\0', "\\0"));
        match rows.last_mut() {
            Some((row, rules)) if *row == fault.row => rules.push(rule),
            _ => rows.push((fault.row, vec![rule])),
        }
    }
    rows
}
