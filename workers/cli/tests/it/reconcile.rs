//! Source and warehouse part ways: a run says so with exit code 3, and one that mends goes on.

use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use crate::project::{Project, text};

const MOVE: &str = "
dag: move
tasks:
  read: { kind: extract_mysql, table: orders }
  load: { kind: load, from: read, into: staging.orders, key: [id] }
";
const COMPARE: &str = "
dag: compare
tasks:
  orders: { kind: reconcile, table: orders, target: staging.orders, key: id, sums: [amount], repair: REPAIR }
";

async fn shop(url: &str, sql: &str) {
    let mut connection = MySqlConnection::connect(url).await.expect("connect to MariaDB");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("run in the shop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_finds_source_and_warehouse_apart_ends_with_3_and_one_that_mends_with_0() {
    let (database, mysql) = (testkit::database().await, testkit::mysql_database().await);
    let project = Project::shop().with("SLUICE_POSTGRES_URL", &database.url).with("SLUICE_MYSQL_URL", &mysql);
    let orders = "create table orders (id int primary key, amount decimal(12, 2));
                  insert into orders select seq, seq / 7 from seq_1_to_1000";
    shop(&mysql, orders).await;
    project.write("dags/move.yaml", MOVE);
    project.write("dags/compare.yaml", &COMPARE.replace("REPAIR", "false"));
    let run = |args: &[&str]| tokio::task::block_in_place(|| project.sluice(args));
    for dag in ["move", "compare"] {
        let alike = run(&["run", dag, "--wait"]);
        assert!(alike.status.success(), "{}", text(&alike));
    }
    shop(&mysql, "insert into orders values (2000, 5); update orders set amount = 0 where id = 7; delete from orders where id = 8").await;
    let apart = run(&["run", "compare", "--wait"]);
    assert_eq!(apart.status.code(), Some(3), "{}", text(&apart));
    let why = text(&run(&["why", "3.orders"]));
    for words in
        ["a gate stopped it", "1 missing, 1 extra and 1 different of 1000 rows", "missing 2000, extra 8, different 7"]
    {
        assert!(why.contains(words), "no `{words}` in:\n{why}");
    }
    project.write("dags/compare.yaml", &COMPARE.replace("REPAIR", "true"));
    let mended = run(&["run", "compare", "--wait"]);
    assert!(mended.status.success(), "{}", text(&mended));
}
