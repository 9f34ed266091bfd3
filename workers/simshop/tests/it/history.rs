use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeZone, Utc};
use simshop::{Cents, Row, Sale, Settings, Shop, Value};

fn settings() -> Settings {
    let until = Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).single().expect("an instant");
    Settings { scale: 0.1, days: 120, ..Settings::new(42, until) }
}

fn sales(shop: &Shop) -> Vec<Sale> {
    (0..shop.settings().orders()).map(|index| shop.sale(index)).collect()
}

/// A row's cells by column.
fn cells<R: Row>(row: &R) -> HashMap<&'static str, Value<'_>> {
    let mut values = Vec::new();
    row.values(&mut values);
    assert_eq!(values.len(), R::COLUMNS.len(), "{}", R::TABLE);
    R::COLUMNS.iter().copied().zip(values).collect()
}

fn money(value: &Value<'_>) -> i64 {
    let Value::Money(Cents(cents)) = value else { panic!("{value:?} is not money") };
    *cents
}

fn time(value: &Value<'_>) -> Option<DateTime<Utc>> {
    match value {
        Value::Time(at) => Some(*at),
        Value::Null => None,
        other => panic!("{other:?} is not a time"),
    }
}

#[test]
fn the_same_settings_give_the_same_rows_in_any_order() {
    let (one, two) = (Shop::new(settings()), Shop::new(settings()));
    let forth: Vec<String> = (0..200).map(|i| format!("{:?}{:?}", one.sale(i), one.customer(i))).collect();
    let back: Vec<String> = (0..200).rev().map(|i| format!("{:?}{:?}", two.sale(i), two.customer(i))).collect();
    assert!(forth.iter().eq(back.iter().rev()));
    let other = Shop::new(Settings { seed: 43, ..settings() });
    assert_ne!(format!("{:?}", one.sale(0)), format!("{:?}", other.sale(0)));
}

#[test]
fn a_few_of_the_products_run_low() {
    for seed in [42, 7] {
        let until = Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).single().expect("an instant");
        let shop = Shop::new(Settings { days: 30, ..Settings::new(seed, until) });
        let (mut keeper, mut movements) = shop.stock_keeper();
        for sale in sales(&shop) {
            keeper.apply(&sale, &mut movements);
        }
        let number = |row: &HashMap<_, Value<'_>>, name| match row[name] {
            Value::Int(number) => number,
            ref other => panic!("{name} is {other:?}"),
        };
        let stock = keeper.close(&mut movements);
        let rows = stock.iter().map(cells);
        let low: HashSet<u64> = rows
            .filter(|row| number(row, "on_hand") <= number(row, "reorder_point"))
            .map(|row| match row["product_id"] {
                Value::Id(id) => id,
                ref other => panic!("{other:?} is no product"),
            })
            .collect();
        let share = low.len() as f64 / shop.settings().products() as f64;
        assert!((0.01..=0.06).contains(&share), "{} products run low with seed {seed}", low.len());
    }
}

#[test]
fn every_reference_resolves_and_time_runs_forward() {
    let shop = Shop::new(settings());
    let products = shop.settings().products();
    let mut before = shop.settings().start();
    let mut ids = HashSet::new();
    for sale in sales(&shop) {
        let order = &sale.order;
        assert!((1..=shop.settings().customers()).contains(&order.customer_id));
        let customer = shop.customer(order.customer_id - 1);
        assert!(customer.registered_at <= order.ordered_at, "order {} is older than its account", order.id);
        // A new account delays its order by seconds at most, so ids and times go together.
        assert!(order.ordered_at + chrono::TimeDelta::minutes(1) > before && order.ordered_at < shop.settings().until);
        before = order.ordered_at;
        assert!(!sale.items.is_empty() && !sale.payments.is_empty());
        for item in &sale.items {
            assert!((1..=products).contains(&item.product_id));
            assert!(ids.insert(("item", cells(item)["id"].to_string())));
            assert!(item.returned <= item.quantity);
        }
        for payment in &sale.payments {
            let row = cells(payment);
            assert!(ids.insert(("payment", row["id"].to_string())));
            assert!(time(&row["paid_at"]).is_some_and(|at| at >= order.ordered_at && at < shop.settings().until));
        }
        if let Some(parcel) = &sale.shipment
            && !sale.truth(42).iter().any(|truth| truth.source == "shipments")
        {
            let row = cells(parcel);
            let shipped = time(&row["shipped_at"]).expect("a parcel that left");
            assert!(shipped > order.ordered_at);
            assert!(time(&row["delivered_at"]).is_none_or(|at| at > shipped));
        }
    }
}

