//! All that there is to show of one suite: what it says, what it found, what it was.

use chrono::{DateTime, NaiveDate, Utc};
use quality::versions::{self, ChangeRow, SuiteDiff, Version, VersionRow};
use serde::Deserialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool, types::Json};

use crate::error::StoreError;

/// So many results are looked through for the newest of each check.
const RESULTS: i64 = 4000;
/// So many batches make a trend.
const BATCHES: i64 = 60;
/// So many changes are told.
const CHANGES: i64 = 20;

/// A suite.
pub(crate) struct SuiteView {
    pub(crate) name: String,
    /// What it says: the version that was deployed last, else the one that judged last.
    pub(crate) version: Option<Version>,
    pub(crate) versions: Vec<VersionRow>,
    /// Newest first, each with what it changed where both versions are kept.
    pub(crate) changes: Vec<(ChangeRow, Option<SuiteDiff>)>,
    pub(crate) datasets: Vec<DatasetView>,
}

/// What a suite found in a dataset.
pub(crate) struct DatasetView {
    pub(crate) dataset: String,
    /// The checks of its newest evaluation, in its order.
    pub(crate) checks: Vec<CheckLine>,
    /// The numbers of its batches: the batch as a whole first, then each column that is profiled.
    pub(crate) series: Vec<Series>,
}

/// A check's newest result.
#[derive(Debug, FromRow)]
pub(crate) struct CheckLine {
    pub(crate) dataset: String,
    pub(crate) check_id: String,
    pub(crate) run_id: Option<i64>,
    pub(crate) task: Option<String>,
    pub(crate) load_id: Option<i64>,
    pub(crate) suite_hash: String,
    pub(crate) outcome: String,
    pub(crate) on_fail: String,
    pub(crate) observed: Value,
    pub(crate) duration_ms: f64,
    pub(crate) at: DateTime<Utc>,
    /// Its last outcomes, oldest first.
    pub(crate) history: Vec<String>,
}

/// The numbers of a column, or of a batch as a whole, from batch to batch.
#[derive(Debug, FromRow)]
pub(crate) struct Series {
    pub(crate) dataset: String,
    /// Empty: the batch as a whole.
    pub(crate) column: String,
    /// Of the latest batch.
    pub(crate) metrics: Value,
    /// Oldest first.
    pub(crate) points: Json<Vec<Batch>>,
}

/// The numbers of one batch.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Batch {
    pub(crate) day: NaiveDate,
    /// Whether its gate refused it.
    pub(crate) refused: bool,
    pub(crate) metrics: Value,
}

impl SuiteView {
    /// Whether nobody ever deployed or evaluated such a suite.
    pub(crate) fn is_unknown(&self) -> bool {
        self.versions.is_empty() && self.datasets.is_empty()
    }

    /// Reads what there is of the suite `name`.
    pub(crate) async fn read(pool: &PgPool, name: &str) -> Result<Self, StoreError> {
        let mut connection = pool.acquire().await?;
        let listed = versions::versions(&mut connection, name).await?;
        let version = match versions::current(&mut connection, name).await? {
            Some(version) => Some(version),
            None => match listed.iter().max_by_key(|row| row.judged_at) {
                Some(row) => versions::find(&mut connection, name, &row.hash).await?,
                None => None,
            },
        };
        let mut changes = Vec::new();
        for change in versions::history(&mut connection, name, CHANGES).await? {
            let diff = match (&change.before, &change.hash) {
                (Some(before), Some(hash)) => {
                    let old = versions::find(&mut connection, name, before).await?;
                    let new = versions::find(&mut connection, name, hash).await?;
                    old.zip(new).map(|(old, new)| versions::diff(name, &old, &new))
                }
                _ => None,
            };
            changes.push((change, diff));
        }
        let results: Vec<CheckLine> = sqlx::query_as(include_str!("../../../../sql/web/suite_checks.sql"))
            .bind(name)
            .bind(RESULTS)
            .fetch_all(&mut *connection)
            .await?;
        let series: Vec<Series> = sqlx::query_as(include_str!("../../../../sql/web/suite_series.sql"))
            .bind(name)
            .bind(BATCHES)
            .fetch_all(&mut *connection)
            .await?;
        let datasets = datasets(results, series);
        Ok(Self { name: name.to_owned(), version, versions: listed, changes, datasets })
    }
}

/// By dataset, the one that was evaluated last first.
fn datasets(results: Vec<CheckLine>, series: Vec<Series>) -> Vec<DatasetView> {
    let mut found: Vec<DatasetView> = Vec::new();
    for line in results {
        match found.iter_mut().find(|view| view.dataset == line.dataset) {
            Some(view) => view.checks.push(line),
            None => {
                found.push(DatasetView { dataset: line.dataset.clone(), checks: vec![line], series: Vec::new() });
            }
        }
    }
    for view in &mut found {
        // A check that the suite has no more was not in the newest evaluation.
        let newest = view.checks.iter().max_by_key(|line| line.at).map(CheckLine::evaluation);
        view.checks.retain(|line| Some(line.evaluation()) == newest);
    }
    for of_column in series {
        if let Some(view) = found.iter_mut().find(|view| view.dataset == of_column.dataset) {
            view.series.push(of_column);
        }
    }
    found.sort_by_key(|view| std::cmp::Reverse(view.checks.first().map(|line| line.at)));
    found
}

impl CheckLine {
    fn evaluation(&self) -> (Option<i64>, Option<String>, Option<i64>) {
        (self.run_id, self.task.clone(), self.load_id)
    }
}

/// Every suite that is deployed, or was evaluated in the last 30 days, by name.
pub(crate) async fn names(pool: &PgPool) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar(
        "select suite from (
             select distinct on (suite) suite, hash from sluice.suite_changes order by suite, change_id desc
         ) deployed
         where hash is not null
         union
         select suite from sluice.check_results where at > now() - interval '30 days'
         order by 1",
    )
    .fetch_all(pool)
    .await
}
