//! Every type of MariaDB at its edges and with random values: what arrives in Postgres reads as it does in the source.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
use testkit::Dice;
use workflow::error::ErrorDomain;

use crate::support::World;

/// A type, and how each database prints its values alike.
struct Case {
    ddl: &'static str,
    /// As Postgres has it.
    becomes: &'static str,
    /// `{}` is the column.
    source: &'static str,
    target: &'static str,
    /// Literals of MariaDB.
    edges: &'static [&'static str],
    random: fn(&mut Dice) -> String,
}

const PLAIN: &str = "cast({} as char)";
const NUMBER: &str = "cast({} + 0 as char)";
const TEXT: &str = "{}::text";
const MICROS: &str = "date_format({}, '%Y-%m-%d %H:%i:%s.%f')";
const PG_MICROS: &str = "to_char({}, 'YYYY-MM-DD HH24:MI:SS.US')";

const SPAN: &str = "time_format({}, '%H:%i:%s.%f')";
const PG_SPAN: &str = "case when {} < '0' then '-' else '' end || to_char(greatest({}, -{}), 'HH24:MI:SS.US')";

const fn case(
    ddl: &'static str,
    becomes: &'static str,
    [source, target]: [&'static str; 2],
    edges: &'static [&'static str],
    random: fn(&mut Dice) -> String,
) -> Case {
    Case { ddl, becomes, source, target, edges, random }
}

/// Bits that are all alike now and then, so that edges come up.
fn bits(dice: &mut Dice, count: u32) -> u64 {
    let some = dice.roll(u64::MAX) >> dice.roll(64);
    let value = if dice.once_in(8) { u64::MAX } else { some };
    value & (u64::MAX >> (64 - count))
}

fn signed(dice: &mut Dice, count: u32) -> String {
    let half = 1i128 << (count - 1);
    (i128::from(bits(dice, count)) - half).to_string()
}

fn digits(dice: &mut Dice, precision: u64, scale: u64) -> String {
    let mut take = |most: u64| (0..dice.roll(most + 1)).map(|_| dice.roll(10).to_string()).collect::<String>();
    let (whole, fraction) = (take(precision - scale), take(scale));
    let sign = if dice.once_in(2) { "-" } else { "" };
    format!("{sign}0{whole}.{fraction}0")
}

fn moment(dice: &mut Dice) -> String {
    let (year, month, day) = (1000 + dice.roll(9000), 1 + dice.roll(12), 1 + dice.roll(28));
    let (hour, minute, second) = (dice.roll(24), dice.roll(60), dice.roll(60));
    let micros = if dice.once_in(3) { 0 } else { dice.roll(1_000_000) };
    format!("'{year}-{month}-{day} {hour}:{minute}:{second}.{micros:06}'")
}

fn span(dice: &mut Dice) -> String {
    let sign = if dice.once_in(2) { "-" } else { "" };
    format!("'{sign}{}:{}:{}.{:06}'", dice.roll(838), dice.roll(60), dice.roll(60), dice.roll(1_000_000))
}

fn letters(dice: &mut Dice, from: &[&str]) -> String {
    let length = dice.roll(20);
    format!("'{}'", (0..length).map(|_| *dice.pick(from)).collect::<String>())
}

fn utf8(dice: &mut Dice) -> String {
    letters(
        dice,
        &["a", "B", " ", "é", "ß", "€", "🛒", "中", "\u{301}", "''", "\\\\", "\\n", "\\t", "\"", "|", "N", "\u{feff}"],
    )
}

