//! Builds and publishes models, one after the other, each in a transaction of its own.

use std::time::Instant;

use chrono_tz::Tz;
use sqlx::{AssertSqlSafe, PgPool, query, raw_sql};
use workflow::kind::TaskContext;

use super::{
    build::{self, Build, Settings},
    catalog::Catalog,
    error::{ModelError, in_sql},
    gate::{GateOutcome, GateRequest, ModelGate},
    ledger::{self, Entry, Standing},
    publish::{Changes, publish},
    spec::{Gate, Materialisation, Model, SCHEMAS},
};
use crate::fence;

/// Builds of one model in one attempt; each but the first because another run published a newer one meanwhile.
const BUILDS: usize = 3;

/// What is needed to run models.
pub struct ModelRunner<'a> {
    /// Where the warehouse is.
    pub pool: &'a PgPool,
    /// The project's models.
    pub catalog: &'a Catalog,
    /// The attempt that runs them: its fence, its data interval, its log.
    pub task: &'a TaskContext,
    /// The project's time zone.
    pub timezone: Tz,
    /// Who judges the builds of models that have a gate.
    pub gate: &'a dyn ModelGate,
}

/// What became of one model.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ModelReport {
    /// `schema.name`.
    pub model: String,
    /// The tables that it reads, each as `schema.name`.
    pub reads: Vec<String>,
    /// How it is kept.
    pub materialised: Materialisation,
    /// Rows of the build.
    pub rows: i64,
    /// What the publication changed.
    #[serde(flatten)]
    pub changes: Changes,
    /// `unchecked`, `passed` or `warned`; `repeated` where an earlier attempt had published the same.
    pub verdict: &'static str,
    /// From the start of the build to the end of the publication.
    pub seconds: f64,
}

