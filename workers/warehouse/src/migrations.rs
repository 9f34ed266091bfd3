//! Sluice's own tables, brought up to date under an advisory lock.

use std::borrow::Cow;

use sqlx::{
    PgPool, SqlStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    query,
};

/// Number, name and text of each migration, in order. A migration that was released never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "platform", include_str!("../../../sql/platform/0001_platform.sql")),
    (2, "views", include_str!("../../../sql/platform/0002_views.sql")),
    (3, "streams", include_str!("../../../sql/platform/0003_streams.sql")),
    (4, "delivery", include_str!("../../../sql/platform/0004_delivery.sql")),
    (8, "hand_over", include_str!("../../../sql/platform/0008_hand_over.sql")),
    (9, "service", include_str!("../../../sql/platform/0009_service.sql")),
];

/// Creates the schema `sluice` and applies what is missing. Any number of processes may call it at once.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    let mut connection = pool.acquire().await?;
    // `create schema if not exists` races with itself; the same lock makes first starts take turns.
    query("select pg_advisory_lock(hashtext('sluice.migrate'))").execute(&mut *connection).await?;
    let applied = async {
        query("create schema if not exists sluice").execute(&mut *connection).await?;
        query("set search_path to sluice, public").execute(&mut *connection).await?;
        let migrations = MIGRATIONS
            .iter()
            .map(|&(version, name, sql)| {
                Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, SqlStr::from_static(sql), false)
            })
            .collect();
        let migrator = Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT };
        migrator.run(&mut *connection).await
    }
    .await;
    query("reset search_path").execute(&mut *connection).await?;
    query("select pg_advisory_unlock(hashtext('sluice.migrate'))").execute(&mut *connection).await?;
    applied
}

/// Number of the newest migration that this build knows.
pub fn latest() -> i64 {
    MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0)
}
