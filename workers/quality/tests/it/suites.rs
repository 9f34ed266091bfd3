//! Wrong suites say everything that is wrong with them.

use quality::{OnFail, Suite};

fn faults(text: &str) -> Vec<String> {
    Suite::parse("quality/orders.yaml", text).expect_err("faults").iter().map(ToString::to_string).collect()
}

#[test]
fn every_fault_is_told_at_once_with_its_line() {
    let found = faults(
        "suite: order
checks:
  - expect_column_values_to_not_be_nul: { column: id }
  - expect_column_values_to_be_between: { column: quantity, min_valu: 1, mosty: 0.9 }
  - expect_column_values_to_match_regex: { column: code, regex: '(' }
  - expect_table_row_count_to_be_between: { min_value: 1, on_fail: quarantine }
  - expect_row: { sql: 'quantity >', when: 'lenght(a) > 1' }
  - expect_column_values_to_not_be_null: { column: id, mostly: 1.5 }
  - expect_column_values_to_not_be_null: { column: ok }
  - expect_column_values_to_not_be_null: { column: ok }
  - expect_column_max_to_be_between: { column: ok, max_value: 1, at_most: 5 }
  - expect_column_values_to_be_unique: { column: ok, at_most: -1, group_by: [] }
  - expect_column_distinct_values_to_be_in_set: { column: ok, value_set: [1], group_by: country }
  - expect_column_values_to_be_unique: { column: ok, group_by: [] }
  - expect_column_values_to_exist_in: { column: ok, dataset: customers }
  - expect_compound_columns_to_exist_in: { column_list: [a, b], dataset: staging.x, other_column_list: [a] }
  - expect_column_sum_to_agree_with: { column: ok, dataset: staging.x, tolerance: 1 percent, mostly: 0.9 }
  - expect_table_row_count_to_agree_with: { dataset: staging.x, other_when: 'a >' }
",
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn an_empty_suite_and_a_wrong_key_are_faults() {
    assert_eq!(
        faults("suite: orders\nchecks: []\n"),
        [
            "quality/orders.yaml:2: checks: the suite has no checks\n    hint: a suite with no checks lets everything pass"
        ]
    );
    assert_eq!(
        faults("suite: orders\non_fial: warn\nchecks: []\n"),
        ["quality/orders.yaml:2: on_fial: unknown key `on_fial`\n    hint: did you mean `on_fail`?"]
    );
}

#[test]
fn ids_and_policies_come_from_the_check_then_the_suite_then_the_gate() {
    let suite = Suite::parse(
        "quality/orders.yaml",
        "suite: orders
checks:
  - expect_column_values_to_be_between: { column: quantity, min_value: 1 }
  - expect_compound_columns_to_be_unique: { column_list: [a, b], on_fail: warn }
  - expect_table_row_count_to_be_between: { min_value: 1 }
  - expect_row: { sql: 'quantity * price = total', id: total.adds_up }
",
    )
    .expect("a suite");
    let ids: Vec<_> = suite.checks.iter().map(|check| check.id.as_str()).collect();
    assert_eq!(ids, ["quantity.between", "a+b.unique", "table.row_count", "total.adds_up"]);
    let policies = |suite: &Suite| suite.checks.iter().map(|check| suite.policy(check)).collect::<Vec<_>>();
    assert_eq!(policies(&suite), [OnFail::Fail, OnFail::Warn, OnFail::Fail, OnFail::Fail]);
    let gated = suite.clone().with_default(OnFail::Quarantine);
    assert_eq!(policies(&gated), [OnFail::Quarantine, OnFail::Warn, OnFail::Fail, OnFail::Quarantine]);
    assert_eq!(policies(&suite.clone().warn_only()), [OnFail::Warn; 4]);
    assert_eq!(suite.columns(), ["quantity", "a", "b", "price", "total"]);
}

#[test]
fn the_hash_follows_the_content_and_not_the_layout() {
    let hash = |text: &str| Suite::parse("quality/orders.yaml", text).expect("a suite").hash;
    let plain = hash("suite: orders\nchecks:\n  - expect_column_to_exist: { column: a }\n");
    let commented = hash("# why\nsuite: orders\nchecks:\n  - expect_column_to_exist:\n      column: a\n");
    let other = hash("suite: orders\nchecks:\n  - expect_column_to_exist: { column: b }\n");
    assert_eq!(plain, commented);
    assert_ne!(plain, other);
    assert_eq!(plain.len(), 64);
}

#[test]
fn the_suites_that_we_ship_can_be_read() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut read = 0;
    for folder in ["quality", "examples/online_retail/quality"] {
        for file in std::fs::read_dir(root.join(folder)).expect("a folder").map(|entry| entry.expect("a file").path()) {
            let text = std::fs::read_to_string(&file).expect("a text");
            let name = file.to_str().expect("a UTF-8 path");
            Suite::parse(name, &text).unwrap_or_else(|faults| panic!("{faults:#?}"));
            read += 1;
        }
    }
    assert!(read > 20, "only {read} suites were found");
}

#[test]
fn a_suite_of_great_expectations_loads_as_it_is() {
    let text = r#"{
  "name": "orders",
  "id": "a5a0d4b8-9f0f-4f5c-8e1b-8a6a1d2f3c4d",
  "suite_parameters": { "most": 10 },
  "meta": { "great_expectations_version": "1.3.0" },
  "notes": "What an order is",
  "expectations": [
    { "type": "expect_column_values_to_be_between", "severity": "critical",
      "kwargs": { "column": "quantity", "min_value": 1, "max_value": { "$PARAMETER": "most * 2" }, "mostly": 0.9, "strict_min": null },
      "meta": { "notes": { "format": "markdown", "content": ["At least one"] } } },
    { "type": "expect_column_values_to_be_between",
      "kwargs": { "column": "quantity", "max_value": 100, "row_condition": "col(\"status\") == \"paid\"",
                  "condition_parser": "great_expectations", "result_format": "COMPLETE", "catch_exceptions": true },
      "meta": { "on_fail": "warn" } },
    { "expectation_type": "expect_table_row_count_to_be_between", "kwargs": { "min_value": 1 }, "meta": {} }
  ]
}"#;
    let suite = Suite::parse("expectations/orders.json", text).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let ids: Vec<_> = suite.checks.iter().map(|check| check.id.as_str()).collect();
    assert_eq!(ids, ["quantity.between", "quantity.between_2", "table.row_count"]);
    assert_eq!(suite.description, "What an order is");
    assert_eq!(suite.checks[0].description.as_deref(), Some("At least one"));
    assert_eq!(suite.checks[0].severity, quality::Severity::Critical);
    assert_eq!(suite.policy(&suite.checks[1]), OnFail::Warn);
    assert_eq!(suite.columns(), ["quantity", "status"]);
}

