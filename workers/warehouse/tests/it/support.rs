//! Runs and attempts to load on behalf of.

use chrono::{DateTime, TimeZone, Utc};
use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, Series};
use sqlx::PgPool;
use tempfile::TempDir;
use warehouse::{
    ident::TableName,
    lake::Lake,
    load::{Deduplicate, LoadRequest},
    manifest::Manifest,
};
use workflow::kind::Fence;

/// The interval of every run here.
pub(crate) fn interval() -> (DateTime<Utc>, DateTime<Utc>) {
    let day = |d| Utc.with_ymd_and_hms(2026, 3, d, 0, 0, 0).single().expect("a valid time");
    (day(1), day(2))
}

/// Ends an attempt as the reaper does.
pub(crate) async fn lose(pool: &PgPool, fence: Fence) {
    sqlx::query("update sluice.attempt set state = 'lost', finished_at = now() where attempt_id = $1")
        .bind(fence.attempt_id)
        .execute(pool)
        .await
        .expect("end the attempt");
}

/// A lake in a folder of its own.
pub(crate) fn lake() -> (TempDir, Lake) {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(folder.path().to_str().expect("a UTF-8 path")).expect("a lake");
    (folder, lake)
}

/// A column of these values.
pub(crate) fn column<T, P: ?Sized>(name: &str, values: T) -> Column
where
    Series: NamedFrom<T, P>,
{
    Series::new(name.into(), values).into_column()
}

/// A frame of these columns.
pub(crate) fn frame(columns: Vec<Column>) -> DataFrame {
    DataFrame::new_infer_height(columns).expect("columns of one height")
}

/// The frame in the lake, as the batch of that name.
pub(crate) async fn batch(lake: &Lake, id: &str, mut rows: DataFrame) -> Manifest {
    let file = lake.write_parquet(&format!("raw/test/{id}.parquet"), &mut rows).await.expect("write the batch");
    Manifest {
        dataset: "test".to_owned(),
        rows: file.rows,
        files: vec![file],
        rejected: None,
        mark: None,
        batch_id: id.to_owned(),
        order_by: None,
        types: std::collections::BTreeMap::new(),
    }
}

/// A request to append `manifest` to `target`.
pub(crate) fn request(target: &str, manifest: Manifest, fence: Fence) -> LoadRequest {
    LoadRequest {
        target: TableName::parse(target).expect("a table name"),
        manifest,
        key: Vec::new(),
        deduplicate: Deduplicate::Never,
        balance: Vec::new(),
        run_id: 1,
        task: "load".to_owned(),
        interval: interval(),
        fence,
    }
}
