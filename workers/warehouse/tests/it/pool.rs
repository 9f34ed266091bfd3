//! Connections that do not wait for ever.

use std::time::Duration;

#[tokio::test]
async fn a_query_of_a_bounded_pool_is_ended() {
    let database = testkit::empty_database().await;
    let pool = warehouse::pool::connect_bounded(&database.url, Duration::from_millis(50)).await.expect("a pool");
    let error = sqlx::query("select pg_sleep(60)").execute(&pool).await.expect_err("it takes too long");
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(String::from);
    assert_eq!(code.as_deref(), Some("57014"));
    sqlx::query("select 1").execute(&pool).await.expect("the connection goes on");
}
