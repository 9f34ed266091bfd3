//! Random rows and random suites: both engines find the same.
//!
//! Each round makes a frame of up to 20 rows, so that a result shows all unexpected values, puts the same rows into a
//! table, and asks one suite of a check of every expectation of both. What differs is told with the seed of its round.

use polars::prelude::{AnyValue, Column, DataFrame, DataType, IntoColumn, Series, TimeUnit};
use quality::{Beside, Outcome, Suite, Table, evaluate_table, expectation::catalogue};
use serde_json::{Map, Value, json};
use sqlx::PgPool;

use crate::postgres::{comparable, in_frame_beside};

const ROUNDS: u64 = 100;

/// `SplitMix64`: the same numbers from the same seed, everywhere.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[usize::try_from(self.below(items.len() as u64)).expect("an index")]
    }

    fn number(&mut self) -> i64 {
        i64::try_from(self.below(13)).expect("a number") - 4
    }
}

const TEXTS: [&str; 12] =
    ["a", "B", "ä", "", " x", "10", "2024-02-29", "31/12/1999", "{\"a\":1}", "[1,", "x_y%", "Ünder"];
const DAYS: [&str; 4] = ["2023-12-31", "2024-01-01", "2024-02-29", "1969-07-20"];
const COLUMNS: [&str; 9] = ["i", "j", "d", "f", "s", "t", "day", "at", "b"];

/// One row, as JSON.
pub(crate) fn row(chance: &mut Chance, place: usize) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("id".to_owned(), place.into());
    for column in COLUMNS {
        let value = match column {
            _ if chance.one_in(5) => Value::Null,
            "i" | "j" => chance.number().into(),
            // A decimal is written as text, which loses nothing.
            "d" => format!("{}.{:02}", chance.number().abs(), chance.below(100)).into(),
            "f" if chance.one_in(8) => "NaN".into(),
            // Quarters add up to the same in every order.
            "f" => json!(chance.number() as f64 / 4.0),
            "s" | "t" => (*chance.of(&TEXTS)).into(),
            "day" => (*chance.of(&DAYS)).into(),
            "at" => format!("{}T{:02}:00:00.{:06}", chance.of(&DAYS), chance.below(24), chance.below(3)).into(),
            _ => chance.one_in(2).into(),
        };
        row.insert(column.to_owned(), value);
    }
    row
}

pub(crate) fn frame(rows: &[Map<String, Value>]) -> DataFrame {
    let column = |name: &str, dtype: DataType, read: fn(&Value) -> AnyValue<'static>| {
        let values: Vec<_> =
            rows.iter().map(|row| if row[name].is_null() { AnyValue::Null } else { read(&row[name]) }).collect();
        Series::from_any_values_and_dtype(name.into(), &values, &dtype, true).expect("a column").into_column()
    };
    let int = |value: &Value| AnyValue::Int64(value.as_i64().expect("a number"));
    let text = |value: &Value| AnyValue::StringOwned(value.as_str().expect("a text").into());
    let columns: Vec<Column> = vec![
        column("id", DataType::Int64, int),
        column("i", DataType::Int64, int),
        column("j", DataType::Int64, int),
        column("d", DataType::Decimal(10, 2), |value| {
            let digits = value.as_str().expect("a decimal").replace('.', "");
            AnyValue::Decimal(digits.parse().expect("digits"), 10, 2)
        }),
        column("f", DataType::Float64, |value| AnyValue::Float64(value.as_f64().unwrap_or(f64::NAN))),
        column("s", DataType::String, text),
        column("t", DataType::String, text),
        column("day", DataType::Date, |value| {
            let day: chrono::NaiveDate = value.as_str().expect("a day").parse().expect("a day");
            let days = day.signed_duration_since(chrono::NaiveDate::default()).num_days();
            AnyValue::Date(i32::try_from(days).expect("a day"))
        }),
        column("at", DataType::Datetime(TimeUnit::Microseconds, None), |value| {
            let at: chrono::NaiveDateTime = value.as_str().expect("a time").parse().expect("a time");
            AnyValue::Datetime(at.and_utc().timestamp_micros(), TimeUnit::Microseconds, None)
        }),
        column("b", DataType::Boolean, |value| AnyValue::Boolean(value.as_bool().expect("true or false"))),
    ];
    DataFrame::new(rows.len(), columns).expect("a frame")
}

