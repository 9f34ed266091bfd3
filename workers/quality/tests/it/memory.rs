//! A suite over more rows than it holds, in a process of its own whose memory is then known.

use std::{fs::File, path::Path, process::Command};

use polars::prelude::{Column, DataFrame, ParquetWriter};
use quality::{Suite, evaluate_file};
use serde_json::json;

const ROWS: i64 = 12_000_000;
const PART: i64 = 1_000_000;

/// Its rows alone are 370 MiB, and their keys 275; 190 MiB of those are more than one pass may hold.
const MOST_MIB: u64 = 560;

/// Set where this test is its own child.
const CHILD: &str = "SLUICE_TEST_MEMORY_OF";

const CHECKS: &str = "suite: memory
checks:
  - expect_column_values_to_be_unique: { column: id }
  - expect_compound_columns_to_be_unique: { column_list: [a, b] }
  - expect_column_median_to_be_between: { column: amount, min_value: 2999999, max_value: 3000001 }
  - expect_column_values_to_be_between: { column: amount, min_value: 0 }
";

/// Keys that never ascend; the last row has the id of the first.
fn write(path: &Path) {
    let rows = |first: i64| {
        let rows = first..first + PART;
        // An odd factor gives each number another one, up to 2^40.
        let id = |row: i64| (row % (ROWS - 1)) * 0x9e_3779_b97d % (1 << 40);
        let columns = vec![
            Column::new("id".into(), rows.clone().map(id).collect::<Vec<_>>()),
            Column::new("a".into(), rows.clone().map(|row| row % 3000).collect::<Vec<_>>()),
            Column::new("b".into(), rows.clone().map(|row| row / 3000).collect::<Vec<_>>()),
            Column::new("amount".into(), rows.map(|row| (row * 7919 % ROWS) as f64 / 2.0).collect::<Vec<_>>()),
        ];
        DataFrame::new(usize::try_from(PART).expect("a height"), columns).expect("a frame")
    };
    let out = File::create(path).expect("a file");
    let mut writer = ParquetWriter::new(out).batched(rows(0).schema()).expect("a writer");
    for first in (0..ROWS).step_by(usize::try_from(PART).expect("a step")) {
        writer.write_batch(&rows(first)).expect("written");
    }
    writer.finish().expect("a file");
}

#[test]
fn twelve_million_rows_and_their_keys_need_little_memory() {
    if let Some(file) = std::env::var_os(CHILD) {
        let suite = Suite::parse("memory.yaml", CHECKS).expect("a suite");
        let evaluation = evaluate_file(&suite, Path::new(&file)).expect("an evaluation");
        let seen: Vec<_> = evaluation.checks.iter().map(|check| check.observed.clone()).collect();
        println!("\npeak {}", testkit::bench::peak_mib());
        println!("seen {}", json!([evaluation.verdict, seen]));
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    write(&path);
    let own = std::env::current_exe().expect("a program");
    let test = "memory::twelve_million_rows_and_their_keys_need_little_memory";
    let out = Command::new(own).args([test, "--exact", "--nocapture"]).env(CHILD, &path).output().expect("it runs");
    let text = String::from_utf8_lossy(&out.stdout);
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
    let seen: serde_json::Value = serde_json::from_str(line("seen ")).expect("JSON");
    assert_eq!(seen[0], "failed");
    assert_eq!((&seen[1][0]["unexpected_count"], &seen[1][1]["unexpected_count"]), (&json!(2), &json!(0)), "{seen}");
    assert_eq!(seen[1][0]["partial_unexpected_index_list"], json!([0, ROWS - 1]));
    assert_eq!(seen[1][2]["observed_value"], json!((ROWS - 1) as f64 / 4.0));
    let peak: f64 = line("peak ").parse().expect("a number");
    assert!(peak > 0.0 && peak < MOST_MIB as f64, "{peak} MiB");
}