fn raw(dice: &mut Dice) -> String {
    format!("x'{}'", (0..dice.roll(20)).map(|_| format!("{:02x}", dice.roll(256))).collect::<String>())
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("tinyint", "smallint", [PLAIN, TEXT], &["-128", "0", "127"], |d| signed(d, 8)),
    case("tinyint(1)", "smallint", [PLAIN, TEXT], &["-1", "0", "1", "2", "127"], |d| signed(d, 8)),
    case("boolean", "smallint", [PLAIN, TEXT], &["true", "false", "2"], |d| signed(d, 8)),
    case("tinyint unsigned", "smallint", [PLAIN, TEXT], &["0", "255"], |d| bits(d, 8).to_string()),
    case("smallint", "smallint", [PLAIN, TEXT], &["-32768", "32767"], |d| signed(d, 16)),
    case("smallint unsigned", "integer", [PLAIN, TEXT], &["65535"], |d| bits(d, 16).to_string()),
    case("mediumint", "integer", [PLAIN, TEXT], &["-8388608", "8388607"], |d| signed(d, 24)),
    case("mediumint unsigned", "bigint", [PLAIN, TEXT], &["16777215"], |d| bits(d, 24).to_string()),
    case("int", "integer", [PLAIN, TEXT], &["-2147483648", "2147483647"], |d| signed(d, 32)),
    case("int(8) unsigned zerofill", "bigint", [NUMBER, TEXT], &["42", "4294967295"], |d| bits(d, 32).to_string()),
    case("bigint", "bigint", [PLAIN, TEXT], &["-9223372036854775808", "9223372036854775807"], |d| signed(d, 64)),
    case("bigint unsigned", "numeric(20,0)", [PLAIN, TEXT], &["0", "9223372036854775808", "18446744073709551615"],
         |d| bits(d, 64).to_string()),
    case("decimal(12, 2)", "numeric(12,2)", [PLAIN, TEXT], &["-9999999999.99", "-0.01", "0", "9999999999.99"],
         |d| digits(d, 12, 2)),
    case("decimal(9, 9)", "numeric(9,9)", [PLAIN, TEXT], &["0.999999999", "-0.000000001"], |d| digits(d, 9, 9)),
    case("decimal(10, 3) unsigned zerofill", "numeric(10,3)", [NUMBER, TEXT], &["1.5", "9999999.999"],
         |d| bits(d, 20).to_string()),
    case("decimal(38, 30)", "numeric(38,30)", [PLAIN, TEXT],
         &["-99999999.999999999999999999999999999999", "0.000000000000000000000000000001"], |d| digits(d, 38, 30)),
    case("decimal(39, 0)", "numeric(39,0)", [PLAIN, TEXT], &["999999999999999999999999999999999999999", "0", "-1"],
         |d| digits(d, 39, 0)),
    case("decimal(65, 30)", "numeric(65,30)", [PLAIN, TEXT],
         &["99999999999999999999999999999999999.999999999999999999999999999999",
           "-99999999999999999999999999999999999.999999999999999999999999999999",
           "-0.000000000000000000000000000001", "0", "10000.0001"], |d| digits(d, 65, 30)),
    case("decimal(65, 0)", "numeric(65,0)", [PLAIN, TEXT],
         &["99999999999999999999999999999999999999999999999999999999999999999"], |d| digits(d, 65, 0)),
    case("float", "real", ["cast(cast({} as double) as char)", "{}::float8::text"],
         &["0.1", "-3.4028234e38", "1.17549435e-38", "16777216"],
         |d| format!("{:e}", f32::from_bits(u32::try_from(bits(d, 30)).expect("30 bits")))),
    case("double", "double precision", [PLAIN, TEXT],
         &["0.1", "1.7976931348623157e308", "-2.2250738585072014e-308", "9007199254740993", "1e15", "1e16", "1e-5", "1e-15",
           "1234567890123456.7"],
         |d| format!("{:e}", f64::from_bits(bits(d, 62)))),
    case("bit(1)", "boolean", [NUMBER, "{}::int::text"], &["b'0'", "b'1'"], |d| format!("b'{}'", d.roll(2))),
    case("bit(33)", "numeric(20,0)", [NUMBER, TEXT], &["b'0'", "8589934591"], |d| bits(d, 33).to_string()),
    case("bit(64)", "numeric(20,0)", [NUMBER, TEXT], &["18446744073709551615"], |d| bits(d, 64).to_string()),
    case("year", "smallint", [NUMBER, TEXT], &["1901", "2155", "'0000'"], |d| (1901 + d.roll(255)).to_string()),
    case("date", "date", [PLAIN, TEXT], &["'1000-01-01'", "'9999-12-31'", "'2024-02-29'", "'0001-01-01'", "'1582-10-10'"],
         |d| format!("date({})", moment(d))),
    case("datetime", "timestamp without time zone", [MICROS, PG_MICROS], &["'1000-01-01'", "'9999-12-31 23:59:59'"], moment),
    case("datetime(6)", "timestamp without time zone", [MICROS, PG_MICROS],
         &["'9999-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.999999'", "'2026-03-29 02:30:00.000001'"], moment),
    case("timestamp(6) null", "timestamp with time zone", [MICROS, PG_MICROS],
         &["'1970-01-01 00:00:01.000001'", "'2038-01-19 03:14:07.999999'"],
         |d| format!("from_unixtime({}.{:06})", 1 + d.roll(2_147_483_646), d.roll(1_000_000))),
    case("time(6)", "interval", [SPAN, PG_SPAN],
         &["'-838:59:59.999999'", "'-838:59:58.5'", "'838:59:59.999999'", "'00:00:00'", "'-00:00:00.000001'"], span),
    case("time", "interval", [SPAN, PG_SPAN],
         &["'-838:59:59'", "'25:00:00'"], |d| format!("'{}:{}:{}'", d.roll(838), d.roll(60), d.roll(60))),
    case("char(20) character set utf8mb4", "text", [PLAIN, TEXT], &["''", "'  lead'", "'🛒🛒'"], utf8),
    case("varchar(60) character set utf8mb4", "text", [PLAIN, TEXT],
         &["''", "' '", "'NULL'", "'null'", "'\\\\N'", "'🛒'", "'e\u{301}'", "'trail  '", "'a\\tb\\nc\\rd'"], utf8),
    case("varchar(60) character set latin1", "text", ["convert({} using utf8mb4)", TEXT], &["''", "'Zoë € ß'"],
         |d| letters(d, &["a", "é", "ß", "€", "ÿ", " ", "''"])),
    case("varchar(60) character set utf16", "text", ["convert({} using utf8mb4)", TEXT], &["'🛒 é'"], utf8),
    case("longtext character set utf8mb4", "text", [PLAIN, TEXT], &["''", "repeat('é🛒', 50000)"], utf8),
    case("tinytext character set utf8mb4", "text", [PLAIN, TEXT], &["''"], utf8),
    case("binary(4)", "bytea", ["lower(hex({}))", "encode({}, 'hex')"], &["x'00000000'", "x'ff'"],
         |d| format!("x'{:08x}'", bits(d, 32))),
    case("varbinary(40)", "bytea", ["lower(hex({}))", "encode({}, 'hex')"], &["''", "x'00'", "x'ff00c328'"], raw),
    case("blob", "bytea", ["lower(hex({}))", "encode({}, 'hex')"], &["''", "repeat(x'00ff', 30000)"], raw),
    case("enum('S', 'M', 'größer', '')", "text", [PLAIN, TEXT], &["'S'", "'größer'", "''"],
         |d| (*d.pick(&["'S'", "'M'", "'größer'"])).to_owned()),
    case("set('a', 'b', 'ü')", "text", [PLAIN, TEXT], &["''", "'a'", "'ü,a'"], |d| d.roll(8).to_string()),
    case("json", "jsonb", ["json_compact({})", "replace(replace({}::text, ': ', ':'), ', ', ',')"],
         &["'null'", "'[]'", "'{}'", "'{\"a\":[1,\"é\",1.50,null]}'", "'\"\"'", "'12345678901234567890.5'"],
         |d| format!("'[{},true,\"é\"]'", bits(d, 53))),
    case("uuid", "uuid", [PLAIN, TEXT], &["'00000000-0000-0000-0000-000000000000'", "'FFFFFFFF-ffff-ffff-ffff-ffffffffffff'"],
         |d| format!("'{:08x}-1234-4321-8765-{:012x}'", bits(d, 32), bits(d, 48))),
    case("inet4", "text", [PLAIN, TEXT], &["'0.0.0.0'", "'255.255.255.255'"], |d| format!("'10.0.{}.{}'", d.roll(256), d.roll(256))),
    case("inet6", "text", [PLAIN, TEXT], &["'::'", "'::ffff:192.0.2.1'", "'2001:db8::1'"], |d| format!("'2001:db8::{:x}'", bits(d, 16))),
    case("int as (id * 2) virtual", "integer", [PLAIN, TEXT], &[], |_| "default".to_owned()),
    case("varchar(20) as (concat('n', id)) stored", "text", [PLAIN, TEXT], &[], |_| "default".to_owned()),
    case("int default 7 invisible", "integer", [PLAIN, TEXT], &["7"], |d| signed(d, 32)),
];

