//! Regular expressions: both engines match what the `regex` crate matches.

use polars::prelude::{Column, DataFrame};
use quality::{Evaluation, Outcome, evaluate_table};
use serde_json::Value;

use crate::{
    cases::suite,
    postgres::{in_frame, table},
};

const PATTERNS: &[&str] = &[
    // Classes.
    r"^[[:alnum:]._-]+$",
    r"[]a.]",
    r"^[^]a]+$",
    r"[\]a]",
    r"[a\-z]",
    r"[.]",
    r"[\w.]+@[\w.]+",
    r"[[:^digit:]]",
    r"[a-c&&b-d]",
    r"[a&&b]",
    r"[a-z--m-o]",
    r"[^\d]",
    r"[\s]",
    r"[\x00-\x1f]",
    r"[^\x00]",
    r"[\x{1F600}-\x{1F64F}]",
    // Dots and flags.
    r"a.b",
    r"(?s)a.b",
    r"(?s)^.$",
    r"^a(?s:.)b$",
    r"(?m)^b$",
    r"(?m)a$",
    r"(?mR)^b$",
    r"(?mR)a$",
    r"(?i)straße",
    r"(?i)^k$",
    r"(?i-u)^k$",
    r"(?x) a \. # a comment",
    r"(?U)a+",
    // Digits, words, blanks.
    r"^\d+$",
    r"^(?-u)\d+$",
    r"^\D+$",
    r"^\w+$",
    r"^\W+$",
    r"\s$",
    r"^\S+$",
    r"\bb",
    r"b\b",
    r"\Bb",
    r"(?-u:\b)b",
    r"(?-u:\B)b",
    r"\b{start}b",
    r"b\b{end}",
    r"\b{start-half}b",
    r"b\b{end-half}",
    r"\p{Greek}",
    r"\pL\pN",
    r"\P{ASCII}",
    // Repetition and groups.
    r"^a{2}$",
    r"^a{2,}$",
    r"^a{0,3}?$",
    r"^.{1,300}$",
    r"^.{0,400}$",
    r"^.{300,}$",
    r"^(?:ab)*$",
    r"^(a|b)+?$",
    r"^(?P<name>a)(b)?$",
    r"a|",
    r"^(|a|ab)$",
    r"(?:)*",
    r"(?:\b)*a",
    r"(?:a*)*b",
    // Ends, and what Postgres would read otherwise.
    r"\Aa",
    r"b\z",
    r"^$",
    r"^\*\*\*=a",
    r"\$1\.00",
    r"\x41",
    r"\u{e9}",
    r"\t",
    r"a\nb",
    r"\\",
    r"'",
    r"🙂",
];

const VALUES: &[&str] = &[
    "",
    "a",
    "b",
    "ab",
    "abab",
    "aa",
    "aaa",
    "a.b",
    "a\nb",
    "a\r\nb",
    "a\n",
    "a-z_0",
    "A1",
    "é",
    "café b",
    "ébb",
    "٣٤",
    "12",
    "]",
    ".",
    "a ",
    "a\u{a0}",
    "\t",
    "\\",
    "it's",
    "***=a",
    "$1.00",
    "K",
    "\u{212a}",
    "STRASSE",
    "Straße",
    "joe.doe@example.org",
    "🙂",
    "a🙂b",
    "λόγος",
    "x9",
    "a.",
    "LONG",
    "mno",
];

fn values() -> Vec<String> {
    VALUES.iter().map(|value| if *value == "LONG" { "x".repeat(301) } else { (*value).to_owned() }).collect()
}

/// The values that broke each check.
fn unmatched(found: &Evaluation) -> Vec<Vec<String>> {
    let texts = |list: &Value| {
        let list = list.as_array().expect("a list").iter();
        let mut list: Vec<_> = list.map(|text| text.as_str().expect("text").to_owned()).collect();
        list.sort();
        list
    };
    found
        .checks
        .iter()
        .map(|check| {
            assert_ne!(check.outcome, Outcome::Errored, "{}: {}", check.id, check.observed);
            texts(&check.observed["partial_unexpected_list"])
        })
        .collect()
}

#[tokio::test]
async fn both_engines_match_what_a_pattern_says() {
    let database = testkit::empty_database().await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    let checks: String = PATTERNS
        .iter()
        .enumerate()
        .map(|(index, pattern)| {
            let pattern = serde_json::to_string(pattern).expect("a string");
            format!(
                "  - expect_column_values_to_match_regex: {{ id: p{index}, column: value, regex: {pattern}, \
                 on_fail: warn }}\n"
            )
        })
        .collect();
    let mut differ = Vec::new();
    // A check shows no more than 20 values.
    for (part, values) in values().chunks(20).enumerate() {
        let name = format!("part_{part}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create table {name} (value text)")))
            .execute(&mut *connection)
            .await
            .expect("a table");
        sqlx::query(sqlx::AssertSqlSafe(format!("insert into {name} select unnest($1::text[])")))
            .bind(values)
            .execute(&mut *connection)
            .await
            .expect("rows");
        let in_table = evaluate_table(&mut connection, &suite(&checks), &table(&format!("public.{name}"))).await;
        let in_table = unmatched(&in_table.expect("an evaluation"));
        let frame = DataFrame::new(values.len(), vec![Column::new("value".into(), values)]).expect("a frame");
        let framed = unmatched(&in_frame(suite(&checks), frame).await);
        for (index, pattern) in PATTERNS.iter().enumerate() {
            let rule = regex::Regex::new(pattern).expect("a pattern");
            let mut wanted: Vec<_> = values.iter().filter(|value| !rule.is_match(value)).cloned().collect();
            wanted.sort();
            if framed[index] != wanted || in_table[index] != wanted {
                let (framed, in_table) = (&framed[index], &in_table[index]);
                differ.push(format!("{pattern}\n  wanted {wanted:?}\n  frame {framed:?}\n  table {in_table:?}"));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[tokio::test]
async fn what_postgres_cannot_match_is_an_error_that_says_so() {
    let database = testkit::empty_database().await;
    let mut connection = database.pool.acquire().await.expect("a connection");
    sqlx::raw_sql("create table t as select 'a' as value").execute(&mut *connection).await.expect("a table");
    let checks = "  - expect_column_values_to_match_regex: { column: value, regex: '^a{6000}$' }
  - expect_column_values_to_match_regex: { id: other, column: value, regex: '^a$' }
";
    let found = evaluate_table(&mut connection, &suite(checks), &table("public.t")).await.expect("an evaluation");
    assert_eq!(found.checks[0].outcome, Outcome::Errored);
    let error = found.checks[0].observed["error"].as_str().expect("an error");
    assert_eq!(error, "Postgres cannot match a part that is repeated 6000 times (at most 5000)");
    assert_eq!(found.checks[1].outcome, Outcome::Passed);
}
