//! The star schema and the marts of this repository, on a small shop.

use std::path::Path;

use testkit::database;
use warehouse::models::Catalog;

use super::support::{publish, rows, sql};

fn models() -> Catalog {
    Catalog::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).expect("sound models")
}

#[tokio::test]
async fn facts_resolve_and_money_balances_whatever_a_gate_holds_back() {
    let db = database().await;
    sql(&db.pool, include_str!("../../fixtures/shop.sql")).await;
    let catalog = models();
    publish(&db.pool, &catalog).await.expect("published");

    let balance = "select (select sum(quantity * unit_price) from staging.order_items),
                          (select sum(revenue) from warehouse.fact_order_lines)";
    assert_eq!(rows(&db.pool, balance).await, ["(355.39,355.39)"]);
    // Customer 3 is in quarantine, order 4 is too: one is inferred, the other's line waits for it.
    let lines = "select f.order_item_id, c.customer_id, c.is_inferred, p.product_id, p.is_inferred, f.order_status
                 from warehouse.fact_order_lines f join warehouse.dim_customer c using (customer_key)
                 join warehouse.dim_product p using (product_key) order by 1";
    let expected = [
        "(1,1,f,1,f,delivered)",
        "(2,1,f,2,f,delivered)",
        "(3,3,t,1,f,paid)",
        "(4,2,f,9,t,cancelled)",
        "(5,0,t,2,f,unknown)",
    ];
    assert_eq!(rows(&db.pool, lines).await, expected);
    // 23:30 UTC is the next day in Berlin.
    let day = "select date_key from warehouse.fact_order_lines where order_item_id = 3";
    assert_eq!(rows(&db.pool, day).await, ["(20260302)"]);
    let sales = "select date, orders, cancelled_orders, revenue from marts.sales_daily order by date";
    let expected = ["(2026-03-01,1,0,65.39)", "(2026-03-02,2,0,170.00)", "(2026-03-03,0,1,0.00)"];
    assert_eq!(rows(&db.pool, sales).await, expected);
    for mart in [
        "sales_by_category",
        "sales_by_region",
        "customer_rfm",
        "cohort_retention",
        "product_performance",
        "inventory_health",
        "executive_kpis",
    ] {
        let count = rows(&db.pool, &format!("select count(*) > 0 from marts.{mart}")).await;
        assert_eq!(count, ["(t)"], "{mart} is empty");
    }

    let hours =
        "select to_char(hour, 'HH24'), date_key, events, keys, amount from warehouse.fact_events_hourly order by 1";
    assert_eq!(rows(&db.pool, hours).await, ["(10,20260301,3,2,25.50)", "(11,20260301,3,1,25.50)"]);

    // The order and the customer are let through, and a price changes: keys stay, lines move, sums hold.
    sql(&db.pool, "insert into staging.orders select 4, 'O-4', 2, 'paid', 'web', '2026-03-03 10:00', 'EUR', 100, 0, 0, 100,
                   '1', 'Bonn', 'NRW', 'DE', '2026-03-03 10:00', '2026-03-03 10:00';
                   insert into staging.customers select 3, 'C-3', 'x@example.com', 'a', 'b', null, 'unknown', null, null, 's',
                   '1', 'Ulm', 'BW', 'DE', 0, '2026-01-01', '2026-01-01', '2026-03-01 12:00';
                   update staging.products set price = 11.00, updated_at = '2026-03-02 12:00' where id = 1").await;
    let keys = "select order_item_id, customer_key, product_key from warehouse.fact_order_lines
                where order_item_id <> 5 order by 1";
    let before = rows(&db.pool, keys).await;
    let reports = publish(&db.pool, &catalog).await.expect("published again");
    assert_eq!(rows(&db.pool, keys).await, before);
    let changed = |name: &str| reports.iter().find(|r| r.model == name).expect("reported").changes;
    assert_eq!(changed("warehouse.fact_order_lines").updated, 1);
    assert_eq!(changed("warehouse.dim_customer").updated, 1);
    assert_eq!((changed("warehouse.dim_product").inserted, changed("warehouse.dim_product").closed), (1, 1));
    let line = "select c.customer_id, f.order_status from warehouse.fact_order_lines f
                join warehouse.dim_customer c using (customer_key) where f.order_item_id = 5";
    assert_eq!(rows(&db.pool, line).await, ["(2,paid)"]);
    assert_eq!(rows(&db.pool, balance).await, ["(355.39,355.39)"]);

    let repeated = publish(&db.pool, &catalog).await.expect("repeated");
    let busy: Vec<_> = repeated.iter().filter(|r| r.changes != warehouse::models::Changes::default()).collect();
    assert!(busy.is_empty(), "a repeat changes nothing: {busy:?}");
}

#[tokio::test]
async fn a_product_changes_when_its_supplier_or_category_does() {
    let db = database().await;
    sql(&db.pool, include_str!("../../fixtures/shop.sql")).await;
    let catalog = models();
    publish(&db.pool, &catalog).await.expect("published");
    for change in [
        "update staging.suppliers set name = 'Apex', updated_at = '2026-03-10 09:00'",
        "update staging.categories set name = 'Home', updated_at = '2026-03-12 09:00' where id = 1",
    ] {
        sql(&db.pool, change).await;
        publish(&db.pool, &catalog).await.expect("published again");
    }
    let versions = "select supplier, category, department, to_char(valid_from at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
                    from warehouse.dim_product where product_id = 1 order by valid_from";
    let expected = [
        "(Acme,Pans,Kitchen,\"1900-01-01 00:00\")",
        "(Apex,Pans,Kitchen,\"2026-03-10 09:00\")",
        "(Apex,Pans,Home,\"2026-03-12 09:00\")",
    ];
    assert_eq!(rows(&db.pool, versions).await, expected);
}

#[tokio::test]
async fn stock_of_a_day_is_the_sum_of_its_movements() {
    let db = database().await;
    sql(&db.pool, include_str!("../../fixtures/shop.sql")).await;
    publish(&db.pool, &models()).await.expect("published");
    let stock = "select date_key, on_hand, received, sold from warehouse.fact_inventory_daily
                 where product_id = 1 order by date_key";
    let expected =
        ["(20260227,100,0,0)", "(20260228,100,0,0)", "(20260301,97,0,3)", "(20260302,145,50,2)", "(20260303,145,0,0)"];
    assert_eq!(rows(&db.pool, stock).await, expected);
    let health = "select product_id, on_hand, status from marts.inventory_health order by product_id";
    assert_eq!(rows(&db.pool, health).await, ["(1,145,good)", "(2,0,out)"]);
}
