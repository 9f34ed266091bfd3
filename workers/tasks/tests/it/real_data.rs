//! Suites over published data sets, which were proposed by `sluice quality suggest` and then revised: each finds what is
//! wrong with the data, row for row, and nothing else.
//!
//! What is expected was counted apart from this project: over the files with Python's `csv` module, over classicmodels
//! with SQL in MariaDB.

use std::path::{Path, PathBuf};

use quality::{Evaluation, Outcome, Suite, evaluate_frame, evaluate_table};
use serde_json::{Value, json};
use tasks::{extract_csv::ExtractCsv, load::Load};
use tempfile::TempDir;
use warehouse::{lake::Lake, manifest::Manifest};
use workflow::kind::Registry;

use crate::support::{context, shared};

/// Check, and the rows that break it.
type Findings = &'static [(&'static str, u64)];

/// 541,909 rows.
const ONLINE_RETAIL: Findings = &[
    ("invoice_no.no_cancellation", 9_288),
    ("invoice_no.no_adjustment", 3),
    ("stock_code.product", 2_995),
    ("stock_code.upper_case", 1_977),
    ("description.not_null", 1_454),
    ("description.trimmed", 113_452),
    ("quantity.sold", 10_624),
    ("quantity.near", 375),
    ("unit_price.charged", 2_517),
    ("unit_price.not_zero", 2_515),
    ("unit_price.not_negative", 2),
    ("unit_price.near", 563),
    ("customer_id.not_null", 135_080),
    ("customer_id.whole", 406_829),
    ("country.known", 446),
    ("negative.is_cancelled", 1_336),
];

/// 9,994 rows.
const SUPERSTORE: Findings = &[
    ("order_id.product_id.once", 16),
    ("line.once", 2),
    ("customer_id.upper_case", 43),
    ("postal_code.not_null", 11),
    ("postal_code.five_digits", 438),
    ("profit.made", 1_871),
];

/// Six files, of 1,000 rows each but for the ten distribution centers.
const THELOOK: &[(&str, Findings)] = &[
    (
        "order_items",
        &[
            ("shipped.after_created", 191),
            ("user_id.resolves", 993),
            ("product_id.resolves", 946),
            ("inventory_item_id.resolves", 994),
        ],
    ),
    ("users", &[("email.unique", 6), ("age.adult", 92), ("city.known", 140)]),
    // Of the kinds of events one is there: the missing one is no row.
    ("events", &[("user_id.not_null", 1_000), ("event_type.all", 0)]),
    ("inventory_items", &[("product_id.resolves", 924)]),
    ("products", &[("name.unique", 77)]),
];

/// Eight tables, 3,864 rows.
const CLASSICMODELS: &[(&str, Findings)] = &[
    (
        "customers",
        &[
            ("salesRepEmployeeNumber.not_null", 22),
            ("postalCode.not_null", 7),
            ("contactFirstName.trimmed", 44),
            ("city.trimmed", 2),
            ("country.trimmed", 2),
            ("creditLimit.granted", 24),
            ("customer.has_ordered", 24),
            ("customer.has_paid", 21),
        ],
    ),
    ("orders", &[("shippedDate.shipped", 14), ("shipped.in_time", 1), ("status.of_shipped", 9)]),
    ("orderdetails", &[]),
    ("products", &[("quantityInStock.enough", 2), ("product.was_sold", 1)]),
    ("payments", &[]),
];

fn suite_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/suites/{name}.yaml"))
}

