//! What pages and dashboards ask again and again reads the span that it shows, however long the history is.

use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};
use testkit::grafana::queries;

use crate::{marts, seed};

/// Rows of each kind that are months old.
const OLD: u64 = 60_000;

const HISTORY: &str = "
insert into sluice.stream_window (stream, agg, partition, key, window_start, window_end, events, closed)
select 'fraud', case n % 3 when 0 then 'orders_total' when 1 then 'sales_by_product' else 'card_velocity' end, 0,
       (n % 7)::text, now() - interval '90 days' + n * interval '1 second', now() - interval '90 days' + n * interval '1 second', 1, true
from generate_series(1, 60000) n;
insert into sluice.dead_letter (stream, topic, partition, record_offset, reason, detail, at)
select 'fraud', 'shop.orders', 9, n, 'late', '', now() - interval '90 days' from generate_series(1, 60000) n;
insert into sluice.alert (dedupe_key, source, rule, severity, key, event_time, raised_at, message)
select 'old' || n, 'stream:fraud', 'card_velocity', 'high', n::text, now() - interval '90 days', now() - interval '90 days', ''
from generate_series(1, 60000) n;
insert into sluice.load_ledger (dataset, batch_id, interval_start, interval_end, verdict, read, loaded, quarantined,
                                deduplicated, published_at)
values ('staging.orders', 'old', now() - interval '90 days', now() - interval '90 days', 'quarantined', 60000, 0, 60000, 0, now() - interval '90 days');
insert into sluice.quarantined_row (load_id, seq, dataset, row, rules)
select max(load_id), n, 'staging.orders', '{}', '{orders.amount.between}' from sluice.load_ledger
cross join generate_series(1, 60000) n group by n;
insert into sluice.check_result (suite, suite_hash, check_id, dataset, outcome, on_fail, at)
select 'orders', '', 'amount.between', 'staging.orders', 'passed', 'warn', now() - interval '90 days'
from generate_series(1, 60000) n;
";

/// Rows that the scans of a plan looked at, in all.
fn looked_at(plan: &Value) -> u64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    let below: u64 = plan["Plans"].as_array().into_iter().flatten().map(looked_at).sum();
    let scans =
        plan["Node Type"].as_str().is_some_and(|kind| kind.ends_with("Scan") && plan["Relation Name"].is_string());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let own = ((number("Actual Rows") + number("Rows Removed by Filter")) * number("Actual Loops")) as u64;
    below + if scans { own } else { 0 }
}

async fn cost(pool: &PgPool, sql: &str) -> u64 {
    let explain = format!("explain (analyze, timing off, format json) {sql}");
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(pool).await.expect("a plan");
    looked_at(&plan[0]["Plan"])
}

#[tokio::test]
async fn what_is_asked_on_a_timer_does_not_read_the_history() {
    let database = seed::platform().await;
    marts::publish(&database.pool).await;
    let pool = &database.pool;
    sqlx::raw_sql(HISTORY).execute(pool).await.expect("a history");
    sqlx::raw_sql("analyze").execute(pool).await.expect("analysed");
    let mut asked: Vec<(String, String)> = [
        ("stream rules", include_str!("../../../../sql/web/stream_rules.sql")),
        ("quarantine rules", include_str!("../../../../sql/web/quarantine_rules.sql")),
        ("suites", include_str!("../../../../sql/web/suites.sql")),
        ("overview", include_str!("../../../../sql/web/overview.sql")),
    ]
    .map(|(name, sql)| (name.to_owned(), sql.replace("$1", "20")))
    .into();
    for query in queries().into_iter().filter(|query| query.source == "sluice-postgres") {
        let sql = query.since("now() - interval '6 hours'");
        asked.push((query.place, sql));
    }
    let mut faults = Vec::new();
    for (name, sql) in asked {
        let rows = cost(pool, &sql).await;
        if rows > OLD / 2 {
            faults.push(format!("{name}: {rows} rows\n  {sql}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