/// Puts the rows into `public.rows`.
pub(crate) async fn fill(pool: &PgPool, rows: &[Map<String, Value>]) {
    fill_table(pool, "public.rows", rows).await;
}

async fn fill_table(pool: &PgPool, table: &str, rows: &[Map<String, Value>]) {
    const COLUMNS: &str = "id bigint, i bigint, j bigint, d numeric(10,2), f double precision, s text, t text, \
                           day date, at timestamp, b boolean";
    let create = format!("drop table if exists {table}; create table {table} ({COLUMNS})");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(pool).await.expect("a table");
    let insert = format!("insert into {table} select * from jsonb_populate_recordset(null::{table}, $1)");
    sqlx::query(sqlx::AssertSqlSafe(insert)).bind(json!(rows)).execute(pool).await.expect("the rows");
}

/// A value that may stand in `column`, or just miss it.
fn value(chance: &mut Chance, column: &str) -> Value {
    match column {
        "s" | "t" => (*chance.of(&TEXTS)).into(),
        "day" | "at" => (*chance.of(&DAYS)).into(),
        "b" => chance.one_in(2).into(),
        "f" | "d" => json!(chance.number() as f64 / 4.0),
        _ => chance.number().into(),
    }
}

fn values(chance: &mut Chance, column: &str) -> Value {
    (0..chance.below(12)).map(|_| value(chance, column)).collect()
}

