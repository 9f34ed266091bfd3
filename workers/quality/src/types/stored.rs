//! How a column is stored, and the names that Great Expectations has for that: those of `NumPy` and pandas for
//! frames, of `SQLAlchemy` for Postgres, of Spark beside them.

/// The type that a column is stored in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    /// What the engine calls it: `i64`, `int8`.
    pub(crate) own: String,
    /// What Great Expectations would report: `int64`, `BIGINT`.
    pub(crate) reported: &'static str,
    /// Its class in [`CLASSES`]; empty where it has none.
    pub(crate) class: &'static str,
    /// Of a decimal that has a limit: how many digits, and how many of them behind the point.
    pub(crate) digits: Option<(u32, u32)>,
    names: &'static [&'static str],
}

impl Stored {
    /// A type by its class in [`CLASSES`]; in SQL or in a frame.
    pub(crate) fn new(own: impl Into<String>, class: &str, in_sql: bool) -> Self {
        let known = CLASSES.iter().find(|(name, ..)| *name == class);
        let (class, in_frame, in_table, names) = known.unwrap_or(&("", "object_", "NULL", &[]));
        Self { own: own.into(), reported: if in_sql { in_table } else { in_frame }, class, digits: None, names }
    }

    pub(crate) fn with_digits(self, digits: Option<(u32, u32)>) -> Self {
        Self { digits, ..self }
    }

    /// A name that it has both as a column of a frame and of a table, where it has one.
    pub(crate) fn common(&self) -> &str {
        self.names.first().copied().unwrap_or(&self.own)
    }

    /// Whether `name` is one of its names.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.names.contains(&name) || self.own == name || self.reported == name
    }
}

/// Class, name in a frame, name in Postgres, and every name that means it. Case counts: to pandas a `Timestamp` has a
/// zone, to `SQLAlchemy` a `TIMESTAMP` may.
type Class = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CLASSES: &[Class] = &[
    ("bool", "bool_", "BOOLEAN", &["bool", "bool_", "boolean", "BOOLEAN", "Boolean", "BooleanType"]),
    ("int8", "int8", "SMALLINT", &["int8", "int", "tinyint", "TINYINT", "ByteType"]),
    ("int16", "int16", "SMALLINT", &["int16", "int", "smallint", "SMALLINT", "SmallInteger", "ShortType"]),
    ("int32", "int32", "INTEGER", &["int32", "int", "integer", "INTEGER", "INT", "Integer", "IntegerType"]),
    ("int64", "int64", "BIGINT", &["int64", "int", "int_", "bigint", "BIGINT", "BigInteger", "LongType"]),
    ("uint8", "uint8", "SMALLINT", &["uint8", "uint"]),
    ("uint16", "uint16", "INTEGER", &["uint16", "uint"]),
    ("uint32", "uint32", "BIGINT", &["uint32", "uint"]),
    ("uint64", "uint64", "NUMERIC", &["uint64", "uint"]),
    (
        "decimal",
        "Decimal",
        "NUMERIC",
        &["Decimal", "decimal", "DECIMAL", "numeric", "NUMERIC", "Numeric", "DecimalType"],
    ),
    ("float32", "float32", "REAL", &["float32", "real", "REAL", "FloatType"]),
    (
        "float64",
        "float64",
        "DOUBLE_PRECISION",
        &[
            "float64",
            "float",
            "float_",
            "double",
            "DOUBLE",
            "Double",
            "DOUBLE_PRECISION",
            "FLOAT",
            "Float",
            "DoubleType",
        ],
    ),
    (
        "text",
        "object_",
        "TEXT",
        &["str", "str_", "string", "String", "StringType", "object", "object_", "O", "text", "TEXT", "Text"],
    ),
    ("varchar", "object_", "VARCHAR", &["str", "string", "String", "StringType", "varchar", "VARCHAR", "Unicode"]),
    ("char", "object_", "CHAR", &["str", "string", "String", "StringType", "char", "CHAR"]),
    ("date", "date", "DATE", &["date", "DATE", "Date", "DateType"]),
    (
        "timestamp",
        "datetime64",
        "TIMESTAMP",
        &[
            "datetime64",
            "datetime64[ns]",
            "datetime64[us]",
            "datetime64[ms]",
            "datetime",
            "DATETIME",
            "DateTime",
            "timestamp",
            "TIMESTAMP",
            "TimestampNTZType",
        ],
    ),
    (
        "instant",
        "Timestamp",
        "TIMESTAMP",
        &["Timestamp", "DatetimeTZDtype", "timestamptz", "TIMESTAMP", "DateTime", "TimestampType"],
    ),
    ("time", "time", "TIME", &["time", "TIME", "Time"]),
    ("binary", "bytes", "BYTEA", &["bytes", "binary", "BYTEA", "LargeBinary", "BinaryType"]),
    ("uuid", "UUID", "UUID", &["UUID", "uuid", "Uuid"]),
    ("json", "object_", "JSON", &["json", "JSON"]),
    ("jsonb", "object_", "JSONB", &["jsonb", "JSONB"]),
    ("list", "object_", "ARRAY", &["list", "ARRAY", "ArrayType"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_as_great_expectations_does() {
        let naive = Stored::new("Datetime", "timestamp", false);
        let zoned = Stored::new("Datetime", "instant", false);
        assert!(naive.is("datetime64") && !naive.is("Timestamp"));
        assert!(zoned.is("Timestamp") && !zoned.is("datetime64"));
        let wide = Stored::new("int8", "int64", true);
        assert!(wide.is("BIGINT") && wide.is("int8") && !wide.is("INTEGER"));
    }
}
