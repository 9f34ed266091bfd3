//! What a suite was: every content that it had, who brought it when, and what changed from one to the next.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use workflow::plan::{Change, changes};

use crate::{Suite, watch::ANOMALY};

/// A content that a suite had.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct VersionRow {
    /// Its hash: [`Suite::hash`].
    pub hash: String,
    /// When it was first seen, by a deployment or by an evaluation.
    pub seen_at: DateTime<Utc>,
    /// Whether it is the one that was deployed last.
    pub current: bool,
    /// Who deployed it first; nobody where a task found it in the files before that.
    pub actor: Option<String>,
    /// How many loads it has judged.
    pub loads: i64,
    /// When it judged last.
    pub judged_at: Option<DateTime<Utc>>,
}

/// That a suite became another.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct ChangeRow {
    /// What it became; absent where its file was gone.
    pub hash: Option<String>,
    /// What it was; absent where there was no such file.
    pub before: Option<String>,
    /// Whose process deployed it.
    pub actor: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// A content, as it is kept.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Version {
    /// Its hash.
    pub hash: String,
    /// `{"head": …, "checks": [{"id", "expectation", "arguments"}]}`.
    pub definition: Value,
    /// The file, as it was when this content was first seen.
    pub text: String,
}

/// The way from one version of a suite to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SuiteDiff {
    /// The suite.
    pub suite: String,
    /// The version that is compared.
    pub old: String,
    /// The version that it is compared with.
    pub new: String,
    /// Keys of the suite itself.
    pub changes: Vec<Change>,
    /// Checks and anomalies that only the new version has, by id, in its order.
    pub added: Vec<String>,
    /// Checks that only the old version has, by id, in its order.
    pub removed: Vec<String>,
    /// Checks that both have and that differ, in the new version's order.
    pub changed: Vec<CheckDiff>,
}

/// A check that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckDiff {
    /// Its id.
    pub check: String,
    /// What changed of it.
    pub changes: Vec<Change>,
}

impl SuiteDiff {
    /// Whether the versions say the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl Version {
    /// A suite as its file has it now.
    pub fn of(suite: &Suite) -> Self {
        let checks = suite.checks.iter().map(
            |check| json!({ "id": check.id, "expectation": check.expectation_type, "arguments": check.arguments }),
        );
        let rules = suite.watched.rules.iter();
        let rules = rules.map(|rule| json!({ "id": rule.id, "expectation": ANOMALY, "arguments": rule.arguments }));
        let definition = json!({ "head": *suite.head, "checks": checks.chain(rules).collect::<Vec<_>>() });
        Self { hash: suite.hash.clone(), definition, text: suite.text.to_string() }
    }

    /// Its checks by id, in order, each with its expectation beside its arguments.
    fn checks(&self) -> Vec<(&str, Value)> {
        let checks = self.definition["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let one = |check: &Value| {
            let mut keys = check["arguments"].as_object().cloned().unwrap_or_else(Map::new);
            keys.insert("expectation".to_owned(), check["expectation"].clone());
            Value::Object(keys)
        };
        checks.iter().map(|check| (check["id"].as_str().unwrap_or_default(), one(check))).collect()
    }
}

/// What changed from `old` to `new`.
pub fn diff(suite: &str, old: &Version, new: &Version) -> SuiteDiff {
    let (before, after) = (old.checks(), new.checks());
    let without = |these: &[(&str, Value)], those: &[(&str, Value)]| {
        let missing = these.iter().filter(|(id, _)| !those.iter().any(|(other, _)| other == id));
        missing.map(|(id, _)| (*id).to_owned()).collect()
    };
    let changed = after.iter().filter_map(|(id, check)| {
        let (_, was) = before.iter().find(|(other, _)| other == id)?;
        let changes = changes(was, check);
        (!changes.is_empty()).then(|| CheckDiff { check: (*id).to_owned(), changes })
    });
    SuiteDiff {
        suite: suite.to_owned(),
        old: old.hash.clone(),
        new: new.hash.clone(),
        changes: changes(&old.definition["head"], &new.definition["head"]),
        added: without(&after, &before),
        removed: without(&before, &after),
        changed: changed.collect(),
    }
}

/// Keeps the content of every suite of a project, and writes down which of them changed. Gives how many did. Doing it
/// again changes nothing.
pub async fn deploy<'a>(
    connection: &mut PgConnection,
    suites: impl IntoIterator<Item = &'a Suite>,
    actor: &str,
) -> Result<u64, sqlx::Error> {
    let mut transaction = sqlx::Connection::begin(connection).await?;
    // Of two that deploy at once, the second finds that nothing has changed.
    sqlx::query("select pg_advisory_xact_lock(hashtext('sluice.suites'))").execute(&mut *transaction).await?;
    let (mut names, mut hashes) = (Vec::new(), Vec::new());
    for suite in suites {
        keep(&mut transaction, suite).await?;
        names.push(suite.name.as_str());
        hashes.push(suite.hash.as_str());
    }
    let changed = sqlx::query(include_str!("../../../sql/quality/deploy_suites.sql"))
        .bind(names)
        .bind(hashes)
        .bind(actor)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(changed.rows_affected())
}

/// Keeps the content of a suite, so that its hash has a meaning later.
pub(crate) async fn keep(connection: &mut PgConnection, suite: &Suite) -> Result<(), sqlx::Error> {
    // Nearly always it is there.
    let known = sqlx::query("select from sluice.suite_version where suite = $1 and hash = $2")
        .bind(&suite.name)
        .bind(&suite.hash)
        .fetch_optional(&mut *connection)
        .await?;
    if known.is_none() {
        let Version { hash, definition, text } = Version::of(suite);
        sqlx::query(include_str!("../../../sql/quality/keep_version.sql"))
            .bind(&suite.name)
            .bind(hash)
            .bind(crate::record::without_nul(&definition))
            .bind(text.replace('\0', "\u{2400}"))
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// The versions of a suite, newest first.
pub async fn versions(connection: &mut PgConnection, suite: &str) -> Result<Vec<VersionRow>, sqlx::Error> {
    sqlx::query_as(include_str!("../../../sql/quality/versions.sql")).bind(suite).fetch_all(connection).await
}

/// The latest changes of a suite, newest first.
pub async fn history(connection: &mut PgConnection, suite: &str, limit: i64) -> Result<Vec<ChangeRow>, sqlx::Error> {
    let rows = sqlx::query_as(include_str!("../../../sql/quality/changes.sql")).bind(suite).bind(limit);
    rows.fetch_all(connection).await
}

/// The version of a suite whose hash begins with `text`, where that is one alone.
pub async fn find(connection: &mut PgConnection, suite: &str, text: &str) -> Result<Option<Version>, sqlx::Error> {
    let rows = sqlx::query_as(include_str!("../../../sql/quality/find_version.sql")).bind(suite).bind(text);
    let mut found: Vec<Version> = rows.fetch_all(connection).await?;
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// The version of a suite that was deployed last.
pub async fn current(connection: &mut PgConnection, suite: &str) -> Result<Option<Version>, sqlx::Error> {
    let latest = "select hash from sluice.suite_change where suite = $1 order by change_id desc limit 1";
    let hash = sqlx::query_scalar::<_, Option<String>>(latest).bind(suite).fetch_optional(&mut *connection).await?;
    match hash.flatten() {
        Some(hash) => find(connection, suite, &hash).await,
        None => Ok(None),
    }
}
