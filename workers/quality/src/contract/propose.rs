//! The contract that a dataset keeps as it is now, as the text of a suite.

use polars::prelude::DataFrame;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{ColumnPolicy, Contract, Field, FieldType, OrderPolicy, TypePolicy};
use crate::{
    Evaluation, QualityError, Suite, Table,
    expectation::Expectation,
    frame::{evaluate_frame, frame_schema},
    postgres::{evaluate_table, table_schema},
    suggest::yaml,
    types::Schema,
};

/// The contract that a frame keeps, as the text of a suite of that name. Blocking.
pub fn contract_of_frame(name: &str, frame: &DataFrame) -> String {
    let proposal = Proposal::new(frame_schema(frame));
    let nulls = proposal.strictest().map(|suite| with_nulls(&evaluate_frame(&suite, frame)));
    proposal.text(name, &nulls.unwrap_or_default())
}

/// The contract that a table keeps, as the text of a suite of that name.
///
/// # Errors
/// Where there is no such table, or the database does not answer.
pub async fn contract_of_table(
    connection: &mut PgConnection,
    name: &str,
    table: &Table,
) -> Result<String, QualityError> {
    let proposal = Proposal::new(table_schema(connection, table).await?);
    let nulls = match proposal.strictest() {
        Some(suite) => with_nulls(&evaluate_table(connection, &suite, table).await?),
        None => Vec::new(),
    };
    Ok(proposal.text(name, &nulls))
}

struct Proposal {
    fields: Vec<Field>,
    /// Columns of types that contracts have no name for.
    unnamed: Vec<String>,
}

impl Proposal {
    fn new(schema: Schema) -> Self {
        let (mut fields, mut unnamed) = (Vec::new(), Vec::new());
        for column in schema.0 {
            match FieldType::of(&column) {
                Some(kind) => fields.push(Field { name: column.name, kind, nullable: false }),
                None => unnamed.push(format!("{} ({})", column.name, column.stored.own)),
            }
        }
        Self { fields, unnamed }
    }

    /// A suite that no column with a null keeps.
    fn strictest(&self) -> Option<Suite> {
        let contract = Contract {
            fields: self.fields.clone(),
            columns: ColumnPolicy::Any,
            types: TypePolicy::Exact,
            order: OrderPolicy::Any,
        };
        let mut suite = Suite::parse("strictest.yaml", &self.text("strictest", &[])).ok()?;
        suite.checks.iter_mut().for_each(|check| check.expectation = Expectation::Contract(contract.clone()));
        Some(suite)
    }

    fn text(&self, name: &str, with_nulls: &[String]) -> String {
        let columns = if self.unnamed.is_empty() { "exact" } else { "additive" };
        let mut text = format!(
            "suite: {}\ncontract:\n  columns: {columns}  # or additive: new ones may come; any: known ones may go too\n  \
             types: exact  # or widening: a type may become one that holds all values of the old\n  order: any  # or exact\n  \
             fields:\n",
            yaml::scalar(&json!(name))
        );
        for field in &self.fields {
            let (name, kind) = (yaml::scalar(&json!(field.name)), yaml::scalar(&Value::from(field.kind.to_string())));
            let nullable = if with_nulls.contains(&field.name) { "" } else { ", nullable: false" };
            text.push_str(&format!("    - {{ name: {name}, type: {kind}{nullable} }}\n"));
        }
        if !self.unnamed.is_empty() {
            yaml::comment(
                &mut text,
                "",
                &format!("left out, as no contract can name their types: {}", self.unnamed.join(", ")),
            );
        }
        text
    }
}

fn with_nulls(evaluation: &Evaluation) -> Vec<String> {
    let changes = evaluation.checks.iter().filter_map(|check| check.observed["details"]["changes"].as_array());
    let nulls = changes.flatten().filter(|change| change["change"] == "nullable");
    nulls.filter_map(|change| change["column"].as_str().map(str::to_owned)).collect()
}