/// Loads rows of every type and compares them, value by value.
async fn arrive(rows: impl Fn(&Case, usize) -> Option<String>, count: usize, nulls: bool) {
    let column = |(n, case): (usize, &Case)| match case.ddl {
        ddl if nulls || ddl.contains(" as (") => format!("c{n} {ddl}"),
        ddl => format!("c{n} {} not null", ddl.trim_end_matches(" null")),
    };
    let columns: Vec<String> = CASES.iter().enumerate().map(column).collect();
    let names: Vec<String> = (0..CASES.len()).map(|n| format!("c{n}")).collect();
    let mut ddl = format!(
        "set sql_mode = ''; set names utf8mb4; set time_zone = '+00:00';
         create table t (id int primary key, {});",
        columns.join(", ")
    );
    for row in 0..count {
        let values: Vec<String> = CASES
            .iter()
            .map(|case| {
                let made = if case.ddl.contains(" as (") { Some("default".to_owned()) } else { rows(case, row) };
                made.unwrap_or_else(|| "null".to_owned())
            })
            .collect();
        ddl.push_str(&format!("insert into t (id, {}) values ({row}, {});", names.join(", "), values.join(", ")));
    }
    let world = World::new(&ddl).await;
    let load = json!({"from": "extract", "into": "staging.t", "key": ["id"]});
    let outcome = world.move_rows(json!({"table": "t"}), load).await.expect("move");
    assert_eq!(outcome["loaded"], json!(count), "{outcome}");

    let json = CASES.iter().position(|case| case.ddl == "json").map(|place| format!("c{place}"));
    let compare = json!({"table": "t", "target": "staging.t", "key": "id", "except": [json]});
    let report = world.run("reconcile", compare, &[]).await.expect("alike, by the checksums of all columns but JSON");
    assert_eq!(report["source_rows"], json!(count));

    let mut shop = MySqlConnection::connect(&world.mysql_url).await.expect("connect");
    sqlx::raw_sql("set names utf8mb4; set time_zone = '+00:00'").execute(&mut shop).await.expect("set");
    for (case, name) in CASES.iter().zip(&names) {
        let (source, target) = (case.source.replace("{}", name), case.target.replace("{}", name));
        let there: Vec<Option<String>> =
            sqlx::query_scalar(AssertSqlSafe(format!("select convert({source} using utf8mb4) from t order by id")))
                .fetch_all(&mut shop)
                .await
                .expect("read the source");
        let here = world.texts(&format!("select {target} from staging.t order by id")).await;
        // The two print exponents in ways of their own.
        let number = |text: &Option<String>| text.as_ref().map(|t| t.parse::<f64>().expect("a number").to_bits());
        if case.ddl == "float" || case.ddl == "double" {
            let (there, here): (Vec<_>, Vec<_>) =
                (there.iter().map(number).collect(), here.iter().map(number).collect());
            assert_eq!(there, here, "{}", case.ddl);
        } else {
            assert_eq!((there.len(), here.len()), (count, count));
            for (there, here) in there.iter().zip(&here) {
                assert_eq!(there, here, "{}", case.ddl);
            }
        }
        let kind = world
            .texts(&format!(
                "select format_type(atttypid, atttypmod) from pg_attribute
                 where attrelid = 'staging.t'::regclass and attname = '{name}'"
            ))
            .await;
        assert_eq!(kind[0].as_deref(), Some(case.becomes), "{}", case.ddl);
    }
}

