//! The first five minutes: `sluice init`, `check`, `run`, `show`.

use sqlx::query_as;

use crate::project::{Project, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_project_loads_its_file_and_quarantines_two_rows() {
    let database = testkit::database().await;
    let project = Project::example().with("SLUICE_POSTGRES_URL", &database.url);
    let (project, outputs) = tokio::task::spawn_blocking(move || {
        let outputs = [
            vec!["check"],
            vec!["run", "sales", "--wait"],
            vec!["show", "1"],
            vec!["show", "1.load_sales"],
            vec!["quality", "quarantine", "staging.sales", "--run", "1"],
            vec!["quality", "quarantine", "--run", "1", "--rule", "product.not_null", "--json"],
            vec!["run", "sales", "--wait"],
        ]
        .map(|args| project.sluice(args));
        (project, outputs)
    })
    .await
    .expect("the commands end");
    for output in &outputs {
        assert!(output.status.success(), "{}", text(output));
    }
    // From the run to the task to the rows that it held back, each step named by the one before.
    let shown = |place: usize, words: &[&str]| {
        let text = text(&outputs[place]);
        assert!(words.iter().all(|word| text.contains(word)), "not all of {words:?}:\n{text}");
    };
    shown(2, &["load_sales", "staging.sales", "quarantined", "`sluice quality quarantine --run 1`"]);
    shown(3, &["load_sales of run 1 of sales", "needs   read_file", "ATTEMPT", "staging.sales"]);
    shown(4, &["raw/csv/sales/", "product.not_null", "quantity.between", "product=null"]);
    let held: serde_json::Value = serde_json::from_slice(&outputs[5].stdout).expect("JSON");
    assert_eq!(held.as_array().map(Vec::len), Some(1), "{held}");
    assert_eq!(held[0]["rules"], serde_json::json!(["product.not_null"]), "{held}");
    let loads: Vec<(i64, i64, i64, i64)> =
        query_as("select read, loaded, quarantined, deduplicated from sluice.loads where dataset = 'staging.sales'")
            .fetch_all(&database.pool)
            .await
            .expect("loads");
    assert_eq!(loads.first(), Some(&(7, 5, 2, 0)), "{loads:?}");
    assert!(loads.iter().all(|(read, loaded, held, again)| *read == loaded + held + again), "{loads:?}");
    let mart: Vec<(String, i64)> = query_as("select product, units::int8 from marts.sales_by_product order by product")
        .fetch_all(&database.pool)
        .await
        .expect("the mart");
    assert_eq!(mart, [("Espresso cup".to_owned(), 4), ("Milk jug".to_owned(), 4), ("Tea pot".to_owned(), 3)]);
    drop(project);
}
