//! How well anomalies are told: a year of the synthetic shop's order lines, day by day, with faults of known days. Writes
//! `target/bench/anomalies.json`.
//!
//! `cargo run -p tasks --example bench_anomalies [seed]`. The rules are the defaults, the history is kept in Postgres as by a
//! gate. A day counts as told where any of the rules speaks up.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeZone, Utc};
use polars::prelude::{Column, DataFrame};
use quality::{Batch, Outcome, RunRef, Suite, evaluate_frame, keep_numbers, watch};
use simshop::{Cents, Item, Row, Settings, Shop, Value};
use sqlx::PgConnection;
use testkit::bench::{Figure, report};

const SUITE: &str = "suite: lines
checks:
  - expect_column_values_to_be_between: { column: quantity, min_value: 1, on_fail: quarantine }
  - expect_column_values_to_be_between: { column: unit_price, min_value: 0, strict_min: true, on_fail: quarantine }
anomalies:
  - { metric: row_count, season: weekday }
  - { metric: failed_share, direction: up }
  - { metric: null_share, column: customer, direction: up }
  - { metric: mean, column: unit_price }
  - { metric: top_share, column: category }
";

/// What goes wrong on a day.
const FAULTS: [&str; 6] =
    ["dirty rows", "half is lost", "all is there twice", "no customers", "cents for euros", "one category"];

/// Days before any is counted.
const HISTORY: usize = 120;

#[derive(Clone)]
struct Line {
    customer: Option<i64>,
    category: &'static str,
    quantity: i64,
    unit_price: f64,
}

/// The lines of each day of the shop's past.
fn days(settings: &Settings) -> BTreeMap<NaiveDate, Vec<Line>> {
    let shop = Shop::new(settings.clone());
    let mut days: BTreeMap<_, Vec<Line>> = BTreeMap::new();
    for index in 0..settings.orders() {
        let sale = shop.sale(index);
        let day = sale.order.ordered_at.with_timezone(&chrono_tz::Europe::Berlin).date_naive();
        let lines = sale.items.iter().map(|item| {
            // As it is written: that is where the generator's faults are.
            let mut cells = Vec::new();
            item.values(&mut cells);
            let cell =
                |name: &str| Item::COLUMNS.iter().position(|column| *column == name).and_then(|at| cells.get(at));
            Line {
                customer: i64::try_from(sale.order.customer_id).ok(),
                category: item.category,
                quantity: if let Some(Value::Int(quantity)) = cell("quantity") { *quantity } else { item.quantity },
                unit_price: if let Some(Value::Money(Cents(0))) = cell("unit_price") {
                    0.0
                } else {
                    item.unit_price.0 as f64 / 100.0
                },
            }
        });
        days.entry(day).or_default().extend(lines);
    }
    days
}

fn spoil(fault: &str, lines: &[Line], dirty: &[Line], next: &mut impl FnMut() -> u64) -> Vec<Line> {
    match fault {
        "dirty rows" => dirty.to_vec(),
        "half is lost" => lines[..lines.len() / 2].to_vec(),
        "all is there twice" => [lines, lines].concat(),
        "one category" => {
            let lines = lines
                .iter()
                .map(|line| if next() % 100 < 50 { Line { category: "Other", ..line.clone() } } else { line.clone() });
            lines.collect()
        }
        "no customers" => {
            let lines = lines
                .iter()
                .map(|line| if next() % 100 < 10 { Line { customer: None, ..line.clone() } } else { line.clone() });
            lines.collect()
        }
        _ => {
            let cents = |line: &Line| Line { unit_price: line.unit_price * 100.0, ..line.clone() };
            lines.iter().map(|line| if next() % 100 < 5 { cents(line) } else { line.clone() }).collect()
        }
    }
}

