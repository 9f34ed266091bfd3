//! Names of tables and columns, and the only place where they become part of SQL text.

use std::fmt;

/// A table or view by schema and name. `Display` is `schema.name`, as people write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Relation {
    /// Its schema.
    pub schema: String,
    /// Its name in the schema.
    pub name: String,
}

impl Relation {
    /// `schema.name`.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }

    /// `"schema"."name"`, safe inside SQL text.
    pub fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.schema, self.name)
    }
}

/// An identifier in double quotes.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Identifiers in double quotes, each after `prefix`, with commas between.
pub(super) fn list<'a>(prefix: &str, names: impl IntoIterator<Item = &'a String>) -> String {
    join(names, ", ", |name| format!("{prefix}{}", quote(name)))
}

/// What `each` makes of every name, with `separator` between.
pub(super) fn join<'a>(
    names: impl IntoIterator<Item = &'a String>,
    separator: &str,
    each: impl Fn(&str) -> String,
) -> String {
    names.into_iter().map(|name| each(name)).collect::<Vec<_>>().join(separator)
}

/// Puts values in the place of `{name}` in the text of a file of `sql/engine/models/`, in one pass, so that nothing in
/// a value is ever taken for a place.
///
/// # Panics
/// Where the text has a place that no value is given for: a mistake in this crate.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a place in a statement is closed");
        let (_, value) = values.iter().find(|(known, _)| *known == name).expect("a place in a statement has a value");
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_name_stays_inside_the_name() {
        assert_eq!(Relation::new("marts", "a\"; drop table x").quoted(), "\"marts\".\"a\"\"; drop table x\"");
    }

    #[test]
    fn values_are_not_filled_again() {
        assert_eq!(fill("select {a} from {b}", &[("a", "{b}"), ("b", "t")]), "select {b} from t");
    }
}
