//! What names a row on both sides, as a number that ranges are cut over.

use std::collections::BTreeMap;

use serde::Deserialize;
use sqlx::MySqlConnection;
use warehouse::{copy::PgType, ident};
use workflow::error::TaskError;

use super::{
    Config,
    pairs::{self, Pair},
    ranges::{Range, within},
    sides::Opened,
};
use crate::extract_mysql::columns::{SourceColumn, SourceType, quote};

/// The largest number that part of an MD5 gives: 60 bits.
const LARGEST_HASH: i128 = (1 << 60) - 1;

/// The columns that name a row, as users write them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a column or a list of columns")]
pub enum Names {
    /// One.
    One(String),
    /// Several together.
    Several(Vec<String>),
}

impl Names {
    /// Them.
    pub(super) fn all(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// How rows are numbered.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) names: Vec<String>,
    /// The number in `MySQL`.
    pub(super) source: String,
    /// The number in Postgres.
    pub(super) target: String,
    /// Its type there.
    pub(super) target_type: String,
    /// Whether the number is unsigned in the source.
    pub(super) unsigned: bool,
    /// The ends of all numbers, where no index knows them.
    pub(super) ends: Option<(i128, i128)>,
}

impl Key {
    /// A column of whole numbers is its own number, and both servers find a range of them by an index. Whatever else names a
    /// row is numbered by a part of the MD5 of its text; then each statement reads the table.
    pub(super) async fn find(
        connection: &mut MySqlConnection,
        config: &Config,
        columns: &[SourceColumn],
        opened: &Opened,
    ) -> Result<Self, TaskError> {
        let names = config.key.all();
        if opened.types.is_empty() {
            return Err(TaskError::user(format!("the warehouse has no table {}", config.target)));
        }
        let mut found = Vec::new();
        for name in names {
            let column = columns.iter().find(|column| column.name == *name);
            found.push(column.ok_or_else(|| TaskError::user(format!("`{}` has no column `{name}`", config.table)))?);
        }
        check_unique(connection, config, &found, opened).await?;
        if let [column] = found.as_slice()
            && let Some(theirs) = opened.types.get(&column.name)
            && column.kind.is_whole()
            && PgType::parse(theirs).is_some_and(PgType::is_whole)
        {
            let unsigned =
                matches!(column.kind, SourceType::UInt8 | SourceType::UInt16 | SourceType::UInt32 | SourceType::UInt64);
            return Ok(Self {
                names: names.to_vec(),
                source: quote(&column.name),
                target: ident::quote(&column.name)?,
                target_type: theirs.clone(),
                unsigned,
                ends: None,
            });
        }
        let found: Vec<SourceColumn> = found.into_iter().cloned().collect();
        let (mine, theirs) = pairs::row_texts(&pairs::pairs(&found, &opened.types, &[], config.zero_dates)?);
        Ok(Self {
            names: names.to_vec(),
            source: format!("cast(conv(left(md5({mine}), 15), 16, 10) as unsigned)"),
            target: format!("('x' || left(md5({theirs}), 15))::bit(60)::bigint"),
            target_type: "bigint".to_owned(),
            unsigned: true,
            ends: Some((0, LARGEST_HASH)),
        })
    }

    /// A condition for the rows of these ranges. All of a table needs none, which saves working out numbers of no column.
    pub(super) fn within(&self, number: &str, ranges: impl Iterator<Item = Range>) -> String {
        let ranges: Vec<Range> = ranges.collect();
        match (self.ends, ranges.as_slice()) {
            (Some((low, high)), [all]) if all.low <= low && all.high >= high => "true".to_owned(),
            _ => within(number, ranges.into_iter()),
        }
    }

    /// A row's key for people, of the values of its columns.
    pub(super) fn shown(&self, pairs: &[Pair], values: &[Option<String>]) -> String {
        let by_name: BTreeMap<&str, &Option<String>> =
            pairs.iter().map(|pair| pair.name.as_str()).zip(values).collect();
        let texts = self.names.iter().map(|name| by_name.get(name.as_str()).and_then(|text| text.as_deref()));
        texts.map(|text| text.unwrap_or("null")).collect::<Vec<_>>().join(", ")
    }
}

/// Whether rows can be told apart by the key, and a repair can replace them by it.
async fn check_unique(
    connection: &mut MySqlConnection,
    config: &Config,
    columns: &[&SourceColumn],
    opened: &Opened,
) -> Result<(), TaskError> {
    let names = config.key.all();
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let unique: bool = sqlx::query_scalar(include_str!("../../../../sql/reconcile/mysql_unique.sql"))
        .bind(&config.table)
        .bind(sorted.join(","))
        .fetch_one(connection)
        .await
        .map_err(crate::extract_mysql::failed)?;
    let shown = names.join(", ");
    if !unique || columns.iter().any(|column| column.nullable) {
        return Err(TaskError::user(format!(
            "`{}` has no unique index on the key `{shown}` alone, or it may be null: rows could not be told apart",
            config.table
        )));
    }
    if config.repair && !opened.unique {
        return Err(TaskError::user(format!(
            "{} has no unique index on `{shown}`, by which a repair replaces rows; add one, or remove `repair`",
            config.target
        )));
    }
    Ok(())
}