/// Random arguments for an expectation; nothing for those that only tables have.
fn arguments(chance: &mut Chance, name: &str) -> Option<Map<String, Value>> {
    let column = *chance.of(&COLUMNS);
    let other = *chance.of(&COLUMNS);
    let text = *chance.of(&["s", "t"]);
    let number = *chance.of(&["i", "j", "d", "f", "b"]);
    let (low, high) = (chance.number(), chance.number());
    let (low, high) = (low.min(high), low.max(high));
    let pair_rows = *chance.of(&["both_values_are_missing", "either_value_is_missing", "neither"]);
    let list_rows = *chance.of(&["all_values_are_missing", "any_value_is_missing", "never"]);
    let patterns = ["^a", "\\d+", "(?i)b", "^$", "[^a-z]"];
    let likes = ["a%", "%_", "\\%%", "", "_"];
    let arguments = match name {
        "expect_column_values_to_not_be_null"
        | "expect_column_values_to_be_null"
        | "expect_column_values_to_be_unique" => {
            json!({ "column": column })
        }
        "expect_column_values_to_be_between" => {
            json!({ "column": column, "min_value": value(chance, column), "strict_min": chance.one_in(2) })
        }
        "expect_column_min_to_be_between" | "expect_column_max_to_be_between" => {
            json!({ "column": column, "max_value": value(chance, column), "strict_max": chance.one_in(2) })
        }
        "expect_column_values_to_be_in_set"
        | "expect_column_values_to_not_be_in_set"
        | "expect_column_distinct_values_to_be_in_set"
        | "expect_column_distinct_values_to_contain_set"
        | "expect_column_distinct_values_to_equal_set" => {
            json!({ "column": column, "value_set": values(chance, column) })
        }
        "expect_column_most_common_value_to_be_in_set" => {
            json!({ "column": column, "value_set": values(chance, column), "ties_okay": chance.one_in(2) })
        }
        "expect_column_value_lengths_to_be_between" => {
            json!({ "column": text, "min_value": 1, "max_value": high.max(1) })
        }
        "expect_column_value_lengths_to_equal" => json!({ "column": text, "value": chance.below(4) }),
        "expect_column_value_z_scores_to_be_less_than" => {
            json!({ "column": number, "threshold": 0.377 * chance.below(6) as f64, "double_sided": chance.one_in(2) })
        }
        "expect_column_values_to_be_increasing" | "expect_column_values_to_be_decreasing" => {
            json!({ "column": column, "strictly": chance.one_in(2), "order_by": "id" })
        }
        "expect_column_values_to_be_of_type" => {
            json!({ "column": column, "type_": chance.of(&["int64", "TEXT", "date"]) })
        }
        "expect_column_values_to_be_in_type_list" => {
            json!({ "column": column, "type_list": ["bool", "float64", "Decimal"] })
        }
        "expect_row" => {
            let sql = *chance.of(&[
                "i + j > 2",
                "s < t or b",
                "d * 2 >= i",
                "f / j < 1",
                "coalesce(i, j, 0) <> 3",
                "length(s) > 1",
            ]);
            json!({ "sql": sql })
        }
        "expect_column_values_to_match_regex" | "expect_column_values_to_not_match_regex" => {
            json!({ "column": text, "regex": chance.of(&patterns) })
        }
        "expect_column_values_to_match_regex_list" => {
            json!({ "column": text, "regex_list": [chance.of(&patterns), chance.of(&patterns)], "match_on": chance.of(&["any", "all"]) })
        }
        "expect_column_values_to_not_match_regex_list" => {
            json!({ "column": text, "regex_list": [chance.of(&patterns)] })
        }
        "expect_column_values_to_match_like_pattern" | "expect_column_values_to_not_match_like_pattern" => {
            json!({ "column": text, "like_pattern": chance.of(&likes) })
        }
        "expect_column_values_to_match_like_pattern_list" => {
            json!({ "column": text, "like_pattern_list": [chance.of(&likes), chance.of(&likes)], "match_on": chance.of(&["any", "all"]) })
        }
        "expect_column_values_to_not_match_like_pattern_list" => {
            json!({ "column": text, "like_pattern_list": [chance.of(&likes)] })
        }
        "expect_column_values_to_be_json_parseable" | "expect_column_values_to_be_dateutil_parseable" => {
            json!({ "column": text })
        }
        "expect_column_values_to_match_json_schema" => {
            json!({ "column": text, "json_schema": { "type": chance.of(&["object", "number"]) } })
        }
        "expect_column_values_to_match_strftime_format" => {
            json!({ "column": text, "strftime_format": chance.of(&["%Y-%m-%d", "%d/%m/%Y", "%H"]) })
        }
        "expect_column_pair_values_a_to_be_greater_than_b" => {
            json!({ "column_A": column, "column_B": other, "or_equal": chance.one_in(2), "ignore_row_if": pair_rows })
        }
        "expect_column_pair_values_to_be_equal" => {
            json!({ "column_A": column, "column_B": other, "ignore_row_if": pair_rows })
        }
        "expect_column_pair_values_to_be_in_set" => {
            let pairs: Vec<_> = (0..4).map(|_| json!([value(chance, column), value(chance, other)])).collect();
            json!({ "column_A": column, "column_B": other, "value_pairs_set": pairs, "ignore_row_if": pair_rows })
        }
        "expect_compound_columns_to_be_unique" => {
            json!({ "column_list": [column, "b", "i"], "ignore_row_if": list_rows })
        }
        "expect_select_column_values_to_be_unique_within_record" => {
            json!({ "column_list": chance.of(&[["i", "j", "d"], ["s", "t", "s"]]), "ignore_row_if": list_rows })
        }
        "expect_multicolumn_sum_to_equal" => {
            json!({ "column_list": ["i", "j"], "sum_total": high, "ignore_row_if": list_rows })
        }
        "expect_column_sum_to_be_between"
        | "expect_column_mean_to_be_between"
        | "expect_column_median_to_be_between"
        | "expect_column_stdev_to_be_between" => {
            json!({ "column": number, "min_value": low as f64 + 0.137, "max_value": high as f64 + 0.637 })
        }
        "expect_column_unique_value_count_to_be_between" => json!({ "column": column, "min_value": 1, "max_value": 4 }),
        "expect_column_proportion_of_unique_values_to_be_between" => json!({ "column": column, "max_value": 0.61 }),
        "expect_column_quantile_values_to_be_between" => {
            let ranges = json!([[low, null_or(chance, high)], [null_or(chance, low), high]]);
            json!({ "column": number, "quantile_ranges": { "quantiles": [0.25, 0.9], "value_ranges": ranges } })
        }
        "expect_column_kl_divergence_to_be_less_than" => divergence(chance, column, number),
        "expect_column_to_exist" => json!({ "column": column, "column_index": chance.below(10) }),
        "expect_table_row_count_to_be_between" => json!({ "min_value": chance.below(10) }),
        "expect_table_row_count_to_equal" | "expect_table_column_count_to_equal" => {
            json!({ "value": chance.below(12) })
        }
        "expect_table_column_count_to_be_between" => json!({ "max_value": chance.below(20) }),
        "expect_table_columns_to_match_set" => {
            json!({ "column_set": [column, other], "exact_match": chance.one_in(2) })
        }
        "expect_table_columns_to_match_ordered_list" => json!({ "column_list": [column, other] }),
        "expect_column_values_to_exist_in" => {
            let there = if ["i", "j", "d", "f"].contains(&column) { *chance.of(&["i", "d", "f"]) } else { column };
            json!({ "column": column, "dataset": "public.others", "other_column": there })
        }
        "expect_compound_columns_to_exist_in" => {
            json!({ "column_list": [column, "b"], "dataset": "public.others" })
        }
        "expect_table_row_count_to_agree_with" => {
            let tolerance = chance.of(&[json!(3), json!("40 %")]).clone();
            json!({ "dataset": "public.others", "tolerance": tolerance, "other_when": chance.of(&["b", "i > 0", "true"]) })
        }
        "expect_column_sum_to_agree_with" => {
            let number = *chance.of(&["i", "d", "b"]);
            let there = *chance.of(&["j", "d", "f"]);
            json!({ "column": number, "dataset": "public.others", "other_column": there, "tolerance": high.max(0) })
        }
        "expect_table_to_meet_contract" => {
            let of =
                |name: &str, kind: &str, nullable: bool| json!({ "name": name, "type": kind, "nullable": nullable });
            let mut fields = vec![
                of("id", "int32", false),
                of("i", "int64", chance.one_in(2)),
                of("gone", "date", false),
                of("d", "decimal(8,2)", chance.one_in(2)),
            ];
            fields.extend((!["i", "d"].contains(&other)).then(|| of(other, "text", true)));
            json!({ "columns": chance.of(&["exact", "additive", "any"]), "types": chance.of(&["exact", "widening"]),
                    "order": chance.of(&["any", "exact"]), "fields": fields })
        }
        "expect_table_row_count_to_equal_other_table" => json!({ "other_table_name": "public.others" }),
        "unexpected_rows_expectation" => return None,
        new => panic!("nobody makes arguments for {new}"),
    };
    arguments.as_object().cloned()
}

