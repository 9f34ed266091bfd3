//! Measures how fast customers are made, each with all of its cells as text, on every core. Writes
//! `target/bench/generate.json`.
//!
//! `cargo run -p simshop --example bench_generate [rows]`

use std::{fmt::Write as _, hint::black_box, ops::Range, thread};

use chrono::DateTime;
use simshop::{Row, Settings, Shop};
use testkit::bench::{Figure, report, timed};

fn main() {
    let rows: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let until = DateTime::from_timestamp(1_780_000_000, 0).expect("an instant");
    let shop = Shop::new(Settings { scale: rows as f64 / 10_000.0, ..Settings::new(42, until) });
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;

    let share = rows.div_ceil(cores);
    let parts: Vec<Range<u64>> = (0..cores).map(|core| core * share..((core + 1) * share).min(rows)).collect();
    let (texts, seconds) = timed(|| on_every_core(&parts, |part| customers(&shop, part)));
    let ((), copied) = timed(|| {
        thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| black_box(copy(text)));
            }
        });
    });
    let figure = Figure::new(
        "generate_rows_per_s",
        rows as f64 / seconds,
        "rows/s",
        format!("customers with all their cells as text, on {cores} cores; limit: copying the same lines"),
    );
    report("generate", &[figure.against(rows as f64 / copied)]);
}

fn on_every_core(parts: &[Range<u64>], work: impl Fn(Range<u64>) -> String + Sync) -> Vec<String> {
    let work = &work;
    thread::scope(|scope| {
        let running: Vec<_> = parts.iter().cloned().map(|part| scope.spawn(move || work(part))).collect();
        running.into_iter().map(|thread| thread.join().expect("a part")).collect()
    })
}

/// The rows as lines of text.
fn customers(shop: &Shop, part: Range<u64>) -> String {
    let mut text = String::new();
    for index in part {
        let customer = shop.customer(index);
        let mut cells = Vec::with_capacity(24);
        customer.values(&mut cells);
        for cell in &cells {
            write!(text, "{cell},").expect("a string takes all that is written to it");
        }
        text.push('\n');
    }
    text
}

/// The same lines again, one by one.
fn copy(text: &str) -> String {
    let mut copy = String::new();
    for line in text.split_inclusive('\n') {
        copy.push_str(line);
    }
    copy
}
