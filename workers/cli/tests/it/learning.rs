//! `sluice quality profile` and `suggest`: what a person types first, from a file to a suite that passes.

use std::fmt::Write as _;

use crate::project::{Project, text};

fn orders(from: u32, odd: bool) -> String {
    let mut csv = String::from("id,status,placed\n");
    for id in from..from + 100 {
        let status = if odd && id == from { "lost" } else { ["open", "paid"][id as usize % 2] };
        writeln!(csv, "{id},{status},2024-03-{:02}", 1 + id % 28).expect("write to a string");
    }
    csv
}

#[test]
fn a_suggested_suite_runs_and_passes() {
    let project = Project::example();
    project.write("march.csv", &orders(1, false));
    project.write("april.csv", &orders(101, true));
    let profile = project.json(["quality", "profile", "--data", "march.csv", "--json"]);
    assert_eq!(profile["rows"], 100);
    assert_eq!(profile["columns"][1]["distinct"]["count"], 2);
    let shown = text(&project.sluice(["quality", "profile", "--data", "march.csv"]));
    assert!(shown.contains("100 rows, 3 columns") && shown.contains("'open' ×50"), "{shown}");

    let suggested = project.sluice(["quality", "suggest", "--data", "march.csv", "--against", "april.csv"]);
    assert!(suggested.status.success(), "{}", text(&suggested));
    let suite = String::from_utf8(suggested.stdout).expect("UTF-8");
    assert!(suite.contains("weakened: 1 of 100 rows fail in april.csv"), "{suite}");
    project.write("quality/march.yaml", &suite);
    for data in ["march.csv", "april.csv"] {
        let run = project.sluice(["quality", "run", "march", "--data", data]);
        assert!(run.status.success(), "{}", text(&run));
    }
    let missing = project.sluice(["quality", "suggest", "--data", "may.csv"]);
    assert_eq!(missing.status.code(), Some(2), "{}", text(&missing));
}

#[test]
fn a_suite_that_changes_is_told_version_by_version() {
    let project = Project::example();
    let up = project.sluice(["up"]);
    assert!(up.status.success(), "{}", text(&up));
    let none = project.sluice(["quality", "versions", "sales"]);
    assert_eq!(none.status.code(), Some(2), "{}", text(&none));
    let run = project.sluice(["run", "sales", "--wait"]);
    assert!(run.status.success(), "{}", text(&run));
    let versions = project.json(["quality", "versions", "sales", "--json"]);
    assert_eq!((&versions[0]["loads"], &versions[0]["current"]), (&1.into(), &false.into()), "{versions}");

    let old = versions[0]["hash"].as_str().expect("a hash").to_owned();
    let file = std::fs::read_to_string(project.path("quality/sales.yaml")).expect("the suite");
    project
        .write("quality/sales.yaml", &format!("{file}  - expect_table_row_count_to_be_between: {{ min_value: 1 }}\n"));
    let diff = project.json(["quality", "diff", "sales", &old[..8], "--json"]);
    assert_eq!((&diff["added"][0], &diff["old"]), (&"table.row_count".into(), &old.clone().into()), "{diff}");
    let kept = project.sluice(["quality", "versions", "sales", "--text", &old]);
    assert_eq!(String::from_utf8(kept.stdout).expect("UTF-8").trim_end(), file.trim_end());
    let history = text(&project.sluice(["quality", "history", "sales"]));
    assert!(history.contains(&old[..12]), "{history}");
    let folder = project.path("site");
    let made = project.sluice(["quality", "docs", "--out", folder.to_str().expect("a UTF-8 path")]);
    assert!(made.status.success(), "{}", text(&made));
    let page = std::fs::read_to_string(folder.join("suites/sales.html")).expect("a page");
    assert!(
        page.contains("Versions") && folder.join("assets/style.css").is_file() && folder.join("index.html").is_file()
    );
    let unknown = project.sluice(["quality", "diff", "sales", "zzz"]);
    assert!(text(&unknown).contains("`sluice quality versions sales` lists them"), "{}", text(&unknown));
}

#[test]
fn a_contract_is_printed_and_kept_and_tags_choose_checks() {
    let project = Project::example();
    project.write("march.csv", &orders(1, false));
    let printed = project.sluice(["quality", "contract", "--data", "march.csv", "--name", "columns"]);
    assert!(printed.status.success(), "{}", text(&printed));
    let contract = String::from_utf8(printed.stdout).expect("UTF-8");
    assert!(contract.contains("- { name: placed, type: date, nullable: false }"), "{contract}");
    project.write("quality/columns.yaml", &contract);
    let kept = project.sluice(["quality", "run", "columns", "--data", "march.csv"]);
    assert!(kept.status.success(), "{}", text(&kept));

    project.write("april.csv", &orders(101, true).replace("id,status,placed", "id,state,placed"));
    let broken = project.sluice(["quality", "run", "columns", "--data", "april.csv"]);
    assert_eq!(broken.status.code(), Some(3));
    assert!(text(&broken).contains("`status` is gone; `state` is new, text"), "{}", text(&broken));

    let suite = "suite: tagged
owner: shop@example.org
checks:
  - expect_column_values_to_exist_in: { column: id, dataset: march.csv, tags: [finance] }
  - expect_column_values_to_be_between: { column: id, max_value: 0, group_by: status }
";
    project.write("quality/tagged.yaml", suite);
    let finance = project.sluice(["quality", "run", "tagged", "--data", "march.csv", "--tag", "finance"]);
    assert!(finance.status.success(), "{}", text(&finance));
    let all = text(&project.sluice(["quality", "run", "tagged", "--data", "march.csv"]));
    assert!(all.contains("2 of 2 groups by status, worst open: 50 of 50 rows; paid: 50 of 50 rows"), "{all}");
    let none = project.sluice(["quality", "run", "tagged", "--data", "march.csv", "--tag", "finances"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none).contains("did you mean `finance`?"), "{}", text(&none));
    let listed = project.json(["quality", "list", "--tag", "finance", "--json"]);
    assert_eq!(listed[0]["checks"][0]["owner"], "shop@example.org", "{listed}");
}
