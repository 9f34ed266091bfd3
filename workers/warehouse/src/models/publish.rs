//! The publishing transaction: what readers see goes from one whole state to the next.
//!
//! Tables are changed in place, row by row that differs, so their views, grants and OIDs stay, and rows that are
//! as they should be are not written again.

use sqlx::{AssertSqlSafe, PgConnection, query, query_scalar};

use super::{
    build::{Build, columns, loses},
    error::{ModelError, in_sql},
    relation::{fill, join, list, quote},
    scd2,
    spec::{Materialisation, Model},
};

/// What a publication changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Changes {
    /// Rows that are new; for SCD2 members and versions.
    pub inserted: i64,
    /// Rows that got other values; for SCD2 inferred members filled in and corrections of a version.
    pub updated: i64,
    /// Rows that are gone.
    pub deleted: i64,
    /// Versions whose validity ended (SCD2).
    pub closed: i64,
    /// Rows left out because a newer version is there already (SCD2).
    pub stale: i64,
}

/// Publishes `build` as `model` inside the caller's transaction.
pub(super) async fn publish(tx: &mut PgConnection, model: &Model, build: &Build) -> Result<Changes, ModelError> {
    let changes = match model.materialised {
        Materialisation::View => view(&mut *tx, model, build).await?,
        Materialisation::Table | Materialisation::Incremental => table(&mut *tx, model, build).await?,
        Materialisation::Scd2 => scd2::publish(&mut *tx, model, build).await?,
    };
    describe(tx, model).await?;
    Ok(changes)
}

async fn view(tx: &mut PgConnection, model: &Model, build: &Build) -> Result<Changes, ModelError> {
    let there = columns(&mut *tx, &model.relation).await?;
    let target = model.relation.quoted();
    // A view can be replaced by one that only adds columns at its end; any other must go first, which Postgres
    // refuses as long as someone's view reads it.
    let mut pairs = there.iter().zip(&build.columns);
    let grows = there.len() <= build.columns.len()
        && pairs.all(|(old, new)| old.name == new.name && old.data_type == new.data_type);
    if !grows {
        let drop = format!("drop view {target}");
        query(AssertSqlSafe(drop)).execute(&mut *tx).await.map_err(in_sql(&model.sql_file))?;
    }
    let create = format!("create or replace view {target} as {}", model.sql);
    query(AssertSqlSafe(create)).execute(tx).await.map_err(in_sql(&model.sql_file))?;
    Ok(Changes::default())
}

async fn table(tx: &mut PgConnection, model: &Model, build: &Build) -> Result<Changes, ModelError> {
    fit(&mut *tx, model, build).await?;
    let names = build.published(model);
    let values: Vec<String> = names.iter().filter(|name| !model.unique_key.contains(name)).cloned().collect();
    let (target, source) = (model.relation.quoted(), build.relation.quoted());
    let (columns, matches) = (list("", &names), same(&model.unique_key));
    let (old, new, order) = (list("t.", &values), list("b.", &values), list("b.", &model.unique_key));
    let assignments = join(&values, ", ", |name| format!("{0} = b.{0}", quote(name)));
    let groups = join(&model.replace, " and ", |name| format!("g.{0} = t.{0}", quote(name)));
    let places: &[(&str, &str)] = &[
        ("target", &target),
        ("build", &source),
        ("columns", &columns),
        ("match", &matches),
        ("old", &old),
        ("new", &new),
        ("order", &order),
        ("assignments", &assignments),
        ("groups", &groups),
    ];
    let deleted = match model.materialised {
        Materialisation::Table => {
            let sql = include_str!("../../../../sql/engine/models/delete_missing.sql");
            execute(&mut *tx, model, sql, places).await?
        }
        _ if !model.replace.is_empty() => {
            let sql = include_str!("../../../../sql/engine/models/delete_from_groups.sql");
            execute(&mut *tx, model, sql, places).await?
        }
        _ => 0,
    };
    let updated = if values.is_empty() {
        0
    } else {
        let sql = include_str!("../../../../sql/engine/models/update_changed.sql");
        execute(&mut *tx, model, sql, places).await?
    };
    let sql = include_str!("../../../../sql/engine/models/insert_new.sql");
    let inserted = execute(tx, model, sql, places).await?;
    Ok(Changes { inserted, updated, deleted, ..Changes::default() })
}

/// Makes the target, or brings its columns in line with the build.
async fn fit(tx: &mut PgConnection, model: &Model, build: &Build) -> Result<(), ModelError> {
    let there = columns(&mut *tx, &model.relation).await?;
    let target = model.relation.quoted();
    if there.is_empty() {
        let create = format!("create table {target} (like {})", build.relation.quoted());
        query(AssertSqlSafe(create)).execute(&mut *tx).await.map_err(in_sql(&model.sql_file))?;
        let key = list("", &model.unique_key);
        query(AssertSqlSafe(format!("alter table {target} add primary key ({key})"))).execute(tx).await?;
        return Ok(());
    }
    let mut changes = Vec::new();
    for column in &build.columns {
        match there.iter().find(|there| there.name == column.name) {
            None => changes.push(format!("add column {} {}", quote(&column.name), column.data_type)),
            Some(old) if loses(&column.data_type, &old.data_type) => {
                changes.push(format!("alter column {} type {}", quote(&column.name), column.data_type));
            }
            Some(_) => {}
        }
    }
    for old in there.iter().filter(|old| !build.columns.iter().any(|column| column.name == old.name)) {
        if model.materialised == Materialisation::Table && !old.automatic {
            changes.push(format!("drop column {}", quote(&old.name)));
        } else if !old.optional {
            return Err(ModelError::Columns {
                model: model.relation.clone(),
                problem: format!("the table's column `{}` must have a value and the SELECT makes none", old.name),
                hint: "select it, or give it a default".to_owned(),
            });
        }
    }
    if !changes.is_empty() {
        let alter = format!("alter table {target} {}", changes.join(", "));
        query(AssertSqlSafe(alter)).execute(tx).await.map_err(in_sql(&model.sql_file))?;
    }
    Ok(())
}

/// Writes the grain and the meaning of each column into the database's own comments, where they are not yet.
async fn describe(tx: &mut PgConnection, model: &Model) -> Result<(), ModelError> {
    let names: Vec<&str> = model.columns.keys().map(String::as_str).collect();
    let texts: Vec<&str> = model.columns.values().map(String::as_str).collect();
    let about = match model.description.trim() {
        "" => model.grain.clone(),
        description => format!("{}. {description}", model.grain),
    };
    let statements: Vec<String> = query_scalar(include_str!("../../../../sql/engine/models/comments.sql"))
        .bind(&model.relation.schema)
        .bind(&model.relation.name)
        .bind(names)
        .bind(texts)
        .bind(about)
        .fetch_all(&mut *tx)
        .await?;
    for statement in statements {
        query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
    }
    Ok(())
}

/// `t."a" = b."a" and …`: a row of the target and one of the build with the same key.
pub(super) fn same(key: &[String]) -> String {
    join(key, " and ", |name| format!("t.{0} = b.{0}", quote(name)))
}

/// Runs a statement of `sql/engine/models/`; the rows that it changed.
pub(super) async fn execute(
    tx: &mut PgConnection,
    model: &Model,
    sql: &str,
    places: &[(&str, &str)],
) -> Result<i64, ModelError> {
    let statement = query(AssertSqlSafe(fill(sql, places)));
    let done = statement.execute(tx).await.map_err(in_sql(&model.sql_file))?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}
