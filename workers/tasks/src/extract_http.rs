//! `extract_http`: the records of a paged JSON service into Parquet in the lake.
//!
//! Pages are fetched one after the other, no faster than `rate` allows; a server that says "later" is believed. A
//! record whose values do not have the types that `columns` gives is rejected: the load quarantines it, with the
//! page and the place where it stood.

mod pages;
mod records;

use std::collections::BTreeMap;

use async_trait::async_trait;
use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, Series};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;
use warehouse::{
    WarehouseError,
    lake::{Lake, attempt_stem},
    manifest::Manifest,
};
use workflow::{
    datasets::{Dataset, Datasets},
    diagnostic::Problem,
    error::TaskError,
    kind::{TaskContext, TaskKind},
};

use self::{
    pages::Pages,
    records::{ColumnType, Records},
};

/// The kind.
pub struct ExtractHttp {
    lake: Lake,
    own: String,
}

impl ExtractHttp {
    /// Writes into `lake`; `own` is the address of the project's own web page.
    pub fn new(lake: Lake, own: impl Into<String>) -> Self {
        Self { lake, own: own.into() }
    }
}

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address of the first page, `http` or `https`; one that begins with `/` is on the project's own web page.
    pub url: String,
    /// What the records are: `ratings`. Names the folder in the lake.
    pub dataset: String,
    /// Where the list of records stands in a page: `items`, `data.results`. The page itself if not said.
    #[serde(default)]
    pub records: Option<String>,
    /// Where a page holds the address of the next one; the last page has none, or null.
    #[serde(default)]
    pub next: Option<String>,
    /// Pages by number, for services that give no address of the next one: the first page with no records, or fewer
    /// than `size`, is the last.
    #[serde(default)]
    pub page: Option<Numbered>,
    /// Sent with every request. Not for secrets: DAG files are shown on the web page.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Types by column: `integer`, `number`, `boolean`, `text`, `date`, `timestamp`, `json`. Only these columns are
    /// kept. Without it every column is kept, with the narrowest type that holds all of its values.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnType>,
    /// Requests a second, at most.
    #[serde(default = "ten")]
    pub rate: f64,
    /// More pages than this are taken for a service that never ends.
    #[serde(default = "thousand")]
    pub max_pages: usize,
}

/// How pages are numbered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbered {
    /// Query parameter of the number.
    pub param: String,
    /// Number of the first page.
    #[serde(default = "one")]
    pub first: u64,
    /// Query parameter of the size of a page.
    #[serde(default)]
    pub size_param: Option<String>,
    /// Records a page.
    #[serde(default)]
    pub size: Option<u64>,
}

fn one() -> u64 {
    1
}

fn ten() -> f64 {
    10.0
}

fn thousand() -> usize {
    1000
}

#[async_trait]
impl TaskKind for ExtractHttp {
    const NAME: &'static str = "extract_http";
    const SUMMARY: &'static str = "Reads a paged JSON service into Parquet in the lake";

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !config.url.contains("{{")
            && let Err(message) = address(&config.url, "http://localhost")
        {
            problems.push(
                Problem::new("url", message)
                    .hint("write `https://host/path`, or `/path` for the project's own web page"),
            );
        }
        if config.dataset.is_empty() || !config.dataset.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        {
            let message = format!("`{}` is not a plain name", config.dataset);
            problems.push(Problem::new("dataset", message).hint("use letters, digits, `_`, `-` and `.`"));
        }
        if config.next.is_some() && config.page.is_some() {
            problems.push(Problem::new("page", "pages are found by `next` already").hint("keep one of the two"));
        }
        if let Some(Numbered { size_param: Some(name), size: None, .. }) = &config.page {
            let message = format!("there is no `size` to send as `{name}`");
            problems.push(Problem::new("page.size_param", message).hint("give `size`, or leave `size_param` out"));
        }
        if config.rate.is_nan() || config.rate <= 0.0 {
            problems.push(Problem::new("rate", format!("{} requests a second", config.rate)).hint("more than 0"));
        }
        if config.max_pages == 0 {
            problems.push(Problem::new("max_pages", "no page may be read").hint("1 or more"));
        }
        problems
    }

    fn datasets(config: &Config, output: Option<&Value>) -> Datasets {
        Datasets::extracted(Dataset::Address(config.url.clone()), output)
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let mut pages = Pages::new(&config, &self.own)?;
        let mut records = Records::new(config.columns.clone());
        while let Some(page) = pages.next(task).await? {
            records.add(page.url.as_str(), &page.records);
            task.log.info(format!("{}: {} records", page.url.path(), page.records.len()));
        }
        let count = pages.fetched();
        let manifest = self.write(&config, records, task).await?;
        task.log.info(format!(
            "{}: {} rows of {count} pages, {} rejected",
            manifest.dataset,
            manifest.rows,
            manifest.rejected_rows()
        ));
        serde_json::to_value(manifest).map_err(|error| TaskError::internal("cannot write the manifest").because(error))
    }
}

