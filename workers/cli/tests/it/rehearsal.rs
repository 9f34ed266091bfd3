//! `sluice test` and `sluice dag plan`: what would run, and when, without any service; and what runs in a scratch database.

use serde_json::json;
use sqlx::Connection;

use crate::project::{Project, text};

const NIGHTLY: &str = "
dag: nightly
schedule: { cron: '30 2 * * *', timezone: Europe/Berlin, fold: twice }
params: { full: { type: boolean, default: false } }
tasks:
  read: { kind: command, command: [echo, '{{ ds }}'], attempts: 3, backoff: { from: 10s, to: 1m } }
  load: { kind: command, command: [echo, '{{ outputs.read.rows }}'], needs: read, when: outputs.read.rows > 0 }
  tidy: { kind: command, command: [echo], needs: load, trigger_rule: all_done }
";

fn project() -> Project {
    let project = Project::example();
    project.write("dags/nightly.yaml", NIGHTLY);
    project
}

#[test]
fn a_rehearsal_says_what_would_run_and_why() {
    let project = project();
    let rehearsed = project.sluice([
        "test",
        "nightly",
        "--at",
        "2026-10-25",
        "--outcome",
        "read=fail:1",
        "--output",
        r#"read={"rows": 0}"#,
        "--keys",
    ]);
    assert!(rehearsed.status.success(), "{}", text(&rehearsed));
    insta::assert_snapshot!(String::from_utf8_lossy(&rehearsed.stdout), @r#"
    nightly at 2026-10-25 02:30:00 CEST
      data       from 2026-10-24 02:30:00 CEST to 2026-10-25 02:30:00 CEST
      schedule   fires then
      params     full=false

    TASK  KIND     STATE      ATTEMPTS  ENDS AFTER
    read  command  ✓ success         2  10s         retried after 10s
    load  command  – skipped         1  10s         its condition does not hold: outputs.read.rows > 0
    tidy  command  ✓ success         1  10s

    read  {"command":["echo","2026-10-25"]}
    tidy  {"command":["echo"]}

    ✓ success  3 tasks, 1 retry; nothing was run
    "#);
    // No service was started for it.
    assert!(!project.path(".sluice/services.json").exists());
}

#[test]
fn its_exit_code_is_for_ci() {
    let project = project();
    let code = |args: &[&str]| {
        let output = project.sluice(["test", "nightly", "--output", r#"read={"rows": 1}"#].iter().chain(args));
        (output.status.code(), text(&output))
    };
    assert_eq!(code(&[]).0, Some(0));
    assert_eq!(code(&["--outcome", "load=fail"]).0, Some(1));
    assert_eq!(code(&["--outcome", "load=fail", "--expect", "failed", "--expect", "tidy=success"]).0, Some(0));
    let (unexpected, said) = code(&["--expect", "load=skipped"]);
    assert_eq!(unexpected, Some(1), "{said}");
    assert!(said.contains("load is success, and not skipped"), "{said}");
    for (args, message, hint) in [
        (["--outcome", "lod=fail"], "has no task `lod`", "did you mean `load`?"),
        (["--outcome", "load=fial"], "`fial` is no outcome that `load` can have", "`user_fault`"),
        (["--output", "load={rows"], "`{rows` is no output that `load` can have", "write JSON"),
        (["--expect", "load=sucess"], "`sucess` is not how load can end", "`upstream_failed`"),
        (["--outcome", "load[0]=fail"], "has no task `load[0]`", "`load` has no `for_each`"),
        (["--expect", "skipped"], "`skipped` is not how a run can end", "`failed`"),
        (["--at", "yesterday"], "`yesterday` is neither a date nor a time", "2026-01-31"),
        (["--param", "full=maybe"], "parameter `full` is \"maybe\"", "true or false"),
    ] {
        let (found, said) = code(&args);
        assert_eq!(found, Some(2), "{said}");
        assert!(said.contains(message) && said.contains(hint), "{said}");
    }
    let untold = project.sluice(["test", "nightly"]);
    assert_eq!(untold.status.code(), Some(2), "{}", text(&untold));
    assert!(text(&untold).contains("the condition of `load` reads `outputs.read`"), "{}", text(&untold));
    let report = project.json(["test", "nightly", "--json", "--at", "2026-10-25", "--output", r#"read={"rows": 1}"#]);
    assert_eq!(report["state"], json!("success"));
    assert_eq!(report["tasks"][1]["keys"], json!({ "command": ["echo", 1] }));
}

#[test]
fn the_next_runs_are_shown_with_their_data_and_clock_changes() {
    let project = project();
    let planned = project.sluice(["dag", "plan", "nightly", "--next", "4", "--from", "2026-10-24"]);
    assert!(planned.status.success(), "{}", text(&planned));
    insta::assert_snapshot!(String::from_utf8_lossy(&planned.stdout), @"
    LOCAL                         UTC                  DATA FROM            TO
    Sat 2026-10-24 02:30:00 CEST  2026-10-24 00:30:00  2026-10-23 00:30:00  2026-10-24 00:30:00
    Sun 2026-10-25 02:30:00 CEST  2026-10-25 00:30:00  2026-10-24 00:30:00  2026-10-25 00:30:00  02:30 comes twice, this is the first
    Sun 2026-10-25 02:30:00 CET   2026-10-25 01:30:00  2026-10-25 00:30:00  2026-10-25 01:30:00  02:30 comes twice, this is the second
    Mon 2026-10-26 02:30:00 CET   2026-10-26 01:30:00  2026-10-25 01:30:00  2026-10-26 01:30:00
    ");
    let listed = project.json(["dag", "plan", "nightly", "--next", "2", "--from", "2026-03-28", "--json"]);
    assert_eq!(listed[1]["logical_time"], json!("2026-03-29T01:00:00Z"));
    assert_eq!(listed[1]["clock_change"], json!("gap"));
    let shift = json!({ "kind": "skipped", "times": ["02:30:00"], "runs_at": "03:00:00" });
    assert_eq!((&listed[0]["shift"], &listed[1]["shift"]), (&json!(null), &shift));
    project.write("dags/late.yaml", &NIGHTLY.replace("nightly", "late").replace("30 2", "0 9"));
    let late = project.sluice(["dag", "plan", "late", "--next", "1", "--from", "2026-10-25"]);
    assert!(text(&late).contains("clocks go back within its data, 1d1h"), "{}", text(&late));
    assert_eq!(listed[1]["interval"]["start"], listed[0]["logical_time"]);
    let refused = project.sluice(["dag", "plan", "nightly", "--from", "soon"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
}

const ORDERS: &str = "
dag: orders
tasks:
  fetch: { kind: command, command: ['false'], attempts: 2, backoff: { from: 1h, to: 1h } }
  count: { kind: export, query: select id from shop.orders, to: exports/orders.csv, needs: fetch, when: outputs.fetch.rows > 0 }
";

fn scratch_databases(server: &str) -> impl Future<Output = Vec<String>> {
    let server = server.to_owned();
    async move {
        let mut connection = sqlx::PgConnection::connect(&server).await.expect("connect");
        let sql = "select datname from pg_database where datname like 'sluice_scratch_%'
                   and not exists (select from pg_stat_activity where application_name = datname)";
        sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect(sql)
    }
}

#[tokio::test]
async fn the_warehouses_part_runs_in_a_database_that_is_gone_afterwards() {
    let real = testkit::empty_database().await;
    let project = Project::example().with("SLUICE_POSTGRES_URL", &real.url);
    project.write("dags/orders.yaml", ORDERS);
    project.write(
        "orders.sql",
        "create schema shop;\ncreate table shop.orders (id int);\ninsert into shop.orders values (1), (2)",
    );
    let tried = project.json(["test", "sales", "--at", "2026-01-02", "--scratch", "--json"]);
    assert_eq!(tried["state"], json!("success"), "{tried}");
    assert_eq!(tried["ran"], json!(["build_marts", "load_sales", "read_file"]));
    let load = tried["tasks"].as_array().expect("tasks").iter().find(|task| task["task"] == "load_sales").expect("it");
    assert_eq!((&load["output"]["read"], &load["output"]["quarantined"]), (&json!(7), &json!(2)), "{load}");

    // A command is not run: it ends as told, without the hour until its retry, and what stands behind it reads what is told.
    let fixture = project.path("orders.sql").display().to_string();
    let orders = ["test", "orders", "--scratch", "--fixture", &fixture, "--outcome", "fetch=fail:1", "--output"];
    let some = project.sluice(orders.iter().chain(&[r#"fetch={"rows": 2}"#]));
    assert!(some.status.success(), "{}", text(&some));
    let shown = String::from_utf8_lossy(&some.stdout);
    let row = |task: &str| shown.lines().find(|line| line.starts_with(task)).expect("its row").to_owned();
    assert!(row("fetch").contains("told  ✓ success         2"), "{shown}");
    assert!(row("count").contains("ran   ✓ success         1") && row("count").contains("rows=2"), "{shown}");
    let none = project.sluice(orders.iter().chain(&[r#"fetch={"rows": 0}"#, "--expect", "count=skipped"]));
    assert!(none.status.success(), "{}", text(&none));

    // What goes wrong says so in the exit code, and at its place.
    let without = project.sluice(["test", "orders", "--scratch", "--output", r#"fetch={"rows": 2}"#]);
    assert_eq!(without.status.code(), Some(1), "{}", text(&without));
    assert!(text(&without).contains("relation \"shop.orders\" does not exist"), "{}", text(&without));
    project.write("orders.sql", "create schema shop;\nnonsense");
    let refused = project.sluice(orders.iter().chain(&["fetch=1"]));
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("orders.sql:2: syntax error"), "{}", text(&refused));

    // The real database is as it was, and nothing was delivered.
    let schemas: Vec<String> =
        sqlx::query_scalar("select nspname from pg_namespace where nspname !~ '^(pg_|information_schema|public)'")
            .fetch_all(&real.pool)
            .await
            .expect("schemas");
    assert_eq!(schemas, Vec::<String>::new());
    let delivered = std::fs::read_dir(project.path(".sluice/outbox")).map_or(0, Iterator::count);
    assert_eq!(delivered, 0);
    assert_eq!(scratch_databases(&real.url).await, Vec::<String>::new());
}

#[test]
fn without_a_url_the_scratch_database_is_on_a_server_of_its_own() {
    let project = Project::example();
    let tried = project.sluice(["test", "sales", "--at", "2026-01-02", "--scratch"]);
    assert!(tried.status.success(), "{}", text(&tried));
    assert!(!project.path(".sluice/services.json").exists(), "the project's own server is left alone");
    let down = project.sluice(["down"]);
    assert!(text(&down).contains("Postgres"), "{}", text(&down));
    assert!(text(&project.sluice(["down"])).contains("nothing was running"));
}

#[test]
fn a_rehearsal_is_told_what_starts_the_run() {
    let project = Project::example();
    project.write(
        "dags/arrives.yaml",
        "{ dag: arrives, triggers: [{ file: 'inbox/*.csv' }], tasks: { a: { kind: command, command: [echo, '{{ trigger.file }}'] } } }",
    );
    let told = project.sluice(["test", "arrives", "--trigger", "file=inbox/a.csv", "--keys", "--json"]);
    assert!(told.status.success() && text(&told).contains("\"inbox/a.csv\""), "{}", text(&told));
    let bare = project.sluice(["test", "arrives"]);
    let says = "a run by hand has no `trigger.file`";
    assert!(bare.status.code() == Some(1) && text(&bare).contains(says), "{}", text(&bare));
    for (given, says) in [
        ("fil=x", "`fil` is nothing that a trigger gives"),
        ("bytes=many", "`many` is no value of `bytes`"),
        ("kind=fil", "did you mean `file`?"),
    ] {
        let refused = project.sluice(["test", "arrives", "--trigger", given]);
        assert!(refused.status.code() == Some(2) && text(&refused).contains(says), "{}", text(&refused));
    }
}
