//! Each bad fixture ends with the report that it must get, line by line, behind `#= `.

use std::{collections::BTreeSet, fs, path::Path};

use workflow::{
    plan::{self, Known, Plan},
    yaml::Document,
};

use crate::kinds::registry;

fn known() -> Known {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    Known {
        suites: set(&["orders", "customers"]),
        channels: set(&["ops_slack", "ops_mail"]),
        pools: set(&["warehouse"]),
        webhooks: set(&["shopify"]),
        ..Known::default()
    }
}

fn report(name: &str, text: &str) -> Result<Plan, String> {
    let all = |faults: Vec<_>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let document = Document::parse(name, text).map_err(|fault| all(vec![fault]))?;
    plan::check(&document, &registry(), &known()).map_err(all)
}

fn good() -> Plan {
    let text = include_str!("../fixtures/good/daily_sales.yaml");
    report("daily_sales.yaml", text).expect("a good DAG")
}

#[test]
fn bad_dags_get_the_report_they_carry() {
    fixtures("bad", 44, |name, text| report(name, text).err());
}

#[test]
fn doubtful_dags_get_the_warnings_they_carry() {
    fixtures("doubtful", 5, |name, text| {
        let document = Document::parse(name, text).expect("valid YAML");
        let plan = plan::check(&document, &registry(), &known()).unwrap_or_else(|faults| panic!("{faults:?}"));
        let warnings = plan::lint(&document, &plan);
        Some(warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
}

/// Compares what each fixture of a folder gets with what it says that it gets.
fn fixtures(folder: &str, least: usize, judge: impl Fn(&str, &str) -> Option<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut seen = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of fixtures") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a readable fixture");
        let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#= ")).collect();
        let found = judge(&name, &text).unwrap_or_else(|| "nothing found".to_owned());
        if found != expected.join("\n") {
            wrong.push(format!("{name} gets\n{found}\n"));
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= least, "only {seen} fixtures found");
}

#[test]
fn a_good_dag_becomes_a_whole_plan() {
    let plan = good();
    let order: Vec<_> = plan.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(order, ["extract_orders", "load_orders", "clean_up"]);
    let load = plan.task("load_orders").expect("the task");
    assert_eq!(load.needs, ["extract_orders"], "reading an output is needing its task");
    assert_eq!((load.attempts, load.queue.as_str(), load.timeout.to_string().as_str()), (4, "heavy", "30m"));
    let extract = plan.task("extract_orders").expect("the task");
    assert_eq!((extract.attempts, extract.timeout.to_string().as_str()), (2, "5m"));
    assert_eq!(plan.on_failure, ["ops_slack"]);
    assert_eq!(plan.schedule_text().as_deref(), Some("0 2 * * *"));
}

#[test]
fn a_plan_is_stored_and_read_back() {
    let plan = good();
    let text = serde_json::to_string(&plan).expect("plans can be written");
    let back: Plan = serde_json::from_str(&text).expect("and read");
    assert_eq!(back, plan);
}

#[test]
fn the_version_follows_the_content_alone() {
    let text = include_str!("../fixtures/good/daily_sales.yaml");
    let version = |text: &str| report("x.yaml", text).expect("good").version;
    let before = version(text);
    assert_eq!(before.len(), 12);
    assert_eq!(before, version(&format!("# a comment\n{text}\n\n")));
    assert_ne!(before, version(&text.replace("attempts: 4", "attempts: 5")));
    assert_ne!(before, version(&text.replace("limit: \"{{ params.limit }}\"", "limit: 7")));
}

#[test]
fn downstream_and_levels_follow_the_edges() {
    let plan = good();
    let names = |tasks: Vec<&workflow::plan::PlannedTask>| tasks.iter().map(|t| t.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(plan.with_downstream("load_orders")), ["load_orders", "clean_up"]);
    let levels: Vec<_> = plan.levels().into_iter().map(names).collect();
    assert_eq!(levels, [vec!["extract_orders"], vec!["load_orders"], vec!["clean_up"]]);
}
