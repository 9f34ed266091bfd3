//! The sample database `classicmodels`, a dump of eight tables of mixed types: all of it arrives.

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use crate::support::{World, shared};

/// Each table with its key.
const TABLES: &[(&str, &[&str])] = &[
    ("customers", &["customerNumber"]),
    ("employees", &["employeeNumber"]),
    ("offices", &["officeCode"]),
    ("orderdetails", &["orderNumber", "productCode"]),
    ("orders", &["orderNumber"]),
    ("payments", &["customerNumber", "checkNumber"]),
    ("productlines", &["productLine"]),
    ("products", &["productCode"]),
];

/// A world whose shop and warehouse have all of its tables, where the dump is there.
pub(crate) async fn loaded() -> Option<World> {
    let path = shared("classicmodels/mysqlsampledatabase.sql")?;
    let dump = std::fs::read_to_string(path).expect("read the dump");
    // The database is the test's own.
    let kept: Vec<&str> =
        dump.lines().filter(|line| !line.starts_with("CREATE DATABASE") && !line.starts_with("USE ")).collect();
    let world = World::new(&kept.join("\n")).await;
    for (table, key) in TABLES {
        let load = json!({"from": "extract", "into": format!("classic.{table}"), "key": key});
        let outcome = world.move_rows(json!({"table": table}), load).await.expect(table);
        assert_eq!(outcome["read"], outcome["loaded"], "{table}");
    }
    Some(world)
}

#[tokio::test]
async fn all_of_classicmodels_arrives() {
    let Some(world) = loaded().await else { return };
    let mut shop = MySqlConnection::connect(&world.mysql_url).await.expect("connect");
    let mut total = 0;
    for (table, _) in TABLES {
        let columns: Vec<String> = sqlx::query_scalar(
            "select cast(column_name as char) from information_schema.columns
             where table_schema = database() and table_name = ? order by ordinal_position",
        )
        .bind(table)
        .fetch_all(&mut shop)
        .await
        .expect("columns");
        let each = |one: &dyn Fn(&str) -> String| columns.iter().map(|name| one(name)).collect::<Vec<_>>().join(", ");
        let sums = each(&|name| {
            format!("sum(cast(conv(left(md5(ifnull(cast(`{name}` as char), '~')), 15), 16, 10) as unsigned))")
        });
        let there: String = sqlx::query_scalar(AssertSqlSafe(format!(
            "select cast(concat_ws(' ', count(*), {sums}) as char) from {table}"
        )))
        .fetch_one(&mut shop)
        .await
        .expect("sum up the source");
        let sums =
            each(&|name| format!("sum(('x' || left(md5(coalesce(\"{name}\"::text, '~')), 15))::bit(60)::bigint)"));
        let here = world.texts(&format!("select concat_ws(' ', count(*), {sums}) from classic.{table}")).await;
        assert_eq!(here[0].as_deref(), Some(there.as_str()), "{table}");
        total += there.split(' ').next().and_then(|rows| rows.parse::<i64>().ok()).expect("a count");
    }
    assert_eq!(total, 3864, "all rows of the dump");
}
