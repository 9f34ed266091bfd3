//! A file as a frame, for suites that are run by hand or in someone's CI.

use std::{
    fs,
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use polars::{
    io::csv::read::schema_inference::infer_field_schema,
    prelude::{
        ChunkUnique, Column, CsvReadOptions, DataFrame, DataType, LazyFrame, PlRefPath, PolarsError, PolarsResult,
        ScanArgsParquet, SchemaRef, SerReader,
    },
};

/// Reads a Parquet file, a folder of Parquet files, or a CSV file (by its ending, `.gz` included) whose column types
/// are inferred from all of its rows. Blocking.
pub fn read_file(path: &Path) -> PolarsResult<DataFrame> {
    if is_csv(path) {
        return read_csv(path);
    }
    LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, ScanArgsParquet::default())?.collect()
}

/// The Parquet files that a path stands for, in the order in which Polars reads them: itself, or all in the folder.
/// Nothing where it is CSV, or where names of folders hold values (`day=2024-01-01`).
pub(crate) fn parquet_files(path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    if is_csv(path) {
        return Ok(None);
    }
    if !path.is_dir() {
        return Ok(Some(vec![path.to_owned()]));
    }
    let (mut files, mut folders) = (Vec::new(), vec![path.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let about = path.metadata()?;
            match path.file_name().and_then(|name| name.to_str()) {
                Some(name) if about.is_dir() && !name.contains('=') => folders.push(path),
                // Polars, too, steps over files without a byte.
                Some(_) if about.is_file() && about.len() == 0 => {}
                Some(name) if name.ends_with(".parquet") && about.is_file() => files.push(path),
                _ => return Ok(None),
            }
        }
    }
    files.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    Ok(Some(files))
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
    let options = || CsvReadOptions::default().with_infer_schema_length(None);
    let read = |options: CsvReadOptions| options.into_reader_with_file_handle(Cursor::new(bytes.as_slice())).finish();
    let mut frame = read(options())?;
    let timed: Vec<_> = frame.columns().iter().enumerate().filter_map(|(at, c)| Some((at, as_time(c)?))).collect();
    for (at, dtype) in timed {
        let mut schema = (**frame.schema()).clone();
        let Some((name, _)) = schema.get_at_index(at) else { continue };
        let name = name.clone();
        schema.set_dtype_at_index(at, dtype);
        let only = options().with_schema(Some(SchemaRef::new(schema))).with_columns(Some([name].into()));
        match read(only) {
            Ok(read) => frame.replace_column(at, read.columns()[0].clone()).map(|_| ())?,
            // Polars takes some texts for times that it then cannot read, such as `2024-01-01 10:00:00.5 UTC`.
            Err(PolarsError::ComputeError(_)) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(frame)
}

/// The date or time that Polars would take every text of a column for. It tries some twenty formats on each value, so
/// the different ones are asked about, and a column of names no further than its first.
fn as_time(column: &Column) -> Option<DataType> {
    let texts = column.as_materialized_series().str().ok()?;
    let one = |text: &str| infer_field_schema(text, true, false);
    let first = one(texts.iter().flatten().next()?);
    if !first.is_temporal() {
        return None;
    }
    let different = texts.unique().ok()?;
    different.iter().flatten().all(|text| one(text) == first).then_some(first)
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

    #[test]
    fn a_column_is_of_times_where_all_of_its_texts_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.csv");
        let rows = "at,day,mixed,clock\n2024-02-29 10:00:00,2024-02-29,2024-02-29,10:00:01\n,,,\n2024-03-01 00:00:00.25,2024-03-01,soon,23:59:59\n";
        fs::write(&path, rows).expect("written");
        let frame = read_file(&path).expect("a frame");
        let times = DataType::Datetime(polars::prelude::TimeUnit::Microseconds, None);
        assert_eq!(frame.dtypes(), [times, DataType::Date, DataType::String, DataType::Time]);
        assert_eq!(frame.columns().iter().map(Column::null_count).collect::<Vec<_>>(), [1; 4]);
    }
}
