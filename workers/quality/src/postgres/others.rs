//! Other tables that a dataset is compared with.

use sqlx::PgConnection;

use super::{
    Engine, QualityError, Table,
    answer::{attempt, read, texts},
    backend::{Parameter, Statement, type_name},
    table::columns,
};
use crate::{
    expectation::{Expectation, Measure, OtherDataset},
    expression::{Comparison, Expression},
    probe::{Measured, Reference, numbers},
    suite::Suite,
    types::{Backend, Schema, Type, common, condition, lower},
    value::Scalar,
};

/// The columns of other tables, or why they are not known.
pub(super) type Others = Vec<(Table, Result<Schema, String>)>;

impl Engine<'_> {
    /// Learns the columns of the tables whose keys the suite refers to.
    pub(super) async fn learn_others(
        &mut self,
        connection: &mut PgConnection,
        suite: &Suite,
    ) -> Result<(), QualityError> {
        for check in &suite.checks {
            if let Expectation::ExistsIn { other: OtherDataset::Table(table), .. } = &check.expectation
                && !self.others.iter().any(|(known, _)| known == table)
            {
                let schema = schema_of(connection, table).await?;
                self.others.push((table.clone(), schema));
            }
        }
        Ok(())
    }

    /// That the other table has no row with the keys of a row of `own`.
    pub(super) fn absent(&self, reference: &Reference, own: &str, statement: &mut Statement) -> Result<String, String> {
        let table = a_table(&reference.other)?;
        let known = self.others.iter().find(|(known, _)| known == table);
        let schema = known.map_or_else(|| Err(format!("nobody looked at `{table}`")), |(_, schema)| schema.clone())?;
        let mut equal = Vec::new();
        for (name, other_name) in reference.pairs() {
            let kind = self.schema.get(name)?;
            let key = Statement::column_of(own, name, kind);
            equal.push(same(key, kind, other_name, reference, &schema, statement)?);
        }
        Ok(format!("not exists (select from {} as other where {})", table.quoted(), equal.join(" and ")))
    }
}

fn a_table(other: &OtherDataset) -> Result<&Table, String> {
    match other {
        OtherDataset::Table(table) => Ok(table),
        OtherDataset::File(path) => Err(format!("a table is compared with tables, and `{path}` is a file")),
    }
}

async fn schema_of(connection: &mut PgConnection, table: &Table) -> Result<Result<Schema, String>, QualityError> {
    match columns(connection, table).await {
        Ok(schema) => Ok(Ok(schema)),
        Err(error @ QualityError::NoTable(_)) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// That a key is that of the row `other`.
fn same(
    key: String,
    kind: Type,
    other_name: &str,
    reference: &Reference,
    schema: &Schema,
    statement: &mut Statement,
) -> Result<String, String> {
    let there = schema.get(other_name).map_err(|error| format!("in `{}` {error}", reference.other))?;
    let both = common(kind, there)?;
    let mut fit = |value: String, own: Type| if own == both { value } else { statement.cast(value, own, both) };
    let (key, other) = (fit(key, kind), fit(Statement::column_of("other", other_name, there), there));
    Ok(statement.compare(Comparison::Equal, other, key, both))
}

/// The places of keys that the other table lacks. `keys` has a list a column, all of one length, and no nulls.
pub(crate) async fn missing_keys(
    connection: &mut PgConnection,
    reference: &Reference,
    kinds: &[Type],
    keys: Vec<Vec<String>>,
) -> Result<Result<Vec<usize>, String>, QualityError> {
    let table = match a_table(&reference.other) {
        Ok(table) => table,
        Err(error) => return Ok(Err(error)),
    };
    let schema = match schema_of(connection, table).await? {
        Ok(schema) => schema,
        Err(error) => return Ok(Err(error)),
    };
    let mut statement = Statement::default();
    let (mut lists, mut names, mut equal) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (((_, other_name), keys), kind)) in reference.pairs().zip(keys).zip(kinds).enumerate() {
        let number = statement.bind(Parameter::Many(keys));
        lists.push(format!("${number}::text[]"));
        names.push(format!("k{place}"));
        let key = format!("k{place}::{}", type_name(*kind));
        match same(key, *kind, other_name, reference, &schema, &mut statement) {
            Ok(one) => equal.push(one),
            Err(error) => return Ok(Err(error)),
        }
    }
    let sql = format!(
        "select place::text from unnest({}) with ordinality as keys ({}, place) where not exists (select from {} as \
         other where {})",
        lists.join(", "),
        names.join(", "),
        table.quoted(),
        equal.join(" and "),
    );
    let rows = attempt(connection, sql, statement).await?;
    let place = |text: Option<String>| text?.parse::<usize>().ok()?.checked_sub(1);
    Ok(rows.map(|rows| rows.iter().flat_map(texts).filter_map(place).collect()))
}

/// What a measure makes of another table.
pub(crate) async fn other_number(
    connection: &mut PgConnection,
    other: &OtherDataset,
    measure: &Measure,
    when: Option<&Expression>,
) -> Result<Result<Measured, String>, QualityError> {
    let table = match a_table(other) {
        Ok(table) => table,
        Err(error) => return Ok(Err(error)),
    };
    let mut statement = Statement::default();
    let written = match schema_of(connection, table).await? {
        Ok(schema) => written(table, &schema, measure, when, &mut statement),
        Err(error) => return Ok(Err(error)),
    };
    let (sql, kind) = match written {
        Ok(written) => written,
        Err(error) => return Ok(Err(format!("in `{other}` {error}"))),
    };
    let rows = attempt(connection, sql, statement).await?;
    Ok(rows.map(|rows| {
        let values = rows.first().map(texts).unwrap_or_default();
        let kind = |slot: usize| if slot == 2 { kind } else { Type::Int };
        let value = |(slot, text): (usize, Option<String>)| text.and_then(|text| read(&text, kind(slot)));
        Measured::of(&values.into_iter().enumerate().map(value).collect::<Vec<Option<Scalar>>>())
    }))
}

fn written(
    table: &Table,
    schema: &Schema,
    measure: &Measure,
    when: Option<&Expression>,
    statement: &mut Statement,
) -> Result<(String, Type), String> {
    let mut shown = vec!["count(*)::text".to_owned()];
    let mut summed = Type::Int;
    if let Measure::Sum { other_column, .. } = measure {
        numbers(other_column, schema)?;
        let (value, kind) = lower(&Expression::column(other_column), schema, statement)?;
        summed = kind.summed_as().unwrap_or(kind);
        let value = if summed == kind { value } else { statement.cast(value, kind, summed) };
        shown.push(format!("count({value})::text"));
        shown.push(format!("to_jsonb(sum({value})) #>> '{{}}'"));
    }
    let within = match when {
        Some(when) => condition(&Expression::IsTrue(Box::new(when.clone())), schema, statement)?,
        None => "true".to_owned(),
    };
    let sql = format!("select {} from {} where {within}", shown.join(", "), table.quoted());
    // Sums of whole numbers are longer than they are.
    Ok((sql, if summed == Type::Float { summed } else { Type::Decimal(0) }))
}
