//! Sluice's own tables, brought up to date under an advisory lock.

use std::borrow::Cow;

use sqlx::{
    PgConnection, PgPool, SqlStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    query,
};

/// Number, name and text of each migration, in order. A migration that was released never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "runs", include_str!("../../../sql/platform/0001_runs.sql")),
    (2, "data", include_str!("../../../sql/platform/0002_data.sql")),
    (3, "streams", include_str!("../../../sql/platform/0003_streams.sql")),
    (4, "alerts", include_str!("../../../sql/platform/0004_alerts.sql")),
    (5, "control", include_str!("../../../sql/platform/0005_control.sql")),
    (6, "triggers", include_str!("../../../sql/platform/0006_triggers.sql")),
    (7, "hand_over", include_str!("../../../sql/platform/0007_hand_over.sql")),
    (8, "views", include_str!("../../../sql/platform/0008_views.sql")),
    (9, "lineage", include_str!("../../../sql/platform/0009_lineage.sql")),
    (10, "archive", include_str!("../../../sql/platform/0010_archive.sql")),
    (11, "counted", include_str!("../../../sql/platform/0011_counted.sql")),
    (12, "reconcile", include_str!("../../../sql/platform/0012_reconcile.sql")),
    (13, "check_owners", include_str!("../../../sql/platform/0013_check_owners.sql")),
    (14, "replay", include_str!("../../../sql/platform/0014_replay.sql")),
    (15, "suites", include_str!("../../../sql/platform/0015_suites.sql")),
    (16, "profiles", include_str!("../../../sql/platform/0016_profiles.sql")),
    (17, "reconcile_more", include_str!("../../../sql/platform/0017_reconcile_more.sql")),
    (18, "cases", include_str!("../../../sql/platform/0018_cases.sql")),
    (19, "stream_state", include_str!("../../../sql/platform/0019_stream_state.sql")),
];

/// Why Sluice's tables could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A newer Sluice has been here.
    #[error(
        "the database is at version {found} of Sluice's tables, and this build knows them up to {known}: a newer Sluice \
         has been at work there; run that one, or a newer one"
    )]
    Newer {
        /// The newest migration that was applied.
        found: i64,
        /// The newest one that this build knows.
        known: i64,
    },
    /// The tables were made by a build of no release.
    #[error(
        "Sluice's tables in this database were made by a build from before its first release, and cannot be brought up to \
         date: use an empty database (the private one of this folder: `sluice down`, then move its data away)"
    )]
    Unreleased,
    /// Postgres refused.
    #[error("cannot bring Sluice's tables up to date")]
    Failed(#[from] MigrateError),
    /// Postgres was lost on the way.
    #[error("cannot bring Sluice's tables up to date")]
    Database(#[from] sqlx::Error),
}

/// Creates the schema `sluice` and applies what is missing. Any number of processes may call it at once. Where nothing is
/// missing, which is what nearly every start of every command finds, that is one question.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrationError> {
    let mut connection = pool.acquire().await?;
    let migrations: Vec<_> = MIGRATIONS
        .iter()
        .map(|&(version, name, sql)| {
            Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, SqlStr::from_static(sql), false)
        })
        .collect();
    if is_up_to_date(&mut connection, &migrations).await? {
        return Ok(());
    }
    // `create schema if not exists` races with itself; the same lock makes first starts take turns.
    query("select pg_advisory_lock(hashtext('sluice.migrate'))").execute(&mut *connection).await?;
    let applied = async {
        query("create schema if not exists sluice").execute(&mut *connection).await?;
        query("set search_path to sluice, public").execute(&mut *connection).await?;
        let first = migrations.first().map(|migration| migration.checksum.to_vec());
        let migrator = Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT };
        match migrator.run(&mut *connection).await {
            Err(MigrateError::VersionMissing(_)) => {
                let applied = "select max(version), (select checksum from sluice._sqlx_migrations where version = 1)
                               from sluice._sqlx_migrations";
                let (found, begun): (Option<i64>, Option<Vec<u8>>) =
                    sqlx::query_as(applied).fetch_one(&mut *connection).await?;
                if begun == first {
                    Err(MigrationError::Newer { found: found.unwrap_or(0), known: latest() })
                } else {
                    Err(MigrationError::Unreleased)
                }
            }
            Err(MigrateError::VersionMismatch(_)) => Err(MigrationError::Unreleased),
            done => Ok(done?),
        }
    }
    .await;
    query("reset search_path").execute(&mut *connection).await?;
    query("select pg_advisory_unlock(hashtext('sluice.migrate'))").execute(&mut *connection).await?;
    applied
}

/// Whether just these migrations were applied.
async fn is_up_to_date(connection: &mut PgConnection, migrations: &[Migration]) -> Result<bool, sqlx::Error> {
    let sql = "select version, checksum from sluice._sqlx_migrations where success order by version";
    match sqlx::query_as::<_, (i64, Vec<u8>)>(sql).fetch_all(connection).await {
        Ok(applied) => Ok(applied
            .iter()
            .map(|(version, checksum)| (*version, checksum.as_slice()))
            .eq(migrations.iter().map(|migration| (migration.version, &*migration.checksum)))),
        // There is no such schema, or no such table in it.
        Err(sqlx::Error::Database(fault)) if matches!(fault.code().as_deref(), Some("3F000" | "42P01")) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Number of the newest migration that this build knows.
pub fn latest() -> i64 {
    MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0)
}