fn suite(name: &str) -> Suite {
    let text = std::fs::read_to_string(suite_file(name)).expect(name);
    Suite::parse(&format!("{name}.yaml"), &text).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

/// The checks that did not pass, each with its rows.
fn findings(evaluation: &Evaluation) -> Vec<(&str, u64)> {
    let failed = evaluation.checks.iter().filter(|check| check.outcome != Outcome::Passed);
    let rows = |observed: &Value| {
        let query = &observed["details"]["unexpected_rows_count"];
        observed["unexpected_count"].as_u64().or(query.as_u64()).unwrap_or_default()
    };
    failed
        .map(|check| {
            assert_eq!(check.outcome, Outcome::Failed, "{}: {}", check.id, check.summary());
            (check.id.as_str(), rows(&check.observed))
        })
        .collect()
}

/// A lake, and the kind that reads CSV files into it.
struct Files {
    folder: TempDir,
    lake: Lake,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::open(folder.path().join("lake").to_str().expect("a UTF-8 path")).expect("a lake");
        Self { folder, lake }
    }

    async fn extract(&self, config: Value) -> Manifest {
        let registry = Registry::new().with(ExtractCsv::new(self.lake.clone(), self.folder.path()));
        let task = context(workflow::kind::Fence { attempt_id: 1, token: 1 }, &[]);
        let output = registry.get("extract_csv").expect("a kind").run(config, &task).await.expect("an extract");
        let manifest: Manifest = serde_json::from_value(output).expect("a manifest");
        assert_eq!(manifest.rejected_rows(), 0, "every row can be read");
        manifest
    }

    /// What a suite finds in the batch.
    async fn judge(&self, manifest: &Manifest, name: &str) -> Evaluation {
        let frame = self.lake.read_parquet(&manifest.files[0].path).await.expect("the batch");
        let frame = frame.drop_many([warehouse::load::SOURCE_FILE, warehouse::load::SOURCE_LINE]);
        let suite = suite(name);
        tokio::task::spawn_blocking(move || evaluate_frame(&suite, &frame)).await.expect("an evaluation")
    }
}

#[tokio::test]
async fn online_retail_has_what_its_suite_finds() {
    let Some(path) = shared("online-retail/online_retail_all.csv.gz") else { return };
    let files = Files::new();
    let manifest = files
        .extract(json!({"path": path, "columns": {
            "invoice_no": {"type": "text", "from": "InvoiceNo"},
            "stock_code": {"type": "text", "from": "StockCode"},
            "description": {"type": "text", "from": "Description"},
            "quantity": {"type": "integer", "from": "Quantity"},
            "invoice_date": {"type": "timestamp", "from": "InvoiceDate"},
            "unit_price": {"type": "decimal(12,3)", "from": "UnitPrice"},
            "customer_id": {"type": "text", "from": "CustomerID"},
            "country": {"type": "text", "from": "Country"},
        }}))
        .await;
    assert_eq!(manifest.rows, 541_909);
    assert_eq!(findings(&files.judge(&manifest, "online_retail").await), ONLINE_RETAIL);

    // The same suite as a gate: rows alike count once, and what was taken back or given away waits.
    let db = testkit::database().await;
    std::fs::create_dir(files.folder.path().join("quality")).expect("a folder");
    std::fs::copy(suite_file("online_retail"), files.folder.path().join("quality/online_retail.yaml"))
        .expect("a suite");
    let registry = Registry::new().with(Load::new(db.pool.clone(), files.lake.clone(), files.folder.path()));
    let manifest = serde_json::to_value(manifest).expect("JSON");
    let task = context(testkit::attempt(&db.pool).await, &[("extract", &manifest)]);
    let load =
        json!({"from": "extract", "into": "retail.lines", "deduplicate": true, "gate": {"suite": "online_retail"}});
    let outcome = registry.get("load").expect("a kind").run(load, &task).await.expect("a load");
    let counts = ["read", "loaded", "quarantined", "deduplicated"].map(|name| outcome[name].as_u64());
    assert_eq!(counts, [Some(541_909), Some(524_878), Some(11_763), Some(5_268)]);
}

