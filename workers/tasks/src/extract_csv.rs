//! `extract_csv`: a CSV file into Parquet files of the lake, typed, row by row.
//!
//! A row that cannot be read (a broken quote, a wrong number of fields, a value of another type, bytes that are no
//! text) is not dropped: it goes into the batch's rejected rows with its line and the reason. The file is read as a
//! stream; memory holds one row group.

mod columns;
mod encoding;
mod records;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use polars::prelude::{Column, DataFrame, DataType, Field as PolarsField, IntoColumn, NamedFrom, Schema, Series};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use warehouse::{
    WarehouseError,
    lake::{Lake, LakeWriter, attempt_stem},
    load::{SOURCE_FILE, SOURCE_LINE},
    manifest::Manifest,
};
use workflow::{
    datasets::{Dataset, Datasets},
    diagnostic::{Problem, did_you_mean},
    error::TaskError,
    kind::{TaskContext, TaskKind},
    yaml::{join, read_value},
};

use self::{
    columns::{Cell, CsvType, Spec, SpecMap, Values},
    records::{Field, Record, Records},
};

pub use self::encoding::Encoding;

/// Rows of one row group.
const ROW_GROUP: usize = 64 * 1024;

/// The kind.
pub struct ExtractCsv {
    lake: Lake,
    project: PathBuf,
}

impl ExtractCsv {
    /// Reads files below `project`, or at absolute paths, into `lake`.
    pub fn new(lake: Lake, project: impl Into<PathBuf>) -> Self {
        Self { lake, project: project.into() }
    }
}

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file, in the project's folder or at an absolute path; `.gz` is unpacked.
    pub path: String,
    /// What the rows are; the file's name if not said.
    #[serde(default)]
    pub dataset: Option<String>,
    /// What stands between fields: one ASCII character.
    #[serde(default = "comma")]
    pub delimiter: String,
    /// How the file writes its characters.
    #[serde(default)]
    pub encoding: Encoding,
    /// Whether the first record names the columns.
    #[serde(default = "yes")]
    pub header: bool,
    /// Types by column: `text`, `integer`, `decimal(P,S)`, `float`, `boolean`, `date`, `timestamp`, or a mapping
    /// `{type, from, format}`, where `from` is the name in the file and `format` how dates are written. A column of
    /// the file that is not named here is text. Without a header: all columns, in order.
    #[serde(default)]
    pub columns: Map<String, Value>,
    /// Unquoted fields that mean null; `['']` if not said.
    #[serde(default = "empty")]
    pub null_values: Vec<String>,
}

fn comma() -> String {
    ",".to_owned()
}

fn yes() -> bool {
    true
}

fn empty() -> Vec<String> {
    vec![String::new()]
}

#[async_trait]
impl TaskKind for ExtractCsv {
    const NAME: &'static str = "extract_csv";
    const SUMMARY: &'static str = "Reads a CSV file into Parquet in the lake; rows that cannot be read are kept apart";
    const SCRATCH: bool = true;

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = specs(config).err().unwrap_or_default();
        if config.path.is_empty() {
            problems.push(Problem::new("path", "no file is named"));
        }
        if delimiter(config).is_none() {
            let message = format!("`{}` is not a delimiter", config.delimiter);
            problems.push(Problem::new("delimiter", message).hint("use one character, such as `,`, `;` or \"\\t\""));
        }
        problems
    }

    fn datasets(config: &Config, output: Option<&Value>) -> Datasets {
        Datasets::extracted(Dataset::File(config.path.clone()), output)
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let path = self.project.join(&config.path);
        let stem = path.file_name().and_then(|name| name.to_str()).unwrap_or("file").to_owned();
        let dataset = config.dataset.clone().unwrap_or_else(|| stem.split('.').next().unwrap_or(&stem).to_owned());
        let day = task.logical_time.with_timezone(&task.timezone).date_naive();
        let folder: String = dataset.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let target = format!("raw/csv/{folder}/date={day}/{}", attempt_stem(task));
        let job = Job {
            lake: self.lake.clone(),
            path,
            dataset,
            target,
            cancel: task.cancel.clone(),
            specs: specs(&config).map_err(|problems| {
                let all: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.field, p.message)).collect();
                TaskError::user(all.join("; "))
            })?,
            delimiter: delimiter(&config).unwrap_or(b','),
            config,
        };
        let (manifest, encoding) =
            tokio::task::spawn_blocking(move || job.extract()).await.map_err(WarehouseError::from)??;
        task.log.info(format!(
            "{}: {} rows read as {encoding}, {} rejected",
            manifest.dataset,
            manifest.rows,
            manifest.rejected_rows()
        ));
        serde_json::to_value(manifest).map_err(|error| TaskError::internal("cannot write the manifest").because(error))
    }
}

