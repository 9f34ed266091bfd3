//! What a profile tells of rows that are known, from a frame, a Parquet file and a table.

use std::fs::File;

use polars::prelude::{Column, DataFrame, ParquetWriter};
use quality::{profile::Profile, profile_file, profile_frame, profile_table};
use serde_json::{Value, json};

use crate::{
    cases::frame,
    postgres::{cases, table},
};

async fn of_frame(frame: DataFrame) -> Profile {
    tokio::task::spawn_blocking(move || profile_frame(&frame)).await.expect("a profile")
}

fn told(profile: &Profile) -> Value {
    serde_json::to_value(profile).expect("JSON")
}

fn column<'a>(told: &'a Value, name: &str) -> &'a Value {
    let columns = told["columns"].as_array().expect("columns");
    columns.iter().find(|column| column["name"] == name).expect("the column")
}

#[tokio::test]
async fn a_profile_tells_what_is_there() {
    let told = told(&of_frame(frame()).await);
    assert_eq!(told["rows"], 6);
    let quantity = column(&told, "quantity");
    assert_eq!(
        (&quantity["nulls"], &quantity["min"], &quantity["max"], &quantity["mean"]),
        (&json!(1), &json!(-3), &json!(100), &json!(20.0))
    );
    assert_eq!(quantity["distinct"], json!({ "count": 5, "approximate": false }));
    assert_eq!(
        quantity["quantiles"],
        json!({ "p05": -3.0, "p25": 0.0, "p50": 1.0, "p75": 2.0, "p95": 100.0, "approximate": false })
    );
    let stdev = quantity["stdev"].as_f64().expect("a deviation");
    // The root of ((1-20)² + (2-20)² + (-3-20)² + (0-20)² + (100-20)²) / 4.
    assert!((stdev - (8014.0f64 / 4.0).sqrt()).abs() < 1e-9, "{stdev}");
    assert_eq!(column(&told, "unit_price")["max"], json!(9.99));
    assert_eq!(column(&told, "id")["top"][0], json!({ "value": 5, "count": 2 }));
    let weight = column(&told, "weight");
    assert_eq!((&weight["min"], &weight["max"], &weight["mean"]), (&json!(-0.25), &json!("NaN"), &json!(0.9375)));
    let city = column(&told, "city");
    assert_eq!(city["top"][0], json!({ "value": "Bonn", "count": 2 }));
    let text = &city["text"];
    assert_eq!((&text["min_length"], &text["max_length"], &text["padded"]), (&json!(4), &json!(5), &json!(1)));
    assert_eq!(text["patterns"][0], json!({ "pattern": "Aaaa", "count": 3 }));
    assert_eq!(column(&told, "code")["text"]["blank"], 1);
    let nothing = column(&told, "nothing");
    assert_eq!((&nothing["nulls"], &nothing["min"], &nothing["quantiles"]), (&json!(6), &Value::Null, &Value::Null));
    let pairs = told["null_correlations"].as_array().expect("pairs");
    assert!(pairs.contains(&json!({ "a": "quantity", "b": "code", "both": 1, "phi": 1.0 })), "{pairs:#?}");
    assert!(!pairs.iter().any(|pair| pair["a"] == "nothing" || pair["b"] == "nothing"), "{pairs:#?}");
}

#[tokio::test]
async fn a_table_has_the_profile_of_the_same_rows_in_a_frame() {
    let pool = cases().await;
    let mut connection = pool.acquire().await.expect("a connection");
    let mut in_table = told(&profile_table(&mut connection, &table("public.cases")).await.expect("a profile"));
    let mut framed = told(&of_frame(frame()).await);
    for told in [&mut in_table, &mut framed] {
        // Each engine has its own names for types.
        for column in told["columns"].as_array_mut().expect("columns") {
            column["type"].take();
        }
    }
    assert_eq!(in_table, framed);
}

#[tokio::test]
async fn a_file_read_in_parts_has_the_profile_of_the_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows.parquet");
    let rows = 600_000;
    let id = Column::new("id".into(), (0..rows).collect::<Vec<i64>>());
    let kind =
        Column::new("kind".into(), (0..rows).map(|n| (n % 7 > 0).then(|| format!("k{}", n % 7))).collect::<Vec<_>>());
    let gap = Column::new("gap".into(), (0..rows).map(|n| (n % 7 > 0).then_some(n % 5)).collect::<Vec<_>>());
    let mut frame = DataFrame::new(rows.try_into().expect("a height"), vec![id, kind, gap]).expect("a frame");
    ParquetWriter::new(File::create(&path).expect("a file")).finish(&mut frame).expect("written");
    let in_parts = tokio::task::spawn_blocking(move || profile_file(&path)).await.expect("it ends").expect("a profile");
    let in_parts = told(&in_parts);
    assert_eq!(in_parts, told(&of_frame(frame).await));
    let id = column(&in_parts, "id");
    assert_eq!(id["distinct"]["approximate"], true);
    let distinct = id["distinct"]["count"].as_i64().expect("a count");
    assert!((distinct - rows).abs() < rows / 40, "{distinct}");
    let median = id["quantiles"]["p50"].as_f64().expect("a median");
    assert!((median - 300_000.0).abs() < 6_000.0, "{median}");
    assert_eq!(in_parts["null_correlations"][0], json!({ "a": "kind", "b": "gap", "both": 85_715, "phi": 1.0 }));
}
