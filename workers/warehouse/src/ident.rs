//! Names of tables and columns: checked, then quoted. The only way that a name from a user's file gets into SQL.

use std::fmt;

use crate::error::WarehouseError;

/// Longest name that Postgres keeps whole, in bytes.
const LONGEST: usize = 63;

/// `name` in double quotes, with quotes inside doubled.
///
/// Refuses what Postgres would refuse or silently cut: empty names, NUL, more than 63 bytes.
pub fn quote(name: &str) -> Result<String, WarehouseError> {
    let problem = match name {
        "" => "it is empty",
        _ if name.contains('\0') => "it holds a NUL character",
        _ if name.len() > LONGEST => "it is longer than 63 bytes",
        _ => return Ok(format!("\"{}\"", name.replace('"', "\"\""))),
    };
    Err(WarehouseError::Name { name: name.to_owned(), problem })
}

/// Quoted names joined by `, `.
pub fn quote_all<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String, WarehouseError> {
    Ok(names.into_iter().map(quote).collect::<Result<Vec<_>, _>>()?.join(", "))
}

/// A table with its schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    schema: String,
    table: String,
}

impl TableName {
    /// Reads `schema.table`. Both parts are plain names: letters, digits and `_`, not starting with a digit.
    pub fn parse(name: &str) -> Result<Self, WarehouseError> {
        let fault = |problem| WarehouseError::Name { name: name.to_owned(), problem };
        let (schema, table) = name.split_once('.').ok_or_else(|| fault("expected `schema.table`"))?;
        for part in [schema, table] {
            let mut letters = part.chars();
            let first = letters.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic());
            if !first || !letters.all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err(fault("expected `schema.table` of letters, digits and `_`"));
            }
            if part.len() > LONGEST {
                return Err(fault("a part of it is longer than 63 bytes"));
            }
        }
        Ok(Self { schema: schema.to_owned(), table: table.to_owned() })
    }

    /// The schema, unquoted.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The table, unquoted.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// `"schema"."table"`.
    pub fn quoted(&self) -> String {
        // Both parts are plain names, so there is nothing to escape.
        format!("\"{}\".\"{}\"", self.schema, self.table)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.schema, self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_or_refused() {
        assert_eq!(quote("or\"der").expect("usable"), "\"or\"\"der\"");
        assert!(quote("").is_err());
        assert!(quote("a\0b").is_err());
        assert!(quote(&"x".repeat(64)).is_err());
        assert_eq!(quote_all(["a", "b c"]).expect("usable"), "\"a\", \"b c\"");
    }

    #[test]
    fn table_names_are_two_plain_parts() {
        assert_eq!(TableName::parse("staging.orders").expect("usable").quoted(), "\"staging\".\"orders\"");
        for bad in ["orders", "a.b.c", ".x", "x.", "staging.1", "a.b;drop", "a b.c", "stag\"ing.x"] {
            assert!(TableName::parse(bad).is_err(), "{bad}");
        }
    }
}
