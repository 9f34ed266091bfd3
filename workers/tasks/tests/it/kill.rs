//! kill -9 in the middle of a load, and after it: the same tables as without.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{World, context, registry};

const CHILD: &str = "SLUICE_TEST_LOAD_CHILD";
const TABLE: &str = "create table orders (id int primary key, quantity int)";

fn load() -> Value {
    json!({"from": "extract", "into": "staging.orders", "key": ["id"], "balance": {"goods": "quantity"}})
}

/// What [`kill_nine`] runs as a process of its own, and kills.
#[tokio::test]
async fn child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let order: Value = serde_json::from_str(&order).expect("an order");
    let text = |key: &str| order[key].as_str().expect("a text").to_owned();
    let pool = PgPool::connect(&text("postgres")).await.expect("connect");
    let fence = workflow::kind::Fence {
        attempt_id: order["attempt_id"].as_i64().expect("a number"),
        token: order["token"].as_i64().expect("a number"),
    };
    let registry = registry(&pool, &text("mysql"), std::path::Path::new(&text("project")));
    let task = context(fence, &[("extract", &order["manifest"])]);
    registry.get("load").expect("a kind").run(load(), &task).await.expect("load");
    // The load is published; before anyone hears of it, the process dies.
    std::process::abort();
}

async fn state(world: &World) -> Vec<Option<String>> {
    world
        .texts(
            "select (select string_agg(id || ':' || quantity, ' ' order by id) from staging.orders) || ' / ' ||
                    (select string_agg(read || '=' || loaded || ' ' || sums::text, ' ') from sluice.load_ledger)",
        )
        .await
}

fn spawn(world: &World, fence: workflow::kind::Fence, manifest: &Value) -> std::process::Child {
    let order = json!({
        "postgres": world.postgres_url, "mysql": world.mysql_url, "project": world.folder.path(),
        "attempt_id": fence.attempt_id, "token": fence.token, "manifest": manifest,
    });
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "kill::child"])
        .env(CHILD, order.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start a process")
}

#[tokio::test]
async fn a_load_that_was_killed_ends_as_if_it_had_not_been() {
    let world = World::new(TABLE).await;
    world.shop("insert into orders values (1, 10), (2, 20)").await;
    let manifest = world.run("extract_mysql", json!({"table": "orders"}), &[]).await.expect("extract");
    sqlx::raw_sql("create schema staging; create table staging.orders (id int primary key, quantity int)")
        .execute(&world.pool)
        .await
        .expect("a table");

    // In the middle: a lock holds the child where it publishes.
    let mut holder = world.pool.begin().await.expect("begin");
    sqlx::query("lock table staging.orders in access exclusive mode").execute(&mut *holder).await.expect("lock");
    let doomed = testkit::attempt(&world.pool).await;
    let mut child = spawn(&world, doomed, &manifest);
    loop {
        let waiting: bool = sqlx::query_scalar(
            "select exists (select 1 from pg_locks where not granted and relation = 'staging.orders'::regclass)",
        )
        .fetch_one(&world.pool)
        .await
        .expect("look for the child");
        if waiting {
            break;
        }
        assert!(child.try_wait().expect("look at the child").is_none(), "the child ended before it could be killed");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    child.kill().expect("kill -9");
    child.wait().expect("reap");
    holder.rollback().await.expect("release");
    // The reaper finds the lease run out.
    sqlx::query("update sluice.attempt set state = 'lost' where attempt_id = $1")
        .bind(doomed.attempt_id)
        .execute(&world.pool)
        .await
        .expect("reap the attempt");
    let before = world
        .texts("select count(*)::text from staging.orders union all select count(*)::text from sluice.load_ledger")
        .await;
    assert_eq!(before, [Some("0".to_owned()), Some("0".to_owned())], "nothing of it can be seen");

    // After it: the child publishes and dies before it can say so.
    let second = testkit::attempt(&world.pool).await;
    let status = spawn(&world, second, &manifest).wait().expect("wait");
    assert!(!status.success(), "it died");
    let published = state(&world).await;
    assert_eq!(
        published[0].as_deref(),
        Some(r#"1:10 2:20 / 2=2 {"goods": {"read": "30", "loaded": "30", "quarantined": "0", "deduplicated": "0"}}"#)
    );

    let outcome = world.run("load", load(), &[("extract", &manifest)]).await.expect("load");
    assert_eq!(outcome["repeated"], json!(true));
    assert_eq!(state(&world).await, published);
    let left = world.texts("select tablename::text from pg_tables where schemaname = 'sluice_staging'").await;
    assert_eq!(left, [], "nothing is left behind");
}
