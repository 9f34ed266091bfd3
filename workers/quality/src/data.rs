//! A file as a frame, for suites that are run by hand or in someone's CI.

use std::path::Path;

use polars::prelude::{CsvReadOptions, DataFrame, LazyFrame, PlRefPath, PolarsResult, ScanArgsParquet, SerReader};

/// Reads a Parquet file, a folder of Parquet files, or a CSV file (by its ending, `.gz` included) whose column types
/// are inferred from all of its rows. Blocking.
pub fn read_file(path: &Path) -> PolarsResult<DataFrame> {
    if is_csv(path) {
        return CsvReadOptions::default()
            .with_infer_schema_length(None)
            .map_parse_options(|parse| parse.with_try_parse_dates(true))
            .try_into_reader_with_file_path(Some(path.to_owned()))?
            .finish();
    }
    LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, ScanArgsParquet::default())?.collect()
}

/// Whether the name of the file says that it is CSV.
pub(crate) fn is_csv(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    name.ends_with(".csv") || name.ends_with(".csv.gz")
}
