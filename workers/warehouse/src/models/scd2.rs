//! Slowly changing dimensions, type 2: a member has one row for each state it was in, valid in the half-open
//! range `[valid_from, valid_to)`; the open version has no `valid_to`.
//!
//! The first version of a member is valid from [`BEGINNING`], whenever it was first seen, so that every fact finds
//! one. A member of which only the key is known is inferred; when its row arrives, the same row is filled in, so
//! facts that point at it need no change. The table is declared in `sql/warehouse/`, with a surrogate key of its
//! own, and an exclusion constraint that keeps two versions of a member from overlapping.

use sqlx::{AssertSqlSafe, PgConnection, query_as, query_scalar};

use super::{
    build::{Build, columns},
    error::{ModelError, in_sql},
    publish::{Changes, execute, same},
    relation::{fill, join, list, quote},
    spec::{CHANGED_AT, IS_INFERRED, Missing, Model},
};

/// Where the first version of every member begins. A real instant, since not every client reads `-infinity`.
const BEGINNING: &str = "'1900-01-01 00:00:00+00'::timestamptz";
/// So many closed versions are never a mass, however small the dimension.
const NEVER_A_MASS: i64 = 10;

/// Columns that publication itself fills.
const RANGE: [&str; 2] = ["valid_from", "valid_to"];

/// Publishes the current states in `build` inside the caller's transaction.
pub(super) async fn publish(tx: &mut PgConnection, model: &Model, build: &Build) -> Result<Changes, ModelError> {
    check_columns(&mut *tx, model, build).await?;
    let names = build.published(model);
    let tracked: Vec<String> =
        names.iter().filter(|name| !model.unique_key.contains(name) && *name != IS_INFERRED).cloned().collect();
    let stored: Vec<String> = names.iter().filter(|name| *name != IS_INFERRED).cloned().collect();

    let (target, source) = (model.relation.quoted(), build.relation.quoted());
    let inferred =
        if build.infers() { format!("coalesce(b.{}, false)", quote(IS_INFERRED)) } else { "false".to_owned() };
    let (matches, key) = (same(&model.unique_key), list("b.", &model.unique_key));
    let (columns, values) = (list("", &stored), list("b.", &stored));
    let (old, new) = (list("t.", &tracked), list("b.", &tracked));
    let assignments = join(&tracked, ", ", |name| format!("{0} = b.{0}", quote(name)));
    let places: &[(&str, &str)] = &[
        ("target", &target),
        ("build", &source),
        ("inferred", &inferred),
        ("match", &matches),
        ("key", &key),
        ("columns", &columns),
        ("values", &values),
        ("old", &old),
        ("new", &new),
        ("assignments", &assignments),
        ("beginning", BEGINNING),
    ];

    // One pass says what becomes of each row; the statements after it touch those rows alone.
    execute(&mut *tx, model, include_str!("../../../../sql/engine/models/scd2_changes.sql"), places).await?;
    let (changed, stale, undated) = count(&mut *tx, model).await?;
    if undated > 0 {
        return Err(ModelError::Columns {
            model: model.relation.clone(),
            problem: format!("{undated} rows have no `{CHANGED_AT}`"),
            hint: "a row that is not inferred says since when it is so".to_owned(),
        });
    }
    let open = count_open(&mut *tx, &target).await?;
    let missing = match model.scd2.missing {
        Missing::Keep => 0,
        Missing::Close => {
            let sql = include_str!("../../../../sql/engine/models/scd2_missing.sql");
            execute(&mut *tx, model, sql, places).await?
        }
    };
    refuse_mass(model, changed + missing, open)?;

    let sql = include_str!("../../../../sql/engine/models/scd2_close.sql");
    let closed = execute(&mut *tx, model, sql, places).await?;
    let updated = if tracked.is_empty() {
        0
    } else {
        let sql = include_str!("../../../../sql/engine/models/scd2_overwrite.sql");
        execute(&mut *tx, model, sql, places).await?
    };
    let sql = include_str!("../../../../sql/engine/models/scd2_insert.sql");
    let inserted = execute(&mut *tx, model, sql, places).await?;
    Ok(Changes { inserted, updated, deleted: 0, closed, stale })
}

/// The table must be there with its ranges, and have a column for all that the build brings.
async fn check_columns(tx: &mut PgConnection, model: &Model, build: &Build) -> Result<(), ModelError> {
    let there = columns(tx, &model.relation).await?;
    let published = build.published(model);
    let needed = RANGE.into_iter().chain([IS_INFERRED]).chain(published.iter().map(String::as_str));
    let absent: Vec<&str> = needed.filter(|name| !there.iter().any(|column| column.name == *name)).collect();
    if absent.is_empty() {
        return Ok(());
    }
    let problem = if there.is_empty() {
        "there is no such table".to_owned()
    } else {
        format!("the table has no {}", absent.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
    };
    Err(ModelError::Columns {
        model: model.relation.clone(),
        problem,
        hint: "declare it in a file of sql/warehouse/, with valid_from, valid_to and is_inferred".to_owned(),
    })
}

/// Rows of the build that close a version, that are older than the open one, and that are without a date.
async fn count(tx: &mut PgConnection, model: &Model) -> Result<(i64, i64, i64), ModelError> {
    let sql = include_str!("../../../../sql/engine/models/scd2_count.sql");
    query_as(sql).fetch_one(tx).await.map_err(in_sql(&model.sql_file))
}

/// Members that are known and open.
async fn count_open(tx: &mut PgConnection, target: &str) -> Result<i64, ModelError> {
    let sql = fill(include_str!("../../../../sql/engine/models/scd2_open.sql"), &[("target", target)]);
    Ok(query_scalar(AssertSqlSafe(sql)).fetch_one(tx).await?)
}

fn refuse_mass(model: &Model, closed: i64, open: i64) -> Result<(), ModelError> {
    let limit = model.scd2.max_closed_percent;
    if closed > NEVER_A_MASS && closed as f64 * 100.0 > limit * open as f64 {
        return Err(ModelError::MassClose { model: model.relation.clone(), closed, open, limit });
    }
    Ok(())
}
