//! Cases: the alerts of one key, and what a person says of them. From that comes how often a rule is right.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, PgPool};

use crate::{
    outbox::{Notice, Payload},
    runs::{Act, Actor, record, without_nul},
};

/// What a person says of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing yet: someone is to look again.
    Open,
    /// It was what the rules took it for.
    Confirmed,
    /// It was not.
    FalseAlarm,
}

impl Verdict {
    /// As stored in `sluice.alert_case.state`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::FalseAlarm => "false_alarm",
        }
    }

    /// As the audit log calls the act.
    fn act(self) -> &'static str {
        match self {
            Self::Open => "case_open",
            Self::Confirmed => "case_confirm",
            Self::FalseAlarm => "case_dismiss",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::FalseAlarm => "a false alarm",
            other => other.as_str(),
        })
    }
}

impl FromStr for Verdict {
    type Err = CaseError;

    fn from_str(text: &str) -> Result<Self, CaseError> {
        [Self::Open, Self::Confirmed, Self::FalseAlarm]
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
            .ok_or_else(|| CaseError::NoVerdict(text.to_owned()))
    }
}

/// Why a case cannot be settled.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// Postgres refused, or was lost on the way.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A message could not be written.
    #[error("cannot write the message")]
    Json(#[from] serde_json::Error),
    /// No case of that number.
    #[error("there is no case {0}")]
    NoCase(i64),
    /// No alert of that number.
    #[error("there is no alert {0}")]
    NoAlert(i64),
    /// An alert that settles itself, or is older than cases are.
    #[error("alert {0} belongs to no case: it closes by itself, or was closed before there were cases")]
    Alone(i64),
    /// Someone said the same before.
    #[error("case {case_id} is {state} already")]
    Already {
        /// The case.
        case_id: i64,
        /// Its state.
        state: Verdict,
    },
    /// A word that is no verdict.
    #[error("`{0}` is not a verdict: a case is open, confirmed or false_alarm")]
    NoVerdict(String),
}

impl CaseError {
    /// Whether the user asked for what cannot be, as opposed to a fault of the store.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Database(_) | Self::Json(_))
    }
}

/// A case as it stands.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Case {
    /// Its number.
    pub case_id: i64,
    /// The stream or DAG whose alerts these are.
    pub source: String,
    /// Whom or what they are about.
    pub key: String,
    /// That of the worst alert.
    pub severity: String,
    /// `open`, `confirmed` or `false_alarm`.
    pub state: String,
    /// How many alerts.
    pub alerts: i64,
    /// Event time of the earliest.
    pub first_event: DateTime<Utc>,
    /// Event time of the latest.
    pub last_event: DateTime<Utc>,
    /// When the first was raised.
    pub opened_at: DateTime<Utc>,
    /// When a person settled it.
    pub settled_at: Option<DateTime<Utc>>,
    /// Who that was.
    pub settled_by: Option<String>,
    /// What they said.
    pub note: Option<String>,
    /// The rules that fired.
    pub rules: Vec<String>,
}

/// How often a rule was right, under one version of its file.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct Precision {
    /// The stream or DAG.
    pub source: String,
    /// The rule.
    pub rule: String,
    /// The version of its file; empty where alerts do not say.
    pub version: String,
    /// Cases that a person confirmed.
    pub confirmed: i64,
    /// Cases that a person called a false alarm.
    pub false_alarms: i64,
    /// The part that was confirmed, 0 to 1.
    pub precision: f64,
    /// When the first of these cases began.
    pub since: DateTime<Utc>,
}

/// What to list cases by; what is absent narrows nothing.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    /// The stream or DAG.
    pub source: Option<String>,
    /// Whom or what it is about.
    pub key: Option<String>,
    /// `open`, `confirmed` or `false_alarm`.
    pub state: Option<String>,
    /// Those with a lower number.
    pub before: Option<i64>,
    /// How many.
    pub limit: i64,
}

/// The case of that number.
pub async fn get(pool: &PgPool, case_id: i64) -> Result<Case, CaseError> {
    let case = sqlx::query_as(include_str!("../../../sql/cases/get.sql")).bind(case_id).fetch_optional(pool).await?;
    case.ok_or(CaseError::NoCase(case_id))
}

/// The number of the case that an alert belongs to.
pub async fn of_alert(pool: &PgPool, alert_id: i64) -> Result<i64, CaseError> {
    let found: Option<Option<i64>> =
        sqlx::query_scalar(include_str!("../../../sql/cases/of_alert.sql")).bind(alert_id).fetch_optional(pool).await?;
    found.ok_or(CaseError::NoAlert(alert_id))?.ok_or(CaseError::Alone(alert_id))
}

/// Cases, newest first.
pub async fn list(pool: &PgPool, filter: &CaseFilter) -> Result<Vec<Case>, sqlx::Error> {
    sqlx::query_as(include_str!("../../../sql/cases/list.sql"))
        .bind(&filter.source)
        .bind(&filter.key)
        .bind(&filter.state)
        .bind(filter.before)
        .bind(filter.limit)
        .fetch_all(pool)
        .await
}

/// How often each rule was right; that of `source` alone where it is named.
pub async fn precision(pool: &PgPool, source: Option<&str>) -> Result<Vec<Precision>, sqlx::Error> {
    sqlx::query_as(include_str!("../../../sql/cases/precision.sql")).bind(source).fetch_all(pool).await
}

/// Writes down what a person says of a case: closes its alerts or opens them again, tells the channels that keep track, and
/// leaves an act in the audit log, all in one transaction.
pub async fn settle(
    pool: &PgPool,
    actor: &Actor,
    case_id: i64,
    verdict: Verdict,
    note: Option<&str>,
) -> Result<Case, CaseError> {
    let note = note.map(str::trim).filter(|note| !note.is_empty()).map(without_nul);
    let mut transaction = pool.begin().await?;
    // An alert that is joining the case holds it. Only a statement that begins after that sees the alert.
    sqlx::query(include_str!("../../../sql/cases/lock.sql"))
        .bind(case_id)
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(CaseError::NoCase(case_id))?;
    let changes: Option<i32> = sqlx::query_scalar(include_str!("../../../sql/cases/settle.sql"))
        .bind(case_id)
        .bind(verdict.as_str())
        .bind(without_nul(&actor.name))
        .bind(note.as_deref())
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(changes) = changes else { return Err(CaseError::Already { case_id, state: verdict }) };
    let case: Case =
        sqlx::query_as(include_str!("../../../sql/cases/get.sql")).bind(case_id).fetch_one(&mut *transaction).await?;
    let said = format!("case {case_id} ({}) is {verdict}, says {}", case.key, actor.name);
    let notice = Notice {
        severity: "info".to_owned(),
        title: said.clone(),
        text: note.as_deref().unwrap_or_default().to_owned(),
        ..Notice::default()
    };
    sqlx::query(include_str!("../../../sql/cases/tell.sql"))
        .bind(case_id)
        .bind(changes)
        .bind(format!("{}: {said}", case.source))
        .bind(serde_json::to_value(Payload::Case(notice))?)
        .execute(&mut *transaction)
        .await?;
    let detail = json!({ "case_id": case_id, "source": case.source, "key": case.key, "rules": case.rules });
    record(&mut transaction, actor, Act { reason: note.as_deref(), detail, ..Act::of(verdict.act()) }).await?;
    transaction.commit().await?;
    Ok(case)
}
