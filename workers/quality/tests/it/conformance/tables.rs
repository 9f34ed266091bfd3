//! The cases for Postgres, over tables of a real one.

use quality::{Table, evaluate_table};
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use super::{
    Judged,
    fixtures::{Case, Dataset, Target, names_any},
    judge, meant, suite,
};

pub(super) async fn run(dataset: &Dataset, pool: &PgPool) -> Vec<(Case, Judged)> {
    let mut found = Vec::new();
    let mut made = None;
    for case in meant(dataset, Target::Tables) {
        // Great Expectations has these two for pandas and Spark only, whose rows are in order.
        let ordered = case.expectation.ends_with("creasing");
        let (table, mixed) = match &made {
            Some(made) => made,
            None => made.insert(make(dataset, ordered, pool).await),
        };
        let all = case.expectation.starts_with("expect_table") && !mixed.is_empty();
        if all || names_any(&case.arguments, mixed) {
            found.push((case.clone(), None));
            continue;
        }
        let extra = if ordered { json!({ "order_by": "pk_index" }) } else { Value::Null };
        let evaluation = match suite(case, &extra) {
            Ok(suite) => {
                let mut connection = pool.acquire().await.expect("a connection");
                Ok(evaluate_table(&mut connection, &suite, table).await.expect("an evaluation"))
            }
            Err(fault) => Err(fault),
        };
        found.push((case.clone(), Some(judge(case, Target::Tables, evaluation))));
    }
    if made.is_some() {
        let drop = "drop schema gx cascade";
        sqlx::query(drop).execute(pool).await.expect("the schema to go");
    }
    found
}

/// Makes the tables of a dataset, and names the columns that hold values of several types.
async fn make(dataset: &Dataset, ordered: bool, pool: &PgPool) -> (Table, Vec<String>) {
    sqlx::query("create schema gx").execute(pool).await.expect("a schema");
    let parts = match &dataset.data {
        Value::Array(parts) => parts
            .iter()
            .map(|part| (part["dataset_name"].as_str().unwrap_or_default().to_owned(), &part["data"]))
            .collect(),
        data => vec![("data".to_owned(), data)],
    };
    let mut mixed = Vec::new();
    for (name, data) in &parts {
        mixed.extend(fill(name, data, &dataset.schemas, ordered, pool).await);
    }
    (Table { schema: "gx".to_owned(), name: parts[0].0.clone() }, mixed)
}

async fn fill(table: &str, data: &Value, schemas: &Value, ordered: bool, pool: &PgPool) -> Vec<String> {
    let mut mixed = Vec::new();
    let mut columns = Vec::new();
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for (name, values) in data.as_object().into_iter().flatten() {
        let values = values.as_array().map_or(&[][..], Vec::as_slice);
        let Some(kind) = kind(values, schemas, name) else {
            mixed.push(name.clone());
            continue;
        };
        columns.push(format!("\"{name}\" {kind}"));
        rows.resize_with(rows.len().max(values.len()), Map::new);
        for (row, value) in rows.iter_mut().zip(values) {
            row.insert(name.clone(), value.clone());
        }
    }
    if ordered {
        columns.push("pk_index int".to_owned());
        rows.iter_mut().enumerate().for_each(|(place, row)| {
            row.insert("pk_index".to_owned(), place.into());
        });
    }
    let columns = columns.join(", ");
    for sql in [
        format!("create table gx.\"{table}\" ({columns})"),
        format!("insert into gx.\"{table}\" select * from jsonb_to_recordset($1) as rows ({columns})"),
    ] {
        let query = sqlx::query(AssertSqlSafe(sql.clone()));
        let query = if sql.starts_with("insert") { query.bind(json!(rows)) } else { query };
        query.execute(pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    mixed
}

/// The type that the case wants the column to have; where it says none, the one that its values have.
fn kind(values: &[Value], schemas: &Value, name: &str) -> Option<String> {
    if let Some(kind) = schemas["postgresql"][name].as_str() {
        return Some(kind.replace("DOUBLE_PRECISION", "double precision"));
    }
    let present = || values.iter().filter(|value| !value.is_null());
    let all = |is: fn(&Value) -> bool| present().all(is);
    let kind = match () {
        () if schemas["pandas"][name].as_str().is_some_and(|kind| kind.starts_with("datetime")) => "timestamp",
        () if all(|value| value.is_i64() || value.is_u64()) && present().count() > 0 => "bigint",
        // pandas reads a column of nulls as objects, and one of no rows as numbers.
        () if present().count() == 0 && !values.is_empty() => "text",
        () if all(Value::is_number) => "double precision",
        () if all(Value::is_boolean) => "boolean",
        () if all(Value::is_string) => "text",
        () => return None,
    };
    Some(kind.to_owned())
}
