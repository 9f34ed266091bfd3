//! CSV files as they come: marks, encodings, broken quotes, wrong rows. Every row is in the batch or rejected.

use std::io::Write;

use polars::prelude::DataFrame;
use serde_json::{Value, json};
use tasks::extract_csv::ExtractCsv;
use tempfile::TempDir;
use warehouse::{lake::Lake, manifest::Manifest};
use workflow::{
    error::{ErrorDomain, TaskError},
    kind::{Fence, Registry},
};

use crate::support::{context, shared};

struct Csv {
    folder: TempDir,
    lake: Lake,
}

impl Csv {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::open(folder.path().join("lake").to_str().expect("a UTF-8 path")).expect("a lake");
        Self { folder, lake }
    }

    fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.folder.path().join(name), bytes).expect("a file");
        self
    }

    async fn run(&self, config: Value) -> Result<Manifest, TaskError> {
        self.run_as(1, config).await
    }

    /// Runs as this attempt of run 1.
    async fn run_as(&self, attempt_id: i64, config: Value) -> Result<Manifest, TaskError> {
        let registry = Registry::new().with(ExtractCsv::new(self.lake.clone(), self.folder.path()));
        let mut task = context(Fence { attempt_id, token: attempt_id }, &[]);
        task.run_id = 1;
        let output = registry.get("extract_csv").expect("a kind").run(config, &task).await?;
        Ok(serde_json::from_value(output).expect("a manifest"))
    }

    async fn rows(&self, manifest: &Manifest) -> DataFrame {
        self.lake.read_parquet(&manifest.files[0].path).await.expect("the batch")
    }

    /// `line: reason` of each rejected row.
    async fn rejected(&self, manifest: &Manifest) -> Vec<String> {
        let Some(files) = &manifest.rejected else { return Vec::new() };
        let frame = self.lake.read_parquet(&files[0].path).await.expect("the rejected rows");
        let lines = frame.column("source_line").expect("a column").i64().expect("numbers").clone();
        let reasons = frame.column("reason").expect("a column").str().expect("texts").clone();
        lines.iter().zip(reasons.iter()).map(|(l, r)| format!("{}: {}", l.unwrap_or(0), r.unwrap_or(""))).collect()
    }
}

fn texts(frame: &DataFrame, column: &str) -> Vec<Option<String>> {
    let column = frame.column(column).expect("a column").str().expect("texts").clone();
    column.iter().map(|text| text.map(str::to_owned)).collect()
}

fn lines(frame: &DataFrame) -> Vec<Option<i64>> {
    frame.column("_source_line").expect("the lines").i64().expect("numbers").iter().collect()
}

#[tokio::test]
async fn two_tasks_of_a_run_read_files_of_one_name_side_by_side() {
    let csv = Csv::new();
    for (place, row) in [("north", "n"), ("south", "s")] {
        std::fs::create_dir(csv.folder.path().join(place)).expect("a folder");
        std::fs::write(csv.folder.path().join(format!("{place}/sales.csv")), format!("id\n{row}\n")).expect("a file");
    }
    let (north, south) = tokio::join!(
        csv.run_as(1, json!({"path": "north/sales.csv"})),
        csv.run_as(2, json!({"path": "south/sales.csv"})),
    );
    for (manifest, row) in [(north.expect("a batch"), "n"), (south.expect("a batch"), "s")] {
        assert_eq!(texts(&csv.rows(&manifest).await, "id"), [Some(row.to_owned())]);
    }
}

#[tokio::test]
async fn two_writers_of_one_path_do_not_mix() {
    let csv = Csv::new();
    let frame = |text: &str| {
        let column = polars::prelude::Column::new("id".into(), [text]);
        DataFrame::new_infer_height(vec![column]).expect("a frame")
    };
    let schema = frame("a").schema().clone();
    let mut first = csv.lake.parquet_writer("one.parquet", schema.clone()).expect("a file");
    let mut second = csv.lake.parquet_writer("one.parquet", schema).expect("a file");
    first.write(&frame("a")).expect("written");
    second.write(&frame("b")).expect("written");
    first.finish().expect("in its place");
    assert_eq!(texts(&csv.lake.read_parquet("one.parquet").await.expect("whole"), "id"), [Some("a".to_owned())]);
    second.finish().expect("in its place");
    assert_eq!(texts(&csv.lake.read_parquet("one.parquet").await.expect("whole"), "id"), [Some("b".to_owned())]);
}

