//! Who did what: one row for every act of a person, written in the transaction of the act.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::RunError;

/// The way by which a person reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The command line.
    Cli,
    /// The REST API.
    Api,
    /// The web page.
    Web,
}

impl Via {
    /// As stored in `sluice.audit.via`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Web => "web",
        }
    }
}

/// A person, as far as we know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The user of the system, or the name of the token.
    pub name: String,
    /// How they reached us.
    pub via: Via,
}

impl fmt::Display for Actor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.name, self.via.as_str())
    }
}

/// What someone did, and to what.
#[derive(Debug)]
pub(crate) struct Act<'a> {
    pub(crate) name: &'static str,
    pub(crate) run_id: Option<i64>,
    pub(crate) dag: Option<&'a str>,
    pub(crate) task: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) detail: Value,
}

impl Act<'_> {
    /// An act by name alone; fill in the rest with struct update syntax.
    pub(crate) fn of(name: &'static str) -> Self {
        Self { name, run_id: None, dag: None, task: None, reason: None, detail: json!({}) }
    }
}

/// Writes an act down, to stand or fall with the transaction.
pub(crate) async fn record(connection: &mut PgConnection, actor: &Actor, act: Act<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into sluice.audit (actor, via, act, run_id, dag, task, reason, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(super::without_nul(&actor.name))
    .bind(actor.via.as_str())
    .bind(act.name)
    .bind(act.run_id)
    .bind(act.dag)
    .bind(act.task)
    .bind(act.reason.map(super::without_nul))
    .bind(act.detail)
    .execute(connection)
    .await?;
    Ok(())
}

/// An act, as `sluice audit --json` shows it.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct AuditRow {
    /// Its number; later acts have greater ones.
    pub audit_id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who: a user of the system, or a token's name.
    pub actor: String,
    /// `cli`, `api` or `web`.
    pub via: String,
    /// What: `run`, `cancel`, `retry`, `mark`, `clear`, `backfill`, `backfill_stop`, `pause`, `resume`, `token_create`,
    /// `token_revoke`.
    pub act: String,
    /// The run that it was about.
    pub run_id: Option<i64>,
    /// The DAG that it was about.
    pub dag: Option<String>,
    /// The task that it was about.
    pub task: Option<String>,
    /// Why, in their words.
    pub reason: Option<String>,
    /// What else there is to know.
    pub detail: Value,
}

/// The latest acts, newest first: those about `dag`, and before the act numbered `before`.
pub async fn audit(
    pool: &PgPool,
    dag: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<AuditRow>, sqlx::Error> {
    sqlx::query_as(
        "select audit_id, at, actor, via, act, run_id, dag, task, reason, detail
         from sluice.audit_log
         where ($1::text is null or dag = $1) and ($2::bigint is null or audit_id < $2)
         order by audit_id desc limit $3",
    )
    .bind(dag)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// A refusal of a reason that says nothing.
pub(super) fn reason(text: &str) -> Result<&str, RunError> {
    let text = text.trim();
    if text.is_empty() { Err(RunError::NoReason) } else { Ok(text) }
}