#[test]
fn faults_of_a_suite_of_great_expectations_have_their_lines() {
    let text = "{ \"name\": \"orders\", \"expectations\": [
  { \"type\": \"expect_column_values_to_be_between\", \"kwargs\": { \"column\": \"a\" } },
  { \"type\": \"expect_column_values_to_not_be_null\", \"kwargs\": { \"column\": \"a\", \"mosty\": 1,
      \"row_condition\": \"a > \", \"condition_parser\": \"bad\" } },
  { \"type\": \"expect_column_max_to_be_between\", \"kwargs\": { \"column\": \"a\", \"max_value\": { \"$PARAMETER\": \"nwo()\" } } },
  { \"type\": \"expect_column_values_to_match_json_schema\", \"kwargs\": { \"column\": \"a\", \"json_schema\": { \"typ\": \"string\" } } }
] }";
    let found = Suite::parse("orders.json", text).expect_err("faults");
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn computed_arguments_are_those_of_the_moment() {
    let text = "suite: orders
checks:
  - expect_column_max_to_be_between: { column: at, min_value: { $PARAMETER: now() - timedelta(days=1) } }
";
    let suite = Suite::parse("quality/orders.yaml", text).expect("a suite");
    let bound = |seconds: i64| {
        let now = chrono::DateTime::from_timestamp(seconds, 0).expect("an instant");
        suite.at(now).checks[0].arguments["min_value"].clone()
    };
    assert_eq!(bound(1_700_000_000), "2023-11-13T22:13:20");
    assert_eq!(bound(1_800_000_000), "2027-01-14T08:00:00");
}