#[test]
fn totals_add_up_except_where_the_truth_says_otherwise() {
    let shop = Shop::new(settings());
    let mut mismatches = 0;
    for sale in sales(&shop) {
        let row = cells(&sale.order);
        let lines: i64 = sale.items.iter().map(|item| money(&cells(item)["line_total"])).sum();
        assert_eq!(money(&row["subtotal"]), lines, "order {}", sale.order.id);
        let sum = lines - money(&row["discount"]) + money(&row["shipping_fee"]);
        let labelled = sale.truth(42).iter().any(|truth| truth.fault == "total_mismatch");
        assert_eq!(money(&row["total"]) != sum, labelled, "order {}", sale.order.id);
        mismatches += u32::from(labelled);
    }
    assert!(mismatches > 0);
}

#[test]
fn about_one_row_in_a_hundred_is_dirty_and_every_fault_occurs() {
    let shop = Shop::new(settings());
    let mut rows = 0;
    let mut faults: HashMap<&str, u32> = HashMap::new();
    for sale in sales(&shop) {
        rows += 1 + sale.items.len() + sale.payments.len() + usize::from(sale.shipment.is_some());
        sale.truth(42).iter().for_each(|truth| *faults.entry(truth.fault).or_default() += 1);
    }
    let dirty: u32 = faults.values().sum();
    let share = f64::from(dirty) / rows as f64;
    assert!((0.006..0.014).contains(&share), "{share}");
    for index in 0..shop.settings().customers() {
        if let Some(truth) = shop.customer(index).truth(42) {
            *faults.entry(truth.fault).or_default() += 1;
        }
    }
    shop.catalogue_truth().iter().for_each(|truth| *faults.entry(truth.fault).or_default() += 1);
    for fault in [
        "malformed_email",
        "future_birth_date",
        "untidy_country",
        "duplicate_customer",
        "missing_name",
        "zero_price",
        "negative_quantity",
        "total_mismatch",
        "zero_amount",
        "shipped_before_ordered",
        "delivered_before_shipped",
    ] {
        assert!(faults.contains_key(fault), "no {fault} in {faults:?}");
    }
}

#[test]
fn the_shelves_are_the_sum_of_what_moved_and_never_empty_below_zero() {
    let shop = Shop::new(Settings { dirty_rate: 0.0, ..settings() });
    let (mut keeper, mut movements) = shop.stock_keeper();
    for sale in sales(&shop) {
        keeper.apply(&sale, &mut movements);
    }
    let stock = keeper.close(&mut movements);
    let mut sums: HashMap<(String, String), i64> = HashMap::new();
    let mut kinds: HashMap<String, u32> = HashMap::new();
    for movement in &movements {
        let row = cells(movement);
        let Value::Int(quantity) = row["quantity"] else { panic!("a quantity is a number") };
        let sum = sums.entry((row["product_id"].to_string(), row["distribution_center_id"].to_string())).or_default();
        *sum += quantity;
        assert!(*sum >= 0, "{row:?}");
        *kinds.entry(row["kind"].to_string()).or_default() += 1;
    }
    let mut low = 0;
    for place in &stock {
        let row = cells(place);
        let key = (row["product_id"].to_string(), row["distribution_center_id"].to_string());
        assert_eq!(row["on_hand"], Value::Int(sums[&key]));
        let (Value::Int(on_hand), Value::Int(point)) = (&row["on_hand"], &row["reorder_point"]) else {
            panic!("stock is a number")
        };
        low += u32::from(on_hand <= point);
    }
    assert!(kinds["receipt"] > 10 && kinds["return"] > 10, "{kinds:?}");
    assert!((low as usize) < stock.len() / 20, "{low} of {} run low", stock.len());
}

#[test]
fn some_customers_return_often_and_some_products_sell_best() {
    let shop = Shop::new(settings());
    let mut by_customer: HashMap<u64, u32> = HashMap::new();
    let mut by_product: HashMap<u64, i64> = HashMap::new();
    let all = sales(&shop);
    for sale in &all {
        *by_customer.entry(sale.order.customer_id).or_default() += 1;
        for item in &sale.items {
            *by_product.entry(item.product_id).or_default() += item.quantity;
        }
    }
    let share = |mut counts: Vec<f64>| {
        counts.sort_by(|a, b| b.total_cmp(a));
        counts.iter().take(counts.len() / 5).sum::<f64>() / counts.iter().sum::<f64>()
    };
    let customers = share(by_customer.values().map(|count| f64::from(*count)).collect());
    let products = share(by_product.values().map(|count| *count as f64).collect());
    assert!(customers > 0.35, "the best fifth of buyers places {customers:.2} of the orders");
    assert!(products > 0.35, "the best fifth of products sells {products:.2} of the pieces");
    let statuses: HashSet<&str> = all.iter().map(|sale| sale.order.status).collect();
    for status in ["placed", "paid", "shipped", "delivered", "cancelled", "returned"] {
        assert!(statuses.contains(status), "no order is {status}");
    }
    assert!(shop.prices().len() > shop.products().len(), "prices change");
}