fn delimiter(config: &Config) -> Option<u8> {
    match config.delimiter.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Some(*byte),
        _ => None,
    }
}

/// The columns that the task names, or all that is wrong with them.
fn specs(config: &Config) -> Result<Vec<Spec>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut specs: Vec<Spec> = Vec::new();
    for (name, value) in &config.columns {
        let field = format!("columns.{name}");
        let map = match value {
            Value::String(kind) => Ok(SpecMap { kind: kind.clone(), from: None, format: None }),
            other => read_value::<SpecMap>(other.clone()),
        };
        let map = match map {
            Ok(map) => map,
            Err(found) => {
                problems.extend(found.into_iter().map(|p| Problem { field: join(&field, &p.field), ..p }));
                continue;
            }
        };
        if map.from.is_some() && !config.header {
            let message = "a file without a header has no names";
            let hint = "name all columns in the order of the file, and leave `from` out";
            problems.push(Problem::new(join(&field, "from"), message).hint(hint));
        }
        if map.format.is_some() && !matches!(map.kind.as_str(), "date" | "timestamp") {
            problems.push(Problem::new(join(&field, "format"), "only a date or a timestamp has a format"));
        }
        if name.is_empty() || [SOURCE_FILE, SOURCE_LINE].contains(&name.as_str()) {
            problems.push(Problem::new(&*field, format!("`{name}` cannot be a column's name")));
        }
        match map.kind.parse() {
            Ok(kind) => specs.push(Spec {
                from: map.from.unwrap_or_else(|| name.clone()),
                name: name.clone(),
                kind,
                format: map.format,
            }),
            Err(message) => problems.push(Problem::new(field, message)),
        }
    }
    if problems.is_empty() { Ok(specs) } else { Err(problems) }
}

struct Job {
    lake: Lake,
    path: PathBuf,
    dataset: String,
    target: String,
    cancel: CancellationToken,
    specs: Vec<Spec>,
    delimiter: u8,
    config: Config,
}

