//! Profiles of frames and files.

use std::path::Path;

use polars::prelude::{AnyValue, BooleanChunked, DataFrame, LazyFrame, PlRefPath, PolarsResult, ScanArgsParquet, len};

use super::{kind, scalar, stored};
use crate::{
    data,
    profile::{self, Nulls, Profile, Watch},
    types::Column,
};

/// Rows of a Parquet file that are in memory at a time.
const BATCH: u32 = 1 << 18;

/// Profiles a batch that is in memory. Blocking: it keeps all cores busy.
pub fn profile_frame(frame: &DataFrame) -> Profile {
    let mut profiler = Profiler::new(frame);
    profiler.see(frame);
    profiler.finish()
}

/// Profiles a file, or a folder of Parquet files. Blocking. Of Parquet only some rows are in memory at a time; a CSV
/// file is read whole, for its types are those that all of its rows fit.
pub fn profile_file(path: &Path) -> PolarsResult<Profile> {
    if data::is_csv(path) {
        return Ok(profile_frame(&data::read_file(path)?));
    }
    let file = LazyFrame::scan_parquet(PlRefPath::try_from_path(path)?, ScanArgsParquet::default())?;
    let counted = file.clone().select([len()]).collect()?;
    let rows: u64 =
        counted.columns().first().map_or(Ok(AnyValue::Null), |column| column.get(0))?.extract().unwrap_or(0);
    let mut profiler = Profiler::new(&file.clone().slice(0, 0).collect()?);
    let mut place = 0;
    while place < rows {
        profiler.see(&file.clone().slice(i64::try_from(place).unwrap_or(i64::MAX), BATCH).collect()?);
        place += u64::from(BATCH);
    }
    Ok(profiler.finish())
}

struct Profiler {
    watched: Vec<Watch>,
    nulls: Nulls,
    rows: u64,
}

impl Profiler {
    fn new(frame: &DataFrame) -> Self {
        let watch = |(name, dtype): (_, &_)| {
            Watch::new(Column { name: ToString::to_string(name), kind: kind(dtype), stored: stored(dtype) })
        };
        let watched: Vec<_> = frame.get_column_names().into_iter().zip(&frame.dtypes()).map(watch).collect();
        Self { nulls: Nulls::new(watched.len()), watched, rows: 0 }
    }

    fn see(&mut self, batch: &DataFrame) {
        self.rows += batch.height() as u64;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = self.watched.len().div_ceil(threads).max(1);
        let columns = batch.columns();
        std::thread::scope(|scope| {
            for (watched, columns) in self.watched.chunks_mut(share).zip(columns.chunks(share)) {
                scope.spawn(move || {
                    for (watch, column) in watched.iter_mut().zip(columns) {
                        for value in column.as_materialized_series().rechunk().iter() {
                            watch.see(scalar(&value));
                        }
                    }
                });
            }
        });
        let with_nulls = |(place, column): (usize, &polars::prelude::Column)| {
            (column.null_count() > 0).then(|| (place, column.is_null()))
        };
        let masks: Vec<(usize, BooleanChunked)> = columns.iter().enumerate().filter_map(with_nulls).collect();
        for (index, (a, one)) in masks.iter().enumerate() {
            for (b, other) in &masks[index + 1..] {
                self.nulls.add(*a, *b, (one & other).sum().unwrap_or_default().into());
            }
        }
    }

    fn finish(self) -> Profile {
        profile::finish(self.rows, self.watched, &self.nulls)
    }
}
