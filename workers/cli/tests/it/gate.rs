//! What a gate does to a run, and how a person goes on from there: `why`, `quality replay`, `quality dismiss`, `retry`.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool, query_scalar};

use crate::project::{Project, text};

/// The example's DAG with another gate.
fn with_gate(project: &Project, gate: &str) {
    let dag = std::fs::read_to_string(project.path("dags/sales.yaml")).expect("the DAG");
    let gated = dag.replace("gate: { suite: sales, on_fail: quarantine }", &format!("gate: {gate}"));
    assert_ne!(dag, gated);
    project.write("dags/sales.yaml", &gated);
}

async fn texts(pool: &PgPool, sql: &str) -> Vec<String> {
    query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(pool).await.expect("texts")
}

/// Commands on a project of its own, beside the test's own look at the database.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the commands end")
}

const STATES: &str = "select task || ' ' || state from sluice.tasks where run_id = 1 order by task";
const ALERTS: &str =
    "select concat_ws(' ', rule, key, detail ->> 'reason') from sluice.alerts where key = 'staging.sales'";

#[tokio::test(flavor = "multi_thread")]
async fn too_many_rows_refuse_the_batch_with_exit_code_3_an_alert_and_the_checks_by_name() {
    let database = testkit::database().await;
    let project = Project::example().with("SLUICE_POSTGRES_URL", &database.url);
    with_gate(&project, "{ suite: sales, on_fail: quarantine, max_failed_rows: 1, notify: [me] }");
    let (_project, outputs) = on_a_thread(move || {
        let outputs = [
            vec!["run", "sales", "--wait"],
            vec!["why", "1.load_sales"],
            vec!["quality", "replay", "staging.sales"],
            vec!["quality", "replay", "staging.slaes"],
        ]
        .map(|args| project.sluice(args));
        (project, outputs)
    })
    .await;
    assert_eq!(outputs[0].status.code(), Some(3), "{}", text(&outputs[0]));
    let why = text(&outputs[1]);
    for words in [
        "a gate stopped it",
        "more than 1: 2 rows are held back",
        "check product.not_null of staging.sales failed (on_fail: quarantine): 1 of 7 rows",
        "check quantity.between of staging.sales failed (on_fail: quarantine): 1 of 7 rows",
    ] {
        assert!(why.contains(words), "no `{words}` in:\n{why}");
    }
    assert!(text(&outputs[2]).contains("no such row is held back"), "a refused batch comes again whole");
    let unknown = text(&outputs[3]);
    assert_eq!(outputs[3].status.code(), Some(2), "{unknown}");
    assert!(unknown.contains("nothing was ever loaded into `staging.slaes`"), "{unknown}");
    assert!(unknown.contains("did you mean `staging.sales`?"), "{unknown}");
    let states = texts(&database.pool, STATES).await;
    assert_eq!(states, ["build_marts upstream_failed", "load_sales failed", "read_file success"]);
    assert_eq!(texts(&database.pool, "select count(*)::text from staging.sales").await, ["0"]);
    let reason =
        "more than 1: 2 rows are held back; product.not_null failed: 1 of 7 rows; quantity.between failed: 1 of 7 rows";
    assert_eq!(texts(&database.pool, ALERTS).await, [format!("sales staging.sales {reason}")]);
    let told = "select distinct channel from sluice.deliveries where alert_id is not null";
    assert_eq!(texts(&database.pool, told).await, ["me"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_blocks_publishes_and_goes_on_once_its_rows_are_settled() {
    let database = testkit::database().await;
    let project = Project::example().with("SLUICE_POSTGRES_URL", &database.url);
    with_gate(&project, "{ suite: sales, on_fail: quarantine, block_downstream: true, notify: [me] }");
    let (project, blocked) = on_a_thread(move || {
        let blocked = [
            vec!["run", "sales", "--wait"],
            vec!["why", "1.load_sales"],
            // A repeat publishes nothing again, and blocks again.
            vec!["retry", "1", "--wait"],
        ]
        .map(|args| project.sluice(args));
        (project, blocked)
    })
    .await;
    assert_eq!(blocked[0].status.code(), Some(3), "{}", text(&blocked[0]));
    assert!(
        text(&blocked[1]).contains("its gate lets nothing behind it run: 2 rows are held back"),
        "{}",
        text(&blocked[1])
    );
    assert!(text(&blocked[1]).contains("`sluice quality replay staging.sales`"), "{}", text(&blocked[1]));
    assert_eq!(blocked[2].status.code(), Some(3), "{}", text(&blocked[2]));
    let states = texts(&database.pool, STATES).await;
    assert_eq!(states, ["build_marts upstream_failed", "load_sales failed", "read_file success"]);
    assert_eq!(texts(&database.pool, "select count(*)::text from staging.sales").await, ["5"], "what passed is there");
    assert_eq!(texts(&database.pool, "select count(*)::text from sluice.loads").await, ["1"]);
    assert_eq!(texts(&database.pool, ALERTS).await.len(), 1);

    // One row by hand, one given up.
    let (_project, outputs) = on_a_thread(move || {
        let mut rows = project.json(["quality", "quarantine", "staging.sales", "--json"]);
        let held = rows.as_array_mut().expect("rows");
        held.retain(|row| row["rules"] == json!(["quantity.between"]));
        held[0]["row"]["quantity"] = json!("two");
        project.write("wrong.json", &rows.to_string());
        rows[0]["row"]["quantity"] = json!(2);
        project.write("rows.json", &rows.to_string());
        let (wrong, right) = (project.path("wrong.json"), project.path("rows.json"));
        let from = |path: &std::path::Path, more: &[&str]| {
            let path = path.to_str().expect("a UTF-8 path").to_owned();
            let all = ["quality", "replay", "staging.sales", "--from"].into_iter().map(str::to_owned).chain([path]);
            all.chain(more.iter().map(|&arg| arg.to_owned())).collect::<Vec<_>>()
        };
        let dismiss = [
            "quality",
            "dismiss",
            "staging.sales",
            "--rule",
            "product.not_null",
            "--reason",
            "nobody knows what it was",
        ];
        let outputs = [
            project.sluice(from(&wrong, &[])),
            project.sluice(from(&right, &[])),
            project.sluice(from(&right, &["--yes"])),
            project.sluice(from(&right, &["--yes"])),
            project.sluice(dismiss),
            project.sluice(dismiss.into_iter().chain(["--yes"])),
            project.sluice(["quality", "quarantine", "staging.sales", "--all"]),
            project.sluice(["retry", "1", "--wait"]),
            project.sluice(["audit"]),
        ];
        (project, outputs)
    })
    .await;
    let codes: Vec<_> = outputs.iter().map(|output| output.status.code().unwrap_or(-1)).collect();
    let all = outputs.iter().map(text).collect::<Vec<_>>().join("\n");
    assert_eq!(codes, [3, 0, 0, 2, 0, 0, 0, 0, 0], "{all}");
    for (place, words) in [
        (0, r#"fits(quantity): invalid input syntax for type bigint: "two" (1)"#),
        (1, "1 would be published, 0 would stay; add --yes to do it"),
        (2, "1 published, 0 still held"),
        (3, "was replayed, by load "),
        (4, "1 row would be dismissed; add --yes to do it"),
        (5, "1 row dismissed"),
        (6, "dismissed: nobody knows what it was"),
        (6, "replayed by load "),
        (8, "dismiss"),
    ] {
        assert!(text(&outputs[place]).contains(words), "no `{words}` in:\n{}", text(&outputs[place]));
    }
    let states = texts(&database.pool, STATES).await;
    assert_eq!(states, ["build_marts success", "load_sales success", "read_file success"], "{all}");
    assert_eq!(
        texts(&database.pool, "select product || ' ' || units from marts.sales_by_product order by 1").await,
        ["Espresso cup 6", "Milk jug 4", "Tea pot 3"]
    );
    let ledger = "select concat_ws(' ', replay_of, read, loaded, quarantined, deduplicated, sums -> 'revenue' ->> 'loaded') from sluice.loads where dataset = 'staging.sales' order by load_id";
    assert_eq!(texts(&database.pool, ledger).await, ["7 5 2 0 189.60", "1 1 1 0 0 17.00"]);
}

/// A number that a double would round is printed, edited around, and replayed as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_goes_through_a_file_and_back_with_every_digit() {
    let database = testkit::database().await;
    let project = Project::example().with("SLUICE_POSTGRES_URL", &database.url);
    let long = "12345678901234567890.12";
    project.write("data/sales.csv", &format!("sale_id,day,product,quantity,unit_price\n1,2026-01-05,,4,{long}\n"));
    let dag = std::fs::read_to_string(project.path("dags/sales.yaml")).expect("the DAG");
    project.write("dags/sales.yaml", &dag.replace("decimal(10,2)", "decimal(30,2)"));
    let (_project, done) = on_a_thread(move || {
        let ran = project.sluice(["run", "sales", "--wait"]);
        assert!(ran.status.success(), "{}", text(&ran));
        let printed = project.sluice(["quality", "quarantine", "staging.sales", "--json"]);
        let edited = String::from_utf8_lossy(&printed.stdout).replace(r#""product": null"#, r#""product": "Tea pot""#);
        project.write("rows.json", &edited);
        let path = project.path("rows.json");
        let path = path.to_str().expect("a UTF-8 path").to_owned();
        let done: Value = project.json(["quality", "replay", "staging.sales", "--from", &path, "--yes", "--json"]);
        (project, done)
    })
    .await;
    assert_eq!(done["loads"][0]["loaded"], json!(1), "{done}");
    assert_eq!(texts(&database.pool, "select unit_price::text from staging.sales").await, [long]);
}
