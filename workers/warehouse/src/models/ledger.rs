//! The ledger row of a published model: what makes a repeat of its attempt do nothing.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, query_as, query_scalar};
use workflow::kind::TaskContext;

use super::{catalog::Catalog, error::ModelError, relation::Relation, spec::Model};

/// What the ledger says of a model and of what it reads, at one moment.
pub(super) struct Standing {
    /// Identity of one publication: this model, in this run, on what its inputs hold.
    ///
    /// A repeat of the attempt finds it in the ledger. A later run, a change to the model's files, or a new load of
    /// what it reads makes another one.
    pub(super) batch_id: String,
    /// The last publication of the model, by whichever run.
    published: Option<i64>,
}

impl Standing {
    /// Whether a build begun at this standing could put older rows over newer ones at `now`: its inputs have changed,
    /// and the model was published since. Inputs alone may change as often as they like; the next run sees to them.
    pub(super) fn is_overtaken_by(&self, now: &Self) -> bool {
        self.batch_id != now.batch_id && self.published != now.published
    }
}

/// How a model stands now.
pub(super) async fn standing(
    connection: &mut PgConnection,
    catalog: &Catalog,
    model: &Model,
    run_id: i64,
) -> Result<Standing, ModelError> {
    let itself = model.relation.to_string();
    let mut datasets: Vec<String> = catalog.inputs(model).iter().map(ToString::to_string).collect();
    datasets.push(itself.clone());
    let newest = "select dataset, max(load_id) from sluice.load_ledger \
                  where dataset = any($1) and verdict <> 'failed' group by dataset order by dataset";
    let newest: Vec<(String, i64)> = query_as(newest).bind(datasets).fetch_all(connection).await?;
    let mut hash = Sha256::new().chain_update(&model.hash);
    let mut published = None;
    for (dataset, load_id) in newest {
        if dataset == itself {
            published = Some(load_id);
        } else {
            hash.update(format!("\0{dataset}={load_id}"));
        }
    }
    let hash = workflow::hex::encode(&hash.finalize());
    Ok(Standing { batch_id: format!("run-{run_id}-{}", &hash[..16]), published })
}

/// Rows of a publication that the ledger knows already.
pub(super) async fn published(
    connection: &mut PgConnection,
    model: &Model,
    task: &TaskContext,
    batch_id: &str,
) -> Result<Option<i64>, ModelError> {
    let known = "select loaded from sluice.load_ledger \
                 where dataset = $1 and interval_start = $2 and interval_end = $3 and batch_id = $4";
    let known = query_scalar(known)
        .bind(model.relation.to_string())
        .bind(task.interval.start)
        .bind(task.interval.end)
        .bind(batch_id);
    Ok(known.fetch_optional(connection).await?)
}

/// One line of the ledger.
pub(super) struct Entry<'a> {
    pub(super) dataset: &'a Relation,
    pub(super) task: &'a TaskContext,
    pub(super) batch_id: &'a str,
    pub(super) suite: Option<&'a str>,
    pub(super) suite_hash: Option<String>,
    /// `unchecked`, `passed`, `warned` or `failed`.
    pub(super) verdict: &'static str,
    pub(super) rows: i64,
}

impl Entry<'_> {
    /// Writes it; its `load_id`. A refused build has read rows and loaded none.
    pub(super) async fn write(&self, connection: &mut PgConnection) -> Result<i64, ModelError> {
        let (start, end): (DateTime<Utc>, DateTime<Utc>) = (self.task.interval.start, self.task.interval.end);
        let load_id = query_scalar(include_str!("../../../../sql/engine/models/write_ledger.sql"))
            .bind(self.dataset.to_string())
            .bind(self.batch_id)
            .bind(self.task.run_id)
            .bind(&self.task.task)
            .bind(start)
            .bind(end)
            .bind(self.suite)
            .bind(&self.suite_hash)
            .bind(self.verdict)
            .bind(self.rows)
            .bind(if self.verdict == "failed" { 0 } else { self.rows })
            .bind(self.task.fence.token)
            .fetch_one(connection)
            .await?;
        Ok(load_id)
    }
}
