//! DAG files whose tasks' own keys are wrong, each with the report that it carries.

use std::{collections::BTreeMap, fs, path::Path};

use sqlx::PgPool;
use tasks::{
    alert_low_stock::AlertLowStock, command::RunCommand, export::Export, extract_csv::ExtractCsv,
    extract_http::ExtractHttp, extract_mysql::ExtractMysql, generate::Generate, load::Load, reconcile::Reconcile,
    report::Report, sender::Sender, transform::Transform, validate::Validate, wait_file::WaitFile, wait_http::WaitHttp,
    wait_sql::WaitSql, wait_until::WaitUntil, written,
};
use warehouse::lake::Lake;
use workflow::{
    endpoint::Endpoint,
    kind::Registry,
    plan::{self, Known},
    yaml::{Document, join},
};

fn registry(folder: &Path) -> Registry {
    let pool = PgPool::connect_lazy("postgres://nobody@127.0.0.1/none").expect("a URL");
    let lake = Lake::open(folder.to_str().expect("UTF-8")).expect("a lake");
    let shop = Endpoint::fixed("MariaDB", "mysql://nobody@127.0.0.1/none");
    let sender = Sender { project: "p".into(), currency: "EUR".into(), web: None, channels: BTreeMap::new() };
    Registry::new()
        .with(RunCommand::new(folder))
        .with(ExtractCsv::new(lake.clone(), folder))
        .with(Export::new(pool.clone(), lake.clone()))
        .with(ExtractHttp::new(lake.clone(), "http://127.0.0.1:1"))
        .with(ExtractMysql::new(BTreeMap::from([("shop".to_owned(), shop.clone())]), pool.clone(), lake.clone()))
        .with(Reconcile::new(BTreeMap::from([("shop".to_owned(), shop.clone())]), pool.clone(), lake.clone(), folder))
        .with(Generate::new(shop))
        .with(Load::new(pool.clone(), lake.clone(), folder))
        .with(Report::new(pool.clone(), sender.clone()))
        .with(AlertLowStock::new(pool.clone(), sender))
        .with(Transform::new(pool.clone(), folder, chrono_tz::Tz::UTC))
        .with(Validate::new(pool.clone(), lake.clone(), folder))
        .with(WaitFile::new(lake, folder))
        .with(WaitHttp::new("http://127.0.0.1:1"))
        .with(WaitSql::new(pool))
        .with(WaitUntil)
}

/// What `sluice check` says of a DAG file; empty where it is good.
fn report(registry: &Registry, name: &str, text: &str) -> String {
    let document = Document::parse(name, text).expect("YAML");
    let known = Known {
        suites: ["orders".to_owned()].into(),
        models: ["marts".to_owned()].into(),
        channels: ["ops".to_owned()].into(),
        connections: ["shop".to_owned()].into(),
        ..Known::default()
    };
    let faults = match plan::check(&document, registry, &known) {
        Ok(plan) => {
            let written = written::check(&plan, &BTreeMap::new()).into_iter();
            written.map(|(task, problem)| document.place(&join("tasks", &task), problem)).collect()
        }
        Err(faults) => faults,
    };
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn bad_keys_of_kinds_get_the_report_they_carry() {
    let lake = tempfile::tempdir().expect("a folder");
    let registry = registry(lake.path());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad");
    let (mut seen, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(folder).expect("the folder of fixtures") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a readable fixture");
        let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#= ")).collect();
        let found = report(&registry, &name, &text);
        seen += 1;
        if expected.is_empty() || found != expected.join("\n") {
            wrong.push(format!("{name} gets\n{found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 15, "only {seen} fixtures found");
}