#[tokio::test]
async fn superstore_has_what_its_suite_finds() {
    let Some(path) = shared("superstore/superstore_2016-2019_utf8bom.csv.gz") else { return };
    let text = |from: &str| json!({"type": "text", "from": from});
    let date = |from: &str| json!({"type": "date", "from": from, "format": "%m/%d/%Y"});
    let number = |from: &str| json!({"type": "decimal(12,4)", "from": from});
    let files = Files::new();
    let manifest = files
        .extract(json!({"path": path, "columns": {
            "row_id": {"type": "integer", "from": "Row ID"},
            "order_id": text("Order ID"), "order_date": date("Order Date"), "ship_date": date("Ship Date"),
            "ship_mode": text("Ship Mode"), "customer_id": text("Customer ID"), "customer_name": text("Customer Name"),
            "segment": text("Segment"), "country": text("Country"), "city": text("City"), "state": text("State"),
            "postal_code": text("Postal Code"), "region": text("Region"), "product_id": text("Product ID"),
            "category": text("Category"), "sub_category": text("Sub-Category"), "product_name": text("Product Name"),
            "sales": number("Sales"), "quantity": {"type": "integer", "from": "Quantity"},
            "discount": number("Discount"), "profit": number("Profit"),
        }}))
        .await;
    assert_eq!(manifest.rows, 9_994);
    assert_eq!(findings(&files.judge(&manifest, "superstore").await), SUPERSTORE);
}

#[tokio::test]
async fn thelook_has_what_its_suites_find() {
    let Some(folder) = shared("thelook/sample-b") else { return };
    let whole = json!("integer");
    let real = json!("float");
    let moment = json!({"type": "timestamp", "format": "%Y-%m-%d %H:%M:%S%.f UTC"});
    let tables = [
        (
            "order_iteams",
            "order_items",
            json!({"id": whole, "order_id": whole, "user_id": whole, "product_id": whole, "inventory_item_id": whole,
                   "created_at": moment, "shipped_at": moment, "delivered_at": moment, "returned_at": moment,
                   "sale_price": real}),
        ),
        (
            "users",
            "users",
            json!({"id": whole, "age": whole, "latitude": real, "longitude": real, "created_at": moment}),
        ),
        ("events", "events", json!({"id": whole, "user_id": whole, "sequence_number": whole, "created_at": moment})),
        (
            "items",
            "inventory_items",
            json!({"id": whole, "product_id": whole, "created_at": moment, "sold_at": moment, "cost": real,
                   "product_retail_price": real, "product_distribution_center_id": whole}),
        ),
        (
            "products",
            "products",
            json!({"id": whole, "cost": real, "retail_price": real, "distribution_center_id": whole}),
        ),
        ("distribution_centers", "distribution_centers", json!({"id": whole, "latitude": real, "longitude": real})),
    ];
    let files = Files::new();
    let db = testkit::database().await;
    let registry = Registry::new().with(Load::new(db.pool.clone(), files.lake.clone(), files.folder.path()));
    for (file, table, columns) in tables {
        let manifest = files.extract(json!({"path": folder.join(format!("{file}.csv")), "columns": columns})).await;
        let manifest = serde_json::to_value(manifest).expect("JSON");
        let task = context(testkit::attempt(&db.pool).await, &[("extract", &manifest)]);
        let load = json!({"from": "extract", "into": format!("thelook.{table}"), "key": ["id"]});
        let outcome = registry.get("load").expect("a kind").run(load, &task).await.expect(table);
        assert_eq!(outcome["read"], outcome["loaded"], "{table}");
    }
    let mut connection = db.pool.acquire().await.expect("a connection");
    for (table, expected) in THELOOK {
        let (suite, at) = (suite(&format!("thelook_{table}")), format!("thelook.{table}").parse().expect("a table"));
        let evaluation = evaluate_table(&mut connection, &suite, &at).await.expect("an evaluation");
        assert_eq!(findings(&evaluation), *expected, "{table}");
    }
}

#[tokio::test]
async fn classicmodels_has_what_its_suites_find() {
    let Some(world) = crate::classicmodels::loaded().await else { return };
    let mut connection = world.pool.acquire().await.expect("a connection");
    for (table, expected) in CLASSICMODELS {
        let (suite, at) = (suite(&format!("classic_{table}")), format!("classic.{table}").parse().expect("a table"));
        let evaluation = evaluate_table(&mut connection, &suite, &at).await.expect("an evaluation");
        assert_eq!(findings(&evaluation), *expected, "{table}");
    }
}
