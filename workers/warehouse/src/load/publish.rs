//! The public half of a load: one transaction, after which readers see the whole batch, or still none of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::{
    Audit, Outcome, Verdict, ledger, marks,
    staging::{Staged, comparable, drop_tables},
    target,
};
use crate::{
    alerts,
    error::WarehouseError,
    fence,
    ident::{quote, quote_all},
};

/// Rows below which the statistics of the target are left to autovacuum.
const ANALYZE_FROM: i64 = 10_000;

/// Where the rows of a batch went.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) read: i64,
    pub(super) loaded: i64,
    pub(super) quarantined: i64,
    pub(super) deduplicated: i64,
    /// By name, the sum over each of the above, as text: a JSON number would not be exact.
    pub(super) sums: BTreeMap<String, Value>,
}

impl Staged {
    /// Publishes the batch as the audit allows, or finds that it was published before.
    ///
    /// With [`Verdict::Failed`] nothing is published: the ledger, the quarantine and the check results say so,
    /// and the caller fails its task.
    pub async fn publish(self, mut audit: Audit) -> Result<Outcome, WarehouseError> {
        let mut connection = self.pool.acquire().await?;
        fence::check(&mut connection, self.request.fence).await?;
        self.hold_back(&mut connection, &audit.failed).await?;
        drop(connection);

        let mut transaction = self.pool.begin().await?;
        target::lock(&mut transaction, &self.request.target).await?;
        let request = &self.request;
        if let Some(repair) = &self.repair {
            repair.check(&mut transaction, request).await?;
        }
        if request.manifest.mark.is_some() {
            self.forget_held_before(&mut transaction).await?;
        }
        let mut tally = self.tally(&mut transaction).await?;
        if audit.verdict == Verdict::Failed {
            tally.refuse();
        } else if tally.quarantined > 0 {
            // Rows may stay out without a gate: unreadable, without a key, or too large for the target.
            audit.verdict = Verdict::Quarantined;
        }
        let Some(load_id) = ledger::insert(&mut transaction, request, &audit, &tally, None).await? else {
            let dataset = request.target.to_string();
            let found =
                ledger::find_on(&mut transaction, &dataset, request.interval, &request.manifest.batch_id).await?;
            transaction.rollback().await?;
            drop_tables(&self.pool, &self.table, &self.out).await?;
            return found.ok_or(WarehouseError::LeaseLost(request.fence));
        };
        if audit.verdict != Verdict::Failed {
            self.insert_rows(&mut transaction).await?;
            if let Some(repair) = &self.repair {
                repair.delete(&mut transaction, request, load_id).await?;
            }
            if let Some(mark) = &request.manifest.mark {
                marks::advance(&mut transaction, mark, &request.target, load_id).await?;
            }
        }
        self.quarantine(&mut transaction, load_id).await?;
        if let Some(record) = audit.record {
            record(&mut transaction, load_id).await?;
        }
        // Rows that an earlier batch held back are no news.
        let news = audit.verdict != Verdict::Quarantined || tally.quarantined > 0;
        if let Some((alert, channels)) = audit.alert.as_ref().filter(|_| news) {
            alerts::raise(&mut transaction, alert, channels).await?;
        }
        // Last, because it keeps the lease from being renewed until the transaction ends: a long publication
        // must not lose the lease that it is about to prove.
        fence::check(&mut transaction, request.fence).await?;
        transaction.commit().await?;
        self.analyze(tally.loaded).await;
        // What is left behind is swept by the next load; the batch is published.
        if let Err(error) = drop_tables(&self.pool, &self.table, &self.out).await {
            tracing::warn!(table = %self.table, %error, "staging tables are left for the next load to sweep");
        }
        Ok(Outcome {
            load_id,
            dataset: self.request.target.to_string(),
            read: tally.read,
            loaded: tally.loaded,
            quarantined: tally.quarantined,
            deduplicated: tally.deduplicated,
            verdict: audit.verdict,
            sums: tally.sums,
            repeated: false,
        })
    }