impl ModelRunner<'_> {
    /// Publishes the models that `words` name (models, or whole schemas) in the order of what they read. Stops at
    /// the first that cannot be published; those before it stay published, and a repeat leaves them alone.
    pub async fn run(&self, words: &[String]) -> Result<Vec<ModelReport>, ModelError> {
        let models = self.catalog.select(words).map_err(|(name, hint)| ModelError::Unknown { name, hint })?;
        self.prepare().await?;
        let mut reports = Vec::with_capacity(models.len());
        for model in models {
            let report = tokio::select! {
                () = self.task.cancel.cancelled() => return Err(ModelError::Cancelled(model.relation.clone())),
                report = self.one(model) => report?,
            };
            self.task.log.info(report.line());
            reports.push(report);
        }
        Ok(reports)
    }

    /// Schemas, and what `sql/warehouse/` declares. Each file may run any number of times.
    async fn prepare(&self) -> Result<(), ModelError> {
        build::sweep(self.pool).await?;
        let mut tx = self.pool.begin().await?;
        query("select pg_advisory_xact_lock(hashtext('sluice.definitions'))").execute(&mut *tx).await?;
        query("set local client_min_messages = warning").execute(&mut *tx).await?;
        for schema in SCHEMAS {
            query("select sluice.ensure_schema($1)").bind(schema).execute(&mut *tx).await?;
        }
        for file in self.catalog.definitions().iter().filter(|file| file.path.ends_with(".sql")) {
            raw_sql(AssertSqlSafe(file.text.clone())).execute(&mut *tx).await.map_err(in_sql(&file.path))?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn one(&self, model: &Model) -> Result<ModelReport, ModelError> {
        let started = Instant::now();
        for _ in 0..BUILDS {
            let mut connection = self.pool.acquire().await?;
            let standing = ledger::standing(&mut connection, self.catalog, model, self.task.run_id).await?;
            let known = ledger::published(&mut connection, model, self.task, &standing.batch_id).await?;
            drop(connection);
            if let Some(rows) = known {
                return Ok(ModelReport::new(model, rows, Changes::default(), "repeated", started));
            }
            let settings = Settings { timezone: self.timezone, interval: self.task.interval };
            let build = build::build(self.pool, model, self.task.fence, settings).await?;
            let published = self.judge_and_publish(model, &build, &standing).await;
            // An error here would hide what `published` says; what is left is swept by the next run.
            let discarded = build::discard(self.pool, &build.relation).await;
            let published = published?;
            discarded?;
            if let Some((changes, verdict)) = published {
                return Ok(ModelReport::new(model, build.rows, changes, verdict, started));
            }
            self.task.log.info(format!("{}: a newer build was published meanwhile; building it again", model.relation));
        }
        Err(ModelError::Overtaken(model.relation.clone()))
    }

    /// What was changed and how the gate judged; `None`, and nothing published, where what is there may be newer.
    async fn judge_and_publish(
        &self,
        model: &Model,
        build: &Build,
        standing: &Standing,
    ) -> Result<Option<(Changes, &'static str)>, ModelError> {
        let batch_id = standing.batch_id.as_str();
        let outcome = match &model.gate {
            Some(gate) => Some(self.judge(model, gate, build).await?),
            None => None,
        };
        let verdict = match &outcome {
            None => "unchecked",
            Some(outcome) if !outcome.failed.is_empty() => "failed",
            Some(outcome) if !outcome.warned.is_empty() => "warned",
            Some(_) => "passed",
        };
        let mut entry = Entry {
            dataset: &model.relation,
            task: self.task,
            batch_id,
            suite: model.gate.as_ref().map(|gate| gate.suite.as_str()),
            suite_hash: outcome.as_ref().map(|outcome| outcome.suite_hash.clone()),
            verdict,
            rows: build.rows,
        };
        let (failed, record) = outcome.map(|outcome| (outcome.failed, outcome.record)).unwrap_or_default();
        let mut tx = self.pool.begin().await?;
        // First the lock, which may take a while, then the fence, which keeps the attempt's row locked.
        query("select pg_advisory_xact_lock(hashtextextended('sluice.load:' || $1, 0))")
            .bind(model.relation.to_string())
            .execute(&mut *tx)
            .await?;
        fence::check(&mut tx, self.task.fence).await?;
        build::check_whole(&mut tx, model, build).await?;
        let now = ledger::standing(&mut tx, self.catalog, model, self.task.run_id).await?;
        if standing.is_overtaken_by(&now) {
            return Ok(None);
        }
        let refused = format!("{batch_id}-refused-{}", self.task.fence.attempt_id);
        let changes = if failed.is_empty() {
            if ledger::published(&mut tx, model, self.task, batch_id).await?.is_some() {
                return Ok(Some((Changes::default(), "repeated")));
            }
            query("set local timezone = 'UTC'").execute(&mut *tx).await?;
            publish(&mut tx, model, build).await?
        } else {
            // Not the batch's own name: a repaired suite or source must find the way free.
            entry.batch_id = &refused;
            Changes::default()
        };
        let load_id = entry.write(&mut tx).await?;
        if let Some(record) = record {
            record(&mut tx, load_id).await?;
        }
        tx.commit().await?;
        if failed.is_empty() {
            return Ok(Some((changes, verdict)));
        }
        Err(ModelError::Gate {
            model: model.relation.clone(),
            suite: entry.suite.unwrap_or_default().to_owned(),
            failed,
        })
    }

    async fn judge(&self, model: &Model, gate: &Gate, build: &Build) -> Result<GateOutcome, ModelError> {
        let request =
            GateRequest { suite: &gate.suite, on_fail: gate.on_fail, dataset: &model.relation, build: &build.relation };
        let outcome = self.gate.evaluate(request).await.map_err(|source| ModelError::GateBroken {
            model: model.relation.clone(),
            suite: gate.suite.clone(),
            source,
        })?;
        for line in outcome.failed.iter().chain(&outcome.warned) {
            self.task.log.warn(format!("{}: {line}", model.relation));
        }
        Ok(outcome)
    }
}

impl ModelReport {
    fn new(model: &Model, rows: i64, changes: Changes, verdict: &'static str, started: Instant) -> Self {
        Self {
            model: model.relation.to_string(),
            reads: model.reads.iter().map(ToString::to_string).collect(),
            materialised: model.materialised,
            rows,
            changes,
            verdict,
            seconds: started.elapsed().as_secs_f64(),
        }
    }

    /// As the attempt's log says it.
    fn line(&self) -> String {
        use std::fmt::Write;
        let mut line = format!("{}: {} rows", self.model, self.rows);
        let changes = &self.changes;
        for (count, what) in [
            (changes.inserted, "inserted"),
            (changes.updated, "updated"),
            (changes.deleted, "deleted"),
            (changes.closed, "closed"),
            (changes.stale, "older than what is there, left out"),
        ] {
            if count > 0 {
                let _ = write!(line, ", {count} {what}");
            }
        }
        let _ = write!(line, " ({}, {:.2} s)", self.verdict, self.seconds);
        line
    }
}
