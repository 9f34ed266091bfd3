//! What bad input gets: one report of all faults, exit code 2, and nothing changed; a dead service: exit code 4.

use crate::project::{Project, text};

#[test]
fn the_shop_has_no_faults() {
    let checked = Project::shop().sluice(["check"]);
    assert!(checked.status.success(), "{}", text(&checked));
}

#[test]
fn every_fault_of_every_file_is_said_at_once_with_its_line() {
    let shop = Project::shop();
    shop.write(
        "dags/a.yaml",
        "dag: a\nschedule: { cron: \"0 0 31 2 *\" }\ntasks:\n  x: { kind: extract_mysq, table: t }\n",
    );
    shop.write("dags/b.yaml", "dag: b\ntasks:\n  x:\n    kind: command\n    comand: [ls]\n    needs: [y]\n  y: { kind: command, command: [ls], needs: [x] }\n");
    shop.write("quality/c.yaml", "suite: c\nchecks:\n  - expect_column_values_to_not_be_nul: { column: a }\n");
    shop.write("dags/e.yaml", "dag: e\ntasks:\n  x: { kind: export, query: \"select '{{ ds }}'\", to: x.csv }\n");
    shop.write("sql/models/marts/d.sql", "select from where\n");
    shop.write("sql/models/marts/d.yaml", "model: d\ngrain: one row per x\nmaterialised: table\n");
    let checked = shop.sluice(["check"]);
    assert_eq!(checked.status.code(), Some(2), "{}", text(&checked));
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    for part in [
        "dags/a.yaml:2",
        "dags/a.yaml:4",
        "did you mean `extract_mysql`?",
        "dags/b.yaml:5",
        "did you mean `command`?",
        "dags/e.yaml:3",
        "quality/c.yaml:3",
        "did you mean `expect_column_values_to_not_be_null`?",
        "sql/models/marts/d.sql:1",
        "nothing was changed",
    ] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    let listed = shop.json_of_faults();
    assert!(listed.iter().all(|fault| fault["message"].is_string() && fault["file"].is_string()), "{listed:?}");
    assert!(listed.len() >= 5, "{listed:?}");
}

impl Project {
    fn json_of_faults(&self) -> Vec<serde_json::Value> {
        let output = self.sluice(["check", "--json"]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        serde_json::from_slice(&output.stdout).expect("a list of faults")
    }
}

#[test]
fn a_service_that_is_down_is_named_with_its_place_and_a_hint() {
    let stopped = Project::shop().sluice(["ps"]);
    assert_eq!(stopped.status.code(), Some(4), "{}", text(&stopped));
    assert!(text(&stopped).contains("sluice up"), "{}", text(&stopped));
    let shop = Project::shop().with("SLUICE_POSTGRES_URL", "postgres://someone:hunter2@127.0.0.1:1/shop");
    let absent = shop.sluice(["ps"]);
    assert_eq!(absent.status.code(), Some(4), "{}", text(&absent));
    assert!(text(&absent).contains("127.0.0.1:1"), "{}", text(&absent));
    assert!(!text(&absent).contains("hunter2"), "{}", text(&absent));
}

#[test]
fn a_folder_without_a_project_and_a_taken_folder_are_the_users_to_mend() {
    let project = Project::example();
    let output = project.sluice(["init", &project.path("").display().to_string()]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("exists already"), "{}", text(&output));
}