    /// Tells the planner about a batch that changes what it knows; what comes next reads the table at once.
    async fn analyze(&self, loaded: i64) {
        if loaded < ANALYZE_FROM {
            return;
        }
        let sql = format!("analyze {}", self.request.target.quoted());
        if let Err(error) = sqlx::query(AssertSqlSafe(sql)).execute(&self.pool).await {
            tracing::warn!(table = %self.request.target, %error, "the planner keeps its old statistics");
        }
    }

    /// An incremental read overlaps what was read before: a row that is held back already is not held twice.
    async fn forget_held_before(&self, connection: &mut PgConnection) -> Result<(), WarehouseError> {
        let sql = self.fill_in(include_str!("../../../../sql/engine/held_before.sql"));
        sqlx::query(AssertSqlSafe(sql)).bind(self.request.target.to_string()).execute(connection).await?;
        Ok(())
    }

    /// Counts where the rows go. Staging tables are unlogged, so that a crash of the server empties them: a batch of
    /// which a row is missing is not published.
    pub(super) async fn tally(&self, connection: &mut PgConnection) -> Result<Tally, WarehouseError> {
        let balance = &self.request.balance;
        let mut inner = String::new();
        let mut outer = String::new();
        for (index, sum) in balance.iter().enumerate() {
            // A batch without a file has no columns, and its sums are nothing.
            let value = if self.columns.is_empty() { "0" } else { sum.sql() };
            inner.push_str(&format!(", ({value})::numeric as b{index}"));
            for filter in ["true", "o.seq is null", "o.rules is not null", "o.seq is not null and o.rules is null"] {
                outer.push_str(&format!(", coalesce(sum(v.b{index}) filter (where {filter}), 0)::text"));
            }
        }
        let sql = self
            .fill_in(include_str!("../../../../sql/engine/tally.sql"))
            .replace("{balances}", &inner)
            .replace("{sums}", &outer);
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await?;
        let written = i64::try_from(self.request.manifest.file_rows()).unwrap_or(i64::MAX);
        let found: i64 = row.try_get(0)?;
        if found != written {
            return Err(WarehouseError::StagingLost { table: self.table.to_string(), written, found });
        }
        let rejected = i64::try_from(self.request.manifest.rejected_rows()).unwrap_or(i64::MAX);
        let mut tally = Tally {
            read: found + rejected,
            loaded: row.try_get(1)?,
            quarantined: row.try_get::<i64, _>(2)? + rejected,
            deduplicated: row.try_get(3)?,
            sums: BTreeMap::new(),
        };
        for (index, sum) in balance.iter().enumerate() {
            let at = |place: usize| row.try_get::<String, _>(4 + 4 * index + place);
            let parts = json!({"read": at(0)?, "loaded": at(1)?, "quarantined": at(2)?, "deduplicated": at(3)?});
            tally.sums.insert(sum.name().to_owned(), parts);
        }
        Ok(tally)
    }