#[tokio::test]
async fn every_type_arrives_at_its_edges() {
    let most = CASES.iter().map(|case| case.edges.len()).max().expect("cases");
    arrive(|case, row| case.edges.get(row).map(|edge| (*edge).to_owned()), most + 1, true).await;
}

#[tokio::test]
async fn random_values_of_every_type_arrive() {
    for seed in 0..3 {
        println!("seed {seed}");
        let dice = std::cell::RefCell::new(Dice::new(seed));
        let value = |case: &Case, _| {
            let mut dice = dice.borrow_mut();
            (seed == 2 || !dice.once_in(10)).then(|| (case.random)(&mut dice))
        };
        arrive(value, 150, seed != 2).await;
    }
}

#[tokio::test]
async fn a_type_without_an_exact_counterpart_is_refused_by_name() {
    let world = World::new("create table t (id int primary key, place point, line linestring)").await;
    let error = world.run("extract_mysql", json!({"table": "t"}), &[]).await.expect_err("refused");
    assert_eq!(error.domain, ErrorDomain::User);
    assert_eq!(
        error.to_string(),
        "`t`: there is no exact Postgres type for `place` (point), `line` (linestring); leave it out by naming the others \
         in `columns`, or extract a view with `select st_astext(`place`) as `place``"
    );
    world
        .shop("create view v as select id, st_astext(place) place from t; insert into t values (1, point(1, 2), null)")
        .await;
    for source in [json!({"table": "t", "columns": ["id"]}), json!({"table": "v"})] {
        let outcome = world.move_rows(source.clone(), json!({"from": "extract", "into": "staging.t"})).await;
        assert_eq!(outcome.expect("move")["loaded"], json!(1), "{source}");
        sqlx::query("drop table staging.t").execute(&world.pool).await.expect("drop");
    }
}