impl ExtractHttp {
    async fn write(&self, config: &Config, records: Records, task: &TaskContext) -> Result<Manifest, TaskError> {
        let day = task.logical_time.with_timezone(&task.timezone).date_naive();
        let stem = format!("raw/http/{}/date={day}/{}", config.dataset, attempt_stem(task));
        let batch_id = format!("sha256:{}", workflow::hex::encode(&Sha256::digest(records.content())));
        let types = records.types();
        let (mut frame, rejected) = tokio::task::spawn_blocking(move || -> Result<_, WarehouseError> {
            let (frame, rejected) = records.into_frames()?;
            Ok((frame, rejected.frame()?))
        })
        .await
        .map_err(WarehouseError::from)??;
        let mut files = Vec::new();
        if frame.width() > 0 {
            files.push(self.lake.write_parquet(&format!("{stem}.parquet"), &mut frame).await?);
        }
        let rejected = match rejected {
            Some(mut frame) => {
                Some(vec![self.lake.write_parquet(&format!("{stem}-rejected.parquet"), &mut frame).await?])
            }
            None => None,
        };
        Ok(Manifest {
            dataset: config.dataset.clone(),
            rows: files.iter().map(|file| file.rows).sum(),
            files,
            rejected,
            mark: None,
            batch_id,
            order_by: None,
            types,
        })
    }
}

/// Records that could not be read, for the load to quarantine.
#[derive(Debug, Default)]
struct Rejected {
    page: Vec<String>,
    place: Vec<i64>,
    text: Vec<String>,
    reason: Vec<String>,
}

impl Rejected {
    fn add(&mut self, page: &str, place: usize, record: &Value, reason: String) {
        self.page.push(page.to_owned());
        self.place.push(i64::try_from(place).unwrap_or(i64::MAX));
        self.text.push(record.to_string());
        self.reason.push(reason);
    }

    fn frame(self) -> Result<Option<DataFrame>, WarehouseError> {
        if self.page.is_empty() {
            return Ok(None);
        }
        let text = |name: &str, values: Vec<String>| -> Column { Series::new(name.into(), values).into_column() };
        DataFrame::new_infer_height(vec![
            text("source_file", self.page),
            Series::new("source_line".into(), self.place).into_column(),
            text("text", self.text),
            text("reason", self.reason),
        ])
        .map(Some)
        .map_err(WarehouseError::frame("cannot make a frame of the rejected records"))
    }
}

/// `text` as an address; `own` is that of the project's own web page.
pub(crate) fn address(text: &str, own: &str) -> Result<Url, String> {
    let whole = if text.starts_with('/') { format!("{}{text}", own.trim_end_matches('/')) } else { text.to_owned() };
    let url = Url::parse(&whole).map_err(|error| format!("`{whole}` is not an address: {error}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(format!("`{scheme}` is not http or https")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_the_projects_own_page() {
        let at = |text| address(text, "http://server:8180/").map(String::from);
        assert_eq!(at("/demo/ratings"), Ok("http://server:8180/demo/ratings".to_owned()));
        assert_eq!(at("https://other.example/x"), Ok("https://other.example/x".to_owned()));
        assert!(at("demo/ratings").is_err());
        assert!(at("ftp://other.example/x").is_err());
    }
}
