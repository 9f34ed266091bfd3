//! A service that dies while the platform runs: it is named with its place, its runs are retried, and they go on once it
//! is back, wherever that is.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use sqlx::{PgConnection, query_scalar};
use testkit::proxy::Proxy;

use crate::project::{Project, text};

/// One task that asks MariaDB for a table.
const DAG: &str = "
dag: look
tasks:
  read: { kind: extract_mysql, table: heights, attempts: ATTEMPTS, backoff: { from: 1s, to: 1s } }
";

fn mariadb(shop: &Project) -> Value {
    let status = shop.json(["status", "--json"]);
    let services = status["services"].as_array().expect("services");
    services.iter().find(|service| service["name"] == "mariadb").expect("MariaDB").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_needs_a_dead_service_says_so_and_goes_on_when_it_is_back_elsewhere() {
    let shop = Project::shop();
    let up = shop.sluice(["up", "postgres", "mariadb"]);
    assert!(up.status.success(), "{}", text(&up));
    let service = mariadb(&shop);
    let url = service["url"].as_str().expect("a URL").to_owned();
    let pool = sqlx::MySqlPool::connect(&url).await.expect("connect");
    sqlx::query("create table heights (id int primary key, metres decimal(7,2))")
        .execute(&pool)
        .await
        .expect("a table");
    pool.close().await;
    let pid = service["pid"].as_u64().expect("a process").to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().expect("kill").success());
    let port = url::Url::parse(&url).expect("a URL").port().expect("a port");
    shop.write("dags/look.yaml", &DAG.replace("ATTEMPTS", "1"));
    let refused = shop.sluice(["run", "look", "--wait"]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
    for part in ["MariaDB cannot be reached", "services.json names none that runs", "sluice up"] {
        assert!(text(&refused).contains(part), "no {part} in\n{}", text(&refused));
    }
    let password = url::Url::parse(&url).expect("a URL").password().expect("a password").to_owned();
    assert!(!text(&refused).contains(&password), "{}", text(&refused));

    shop.write("dags/look.yaml", &DAG.replace("ATTEMPTS", "60"));
    let mut postgres = shop.postgres().await;
    let (ended, taken) = std::thread::scope(|scope| {
        let run = scope.spawn(|| shop.sluice(["run", "look", "--wait"]));
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(failed_twice(&mut postgres)));
        // The one that comes back cannot have its port: somebody else listens there, and says nothing.
        let taken = TcpListener::bind(("127.0.0.1", port)).expect("the dead server's port");
        let up = shop.sluice(["up", "mariadb"]);
        assert!(up.status.success(), "{}", text(&up));
        (run.join().expect("the run ends"), taken)
    });
    drop(taken);
    assert!(ended.status.success(), "{}", text(&ended));
    let now = mariadb(&shop)["url"].as_str().expect("a URL").to_owned();
    assert_ne!(now, url, "it is elsewhere now");
}

/// Returns once a second attempt has failed for want of the server.
async fn failed_twice(postgres: &mut PgConnection) {
    let failed = "select exists (select from sluice.attempts
                                 where state = 'failed' and attempt >= 2 and error like 'MariaDB%')";
    while !query_scalar::<_, bool>(failed).fetch_one(&mut *postgres).await.expect("attempts") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_living_shop_stops_in_time_though_its_database_is_dead() {
    let shop = Project::shop();
    let up = shop.sluice(["up", "mariadb", "kafka"]);
    assert!(up.status.success(), "{}", text(&up));
    let mut living = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .arg("--project")
        .arg(shop.path(""))
        .args(["generate", "--live", "--scale", "0.02", "--days", "3", "--rate", "50"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("run sluice");
    let service = mariadb(&shop);
    let pool = sqlx::MySqlPool::connect(service["url"].as_str().expect("a URL")).await.expect("connect");
    // It lives once orders come in beyond the three days that it began with.
    let alive = "select count(*) from orders where ordered_at > utc_timestamp() - interval 20 second";
    let lives = async {
        while !matches!(query_scalar::<_, i64>(alive).fetch_one(&pool).await, Ok(1..)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), lives).await.expect("orders come in");
    pool.close().await;
    let pid = service["pid"].as_u64().expect("a process").to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().expect("kill").success());
    assert!(Command::new("kill").arg(living.id().to_string()).status().expect("kill").success());
    let ended = tokio::task::spawn_blocking(move || living.wait());
    let ended = tokio::time::timeout(Duration::from_secs(15), ended).await.expect("it stops in time");
    assert!(ended.expect("waited").expect("waited").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_connection_goes_dead_says_so_and_ends() {
    let database = testkit::empty_database().await;
    let (proxy, url) = Proxy::before(&database.url).await;
    let project = Project::example().with("SLUICE_POSTGRES_URL", &url);
    let listed = project.sluice(["ps"]);
    assert!(listed.status.success(), "{}", text(&listed));
    // What it asks for is held up, so that the connection dies while it waits.
    let mut holder = database.pool.begin().await.expect("a transaction");
    sqlx::query("lock table sluice.dag_run").execute(&mut *holder).await.expect("locked");
    let ended = std::thread::scope(|scope| {
        let listing = scope.spawn(|| project.sluice(["ps"]));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let waits = "select exists (select from pg_stat_activity where wait_event_type = 'Lock'
                                            and application_name like 'sluice %' and datname = current_database())";
                while !query_scalar::<_, bool>(waits).fetch_one(&database.pool).await.expect("sessions") {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                proxy.deaden(|| true);
                holder.rollback().await.expect("unlocked");
            });
        });
        listing.join().expect("it ends")
    });
    assert_eq!(ended.status.code(), Some(4), "{}", text(&ended));
    for part in
        ["cannot reach Postgres at 127.0.0.1:", "its connection has gone dead; what was asked for may have been done"]
    {
        assert!(text(&ended).contains(part), "no {part} in\n{}", text(&ended));
    }
}