fn null_or(chance: &mut Chance, number: i64) -> Value {
    if chance.one_in(3) { Value::Null } else { number.into() }
}

fn divergence(chance: &mut Chance, column: &str, number: &str) -> Value {
    match chance.below(4) {
        0 => json!({ "column": number, "threshold": 0.5, "tail_weight_holdout": 0.1, "internal_weight_holdout": 0.01,
                     "partition_object": { "bins": [-1, 0, 1, 2], "weights": [0.5, 0.0, 0.5] } }),
        1 => json!({ "column": number, "threshold": 0.9,
                     "partition_object": { "bins": ["-Infinity", 0, 2, "Infinity"], "weights": [0.3, 0.3, 0.4] } }),
        2 => json!({ "column": number }),
        _ => {
            let (a, b) = (value(chance, column), value(chance, column));
            json!({ "column": column, "threshold": 0.7, "tail_weight_holdout": 0.2,
                    "partition_object": { "values": if a == b { json!([a]) } else { json!([a, b]) },
                                          "weights": if a == b { json!([1.0]) } else { json!([0.25, 0.75]) } } })
        }
    }
}

fn suite(chance: &mut Chance) -> (Suite, Value) {
    const CONDITIONS: [&str; 4] = ["i > 0", "s <> 'a'", "b", "day >= date '2024-01-01' or d < 3"];
    let mut checks = Vec::new();
    for entry in catalogue() {
        let Some(mut arguments) = arguments(chance, entry.name) else { continue };
        if chance.one_in(4) {
            arguments.insert("when".to_owned(), (*chance.of(&CONDITIONS)).into());
        } else if chance.one_in(5) {
            arguments
                .insert("row_condition".to_owned(), (*chance.of(&["i != 2", "~(j > 1) & s in ['a', 'B']"])).into());
            arguments.insert("condition_parser".to_owned(), "pandas".into());
        }
        tolerate(chance, entry.name, &mut arguments);
        arguments.insert("id".to_owned(), entry.name.into());
        checks.push(json!({ entry.name: arguments }));
    }
    let written = json!({ "suite": "rows", "checks": checks });
    let suite = Suite::parse("quality/rows.yaml", &written.to_string());
    (suite.unwrap_or_else(|faults| panic!("{faults:#?}\n{written:#}")), written)
}

