//! Databases for what is only tried out.

use sqlx::{Connection, PgConnection};
use warehouse::scratch::Scratch;

async fn exists(server: &str, name: &str) -> bool {
    let mut connection = PgConnection::connect(server).await.expect("connect");
    let sql = "select exists (select from pg_database where datname = $1)";
    sqlx::query_scalar(sql).bind(name).fetch_one(&mut connection).await.expect(sql)
}

async fn name(scratch: &Scratch) -> String {
    let pool = scratch.pool().await.expect("a pool");
    sqlx::query_scalar("select current_database()").fetch_one(&pool).await.expect("a name")
}

#[tokio::test]
async fn what_nobody_removed_is_removed_by_the_next_and_what_is_in_use_stays() {
    let db = testkit::empty_database().await;
    let (used, left) = (Scratch::create(&db.url).await.expect("made"), Scratch::create(&db.url).await.expect("made"));
    let (used_name, left_name) = (name(&used).await, name(&left).await);
    // As after a kill: its connections go, and nobody drops it.
    drop(left);
    let gone = async {
        while exists(&db.url, &left_name).await {
            Scratch::create(&db.url).await.expect("made").remove().await.expect("removed");
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.expect("it goes");
    assert!(exists(&db.url, &used_name).await);
    let pool = used.pool().await.expect("a pool");
    sqlx::query("create table t (a int)").execute(&pool).await.expect("it can be used");
    used.remove().await.expect("removed, whoever is connected");
    assert!(!exists(&db.url, &used_name).await);
}
