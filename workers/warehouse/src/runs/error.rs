//! What the run store refuses, and what can go wrong beneath it.

use workflow::{plan::ParamError, state::UnknownState};

use crate::error::WarehouseError;

/// A failure of the run store.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Postgres refused, or was lost on the way.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A notice could not be queued.
    #[error("cannot queue a notice")]
    Outbox(#[from] WarehouseError),
    /// Another process decides about the DAG's runs, and may be at it for a while: a long backfill.
    #[error("another process is making runs of `{0}`")]
    Busy(String),
    /// A file of the lake that goes with dropped runs could not be removed.
    #[error("cannot remove an output from the lake")]
    Lake(#[source] WarehouseError),
    /// No run of that number.
    #[error("there is no run {0}")]
    NoRun(i64),
    /// A change of a run that can be read only.
    #[error("run {0} is archived: it can be read, and is not changed any more")]
    Archived(i64),
    /// A clear of a span with such runs.
    #[error("{runs} archived in that span, the last one that of {last}, and cannot be cleared; take a span that begins after it",
        runs = if *.runs == 1 { "1 run is".to_owned() } else { format!("{} runs are", .runs) }, last = .last.format("%Y-%m-%d %H:%M UTC"))]
    ArchivedSpan {
        /// How many.
        runs: i64,
        /// What the last of them stands for.
        last: chrono::DateTime<chrono::Utc>,
    },
    /// No run of that DAG.
    #[error("`{0}` has no runs yet")]
    NoRunOf(String),
    /// No such DAG version.
    #[error("version {version} of `{dag}` is not in the database")]
    NoVersion {
        /// The DAG.
        dag: String,
        /// Its version.
        version: String,
    },
    /// The run or DAG has no such task.
    #[error("`{dag}` has no task `{task}`")]
    NoTask {
        /// The DAG.
        dag: String,
        /// The name given.
        task: String,
    },
    /// A task cannot run alone before the tasks that it needs have run once.
    #[error("`{task}` reads what `{needs}` leaves, and `{needs}` has never succeeded")]
    NoOutput {
        /// The task.
        task: String,
        /// The one that it needs.
        needs: String,
    },
    /// A retry that would pull a task from under a worker.
    #[error("run {run_id} cannot be retried while `{task}` is {state}")]
    StillOpen {
        /// The run.
        run_id: i64,
        /// The task in the way.
        task: String,
        /// Its state.
        state: String,
    },
    /// A retry of a run that is being cancelled.
    #[error("run {0} is being cancelled; retry it once its running tasks have ended")]
    Stopping(i64),
    /// A retry of a run that has not begun.
    #[error("run {0} waits for its turn; there is nothing to retry yet")]
    NotStarted(i64),
    /// A retry with nothing to retry.
    #[error("nothing failed in run {0}")]
    NothingFailed(i64),
    /// A new plan for a run whose tasks are at work on the old one.
    #[error("run {0} is under way; it can go on with another version once it has ended")]
    UnderWay(i64),
    /// A mark that is none.
    #[error("`{0}` is not a mark: a task is marked success, failed or skipped")]
    NoMark(String),
    /// An act that has to be explained, and is not.
    #[error("say why: a mark needs a reason")]
    NoReason,
    /// No backfill of that number.
    #[error("there is no backfill {0}")]
    NoBackfill(i64),
    /// A backfill whose runs exist.
    #[error("every run of that span exists already")]
    NothingToMake,
    /// A span for which nothing is due.
    #[error("nothing of `{0}` is due in that span: its schedule does not fire in it, or later than now")]
    NotDue(String),
    /// A backfill of which no run is open.
    #[error("backfill {0} has ended: none of its runs waits or is under way")]
    NothingToStop(i64),
    /// More runs than one clear may have.
    #[error("{0} runs of that span have ended, and one clear takes {max} at most; take a shorter span", max = super::backfill::MOST_RUNS)]
    TooManyEnded(usize),
    /// A span that ends before it begins.
    #[error("the span ends with {to}, which comes before {from}")]
    Backwards {
        /// The first day.
        from: chrono::NaiveDate,
        /// The last day.
        to: chrono::NaiveDate,
    },
    /// More runs than one backfill may have.
    #[error("that is {0} runs or more, and one backfill has {max} at most; take a shorter span", max = super::backfill::MOST_RUNS)]
    TooMany(usize),
    /// A key that does not come out of its template.
    #[error("the `concurrency` key of `{task}` is not usable: {problem}")]
    Key {
        /// The task.
        task: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Parameters that the DAG does not take.
    #[error(transparent)]
    Params(#[from] ParamError),
    /// A state that this version does not know.
    #[error(transparent)]
    State(#[from] UnknownState),
    /// JSON in the database that this version cannot read, or that cannot be written.
    #[error("{what} in the database cannot be read by this version")]
    Json {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl RunError {
    /// Whether the user asked for what cannot be, as opposed to a fault of the store.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoRun(_)
                | Self::Archived(_)
                | Self::ArchivedSpan { .. }
                | Self::NoRunOf(_)
                | Self::NoTask { .. }
                | Self::NoOutput { .. }
                | Self::StillOpen { .. }
                | Self::Stopping(_)
                | Self::NotStarted(_)
                | Self::NothingFailed(_)
                | Self::NoVersion { .. }
                | Self::UnderWay(_)
                | Self::NoMark(_)
                | Self::NoReason
                | Self::NoBackfill(_)
                | Self::NothingToMake
                | Self::NotDue(_)
                | Self::NothingToStop(_)
                | Self::TooManyEnded(_)
                | Self::Backwards { .. }
                | Self::TooMany(_)
                | Self::Key { .. }
                | Self::Params(_)
        )
    }

    /// Whether the same call may succeed later: the connection was lost, or Postgres was busy or restarting.
    pub fn is_transient(&self) -> bool {
        let (Self::Database(error) | Self::Outbox(WarehouseError::Database(error))) = self else { return false };
        let Some(code) = error.as_database_error().and_then(sqlx::error::DatabaseError::code) else {
            return true;
        };
        matches!(code.get(..2), Some("08" | "25" | "40" | "53" | "55" | "57" | "58"))
    }
}