/// Limits on bad rows, and groups, where the expectation can have them.
fn tolerate(chance: &mut Chance, name: &str, arguments: &mut Map<String, Value>) {
    let written = json!({ "suite": "rows", "checks": [{ name: arguments }] }).to_string();
    let alone = Suite::parse("quality/rows.yaml", &written).unwrap_or_else(|faults| panic!("{faults:#?}\n{written}"));
    let expectation = &alone.checks[0].expectation;
    if expectation.is_about_rows() && chance.one_in(3) {
        arguments.insert("mostly".to_owned(), json!(chance.below(5) as f64 / 4.0));
    }
    if expectation.is_about_rows() && chance.one_in(3) {
        arguments.insert("at_most".to_owned(), chance.below(4).into());
    }
    if expectation.is_about_groups() && chance.one_in(2) {
        let by = *chance.of(&["b", "s", "d b", "day i", "f", "at"]);
        arguments.insert("group_by".to_owned(), by.split(' ').collect());
    }
}

/// The same, but for the last digits of numbers that were computed.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= 1e-12 * a.abs().max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        _ => a == b,
    }
}

#[tokio::test]
async fn frames_and_tables_agree_on_random_rows() {
    let database = testkit::database().await;
    let mut ended = [0usize; 4];
    let mut differ = Vec::new();
    for seed in 0..ROUNDS {
        let mut chance = Chance(seed);
        let rows: Vec<_> =
            (0..usize::try_from(chance.below(21)).expect("a height")).map(|place| row(&mut chance, place)).collect();
        let (suite, written) = suite(&mut chance);
        let others: Vec<_> = (0..7).map(|place| row(&mut chance, place)).collect();
        let among_files =
            written.to_string().replace("\"dataset\":\"public.others\"", "\"dataset\":\"others.parquet\"");
        let among_files = Suite::parse("quality/rows.yaml", &among_files).expect("the same suite");
        fill(&database.pool, &rows).await;
        fill_table(&database.pool, "public.others", &others).await;
        let mut connection = database.pool.acquire().await.expect("a connection");
        let table = Table { schema: "public".to_owned(), name: "rows".to_owned() };
        let in_table = evaluate_table(&mut connection, &suite, &table).await.expect("an evaluation");
        let beside = Beside::default().with_postgres(database.pool.clone());
        let framed = in_frame_beside(suite, frame(&rows), beside).await;
        let others = frame(&others);
        let files = Beside::default().with_files(move |_| Ok(others.clone()));
        let among_files = in_frame_beside(among_files, frame(&rows), files).await;
        for ((id, a, table), (_, b, file)) in comparable(&framed).into_iter().zip(comparable(&among_files)) {
            let is_named = id == "expect_table_row_count_to_equal_other_table";
            assert!(
                is_named || (a == b && alike(&table, &file)),
                "seed {seed}: {id} beside a table: {a} {table}\nbeside a file: {b} {file}\n{written:#}"
            );
        }
        for ((id, a, table), (_, b, frame)) in comparable(&in_table).into_iter().zip(comparable(&framed)) {
            let told = alike(&table, &frame);
            let check = || written["checks"].as_array().into_iter().flatten().find(|check| check.get(&id).is_some());
            if a != b || !told {
                let check = check().map(ToString::to_string).unwrap_or_default();
                let rows: Vec<_> = rows.iter().map(|row| json!(row).to_string()).collect();
                let rows = rows.join("\n");
                differ.push(format!("seed {seed}: {check}\nPostgres: {a} {table}\nframes: {b} {frame}\n{rows}"));
            }
            let place = [Outcome::Passed, Outcome::Failed, Outcome::Vacuous, Outcome::Errored];
            ended[place.iter().position(|outcome| *outcome == a).expect("an outcome")] += 1;
        }
    }
    assert!(
        differ.is_empty(),
        "{} checks differ; the first:\n{}",
        differ.len(),
        differ[..differ.len().min(6)].join("\n\n")
    );
    assert!(ended[..3].iter().all(|count| *count > 100), "one-sided: {ended:?}");
}
