//! The second project of this repository, on a small file with the faults of the real one.

use std::fmt::Write as _;

use serde_json::Value;
use sqlx::query_as;

use crate::project::{Project, text};

/// 120 sound lines of 40 invoices, of which one is a credit note and one has no customer; then a line for each fault.
fn sales() -> String {
    let mut csv = String::from("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n");
    for line in 0..120 {
        let (invoice, day) = (536_365 + line / 3, 1 + line / 15);
        let (credit, quantity) = if invoice == 536_370 { ("C", -2) } else { ("", 3) };
        let customer = if invoice == 536_371 { String::new() } else { format!("{}.0", 17_850 + line / 9) };
        let product = 71_050 + line % 3;
        writeln!(
            csv,
            "{credit}{invoice},{product},\"LANTERN, WHITE\",{quantity},2011-12-{day:02} 08:26:00,2.55,{customer},France"
        )
        .expect("write to a string");
    }
    for fault in [
        "536366,71050,\"LANTERN, WHITE\",3,2011-12-01 08:26:00,2.55,17850.0,France", // The fourth line again.
        "536400,POST,POSTAGE,1,2011-12-09 08:00:00,18.00,17850.0,France",
        "536401,71050,,1,2011-12-09 08:00:00,0.00,,France",
        "536402,71051,thrown away,-5,2011-12-09 08:00:00,1.00,,France",
        "A536403,B,Adjust bad debt,1,2011-12-09 08:00:00,-11.11,,United Kingdom",
    ] {
        writeln!(csv, "{fault}").expect("write to a string");
    }
    csv
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_and_every_penny_of_a_dirty_file_is_accounted_for() {
    let database = testkit::database().await;
    let project = Project::online_retail().with("SLUICE_POSTGRES_URL", &database.url);
    project.write("sales.csv", &sales());
    let csv = format!("csv={}", project.path("sales.csv").display());
    let (project, output) = tokio::task::spawn_blocking(move || {
        let run = ["run", "online_retail", "--date", "2011-12-11", "--param", &csv, "--wait"];
        let output = project.sluice(run);
        (project, output)
    })
    .await
    .expect("the command ends");
    assert!(output.status.success(), "{}", text(&output));

    let (read, loaded, held, again, sums): (i64, i64, i64, i64, Value) = query_as(
        "select read, loaded, quarantined, deduplicated, sums from sluice.load_ledger where dataset = 'staging.sales'",
    )
    .fetch_one(&database.pool)
    .await
    .expect("the load");
    assert_eq!((read, loaded, held, again), (125, 120, 4, 1));
    // 117 lines of 3 and 3 of -2 at 2.55; 18.00 - 5.00 - 11.11 held back; one line of 3 there twice.
    let sums = &sums["revenue"];
    assert_eq!(
        ["read", "loaded", "quarantined", "deduplicated"].map(|part| sums[part].as_str().unwrap_or("none")),
        ["889.290", "879.750", "1.890", "7.650"]
    );
    let broken: Vec<(String, i64)> =
        query_as("select rule, count(*) from sluice.quarantine, unnest(rules) as rule group by rule order by rule")
            .fetch_all(&database.pool)
            .await
            .expect("the rules");
    let broken: Vec<_> = broken.iter().map(|(rule, rows)| (rule.as_str(), *rows)).collect();
    assert_eq!(
        broken,
        [
            // These two only warn, but a row that is held back says everything that it broke.
            ("customer_id.known", 3),
            ("description.not_null", 1),
            ("invoice_no.form", 1),
            ("quantity.negative_when_cancelled", 1),
            ("stock_code.product", 2),
            ("unit_price.positive", 2)
        ]
    );
    let star: (i64, String) = query_as("select count(*), sum(revenue)::text from warehouse.fact_order_lines")
        .fetch_one(&database.pool)
        .await
        .expect("the facts");
    assert_eq!(star, (120, "879.750".to_owned()));
    let mails = std::fs::read_dir(project.path(".sluice/outbox/mail")).expect("the outbox").count();
    assert!(mails >= 1, "the report is delivered");
}
