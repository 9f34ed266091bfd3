//! What is wrong with a task is said before it runs.

use std::collections::BTreeMap;

use quality::Suite;
use sqlx::PgPool;
use tasks::{export::Export, extract_csv::ExtractCsv, extract_http::ExtractHttp, load::Load};
use warehouse::lake::Lake;
use workflow::{
    kind::Registry,
    plan::{self, Known},
    yaml::Document,
};

/// Every fault of these tasks, and of them next to these suites, as people read them. A pool that connects to nobody
/// still wants a runtime.
fn faults(tasks: &str, suites: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(folder.path().to_str().expect("a UTF-8 path")).expect("a lake");
    let pool = PgPool::connect_lazy("postgres://nobody@127.0.0.1/none").expect("a URL");
    let registry = Registry::new()
        .with(ExtractCsv::new(lake.clone(), folder.path()))
        .with(ExtractHttp::new(lake.clone(), "http://127.0.0.1:8180"))
        .with(Load::new(pool.clone(), lake.clone(), folder.path()))
        .with(Export::new(pool, lake));
    let suites: BTreeMap<String, Suite> = suites
        .iter()
        .map(|(name, text)| Suite::parse(&format!("quality/{name}.yaml"), text).expect("a suite"))
        .map(|suite| (suite.name.clone(), suite))
        .collect();
    let known = Known { suites: suites.keys().cloned().collect(), ..Known::default() };
    let text = format!("dag: d\nparams: {{ city: Ulm }}\ntasks:\n{tasks}");
    let document = Document::parse("dags/d.yaml", &text).expect("YAML");
    match plan::check(&document, &registry, &known) {
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
        Ok(plan) => {
            let problems = tasks::written::check(&plan, &suites).into_iter();
            problems.map(|(task, p)| format!("{task}.{}: {}", p.field, p.message)).collect()
        }
    }
}

#[tokio::test]
async fn keys_that_would_be_ignored_are_refused_with_a_hint() {
    let found = faults(
        "  a: { kind: extract_http, url: 'http://x/', dataset: x, page: { param: p, size_param: n } }
  b: { kind: extract_csv, path: x.csv, header: false, columns: { id: { type: integer, from: Id } } }
",
        &[],
    );
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("page.size_param") && found[0].contains("give `size`"), "{found:#?}");
    assert!(found[1].contains("columns.id.from") && found[1].contains("leave `from` out"), "{found:#?}");
}

#[tokio::test]
async fn a_query_without_templates_is_asked_for() {
    let tasks = |query: &str| format!("  a: {{ kind: export, query: \"{query}\", to: a.csv }}\n");
    let found = faults(&tasks("select '{{ params.city }}'"), &[]);
    assert_eq!(found, ["a.query: a template here would put values of the run into SQL"]);
    assert!(faults(&tasks("select current_setting('sluice.params')"), &[]).is_empty());
}

#[tokio::test]
async fn a_limit_needs_a_check_that_quarantines() {
    const CHECK: &str = "checks:\n  - expect_column_values_to_not_be_null: { column: a";
    let plain = format!("suite: plain\n{CHECK} }}\n");
    let own = format!("suite: own\n{CHECK}, on_fail: quarantine }}\n");
    let table =
        "suite: table\non_fail: quarantine\nchecks:\n  - expect_table_row_count_to_be_between: { min_value: 1 }\n";
    let gate = |gate: &str| {
        let tasks = format!(
            "  e: {{ kind: extract_csv, path: x.csv }}\n  l: {{ kind: load, from: e, into: staging.t, gate: {{ {gate} }} }}\n"
        );
        faults(&tasks, &[("plain", &plain), ("own", &own), ("table", table)])
    };
    let refused = |suite: &str, field: &str| {
        vec![format!("l.gate.{field}: no check of the suite `{suite}` quarantines rows, so there is nothing to limit")]
    };
    assert_eq!(gate("suite: plain, max_failed_rows: 3"), refused("plain", "max_failed_rows"));
    assert_eq!(gate("suite: table, max_failed_percent: 3"), refused("table", "max_failed_percent"));
    for sound in
        ["suite: plain, on_fail: quarantine, max_failed_rows: 3", "suite: own, max_failed_rows: 3", "suite: plain"]
    {
        assert_eq!(gate(sound), [""; 0], "{sound}");
    }
}
