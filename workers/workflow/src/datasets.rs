//! What a task reads and writes, as lineage names it.
//!
//! A kind says it in its own words, from its keys and its output; where a service is, only whoever tells of it knows.

use serde_json::Value;

/// A dataset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dataset {
    /// `schema.table` of the warehouse.
    Table(String),
    /// A table of a source, by the connection's name.
    Source {
        /// The connection.
        connection: String,
        /// The table, in the connection's database.
        table: String,
    },
    /// A file or a folder of the lake.
    Lake(String),
    /// A file in the project's folder or at an absolute path.
    File(String),
    /// A topic of Kafka.
    Topic(String),
    /// What an address gives: `https://host/path`, or a path on the project's own page.
    Address(String),
    /// What another task of the run wrote.
    OutputOf(String),
}

/// A dataset and how much of it was read or written, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The dataset.
    pub dataset: Dataset,
    /// Rows.
    pub rows: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
    /// Files.
    pub files: Option<u64>,
}

impl From<Dataset> for Touched {
    fn from(dataset: Dataset) -> Self {
        Self { dataset, rows: None, bytes: None, files: None }
    }
}

impl Touched {
    /// `schema.table` of the warehouse.
    pub fn table(name: &str, rows: Option<u64>) -> Self {
        Self { rows, ..Dataset::Table(name.to_owned()).into() }
    }
}

/// What an attempt read and wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Datasets {
    /// What it read.
    pub reads: Vec<Touched>,
    /// What it wrote.
    pub writes: Vec<Touched>,
}

impl Datasets {
    /// What an extract did: it read `source`, and its output is a manifest of files in the lake. Files have names of their
    /// attempts, and folders of their days: the dataset is the folder above.
    pub fn extracted(source: Dataset, manifest: Option<&Value>) -> Self {
        let reads = vec![source.into()];
        let Some(manifest) = manifest else { return Self { reads, writes: Vec::new() } };
        let files = manifest["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        let path = files.first().and_then(|file| file["path"].as_str());
        let writes = path.and_then(folder_of).map(|folder| Touched {
            dataset: Dataset::Lake(folder.to_owned()),
            rows: manifest["rows"].as_u64(),
            bytes: Some(files.iter().filter_map(|file| file["bytes"].as_u64()).sum()),
            files: u64::try_from(files.len()).ok(),
        });
        Self { reads, writes: writes.into_iter().collect() }
    }
}

/// `raw/mysql/orders` of `raw/mysql/orders/date=2026-03-01/7-1.parquet`.
fn folder_of(path: &str) -> Option<&str> {
    let folder = path.rsplit_once('/')?.0;
    match folder.rsplit_once('/') {
        Some((above, day)) if day.contains('=') => Some(above),
        _ => Some(folder),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_extract_wrote_is_named_by_the_folder_that_stays() {
        let file = |path: &str, bytes| json!({ "path": path, "rows": 2, "bytes": bytes });
        let manifest = json!({
            "dataset": "orders",
            "rows": 4,
            "files": [file("raw/csv/orders/date=2026-03-01/7-1.parquet", 10), file("raw/csv/orders/date=2026-03-01/7-2.parquet", 5)],
        });
        let source = Dataset::File("orders.csv".to_owned());
        let datasets = Datasets::extracted(source.clone(), Some(&manifest));
        assert_eq!(datasets.reads, [Touched::from(source.clone())]);
        let written = Touched {
            dataset: Dataset::Lake("raw/csv/orders".to_owned()),
            rows: Some(4),
            bytes: Some(15),
            files: Some(2),
        };
        assert_eq!(datasets.writes, [written]);
        // A batch without rows may have no file.
        assert!(Datasets::extracted(source, Some(&json!({ "rows": 0, "files": [] }))).writes.is_empty());
    }
}
