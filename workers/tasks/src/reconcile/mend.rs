//! A repair: the rows that differ are read anew, from the snapshot that they were compared in, and published.

use std::collections::BTreeSet;

use sqlx::MySqlConnection;
use warehouse::{
    ident::TableName,
    lake::attempt_stem,
    load::{Audit, Deduplicate, LoadRequest, Outcome, Repair, Staged, Verdict},
};
use workflow::{error::TaskError, kind::TaskContext};

use super::{
    Config, Reconcile, Setting,
    compare::{self, Differences, KEPT},
};
use crate::{
    beside::beside,
    extract_mysql::{keys, path_part},
};

impl Reconcile {
    /// Reads the rows that differ, and publishes them through gate, ledger and fence.
    pub(super) async fn mend(
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
                key: &setting.key.source,
                keys: &wrong.into_iter().collect::<Vec<_>>(),
                zero_dates: config.zero_dates,
                batch_id: format!("reconcile@{}", setting.source_at),
            },
        )
        .await?;
        let request = LoadRequest {
            target: TableName::parse(&config.target)?,
            manifest,
            key: setting.key.names.clone(),
            deduplicate: Deduplicate::Never,
            balance: Vec::new(),
            run_id: task.run_id,
            task: task.task.clone(),
            interval: (task.interval.start, task.interval.end),
            fence: task.fence,
        };
        let staged = Staged::stage(&self.pool, &self.lake, request.clone()).await?.repairing(Repair {
            seen: setting.seen.clone(),
            key: setting.key.target.clone(),
            key_type: setting.key.target_type.clone(),
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
}
