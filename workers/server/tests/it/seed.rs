//! A database with plausible rows.

use testkit::TestDatabase;

/// A new database that looks like a shop's platform after two weeks.
pub(crate) async fn database() -> TestDatabase {
    let database = platform().await;
    sqlx::raw_sql(include_str!("names.sql")).execute(&database.pool).await.expect("names of products");
    database
}

/// The same without the shop's own tables.
pub(crate) async fn platform() -> TestDatabase {
    let database = testkit::database().await;
    sqlx::raw_sql(include_str!("seed.sql")).execute(&database.pool).await.expect("the made-up rows fit the schema");
    database
}
