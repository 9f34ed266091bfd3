//! Measures suites over a Parquet file against one hand-written Polars scan that counts the same, and over a Postgres
//! table against one hand-written aggregate query. Writes `target/bench/quality.json`.
//!
//! `bench_quality [ROWS…] [--peers]`: a million and ten million rows where none are given; 100,000,000 takes long, and
//! 4 GB of the folder for temporary files. With `--peers`, `bench_peers.py` measures other tools on the same files.
//! Each is measured in a process of its own. Postgres is asked where `SLUICE_TEST_POSTGRES` is set or the private one
//! can be started.

use std::{ops::Range, path::Path, process::Command};

use chrono::NaiveDate;
use polars::prelude::{
    AnyValue, Column, DataFrame, DataType, Expr, IntoColumn, LazyFrame, ParquetWriter, PlRefPath, ScanArgsParquet,
    Series, TimeUnit, col, len, lit,
};
use quality::{Evaluation, Outcome, Suite, evaluate_file, evaluate_table};
use testkit::bench::{Figure, peak_mib, report, timed};

/// One schema check and fifteen data checks.
const CHECKS: &str = "suite: bench
checks:
  - expect_table_columns_to_match_set: { column_set: [id, customer, product, quantity, price, total, status, country, code, day, at, note, flag] }
  - expect_column_values_to_not_be_null: { column: id }
  - expect_column_values_to_be_unique: { column: id }
  - expect_column_values_to_not_be_null: { column: customer, mostly: 0.9 }
  - expect_column_values_to_be_between: { column: quantity, min_value: 1, max_value: 20 }
  - expect_column_values_to_be_between: { column: price, min_value: 0, strict_min: true }
  - expect_row: { sql: quantity * price = total }
  - expect_column_values_to_be_in_set: { column: status, value_set: [paid, sent, back] }
  - expect_column_value_lengths_to_equal: { column: country, value: 2 }
  - expect_column_values_to_match_regex: { column: code, regex: '^[A-Z]{2}-\\d+$' }
  - expect_column_values_to_be_between: { column: day, min_value: '2020-01-01', max_value: '2030-01-01' }
  - expect_column_pair_values_a_to_be_greater_than_b: { column_A: total, column_B: price, or_equal: true }
  - expect_column_mean_to_be_between: { column: price, min_value: 1, max_value: 1000 }
  - expect_column_sum_to_be_between: { column: quantity, min_value: 1 }
  - expect_column_max_to_be_between: { column: at, max_value: '2031-01-01' }
  - expect_table_row_count_to_be_between: { min_value: 1 }
";

/// Row counts where none are given.
const ROWS: [usize; 2] = [1_000_000, 10_000_000];

/// Rows that are made at a time.
const PART: usize = 1_000_000;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, what, file] = arguments.as_slice()
        && flag == "--child"
    {
        return child(what, Path::new(file));
    }
    let peers = arguments.iter().any(|argument| argument == "--peers");
    let mut rows: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    if rows.is_empty() {
        rows = ROWS.to_vec();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut figures = Vec::new();
    for rows in &rows {
        let file = folder.path().join(format!("{rows}.parquet"));
        write(&file, *rows);
        figures.extend(of_file(&file, *rows));
        if peers {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/bench_peers.py");
            let ran = Command::new("python3").arg(script).arg(&file).status().expect("python3 runs");
            assert!(ran.success(), "the peers' script failed");
        }
        std::fs::remove_file(&file).expect("removed");
    }
    let suite = Suite::parse("bench.yaml", CHECKS).expect("a suite");
    figures.push(postgres(&suite, rows.iter().copied().min().unwrap_or(PART).min(PART)).await);
    report("quality", &figures);
}

/// What the suite needs on a file, beside someone's own scan.
fn of_file(file: &Path, rows: usize) -> Vec<Figure> {
    let (ours, memory) = measured("suite", file);
    let of = format!("{rows} rows of 13 columns from Parquet");
    let size = match rows {
        100_000_000.. => "100m",
        10_000_000.. => "10m",
        _ => "1m",
    };
    let name = |what: &str| -> &'static str { format!("quality_{size}_{what}").leak() };
    let memory_target = if rows >= 100_000_000 { 1024 } else { 700 };
    let mut figures = vec![
        Figure::new(name("rows_per_s"), rows as f64 / ours, "rows/s", format!("16 checks, {of}")),
        Figure::new(
            name("peak_mib"),
            memory,
            "MiB",
            format!("target {memory_target}; largest resident set of a process that runs 16 checks"),
        ),
    ];
    // Polars by hand holds all of its columns.
    if rows < 100_000_000 {
        let (hand, hand_memory) = measured("hand", file);
        figures.push(Figure::new(
            name("ratio"),
            ours / hand,
            "ratio",
            format!("target 1.2; 16 checks take {ours:.2} s, the same by hand in Polars {hand:.2} s and {hand_memory:.0} MiB"),
        ));
    }
    if rows <= PART {
        let (many, _) = measured("many", file);
        figures.push(Figure::new(name("226_checks_ratio"), many / ours, "ratio", "target 3; 226 checks over 16"));
    }
    figures
}

