//! A contract on a dataset's columns: which there are, of which type, in which order, and which hold no nulls; what of it
//! may change, and how a dataset differs, in words.

mod compare;
mod propose;
mod read;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use compare::{Change, changes, nulls, observed};
pub use propose::{contract_of_frame, contract_of_table};
pub(crate) use read::read;

use crate::types::Column;

/// What the columns of a dataset must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// The columns, in order.
    pub fields: Vec<Field>,
    /// Which may come and go.
    pub columns: ColumnPolicy,
    /// What may become of a type.
    pub types: TypePolicy,
    /// Whether their order counts.
    pub order: OrderPolicy,
}

/// One column of a contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: FieldType,
    /// Whether it may hold nulls.
    pub nullable: bool,
}

/// Which columns may come and go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnPolicy {
    /// None.
    #[default]
    Exact,
    /// New ones may come.
    Additive,
    /// New ones may come, and known ones go.
    Any,
}

/// What may become of a type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TypePolicy {
    /// Nothing.
    #[default]
    Exact,
    /// It may become one that holds all values of the old one.
    Widening,
}

/// Whether the order of columns counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderPolicy {
    /// It does not: columns go by name.
    #[default]
    Any,
    /// Those that the contract names come in its order.
    Exact,
}

/// A type by the name that it has in contracts, one for both engines; decimals may have digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldType {
    class: &'static str,
    /// How many digits, and how many of them behind the point.
    digits: Option<(u32, u32)>,
}

/// The names of types in contracts, the classes that columns are stored in, and the wider ones. Each is wider than itself.
const TYPES: &[(&str, &[&str], &[&str])] = &[
    ("bool", &["bool"], &[]),
    ("int8", &["int8"], &["int16", "int32", "int64", "decimal", "float32", "float64"]),
    ("int16", &["int16"], &["int32", "int64", "decimal", "float32", "float64"]),
    ("int32", &["int32"], &["int64", "decimal", "float64"]),
    ("int64", &["int64"], &["decimal"]),
    ("uint8", &["uint8"], &["uint16", "uint32", "uint64", "int16", "int32", "int64", "decimal", "float32", "float64"]),
    ("uint16", &["uint16"], &["uint32", "uint64", "int32", "int64", "decimal", "float32", "float64"]),
    ("uint32", &["uint32"], &["uint64", "int64", "decimal", "float64"]),
    ("uint64", &["uint64"], &["decimal"]),
    ("decimal", &["decimal"], &[]),
    ("float32", &["float32"], &["float64"]),
    ("float64", &["float64"], &[]),
    // How long a text may be is no part of its type here.
    ("text", &["text", "varchar", "char"], &[]),
    ("date", &["date"], &[]),
    ("timestamp", &["timestamp"], &[]),
    ("timestamptz", &["instant"], &[]),
    ("time", &["time"], &[]),
    ("binary", &["binary"], &[]),
    ("uuid", &["uuid"], &["text"]),
    ("json", &["json", "jsonb"], &[]),
    ("list", &["list"], &[]),
];

/// Other names that people know the types by.
const ALIASES: &[(&str, &str)] = &[
    ("boolean", "bool"),
    ("tinyint", "int8"),
    ("smallint", "int16"),
    ("int2", "int16"),
    ("int", "int32"),
    ("integer", "int32"),
    ("int4", "int32"),
    ("bigint", "int64"),
    ("numeric", "decimal"),
    ("real", "float32"),
    ("float4", "float32"),
    ("double", "float64"),
    ("double precision", "float64"),
    ("float8", "float64"),
    ("string", "text"),
    ("varchar", "text"),
    ("char", "text"),
    ("datetime", "timestamp"),
    ("instant", "timestamptz"),
    ("bytea", "binary"),
    ("bytes", "binary"),
    ("jsonb", "json"),
];

impl FieldType {
    /// The type of a column; nothing where contracts have no name for it.
    pub(crate) fn of(column: &Column) -> Option<Self> {
        let (class, ..) = TYPES.iter().find(|(_, classes, _)| classes.contains(&column.stored.class))?;
        let digits = column.stored.digits.filter(|_| *class == "decimal");
        Some(Self { class, digits })
    }

    /// Whether it holds all values of `narrow`.
    pub(crate) fn holds(self, narrow: Self) -> bool {
        if self.class != narrow.class {
            let wider =
                TYPES.iter().find(|(name, ..)| *name == narrow.class).is_some_and(|(.., w)| w.contains(&self.class));
            // Of a decimal with digits nobody says that it holds every whole number.
            return wider && self.digits.is_none_or(|(digits, scale)| digits - scale >= whole_digits(narrow.class));
        }
        match (self.digits, narrow.digits) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((wide, scale)), Some((digits, narrow_scale))) => {
                scale >= narrow_scale && wide - scale >= digits - narrow_scale
            }
        }
    }

    /// Whether it is what a contract says, which may leave digits open.
    pub(crate) fn is(self, wanted: Self) -> bool {
        self.class == wanted.class && (wanted.digits.is_none() || self.digits == wanted.digits)
    }
}

/// How many digits the whole numbers of a type have at most.
fn whole_digits(class: &str) -> u32 {
    match class {
        "int8" | "uint8" => 3,
        "int16" | "uint16" => 5,
        "int32" | "uint32" => 10,
        "int64" => 19,
        "uint64" => 20,
        _ => u32::MAX,
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.digits {
            Some((digits, scale)) => write!(out, "{}({digits},{scale})", self.class),
            None => out.write_str(self.class),
        }
    }
}
