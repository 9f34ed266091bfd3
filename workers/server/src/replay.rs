//! Held rows that a person takes through their gate again: what the command line and the API have in common.

use std::path::PathBuf;

use async_trait::async_trait;
use quality::{OnFail, QualityError, Suite, Table};
use sqlx::PgConnection;
use warehouse::load::replay::{Asked, Judged, ReplayError, RowJudge};

/// Judges by the suites of a project, as its folder `quality` has them now.
#[derive(Debug, Clone)]
pub struct SuiteJudge {
    /// The project's folder.
    pub project: PathBuf,
}

impl SuiteJudge {
    async fn suite(&self, name: &str) -> Result<Suite, ReplayError> {
        let file = format!("quality/{name}.yaml");
        let text = tokio::fs::read_to_string(self.project.join(&file)).await.map_err(|error| {
            ReplayError::Refused(format!(
                "the suite `{name}`, which held the rows back, cannot be read from {file}: {error}"
            ))
        })?;
        Suite::parse(&file, &text).map_err(|faults| {
            ReplayError::Refused(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })
    }
}

#[async_trait]
impl RowJudge for SuiteJudge {
    async fn judge(&self, connection: &mut PgConnection, asked: Asked<'_>) -> Result<Judged, ReplayError> {
        let suite = self.suite(asked.suite).await?;
        let on_fail =
            [OnFail::Warn, OnFail::Quarantine].into_iter().find(|policy| Some(policy.as_str()) == asked.on_fail);
        let suite = suite.with_default(on_fail.unwrap_or(OnFail::Fail));
        let table = Table { schema: asked.rows.schema().to_owned(), name: asked.rows.table().to_owned() };
        let broken =
            quality::broken_rows(connection, &suite, &table, asked.number).await.map_err(|error| match error {
                QualityError::Database(error) => error.into(),
                error @ QualityError::NoTable(_) => ReplayError::Refused(error.to_string()),
            })?;
        if !broken.errored.is_empty() {
            let checks = broken.errored.join("; ");
            return Err(ReplayError::Refused(format!(
                "the suite `{}` cannot judge these rows, and nothing is let through unjudged: {checks}",
                suite.name
            )));
        }
        let row = |(place, rules): (usize, Vec<std::sync::Arc<str>>)| {
            (i64::try_from(place).unwrap_or(i64::MAX), rules.iter().map(ToString::to_string).collect())
        };
        Ok(Judged {
            suite_hash: suite.hash,
            failed: broken.failed.into_iter().map(row).collect(),
            warned: broken.warned,
            left_out: broken.left_out,
        })
    }
}