#[tokio::test]
async fn every_row_is_in_the_batch_or_rejected_with_its_line_and_reason() {
    let csv = Csv::new().file(
        "sales.csv",
        "\u{feff}id,item,price,day\r\n\
         1,\"two\r\nlines\",1.50,2024-01-31\r\n\
         2,short,1.50\r\n\
         x,word,1.5,2024-02-30\r\n\
         \r\n\
         3,\"open,2.00,2024-02-01\r\n\
         4,\"\",2.005,2024-02-01\r\n\
         5,,,\r\n\
         6,\"a \"\"b\"\"\",7,2024-02-01",
    );
    let columns = json!({ "id": "integer", "price": "decimal(8,2)", "day": "date" });
    let manifest = csv.run(json!({ "path": "sales.csv", "columns": columns })).await.expect("a batch");
    let rows = csv.rows(&manifest).await;
    assert_eq!(lines(&rows), [2, 9, 10].map(Some));
    assert_eq!(texts(&rows, "item"), [Some("two\r\nlines".into()), None, Some("a \"b\"".into())]);
    assert_eq!(rows.column("price").expect("prices").dtype().to_string(), "decimal[8,2]");
    assert_eq!(
        csv.rejected(&manifest).await,
        [
            "4: expected 4 fields, found 3",
            "5: `id`: `x` is not a whole number of 64 bits; `day`: `2024-02-30` is not a date such as 2024-01-31",
            "7: text follows a closing quote",
            "8: `price`: `2.005` is not a decimal(8,2)",
        ]
    );
    assert_eq!((manifest.dataset.as_str(), manifest.rows, manifest.rejected_rows()), ("sales", 3, 4));
}

#[tokio::test]
async fn encodings_are_found_or_taken_at_their_word() {
    let text = |bytes: &'static [u8], encoding: &'static str| async move {
        let csv = Csv::new().file("x.csv", bytes);
        let manifest = csv.run(json!({ "path": "x.csv", "encoding": encoding })).await.expect("a batch");
        (texts(&csv.rows(&manifest).await, "a"), csv.rejected(&manifest).await)
    };
    let umlaut = vec![Some("Köln".to_owned())];
    assert_eq!(text(b"a\nK\xc3\xb6ln\n", "auto").await.0, umlaut);
    assert_eq!(text(b"a\nK\xf6ln\n", "auto").await.0, umlaut);
    assert_eq!(text(b"a\nK\xf6ln\n", "latin1").await.0, umlaut);
    assert_eq!(text(b"\xff\xfea\0\n\0K\0\xf6\0l\0n\0\n\0", "auto").await.0, umlaut);
    let (rows, rejected) = text(b"a\nK\xf6ln\nBonn\n", "utf-8").await;
    assert_eq!(rows, [Some("Bonn".to_owned())]);
    assert_eq!(rejected, ["2: `a` is not valid UTF-8"]);
}

#[tokio::test]
async fn headers_delimiters_names_and_nulls_are_as_the_task_says() {
    let csv = Csv::new().file("x.csv", "1;NA;t;1/2/2024\n2;x;f;12/31/2023\n");
    let columns = json!({
        "id": "integer", "note": "text", "good": "boolean", "day": { "type": "date", "format": "%m/%d/%Y" },
    });
    let config =
        json!({ "path": "x.csv", "delimiter": ";", "header": false, "columns": columns, "null_values": ["NA"] });
    let manifest = csv.run(config).await.expect("a batch");
    let rows = csv.rows(&manifest).await;
    assert_eq!(texts(&rows, "note"), [None, Some("x".into())]);
    assert_eq!(rows.column("day").expect("days").get(0).expect("a day").to_string(), "2024-01-02");

    let renamed = Csv::new().file("y.csv", "InvoiceNo,Other\n1,2\n");
    let columns = json!({ "invoice_no": { "from": "InvoiceNo" } });
    let manifest = renamed.run(json!({ "path": "y.csv", "columns": columns })).await.expect("a batch");
    let names: Vec<_> = renamed.rows(&manifest).await.get_column_names_owned();
    assert_eq!(names, ["invoice_no", "Other", "_source_line"]);
}

#[tokio::test]
async fn a_packed_file_is_unpacked_and_has_an_identity_of_its_own() {
    let plain = "a\nx\n";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(plain.as_bytes()).expect("memory");
    let csv = Csv::new()
        .file("x.csv", plain)
        .file("x.csv.gz", packed.finish().expect("memory"))
        .file("cut.csv.gz", b"\x1f\x8b");
    let first = csv.run(json!({ "path": "x.csv" })).await.expect("a batch");
    let again = csv.run(json!({ "path": "x.csv" })).await.expect("a batch");
    let packed = csv.run(json!({ "path": "x.csv.gz" })).await.expect("a batch");
    assert_eq!(first.batch_id, again.batch_id);
    assert_ne!(first.batch_id, packed.batch_id);
    assert_eq!(texts(&csv.rows(&packed).await, "a"), [Some("x".to_owned())]);
    let damaged = csv.run(json!({ "path": "cut.csv.gz" })).await.expect_err("a damaged file");
    assert_eq!((damaged.domain, damaged.to_string().contains("damaged")), (ErrorDomain::User, true), "{damaged}");
}

