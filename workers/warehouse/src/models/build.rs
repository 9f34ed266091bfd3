//! A build: the rows of a model's SELECT in a table of the attempt's own, ready to be judged and published.

use chrono_tz::Tz;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, query, query_scalar};
use workflow::kind::{DataInterval, Fence};

use super::{
    error::{ModelError, explained, in_sql},
    relation::{Relation, list, quote},
    spec::{CHANGED_AT, IS_INFERRED, Materialisation, Model},
};
use crate::error::WarehouseError;

/// Schema of tables that only one attempt sees.
const SCHEMA: &str = "sluice_staging";
/// Names of builds start with it and the attempt's id.
const PREFIX: &str = "model_";

/// What a build may ask the session for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// The project's time zone.
    pub(super) timezone: Tz,
    /// The run's data interval.
    pub(super) interval: DataInterval,
}

/// A column as Postgres has it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Column {
    pub(super) name: String,
    /// As `format_type` writes it: `numeric(12,2)`.
    pub(super) data_type: String,
    /// Whether a row may do without a value for it: it is nullable, or has a default, or is generated.
    pub(super) optional: bool,
    /// Whether values come from the table itself: a default, an identity, a generation expression.
    pub(super) automatic: bool,
}

/// Rows that stand in `sluice_staging`.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) relation: Relation,
    pub(super) columns: Vec<Column>,
    pub(super) rows: i64,
}

impl Build {
    /// Names of the columns that are published: all but `changed_at` of an SCD2 model.
    pub(super) fn published(&self, model: &Model) -> Vec<String> {
        let scd2 = model.materialised == Materialisation::Scd2;
        let names = self.columns.iter().map(|column| column.name.clone());
        names.filter(|name| !(scd2 && name == CHANGED_AT)).collect()
    }

    /// Whether an SCD2 build says which members are inferred.
    pub(super) fn infers(&self) -> bool {
        self.columns.iter().any(|column| column.name == IS_INFERRED)
    }
}

/// Runs the SELECT. `target` holds the columns of the table it is for, if that is there already: values take its
/// types, where that loses nothing.
pub(super) async fn build(pool: &PgPool, model: &Model, fence: Fence, settings: Settings) -> Result<Build, ModelError> {
    let relation = Relation::new(SCHEMA, format!("{PREFIX}{}_{}", fence.attempt_id, model.name()));
    let in_model = in_sql(&model.sql_file);
    let mut tx = pool.begin().await?;
    set(&mut tx, settings).await?;
    drop_relation(&mut tx, &relation).await?;
    let (what, sql) = (relation.quoted(), &model.sql);
    if model.materialised == Materialisation::View {
        let create = format!("create view {what} as {sql}");
        query(AssertSqlSafe(create)).execute(&mut *tx).await.map_err(&in_model)?;
    } else {
        let create = format!("create unlogged table {what} as {sql}");
        query(AssertSqlSafe(create)).execute(&mut *tx).await.map_err(&in_model)?;
        conform(&mut tx, model, &relation).await?;
        let key = list("", &model.unique_key);
        let grain = format!("alter table {what} add primary key ({key})");
        query(AssertSqlSafe(grain)).execute(&mut *tx).await.map_err(|error| broken_grain(model, error))?;
        query(AssertSqlSafe(format!("analyze {what}"))).execute(&mut *tx).await?;
    }
    let columns = columns(&mut tx, &relation).await?;
    let rows = query_scalar(AssertSqlSafe(format!("select count(*) from {what}")));
    let rows = rows.fetch_one(&mut *tx).await.map_err(&in_model)?;
    tx.commit().await?;
    described(model, &columns)?;
    Ok(Build { relation, columns, rows })
}

/// Refuses a build whose rows are gone: its table is unlogged, and a crash of the server empties it. A view has no
/// rows of its own.
pub(super) async fn check_whole(connection: &mut PgConnection, model: &Model, build: &Build) -> Result<(), ModelError> {
    if model.materialised == Materialisation::View {
        return Ok(());
    }
    let count = format!("select count(*) from {}", build.relation.quoted());
    let found: i64 = query_scalar(AssertSqlSafe(count)).fetch_one(connection).await?;
    if found == build.rows {
        return Ok(());
    }
    let table = build.relation.to_string();
    Err(WarehouseError::StagingLost { table, written: build.rows, found }.into())
}

/// Takes a build away.
pub(super) async fn discard(pool: &PgPool, relation: &Relation) -> Result<(), ModelError> {
    let mut connection = pool.acquire().await?;
    drop_relation(&mut connection, relation).await
}

