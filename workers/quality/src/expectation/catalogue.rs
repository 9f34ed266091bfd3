//! Every expectation by its name and arguments, those of Great Expectations 1.x where it has them, a file a family.

mod aggregate;
mod arguments;
mod columns;
mod distribution;
mod others;
mod table;
mod text;
mod values;

use serde_json::Value;
use workflow::diagnostic::Problem;

use super::Expectation;

/// One expectation type: what a suite calls it, and how its arguments are read.
pub struct Entry {
    /// The full name: `expect_column_values_to_be_between`.
    pub name: &'static str,
    /// What its default check id ends with: `between`.
    pub short: &'static str,
    /// Its arguments, beside those that every check may have.
    pub keys: &'static [&'static str],
    pub(crate) read: fn(Value) -> Result<Expectation, Vec<Problem>>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name)
    }
}

/// All expectation types that suites may use.
pub fn catalogue() -> impl Iterator<Item = &'static Entry> + Clone {
    [
        values::ENTRIES,
        text::ENTRIES,
        columns::ENTRIES,
        aggregate::ENTRIES,
        distribution::ENTRIES,
        table::ENTRIES,
        others::ENTRIES,
    ]
    .into_iter()
    .flatten()
}
