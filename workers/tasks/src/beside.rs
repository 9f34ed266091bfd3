//! Where a project's suites find the other datasets that they compare with.

use std::{error::Error, path::Path};

use quality::Beside;
use sqlx::PgPool;
use warehouse::lake::Lake;

/// Tables of `pool`, where there is one, files of the project's folder, and Parquet files of `lake` as `lake:path`. A file is
/// read whole, when a check asks for it.
///
/// # Panics
/// Outside of a Tokio runtime where there is a pool.
pub fn beside(pool: Option<PgPool>, lake: Lake, project: &Path) -> Beside {
    let project = project.to_owned();
    let files = Beside::default().with_files(move |path| match path.strip_prefix("lake:") {
        Some(path) => lake.open_parquet(path).and_then(|file| file.rows(None)).map_err(|error| told(&error)),
        None => quality::read_file(&project.join(path)).map_err(|error| error.to_string()),
    });
    match pool {
        Some(pool) => files.with_postgres(pool),
        None => files,
    }
}

fn told(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