impl Job {
    fn extract(self) -> Result<(Manifest, Encoding), TaskError> {
        let failed = |error: std::io::Error| unreadable(&self.path, error);
        let look = encoding::look(&self.path, self.config.encoding).map_err(failed)?;
        let input = encoding::open(&self.path, look.encoding).map_err(failed)?;
        let mut records = Records::new(input, self.delimiter);
        let mut first = None;
        let specs = if self.config.header {
            let header = records.next().map_err(failed)?;
            place(&self.specs, header_names(header, &self.path)?)?
        } else {
            first = records.next().map_err(failed)?;
            let width = match &first {
                Some(Record::Fields { fields, .. }) => fields.len(),
                _ => self.specs.len(),
            };
            numbered(&self.specs, width)?
        };
        let file = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let mut batch = Batch::new(&self.lake, &self.target, &specs)?;
        let mut rejected = Rejected::new(&self.lake, &self.target, file);
        while let Some(record) =
            first.take().map_or_else(|| records.next(), |record| Ok(Some(record))).map_err(failed)?
        {
            match record {
                Record::Broken { line, text, reason } => rejected.add(line, &text, reason.to_owned())?,
                Record::Fields { line, fields, text } => match read_row(&specs, fields, &self.config.null_values) {
                    Ok(cells) => batch.add(line, cells)?,
                    Err(reason) => rejected.add(line, &text, reason)?,
                },
            }
            if batch.is_at_row_group() && self.cancel.is_cancelled() {
                return Err(TaskError::external(format!("reading `{}` was cancelled", self.config.path)));
            }
        }
        let written = batch.finish()?;
        let manifest = Manifest {
            dataset: self.dataset,
            rows: written.rows,
            files: vec![written],
            rejected: rejected.finish()?.map(|file| vec![file]),
            mark: None,
            batch_id: format!("sha256:{}", look.hash),
            order_by: None,
            types: std::collections::BTreeMap::default(),
        };
        Ok((manifest, look.encoding))
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> TaskError {
    let message = format!("cannot read `{}`", path.display());
    match error.kind() {
        std::io::ErrorKind::NotFound => TaskError::user(format!("there is no file `{}`", path.display())),
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput | std::io::ErrorKind::UnexpectedEof => {
            TaskError::user(format!("{message}: it is damaged")).because(error)
        }
        _ => TaskError::external(message).because(error),
    }
}

fn header_names(header: Option<Record>, path: &Path) -> Result<Vec<String>, TaskError> {
    let file = path.display();
    match header {
        None => Err(TaskError::user(format!("`{file}` is empty; expected a header"))),
        Some(Record::Broken { line, reason, .. }) => {
            Err(TaskError::user(format!("the header of `{file}` (line {line}) cannot be read: {reason}")))
        }
        Some(Record::Fields { fields, .. }) => {
            let names: Vec<_> =
                fields.iter().map(|field| String::from_utf8_lossy(&field.bytes).trim().to_owned()).collect();
            for (index, name) in names.iter().enumerate() {
                if name.is_empty() {
                    return Err(TaskError::user(format!("column {} of `{file}` has no name in the header", index + 1)));
                }
                if names[..index].contains(name) {
                    return Err(TaskError::user(format!("the header of `{file}` names `{name}` twice")));
                }
            }
            Ok(names)
        }
    }
}

/// The columns in the file's order; those that the task does not name are text.
fn place(specs: &[Spec], names: Vec<String>) -> Result<Vec<Spec>, TaskError> {
    let missing: Vec<_> = specs
        .iter()
        .filter(|spec| !names.contains(&spec.from))
        .map(|spec| format!("`{}` ({})", spec.from, did_you_mean(&spec.from, names.iter().map(String::as_str))))
        .collect();
    if !missing.is_empty() {
        return Err(TaskError::user(format!("the header does not name {}", missing.join(", "))));
    }
    let text = |name: String| Spec { from: name.clone(), name, kind: CsvType::Text, format: None };
    let placed: Vec<Spec> = names
        .into_iter()
        .map(|name| specs.iter().find(|spec| spec.from == name).cloned().unwrap_or_else(|| text(name)))
        .collect();
    for (index, spec) in placed.iter().enumerate() {
        if placed[..index].iter().any(|earlier| earlier.name == spec.name) {
            return Err(TaskError::user(format!("two columns of the result are called `{}`", spec.name)));
        }
    }
    Ok(placed)
}

fn numbered(specs: &[Spec], width: usize) -> Result<Vec<Spec>, TaskError> {
    if specs.is_empty() {
        let name = |index: usize| format!("column_{}", index + 1);
        return Ok((0..width)
            .map(|index| Spec { from: name(index), name: name(index), kind: CsvType::Text, format: None })
            .collect());
    }
    Ok(specs.to_vec())
}

fn read_row(specs: &[Spec], fields: Vec<Field>, nulls: &[String]) -> Result<Vec<Cell>, String> {
    if fields.len() != specs.len() {
        return Err(format!("expected {} fields, found {}", specs.len(), fields.len()));
    }
    let mut cells = Vec::with_capacity(specs.len());
    let mut wrong = Vec::new();
    for (spec, field) in specs.iter().zip(fields) {
        match spec.read(field, nulls) {
            Ok(cell) => cells.push(cell),
            Err(reason) => wrong.push(reason),
        }
    }
    if wrong.is_empty() { Ok(cells) } else { Err(wrong.join("; ")) }
}

/// Rows that were read, on their way into a Parquet file.
struct Batch {
    writer: LakeWriter,
    columns: Vec<Values>,
    lines: Vec<i64>,
}

impl Batch {
    fn new(lake: &Lake, target: &str, specs: &[Spec]) -> Result<Self, WarehouseError> {
        let line = PolarsField::new(SOURCE_LINE.into(), DataType::Int64);
        let schema = Schema::from_iter(specs.iter().map(Spec::field).chain([line]));
        let writer = lake.parquet_writer(&format!("{target}.parquet"), schema.into())?;
        Ok(Self { writer, columns: specs.iter().map(Values::new).collect(), lines: Vec::new() })
    }

    fn add(&mut self, line: u64, cells: Vec<Cell>) -> Result<(), WarehouseError> {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.push(cell);
        }
        self.lines.push(i64::try_from(line).unwrap_or(i64::MAX));
        if self.is_at_row_group() { self.flush() } else { Ok(()) }
    }

    fn is_at_row_group(&self) -> bool {
        self.lines.len().is_multiple_of(ROW_GROUP)
    }

    fn flush(&mut self) -> Result<(), WarehouseError> {
        let height = self.lines.len();
        let wrong = || WarehouseError::frame("cannot make a frame of the file's rows");
        let mut columns: Vec<Column> =
            self.columns.iter_mut().map(Values::take).collect::<Result<_, _>>().map_err(wrong())?;
        columns.push(Series::new(SOURCE_LINE.into(), std::mem::take(&mut self.lines)).into_column());
        self.writer.write(&DataFrame::new(height, columns).map_err(wrong())?)
    }

    fn finish(mut self) -> Result<warehouse::lake::LakeFile, WarehouseError> {
        if !self.lines.is_empty() {
            self.flush()?;
        }
        self.writer.finish()
    }
}

/// Rows that could not be read, on their way into a Parquet file of their own, made with the first of them.
struct Rejected {
    lake: Lake,
    path: String,
    file: String,
    writer: Option<LakeWriter>,
    lines: Vec<i64>,
    texts: Vec<String>,
    reasons: Vec<String>,
}

impl Rejected {
    fn new(lake: &Lake, target: &str, file: String) -> Self {
        let path = format!("{target}-rejected.parquet");
        let (lines, texts, reasons) = (Vec::new(), Vec::new(), Vec::new());
        Self { lake: lake.clone(), path, file, writer: None, lines, texts, reasons }
    }