    pub(super) async fn insert_rows(&self, connection: &mut PgConnection) -> Result<(), WarehouseError> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let sql = self
            .fill_in(include_str!("../../../../sql/engine/publish.sql"))
            .replace("{columns}", &quote_all(self.columns.iter().map(|c| c.name.as_str()))?)
            .replace("{conflict}", &self.on_conflict()?);
        sqlx::query(AssertSqlSafe(sql)).execute(connection).await?;
        Ok(())
    }

    /// What happens to a row whose key is there: it is replaced, unless nothing about it is new or what is
    /// there is newer.
    fn on_conflict(&self) -> Result<String, WarehouseError> {
        let key = &self.request.key;
        if key.is_empty() {
            return Ok(String::new());
        }
        let target = quote_all(key.iter().map(String::as_str))?;
        let rest: Vec<_> = self.columns.iter().filter(|column| !key.contains(&column.name)).collect();
        if rest.is_empty() {
            return Ok(format!("on conflict ({target}) do nothing"));
        }
        let mut assignments = Vec::new();
        let mut differences = Vec::new();
        for column in rest {
            let (name, compared) = (quote(&column.name)?, comparable(column)?);
            assignments.push(format!("{name} = excluded.{name}"));
            differences.push(format!("t.{compared} is distinct from excluded.{compared}"));
        }
        let mut condition = format!("({})", differences.join(" or "));
        if let Some(version) = &self.request.manifest.order_by
            && self.columns.iter().any(|column| column.name == *version)
        {
            let version = quote(version)?;
            condition.push_str(&format!(" and (t.{version} <= excluded.{version}) is not false"));
        }
        Ok(format!("on conflict ({target}) do update set {} where {condition}", assignments.join(", ")))
    }

    async fn quarantine(&self, connection: &mut PgConnection, load_id: i64) -> Result<(), WarehouseError> {
        let dataset = self.request.target.to_string();
        // A batch that was refused before may have left rows under this very load.
        sqlx::query("delete from sluice.quarantined_row where load_id = $1")
            .bind(load_id)
            .execute(&mut *connection)
            .await?;
        let mut first = 0;
        let mut starts = Vec::new();
        let mut paths = Vec::new();
        for file in &self.request.manifest.files {
            starts.push(first);
            paths.push(file.path.clone());
            first += i64::try_from(file.rows).unwrap_or(i64::MAX);
        }
        let (file, line) = self.has_source;
        let sql = self
            .fill_in(include_str!("../../../../sql/engine/quarantine_staged.sql"))
            .replace("{file}", if file { "s._source_file" } else { "f.path" })
            .replace("{line}", if line { "s._source_line" } else { "o.seq - f.first + 1" });
        sqlx::query(AssertSqlSafe(sql))
            .bind(load_id)
            .bind(&dataset)
            .bind(starts)
            .bind(paths)
            .execute(&mut *connection)
            .await?;
        for file in self.request.manifest.rejected.iter().flatten() {
            first += self.quarantine_rejected(connection, load_id, first, &file.path).await?;
        }
        Ok(())
    }

    /// Quarantines the rows of one file that nobody could read. Gives how many.
    async fn quarantine_rejected(
        &self,
        connection: &mut PgConnection,
        load_id: i64,
        first: i64,
        path: &str,
    ) -> Result<i64, WarehouseError> {
        let frame = self.lake()?.read_parquet(path).await?;
        let failed = || WarehouseError::frame(format!("`{path}` is not a file of rejected rows"));
        let text = |name: &str| -> Result<Vec<Option<String>>, WarehouseError> {
            let column = frame.column(name).and_then(|c| c.str()).map_err(failed())?;
            Ok(column.iter().map(|value| value.map(|v| v.replace('\0', "\\0"))).collect())
        };
        let lines =
            frame.column("source_line").and_then(|c| c.cast(&polars::prelude::DataType::Int64)).map_err(failed())?;
        let lines: Vec<Option<i64>> = lines.i64().map_err(failed())?.iter().collect();
        sqlx::query(include_str!("../../../../sql/engine/quarantine_rejected.sql"))
            .bind(load_id)
            .bind(self.request.target.to_string())
            .bind(first)
            .bind(text("source_file")?)
            .bind(lines)
            .bind(text("text")?)
            .bind(text("reason")?)
            .execute(connection)
            .await?;
        Ok(i64::try_from(frame.height()).unwrap_or(i64::MAX))
    }
}

impl Tally {
    /// Counts a batch that its gate refused: nothing of it is loaded.
    fn refuse(&mut self) {
        self.loaded = 0;
        for sum in self.sums.values_mut() {
            if let Some(loaded) = sum.get_mut("loaded") {
                *loaded = json!("0");
            }
        }
    }
}
