//! A file as a frame, for suites that are run by hand or in someone's CI.

use std::{
    fs,
    io::{Cursor, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use polars::prelude::{
    CsvReadOptions, DataFrame, LazyFrame, PlRefPath, PolarsError, PolarsResult, ScanArgsParquet, SerReader,
};

/// Reads a Parquet file, a folder of Parquet files, or a CSV file (by its ending, `.gz` included) whose column types
/// are inferred from all of its rows. Blocking.
pub fn read_file(path: &Path) -> PolarsResult<DataFrame> {
    if is_csv(path) {
        return read_csv(path);
    }
    LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, ScanArgsParquet::default())?.collect()
}

/// Whether the name of the file says that it is CSV.
pub(crate) fn is_csv(path: &Path) -> bool {
    let name = name(path);
    name.ends_with(".csv") || name.ends_with(".csv.gz")
}

fn name(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase()
}

fn read_csv(path: &Path) -> PolarsResult<DataFrame> {
    let mut bytes = fs::read(path)?;
    if name(path).ends_with(".gz") {
        let mut plain = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain)?;
        bytes = plain;
    }
    let read = |dates: bool| {
        CsvReadOptions::default()
            .with_infer_schema_length(None)
            .map_parse_options(|parse| parse.with_try_parse_dates(dates))
            .into_reader_with_file_handle(Cursor::new(bytes.as_slice()))
            .finish()
    };
    // Polars takes some texts for times that it then cannot read, such as `2024-01-01 10:00:00.5 UTC`: they stay texts.
    read(true).or_else(|error| match error {
        PolarsError::ComputeError(_) => read(false),
        other => Err(other),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use polars::prelude::DataType;

    use super::*;

    #[test]
    fn packed_files_are_read_by_their_ending() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.csv.gz");
        let mut packed = GzEncoder::new(fs::File::create(&path).expect("a file"), Compression::fast());
        packed.write_all(b"\xef\xbb\xbfid,day\n1,2024-02-29\n").expect("written");
        packed.finish().expect("written");
        let frame = read_file(&path).expect("a frame");
        assert_eq!(frame.get_column_names(), ["id", "day"]);
        assert_eq!(frame.dtypes(), [DataType::Int64, DataType::Date]);
    }

    #[test]
    fn texts_that_only_look_like_times_stay_texts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.csv");
        fs::write(&path, "id,at\n1,2020-04-20 01:47:00.000000 UTC\n").expect("written");
        let frame = read_file(&path).expect("a frame");
        assert_eq!(frame.dtypes(), [DataType::Int64, DataType::String]);
    }
}