/// Seconds and MiB of a process of its own: the best of three times, and the largest resident set of all.
fn measured(what: &str, file: &Path) -> (f64, f64) {
    let own = std::env::current_exe().expect("a program");
    let out = Command::new(own).arg("--child").arg(what).arg(file).output().expect("it runs");
    assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("text");
    let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().expect("a number"));
    (numbers.next().expect("seconds"), numbers.next().expect("MiB"))
}

fn child(what: &str, file: &Path) {
    let suite = |text: &str| Suite::parse("bench.yaml", text).expect("a suite");
    let run = |suite: &Suite| expect_passed(&evaluate_file(suite, file).expect("an evaluation"));
    let once: Box<dyn Fn()> = match what {
        "suite" => Box::new(move || run(&suite(CHECKS))),
        "many" => Box::new(move || run(&suite(&repeated()))),
        "hand" => Box::new(|| drop(by_hand(file))),
        other => panic!("there is no `{other}`"),
    };
    let seconds = (0..3).map(|_| timed(&once).1).fold(f64::INFINITY, f64::min);
    println!("{seconds} {}", peak_mib());
}

/// Writes rows that meet every check, a part at a time.
fn write(file: &Path, rows: usize) {
    let out = std::fs::File::create(file).expect("a file");
    let writer = ParquetWriter::new(out).with_row_group_size(Some(256 * 1024));
    let mut writer = writer.batched(make(0, 1).schema()).expect("a writer");
    for first in (0..rows).step_by(PART) {
        writer.write_batch(&make(first, PART.min(rows - first))).expect("written");
    }
    writer.finish().expect("a Parquet file");
}

fn expect_passed(evaluation: &Evaluation) {
    let other: Vec<_> =
        evaluation.checks.iter().filter(|c| c.outcome != Outcome::Passed).map(quality::CheckOutcome::summary).collect();
    assert!(other.is_empty(), "the data meets every check, but: {other:?}");
}

/// The sixteen, and range checks of different bounds up to 226.
fn repeated() -> String {
    let columns = ["quantity", "price", "total", "id", "customer", "product"];
    (0..210).fold(CHECKS.to_owned(), |text, index| {
        let column = columns[index % columns.len()];
        format!("{text}  - expect_column_values_to_be_between: {{ id: more.{index}, column: {column}, min_value: -{index} }}\n")
    })
}