#[tokio::test]
async fn files_and_headers_that_do_not_fit_are_told() {
    let csv = Csv::new().file("x.csv", "id,naem\n1,a\n").file("twice.csv", "id,id\n").file("empty.csv", "");
    let fault = |config| async { csv.run(config).await.expect_err("a fault").to_string() };
    assert_eq!(
        fault(json!({ "path": "x.csv", "columns": { "name": "text" } })).await,
        "the header does not name `name` (did you mean `naem`?)"
    );
    assert!(fault(json!({ "path": "twice.csv" })).await.ends_with("names `id` twice"));
    assert!(fault(json!({ "path": "empty.csv" })).await.ends_with("is empty; expected a header"));
    assert!(fault(json!({ "path": "absent.csv" })).await.starts_with("there is no file"));
}

#[test]
fn wrong_keys_are_all_told_at_once() {
    let csv = Csv::new();
    let registry = Registry::new().with(ExtractCsv::new(csv.lake.clone(), csv.folder.path()));
    let config = json!({
        "path": "x.csv",
        "delimiter": ";;",
        "columns": { "a": "integr", "b": { "type": "text", "format": "%d" }, "c": { "typ": "text" }, "d": "decimal(40,2)" },
    });
    let problems = registry.get("extract_csv").expect("a kind").check(&config).expect_err("faults");
    let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["columns.a", "columns.b.format", "columns.c.typ", "columns.d", "delimiter"]);
}

#[tokio::test]
async fn online_retail_reads_whole() {
    let Some(path) = shared("online-retail/online_retail_all.csv.gz") else { return };
    let csv = Csv::new();
    let columns = json!({
        "invoice_no": { "from": "InvoiceNo" }, "stock_code": { "from": "StockCode" },
        "description": { "from": "Description" }, "quantity": { "from": "Quantity", "type": "integer" },
        "invoice_date": { "from": "InvoiceDate", "type": "timestamp" },
        "unit_price": { "from": "UnitPrice", "type": "decimal(12,3)" },
        "customer_id": { "from": "CustomerID", "type": "integer" }, "country": { "from": "Country" },
    });
    let manifest = csv.run(json!({ "path": path, "columns": columns })).await.expect("a batch");
    assert_eq!((manifest.rows, manifest.rejected_rows()), (541_909, 0));
    let suite = include_str!("../../../../examples/online_retail/quality/online_retail.yaml");
    let suite = quality::Suite::parse("quality/online_retail.yaml", suite).expect("a suite");
    let rows = csv.rows(&manifest).await;
    let found =
        tokio::task::spawn_blocking(move || quality::evaluate_frame(&suite, &rows)).await.expect("an evaluation");
    let failed: Vec<_> = found
        .ended(quality::Outcome::Failed)
        .map(|check| (check.id.as_str(), check.observed["unexpected_count"].as_u64().unwrap_or(0)))
        .collect();
    assert_eq!(
        failed,
        [
            ("invoice_no.form", 3),
            ("stock_code.product", 2995),
            ("unit_price.positive", 2517),
            ("quantity.negative_when_cancelled", 1336),
            ("customer_id.known", 135_080),
            ("invoice_no.not_cancelled", 9288),
            ("description.not_null", 1454),
        ]
    );
    assert_eq!(found.ended(quality::Outcome::Errored).count(), 0);
}

#[tokio::test]
async fn superstore_reads_whole() {
    let Some(path) = shared("superstore/superstore_2016-2019_utf8bom.csv.gz") else { return };
    let csv = Csv::new();
    let day = json!({ "type": "date", "format": "%m/%d/%Y" });
    let columns = json!({ "Row ID": "integer", "Order Date": day, "Ship Date": day, "Quantity": "integer", "Postal Code": "text" });
    let manifest = csv.run(json!({ "path": path, "columns": columns })).await.expect("a batch");
    assert_eq!((manifest.rows, manifest.rejected_rows()), (9994, 0));
    let rows = csv.rows(&manifest).await;
    assert_eq!(rows.column("Postal Code").expect("a column").null_count(), 11);
}
