//! Contracts on columns: what changed, told in words, and what the policies let be; tags and owners.

use quality::{Outcome, Suite, contract_of_frame, contract_of_table, evaluate_table};

use crate::{
    cases::frame,
    postgres::{cases, comparable, in_frame, table},
};

fn suite(contract: &str) -> Suite {
    let text = format!("suite: cases\ncontract:\n{contract}");
    Suite::parse("quality/cases.yaml", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

/// Contracts on the cases, how each must end, and what must be told.
const CONTRACTS: &[(&str, Outcome, &str)] = &[
    (
        "  columns: additive\n  fields: [{ name: id, type: bigint, nullable: false }, { name: day, type: date }]",
        Outcome::Passed,
        "`quantity` is new, int64 (allowed); `unit_price` is new, decimal(12,2) (allowed)",
    ),
    (
        "  fields: [{ name: id, type: bigint }, { name: day, type: date }]",
        Outcome::Failed,
        "`quantity` is new, int64; `unit_price` is new, decimal(12,2)",
    ),
    (
        "  columns: additive\n  types: widening\n  fields: [{ name: id, type: int }, { name: unit_price, type: 'decimal(10,2)' }]",
        Outcome::Passed,
        "`id` is int64 and was int32: wider (allowed); `unit_price` is decimal(12,2) and was decimal(10,2): wider (allowed)",
    ),
    ("  columns: additive\n  fields: [{ name: id, type: int }]", Outcome::Failed, "`id` is int64 and was int32: wider"),
    (
        "  columns: additive\n  types: widening\n  fields: [{ name: weight, type: text }]",
        Outcome::Failed,
        "`weight` is float64 and was text: not every value fits",
    ),
    (
        "  columns: additive\n  fields: [{ name: id, type: int64 }, { name: gone, type: int64 }]",
        Outcome::Failed,
        "`gone` is gone",
    ),
    (
        "  columns: any\n  fields: [{ name: id, type: int64 }, { name: gone, type: int64, nullable: false }]",
        Outcome::Passed,
        "`gone` is gone (allowed)",
    ),
    (
        "  columns: any\n  fields: [{ name: day, type: date }, { name: id, type: int64 }]",
        Outcome::Passed,
        "the order is id, day and was day, id (allowed)",
    ),
    (
        "  columns: any\n  order: exact\n  fields: [{ name: day, type: date }, { name: id, type: int64 }]",
        Outcome::Failed,
        "the order is id, day and was day, id",
    ),
    (
        "  columns: any\n  fields: [{ name: nothing, type: int64, nullable: false }, { name: day, type: date, nullable: false }]",
        Outcome::Failed,
        "`nothing` is null in 6 rows; `day` is null in 1 row",
    ),
];

#[tokio::test]
async fn what_changed_is_told_and_the_policies_say_what_may() {
    let pool = cases().await;
    let mut connection = pool.acquire().await.expect("a connection");
    // As wide as in the frame.
    sqlx::raw_sql("alter table public.cases alter quantity type bigint")
        .execute(&mut *connection)
        .await
        .expect("a change");
    for (contract, outcome, words) in CONTRACTS {
        let framed = in_frame(suite(contract), frame()).await;
        let in_table =
            evaluate_table(&mut connection, &suite(contract), &table("public.cases")).await.expect("an evaluation");
        let told = framed.checks[0].observed["observed_value"].as_str().unwrap_or_default();
        assert!(framed.checks[0].outcome == *outcome && told.contains(words), "{contract}\n{:#?}", framed.checks[0]);
        assert_eq!(comparable(&framed), comparable(&in_table));
    }
}

#[tokio::test]
async fn a_contract_that_is_proposed_is_kept_by_what_it_was_made_of() {
    let pool = cases().await;
    let mut connection = pool.acquire().await.expect("a connection");
    let of_table = contract_of_table(&mut connection, "cases", &table("public.cases")).await.expect("a contract");
    let of_frame = tokio::task::spawn_blocking(|| contract_of_frame("cases", &frame())).await.expect("a contract");
    assert_eq!(of_frame, of_table.replace("quantity, type: int32", "quantity, type: int64"));
    insta::assert_snapshot!(of_frame);
    let kept = Suite::parse("quality/cases.yaml", &of_frame).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let found = in_frame(kept, frame()).await;
    assert_eq!(
        (found.checks[0].outcome, &found.checks[0].observed["observed_value"]),
        (Outcome::Passed, &"as agreed".into())
    );
}

#[test]
fn faults_of_a_contract_have_their_lines() {
    let told = |contract: &str| {
        let faults = Suite::parse("quality/cases.yaml", &format!("suite: cases\ncontract:\n{contract}"));
        faults.expect_err("faults").iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let fields = "  type: exact
  fields:
    - { name: id, type: int }
";
    let types = "  columns: additive
  fields:
    - { name: id, type: bigin }
    - { name: id, type: int }
    - { name: id, type: int }
    - { name: price, type: 'decimal(2,3)' }
";
    insta::assert_snapshot!([told("  columns: exactly\n  fields: []\n"), told(fields), told(types)].join("\n"));
}

#[test]
fn checks_are_chosen_by_their_tags_and_those_of_their_suite() {
    let text = "suite: cases
owner: shop@example.org
tags: [sales]
checks:
  - expect_column_to_exist: { column: id, tags: [finance, sales], owner: money@example.org }
  - expect_column_to_exist: { column: day }
";
    let suite = Suite::parse("quality/cases.yaml", text).expect("a suite");
    let chosen = |tag: &str| suite.clone().tagged(&[tag.to_owned()]).checks.len();
    assert_eq!((chosen("sales"), chosen("finance"), chosen("other")), (2, 1, 0));
    assert_eq!(suite.clone().tagged(&[]).checks.len(), 2);
    assert_eq!(suite.tags_of(&suite.checks[0]), ["sales", "finance"]);
    let owners: Vec<_> = suite.checks.iter().map(|check| suite.owner_of(check)).collect();
    assert_eq!(owners, [Some("money@example.org"), Some("shop@example.org")]);
}
