//! Each bad fixture is a small project and ends with the report that it must get.

use std::{fs, path::Path};

use warehouse::models::{Catalog, SourceFile};

use super::support::{catalog, model};

#[test]
fn bad_models_get_the_report_they_carry() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models");
    let mut seen = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of fixtures") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a readable fixture");
        let (project, expected) = text.split_once("=== expected\n").expect("a fixture ends with its report");
        let files = project.split("=== ").filter_map(|part| {
            let (path, text) = part.split_once('\n')?;
            Some(SourceFile { path: path.to_owned(), text: text.to_owned() })
        });
        let found = match Catalog::parse(files.collect()) {
            Ok(_) => "no fault found".to_owned(),
            Err(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        };
        if found != expected.trim_end() {
            wrong.push(format!("{} gets\n{found}\n", path.display()));
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 14, "only {seen} fixtures found");
}

#[test]
fn order_comes_from_what_the_sql_reads() {
    let files = [
        model("marts.a", "table", "day", "select day from marts.z join staging.v using (day)"),
        model("staging.v", "view", "day", "select day from warehouse.m"),
        model("marts.z", "table", "day", "with t as (select day from warehouse.m) select day from t"),
        model("warehouse.m", "table", "day", "select day from generate_series(1, 3) as s (day), staging.x"),
    ];
    let catalog = catalog(files.concat());
    let names: Vec<_> = catalog.models().iter().map(warehouse::models::Model::name).collect();
    assert_eq!(names, ["m", "z", "v", "a"]);
    let sources: Vec<_> = catalog.sources().iter().map(|(relation, _, line)| format!("{relation}:{line}")).collect();
    assert_eq!(sources, ["staging.x:1"], "functions and common table expressions are no tables");
    let marts: Vec<_> = catalog.select(&["marts".to_owned()]).expect("known").iter().map(|m| m.name()).collect();
    assert_eq!(marts, ["z", "v", "a"], "a view comes along with who reads it");
    let (word, hint) = catalog.select(&["mart".to_owned()]).expect_err("unknown");
    assert_eq!((word.as_str(), hint.as_str()), ("mart", "did you mean `marts`?"));
}

#[test]
fn the_models_of_this_repository_are_sound() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let catalog = Catalog::read(&root)
        .unwrap_or_else(|faults| panic!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")));
    assert!(catalog.models().len() >= 18, "{} models", catalog.models().len());
}