/// Takes away what attempts left behind that ended without their own clearing up.
pub(super) async fn sweep(pool: &PgPool) -> Result<(), ModelError> {
    let mut connection = pool.acquire().await?;
    query("select sluice.ensure_schema($1)").bind(SCHEMA).execute(&mut *connection).await?;
    let left = include_str!("../../../../sql/engine/models/abandoned_builds.sql");
    let left: Vec<String> = query_scalar(left).bind(SCHEMA).bind(PREFIX).fetch_all(&mut *connection).await?;
    for name in left {
        drop_relation(&mut connection, &Relation::new(SCHEMA, name)).await?;
    }
    Ok(())
}

/// Columns of a table or view, in order; none where it is not there.
pub(super) async fn columns(connection: &mut PgConnection, relation: &Relation) -> Result<Vec<Column>, ModelError> {
    let sql = include_str!("../../../../sql/engine/models/columns.sql");
    Ok(sqlx::query_as(sql).bind(&relation.schema).bind(&relation.name).fetch_all(connection).await?)
}

async fn set(connection: &mut PgConnection, settings: Settings) -> Result<(), ModelError> {
    query(include_str!("../../../../sql/engine/models/session.sql"))
        .bind(settings.timezone.name())
        .bind(settings.interval.start.to_rfc3339())
        .bind(settings.interval.end.to_rfc3339())
        .execute(connection)
        .await?;
    Ok(())
}

async fn drop_relation(connection: &mut PgConnection, relation: &Relation) -> Result<(), ModelError> {
    let kind = "select relkind::text from pg_class where oid = to_regclass($1)";
    let kind: Option<String> = query_scalar(kind).bind(relation.quoted()).fetch_optional(&mut *connection).await?;
    let kind = match kind.as_deref() {
        None => return Ok(()),
        Some("v") => "view",
        Some(_) => "table",
    };
    let drop = format!("drop {kind} if exists {}", relation.quoted());
    query(AssertSqlSafe(drop)).execute(connection).await?;
    Ok(())
}

/// Gives the build's columns the types of the target's, as an insert would. Where that would cut off digits or
/// the time of day, a table follows its model, and anything else is refused.
async fn conform(connection: &mut PgConnection, model: &Model, build: &Relation) -> Result<(), ModelError> {
    let target = columns(&mut *connection, &model.relation).await?;
    let made = columns(&mut *connection, build).await?;
    let mut changes = Vec::new();
    for column in &made {
        let Some(there) = target.iter().find(|there| there.name == column.name) else { continue };
        if there.data_type == column.data_type {
            continue;
        }
        if !loses(&column.data_type, &there.data_type) {
            changes.push(format!("alter column {} type {}", quote(&column.name), there.data_type));
        } else if model.materialised != Materialisation::Table {
            return Err(ModelError::Columns {
                model: model.relation.clone(),
                problem: format!("`{}` is {} but the table has {}", column.name, column.data_type, there.data_type),
                hint: format!("cast it in the SELECT, or alter the table's column to {}", column.data_type),
            });
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let alter = format!("alter table {} {}", build.quoted(), changes.join(", "));
    query(AssertSqlSafe(alter)).execute(connection).await.map_err(in_sql(&model.sql_file))?;
    Ok(())
}

/// Whether an assignment from one type to the other drops a part of the value without an error.
pub(super) fn loses(from: &str, to: &str) -> bool {
    let fraction = from.starts_with("numeric") || matches!(from, "real" | "double precision");
    let whole = matches!(to, "smallint" | "integer" | "bigint");
    (fraction && whole) || (from.starts_with("timestamp") && to == "date")
}

fn broken_grain(model: &Model, error: sqlx::Error) -> ModelError {
    match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
        Some("23505" | "23502") => {
            ModelError::Grain { model: model.relation.clone(), grain: model.grain.clone(), detail: explained(&error) }
        }
        _ => error.into(),
    }
}

/// What the YAML describes is what the SELECT makes. Most of it was seen when the files were read; a `select *`
/// shows its columns only here.
fn described(model: &Model, columns: &[Column]) -> Result<(), ModelError> {
    let fault = |problem: String, hint: &str| ModelError::Columns {
        model: model.relation.clone(),
        problem,
        hint: hint.to_owned(),
    };
    let extra: Vec<_> = columns.iter().map(|c| &c.name).filter(|name| !model.columns.contains_key(*name)).collect();
    if !extra.is_empty() {
        return Err(fault(format!("columns that are not described: {extra:?}"), "add them to `columns`"));
    }
    let absent: Vec<_> = model.columns.keys().filter(|name| !columns.iter().any(|c| c.name == **name)).collect();
    if !absent.is_empty() {
        return Err(fault(format!("columns that the SELECT does not make: {absent:?}"), "select them, or remove them"));
    }
    Ok(())
}