/// A number that looks drawn: the same for the same row and salt.
fn draw(row: usize, salt: u64, below: u64) -> i64 {
    let mut x = u64::try_from(row).unwrap_or_default().wrapping_add(salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 29;
    i64::try_from((x.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) % below).unwrap_or_default()
}

fn ints(rows: &Range<usize>, salt: u64, below: u64) -> Vec<i64> {
    rows.clone().map(|row| draw(row, salt, below)).collect()
}

fn texts(rows: &Range<usize>, salt: u64, of: &[&'static str]) -> Vec<&'static str> {
    let count = u64::try_from(of.len()).unwrap_or(1);
    rows.clone().map(|row| of[usize::try_from(draw(row, salt, count)).unwrap_or_default()]).collect()
}

fn money(name: &str, cents: &[i64]) -> Column {
    let values: Vec<_> = cents.iter().map(|cents| AnyValue::Decimal(i128::from(*cents), 14, 2)).collect();
    Series::from_any_values_and_dtype(name.into(), &values, &DataType::Decimal(14, 2), true)
        .expect("decimals")
        .into_column()
}

/// Thirteen columns of a shop's sales that meet every check.
fn make(first: usize, count: usize) -> DataFrame {
    let rows = &(first..first + count);
    let quantity: Vec<i64> = ints(rows, 1, 20).iter().map(|q| q + 1).collect();
    let price: Vec<i64> = ints(rows, 2, 90_000).iter().map(|cents| cents + 100).collect();
    let total: Vec<i64> = quantity.iter().zip(&price).map(|(q, cents)| q * cents).collect();
    let customer: Vec<Option<i64>> = ints(rows, 3, 10_000).into_iter().map(|c| (c % 50 != 0).then_some(c)).collect();
    let code: Vec<String> = ints(rows, 4, 100_000).iter().map(|n| format!("AB-{n}")).collect();
    let at: Vec<i64> = ints(rows, 5, 100_000_000).iter().map(|s| 1_700_000_000_000_000 + s * 1_000_000).collect();
    let day: Vec<i32> = ints(rows, 6, 2000).iter().map(|d| 18_300 + i32::try_from(*d).unwrap_or_default()).collect();
    let flag: Vec<bool> = ints(rows, 11, 2).iter().map(|n| *n == 1).collect();
    let id: Vec<i64> = rows.clone().map(|row| i64::try_from(row).unwrap_or_default()).collect();
    let columns = vec![
        Column::new("id".into(), id),
        Column::new("customer".into(), customer),
        Column::new("product".into(), ints(rows, 7, 500)),
        Column::new("quantity".into(), quantity),
        money("price", &price),
        money("total", &total),
        Column::new("status".into(), texts(rows, 8, &["paid", "sent", "back"])),
        Column::new("country".into(), texts(rows, 9, &["DE", "FR", "AT", "NL"])),
        Column::new("code".into(), code),
        Column::new("day".into(), day).cast(&DataType::Date).expect("days"),
        Column::new("at".into(), at).cast(&DataType::Datetime(TimeUnit::Microseconds, None)).expect("timestamps"),
        Column::new("note".into(), texts(rows, 10, &["", "gift", "call before delivery"])),
        Column::new("flag".into(), flag),
    ];
    DataFrame::new(count, columns).expect("a frame")
}

/// What the sixteen count, as someone who knows Polars would write it.
fn by_hand(file: &Path) -> DataFrame {
    let new_year = |year: i32| lit(NaiveDate::from_ymd_opt(year, 1, 1).expect("a day"));
    let bad = |condition: Expr, name: &str| condition.not().sum().alias(name);
    let scan = LazyFrame::scan_parquet(PlRefPath::try_from_path(file).expect("a path"), ScanArgsParquet::default());
    scan.expect("a scan")
        .select([
            len().alias("rows"),
            col("id").null_count().alias("a"),
            col("id").n_unique().alias("b"),
            col("customer").null_count().alias("c"),
            bad(col("quantity").gt_eq(lit(1)).and(col("quantity").lt_eq(lit(20))), "d"),
            bad(col("price").gt(lit(0)), "e"),
            bad((col("quantity").cast(DataType::Decimal(38, 2)) * col("price")).eq(col("total")), "f"),
            bad(col("status").eq(lit("paid")).or(col("status").eq(lit("sent"))).or(col("status").eq(lit("back"))), "g"),
            bad(col("country").str().len_chars().eq(lit(2)), "h"),
            bad(col("code").str().contains(lit(r"^[A-Z]{2}-\d+$"), true), "i"),
            bad(col("day").gt_eq(new_year(2020)).and(col("day").lt_eq(new_year(2030))), "j"),
            bad(col("total").gt_eq(col("price")), "k"),
            col("price").mean().alias("l"),
            col("quantity").sum().alias("m"),
            col("at").max().alias("n"),
        ])
        .collect()
        .expect("a result")
}

/// The same rows in a table: the suite against one aggregate query.
async fn postgres(suite: &Suite, rows: usize) -> Figure {
    let database = testkit::database().await;
    let sql = format!(
        "create table public.bench as select i::bigint as id, nullif(i % 50, 0)::bigint as customer, (i % 500)::bigint as product,
            (i % 20 + 1)::bigint as quantity, (i % 900 + 1)::numeric(14,2) as price,
            ((i % 20 + 1) * (i % 900 + 1))::numeric(14,2) as total, 'paid'::text as status, 'DE'::text as country,
            'AB-' || i as code, date '2024-01-01' + i % 900 as day, timestamp '2024-01-01' + i * interval '1 s' as at,
            ''::text as note, true as flag from generate_series(1, {rows}) i"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&database.pool).await.expect("a table");
    sqlx::raw_sql("analyze public.bench").execute(&database.pool).await.expect("statistics");
    let by_hand = "select count(*), count(*) filter (where id is null), count(*) - count(distinct id),
        count(*) filter (where customer is null), count(*) filter (where not quantity between 1 and 20),
        count(*) filter (where not price > 0), count(*) filter (where quantity * price <> total),
        count(*) filter (where not status = any('{paid,sent,back}')), count(*) filter (where char_length(country) <> 2),
        count(*) filter (where code !~ '^[A-Z]{2}-\\d+$'), count(*) filter (where not day between '2020-01-01' and '2030-01-01'),
        count(*) filter (where not total >= price), avg(price), sum(quantity), max(at) from public.bench";
    let table: quality::Table = "public.bench".parse().expect("a table");
    let (mut ours, mut hand) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..3 {
        let started = std::time::Instant::now();
        sqlx::raw_sql(by_hand).execute(&database.pool).await.expect("counts");
        hand = hand.min(started.elapsed().as_secs_f64());
        let mut connection = database.pool.acquire().await.expect("a connection");
        let started = std::time::Instant::now();
        let evaluation = evaluate_table(&mut connection, suite, &table).await.expect("an evaluation");
        ours = ours.min(started.elapsed().as_secs_f64());
        expect_passed(&evaluation);
    }
    Figure::new(
        "quality_postgres_ratio",
        ours / hand,
        "ratio",
        format!("target 1.2; 16 checks on {rows} rows over one hand-written query of {hand:.2} s"),
    )
}