    fn add(&mut self, line: u64, text: &[u8], reason: String) -> Result<(), WarehouseError> {
        self.lines.push(i64::try_from(line).unwrap_or(i64::MAX));
        self.texts.push(String::from_utf8_lossy(text).replace('\0', "\u{2400}"));
        self.reasons.push(reason);
        if self.lines.len() >= ROW_GROUP { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), WarehouseError> {
        let height = self.lines.len();
        let frame = DataFrame::new(
            height,
            vec![
                Series::new("source_file".into(), vec![self.file.as_str(); height]).into_column(),
                Series::new("source_line".into(), std::mem::take(&mut self.lines)).into_column(),
                Series::new("text".into(), std::mem::take(&mut self.texts)).into_column(),
                Series::new("reason".into(), std::mem::take(&mut self.reasons)).into_column(),
            ],
        )
        .map_err(WarehouseError::frame("cannot make a frame of the rejected rows"))?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(self.lake.parquet_writer(&self.path, frame.schema().clone())?),
        };
        writer.write(&frame)
    }

    fn finish(mut self) -> Result<Option<warehouse::lake::LakeFile>, WarehouseError> {
        if !self.lines.is_empty() {
            self.flush()?;
        }
        self.writer.map(LakeWriter::finish).transpose()
    }
}
