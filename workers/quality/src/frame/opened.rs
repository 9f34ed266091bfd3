//! A file that is looked at several times.

use std::path::{Path, PathBuf};

use polars::prelude::{DataFrame, PolarsResult};

use super::{evaluate_file, evaluate_frame, profile_file, profile_frame};
use crate::{
    data::{is_csv, read_file},
    outcome::{Evaluation, FailedRows},
    profile::Profile,
    suite::Suite,
};

/// A file, or a folder of Parquet files. CSV, which takes long to read, is read once and stays in memory; of Parquet
/// nothing does.
pub struct Opened(Data);

enum Data {
    Csv(DataFrame),
    Parquet(PathBuf),
}

impl Opened {
    /// Blocking.
    ///
    /// # Errors
    /// Where a CSV file cannot be read.
    pub fn open(path: &Path) -> PolarsResult<Self> {
        Ok(Self(if is_csv(path) { Data::Csv(read_file(path)?) } else { Data::Parquet(path.to_owned()) }))
    }

    /// As [`profile_file`].
    pub fn profile(&self) -> PolarsResult<Profile> {
        match &self.0 {
            Data::Csv(frame) => Ok(profile_frame(frame)),
            Data::Parquet(path) => profile_file(path),
        }
    }

    /// As [`evaluate_file`].
    pub fn evaluate(&self, suite: &Suite) -> PolarsResult<Evaluation> {
        match &self.0 {
            Data::Csv(frame) => Ok(Evaluation { failed_rows: FailedRows::new(), ..evaluate_frame(suite, frame) }),
            Data::Parquet(path) => evaluate_file(suite, path),
        }
    }
}