fn frame(lines: &[Line]) -> DataFrame {
    let columns = vec![
        Column::new("customer".into(), lines.iter().map(|line| line.customer).collect::<Vec<_>>()),
        Column::new("category".into(), lines.iter().map(|line| line.category).collect::<Vec<_>>()),
        Column::new("quantity".into(), lines.iter().map(|line| line.quantity).collect::<Vec<_>>()),
        Column::new("unit_price".into(), lines.iter().map(|line| line.unit_price).collect::<Vec<_>>()),
    ];
    DataFrame::new(lines.len(), columns).expect("a frame")
}

/// The anomalies of a batch, whose numbers are kept.
async fn judge(connection: &mut PgConnection, suite: &Suite, day: NaiveDate, lines: &[Line]) -> Vec<String> {
    let frame = frame(lines);
    let (watched, judged, owned) = (suite.clone(), suite.clone(), frame.clone());
    let profile = tokio::task::spawn_blocking(move || watched.watched.profile_frame(&owned)).await.expect("a profile");
    let evaluated = tokio::task::spawn_blocking(move || evaluate_frame(&judged, &frame)).await;
    let mut evaluation = evaluated.expect("an evaluation");
    let at = Utc.from_utc_datetime(&day.and_hms_opt(0, 0, 0).expect("midnight"));
    let batch = Batch { dataset: "staging.lines".into(), task: "load".into(), at, day };
    let found = watch(connection, suite, &batch, None, profile.as_ref(), &mut evaluation).await;
    keep_numbers(connection, &RunRef::default(), suite, &batch, &found.expect("numbers")).await.expect("kept");
    let odd = evaluation
        .checks
        .iter()
        .filter(|check| check.expectation == quality::ANOMALY && check.outcome == Outcome::Failed);
    odd.map(quality::CheckOutcome::summary).collect()
}

#[tokio::main]
async fn main() {
    let seed: u64 = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let until = Utc.with_ymd_and_hms(2026, 10, 31, 0, 0, 0).single().expect("an instant");
    let settings = Settings { scale: 2.0, ..Settings::new(seed, until) };
    let (clean, dirty) = (days(&settings), days(&Settings { dirty_rate: 0.08, ..settings.clone() }));
    let suite = Suite::parse("lines.yaml", SUITE).expect("a suite");
    let database = testkit::database().await;
    let mut connection = database.pool.acquire().await.expect("a connection");

    // Knuth's MMIX; the same seed spoils the same days.
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 11
    };
    let mut told: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let (mut calm, mut false_alarms) = (0_u32, 0_u32);
    // The first and the last day are not whole.
    let whole = clean.iter().skip(1).take(clean.len().saturating_sub(2));
    for (number, (day, lines)) in whole.enumerate() {
        let spoilt = number >= HISTORY && next() % 100 < 12;
        if spoilt {
            let fault = FAULTS[usize::try_from(next() % FAULTS.len() as u64).expect("few")];
            let found = judge(&mut connection, &suite, *day, &spoil(fault, lines, &dirty[day], &mut next)).await;
            let (days, hits) = told.entry(fault).or_default();
            (*days, *hits) = (*days + 1, *hits + u32::from(!found.is_empty()));
            if found.is_empty() {
                println!("missed on {day}: {fault}");
            }
        } else {
            let found = judge(&mut connection, &suite, *day, lines).await;
            if number >= HISTORY {
                (calm, false_alarms) = (calm + 1, false_alarms + u32::from(!found.is_empty()));
                for told in found {
                    println!("false alarm on {day}: {told}");
                }
            }
        }
    }
    for (fault, (days, hits)) in &told {
        println!("{fault}: told on {hits} of {days} days");
    }
    let (days, hits) = told.values().fold((0, 0), |(days, hits), (d, h)| (days + d, hits + h));
    let ratio = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
    let note = format!(
        "{days} days with one of {} faults among {} of a shop with some 270 orders a day",
        FAULTS.len(),
        days + calm
    );
    report(
        "anomalies",
        &[
            Figure::new("anomaly_recall", ratio(hits, days), "ratio", note),
            Figure::new(
                "anomaly_precision",
                ratio(hits, hits + false_alarms),
                "ratio",
                format!("{false_alarms} false alarms on {calm} clean days"),
            ),
        ],
    );
}
