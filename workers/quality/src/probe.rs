//! What an engine must count for a check, and how the counts are judged. Nothing here knows an engine.

mod divergence;
mod groups;
mod judge;
mod others;

use serde_json::{Value, json};

use crate::{
    contract::{Change, Field, changes},
    expectation::{Bounds, Divergence, Expectation, Ignore, Measure, Metric, OtherDataset, Partition, SetRelation},
    expression::{Comparison, Expression},
    outcome::Outcome,
    suite::Check,
    types::{Schema, bound},
    value::Scalar,
};

pub(crate) use divergence::judge_histogram;
pub(crate) use groups::Groups;
pub(crate) use judge::{
    Frequencies, divide, judge_aggregate, judge_contract, judge_count, judge_frequencies, judge_quantiles, judge_rows,
    judge_unexpected_rows, sample, verdict,
};
pub(crate) use others::{Agreement, Measured, Reference, judge_agreement};

/// How many unexpected values a result shows.
pub(crate) const SAMPLES: usize = 20;

/// What to look at for one check.
#[derive(Debug)]
pub(crate) enum Probe {
    /// Each row is good, bad or left out.
    Rows(RowProbe),
    /// The number of rows.
    RowCount(Bounds),
    /// A number from a column.
    Aggregate { column: String, metric: Metric, bounds: Bounds },
    /// The different values of a column, and how often each is there.
    Frequencies { column: String, asked: AskedOfFrequencies },
    /// Quantiles of a column, as double-precision numbers.
    Quantiles { column: String, quantiles: Vec<f64>, ranges: Vec<Bounds> },
    /// How many rows meet each condition: the first is that the column has a value, the others that it lies below an
    /// edge of a bin.
    Histogram { conditions: Vec<Expression>, divergence: Divergence },
    /// How the columns differ from a contract, and the columns that may have no null.
    Contract { changes: Vec<Change>, not_null: Vec<String> },
    /// A number of this dataset, beside that of another one.
    Agreement { measure: Measure, other: OtherDataset, when: Option<Expression>, judged: Agreement },
    /// The rows that a query finds. Only Postgres runs one.
    UnexpectedRows(String),
    /// Decided by the columns alone.
    Decided(Outcome, Value),
}

/// What is asked of the values of a column and their frequencies.
#[derive(Debug)]
pub(crate) enum AskedOfFrequencies {
    /// How the different ones relate to a set.
    Set { values: Option<Vec<Scalar>>, relation: SetRelation },
    /// Whether the most common one is in a set.
    MostCommon { values: Option<Vec<Scalar>>, ties_okay: bool },
    /// How far they are from a partition that is not one of bins.
    Divergence(Divergence),
}

/// A row check.
#[derive(Debug)]
pub(crate) struct RowProbe {
    /// Rows that the check is about; null counts as no. Never null itself.
    pub(crate) considered: Expression,
    /// Of those, the bad ones.
    pub(crate) unexpected: Unexpected,
    /// What a sample of a bad row shows.
    pub(crate) columns: Vec<String>,
    /// Whether rows that are left out are told as missing values.
    pub(crate) tells_missing: bool,
}

/// Which of the rows considered are bad.
#[derive(Debug)]
pub(crate) enum Unexpected {
    /// Those where this is true. Never null.
    Where(Expression),
    /// Those that have the same values in these columns as another row that is considered.
    Duplicates(Vec<String>),
    /// Those with keys that another dataset lacks.
    Absent(Reference),
    /// Those with a value this many sample standard deviations, or more, from the mean of the rows considered. Where
    /// all values are one, there is none.
    Outliers { column: String, threshold: f64, double_sided: bool },
    /// Those with a value out of order with that of the row considered before.
    Disordered { column: String, descending: bool, strictly: bool, order_by: Option<String> },
}

/// What was counted for a row check.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RowCounts {
    /// Rows that `when` lets in.
    pub(crate) elements: u64,
    /// Of those, the ones that the check is about.
    pub(crate) considered: u64,
    /// Of those, the bad ones.
    pub(crate) unexpected: u64,
}

/// What to look at for `check` in a dataset of these columns.
pub(crate) fn probe(check: &Check, schema: &Schema) -> Result<Probe, String> {
    if let Some(fault) = &check.fault {
        return Err(fault.clone());
    }
    for name in check.expectation.columns() {
        if !matches!(check.expectation, Expectation::ColumnExists { .. }) {
            schema.get(&name)?;
        }
    }
    for name in &check.group_by {
        schema.get(name)?;
    }
    let column = |name: &String| Expression::column(name.clone());
    let present = |name: &String| column(name).is_not_null();
    let rows = |considered, unexpected, columns: Vec<String>| {
        Ok(Probe::Rows(RowProbe {
            considered,
            unexpected: Unexpected::Where(unexpected),
            columns,
            tells_missing: true,
        }))
    };
    match &check.expectation {
        Expectation::NotNull { column: name } => Ok(Probe::Rows(RowProbe {
            considered: Expression::always(),
            unexpected: Unexpected::Where(column(name).is_null()),
            columns: vec![name.clone()],
            tells_missing: false,
        })),
        Expectation::Null { column: name } => Ok(Probe::Rows(RowProbe {
            considered: Expression::always(),
            unexpected: Unexpected::Where(present(name)),
            columns: vec![name.clone()],
            tells_missing: false,
        })),
        Expectation::Unique { columns, ignore } => Ok(Probe::Rows(RowProbe {
            considered: considered(columns, *ignore),
            unexpected: Unexpected::Duplicates(columns.clone()),
            columns: columns.clone(),
            tells_missing: true,
        })),
        Expectation::Between { column: name, bounds } => {
            rows(present(name), within(&column(name), bounds).is_not_true(), vec![name.clone()])
        }
        Expectation::InSet { column: name, values, negated } => {
            let inside = Expression::In(Box::new(column(name)), values.clone());
            let unexpected = if *negated { inside } else { inside.negated() };
            rows(present(name), Expression::IsTrue(Box::new(unexpected)), vec![name.clone()])
        }
        Expectation::Matches { column: name, patterns, like, any, negated } => {
            let one = |pattern: &String| {
                let subject = Box::new(column(name));
                if *like {
                    Expression::Like(subject, pattern.clone(), false)
                } else {
                    Expression::Matches(subject, pattern.clone())
                }
            };
            let each: Vec<_> = patterns.iter().map(one).collect();
            let matched = if *any { Expression::Or(each) } else { Expression::And(each) };
            let unexpected = if *negated { matched } else { matched.negated() };
            rows(present(name), Expression::IsTrue(Box::new(unexpected)), vec![name.clone()])
        }
        Expectation::Length { column: name, bounds } => {
            let length = Expression::Call(crate::expression::Function::Length, vec![column(name)]);
            rows(present(name), within(&length, bounds).is_not_true(), vec![name.clone()])
        }
        Expectation::Text { column: name, test } => {
            let passes = Expression::Test(Box::new(column(name)), test.clone());
            rows(present(name), Expression::IsTrue(Box::new(passes.negated())), vec![name.clone()])
        }
        Expectation::ZScore { column: name, threshold, double_sided } => {
            numbers(name, schema)?;
            Ok(Probe::Rows(RowProbe {
                considered: present(name),
                unexpected: Unexpected::Outliers {
                    column: name.clone(),
                    threshold: *threshold,
                    double_sided: *double_sided,
                },
                columns: vec![name.clone()],
                tells_missing: true,
            }))
        }
        Expectation::Ordered { column: name, descending, strictly, order_by } => Ok(Probe::Rows(RowProbe {
            considered: present(name),
            unexpected: Unexpected::Disordered {
                column: name.clone(),
                descending: *descending,
                strictly: *strictly,
                order_by: order_by.clone(),
            },
            columns: vec![name.clone()],
            tells_missing: true,
        })),
        Expectation::PairGreater { a, b, or_equal, ignore } => {
            let how = if *or_equal { Comparison::GreaterOrEqual } else { Comparison::Greater };
            let pair = vec![a.clone(), b.clone()];
            rows(considered(&pair, *ignore), column(a).compare(how, column(b)).is_not_true(), pair)
        }
        Expectation::PairEqual { a, b, ignore } => {
            let pair = vec![a.clone(), b.clone()];
            rows(considered(&pair, *ignore), column(a).compare(Comparison::Equal, column(b)).is_not_true(), pair)
        }
        Expectation::PairInSet { a, b, pairs, ignore } => {
            let same = |name: &String, value: &Option<Scalar>| {
                column(name).compare(Comparison::Same, Expression::Literal(value.clone()))
            };
            let inside = pairs.iter().map(|(x, y)| Expression::And(vec![same(a, x), same(b, y)])).collect();
            let pair = vec![a.clone(), b.clone()];
            rows(considered(&pair, *ignore), Expression::Or(inside).is_not_true(), pair)
        }
        Expectation::DistinctWithinRow { columns, ignore } => {
            let mut equal = Vec::new();
            for (index, a) in columns.iter().enumerate() {
                for b in &columns[index + 1..] {
                    equal.push(column(a).compare(Comparison::Same, column(b)));
                }
            }
            rows(considered(columns, *ignore), Expression::Or(equal), columns.clone())
        }
        Expectation::RowSum { columns, total, ignore } => {
            let sum = columns
                .iter()
                .map(column)
                .reduce(|a, b| Expression::Arithmetic(crate::expression::Arithmetic::Add, Box::new(a), Box::new(b)));
            let sum = sum.ok_or("the list of columns is empty")?;
            let holds = sum.compare(Comparison::Equal, Expression::literal(total.clone()));
            rows(considered(columns, *ignore), holds.is_not_true(), columns.clone())
        }
        Expectation::Row { condition } => {
            let columns = condition.columns().into_iter().map(str::to_owned).collect();
            rows(condition.clone().is_not_null(), condition.clone().is_not_true(), columns)
        }
        Expectation::RowCount { bounds } => Ok(Probe::RowCount(bounds.clone())),
        Expectation::Contract(contract) => {
            let there = |field: &&Field| !field.nullable && schema.column(&field.name).is_ok();
            let not_null = contract.fields.iter().filter(there).map(|field| field.name.clone()).collect();
            Ok(Probe::Contract { changes: changes(contract, schema), not_null })
        }
        Expectation::OtherRowCount { table } => Ok(Probe::Agreement {
            measure: Measure::Rows,
            other: OtherDataset::Table(table.clone()),
            when: None,
            judged: Agreement::Equal,
        }),
        Expectation::ExistsIn { columns, other, other_columns } => Ok(Probe::Rows(RowProbe {
            considered: considered(columns, Ignore::AnyNull),
            unexpected: Unexpected::Absent(Reference {
                columns: columns.clone(),
                other: other.clone(),
                other_columns: other_columns.clone(),
            }),
            columns: columns.clone(),
            tells_missing: true,
        })),
        Expectation::Agrees { measure, other, other_when, deviation } => {
            if let Measure::Sum { column, .. } = measure {
                numbers(column, schema)?;
            }
            let (measure, other, when) = (measure.clone(), other.clone(), other_when.clone());
            Ok(Probe::Agreement { measure, other, when, judged: Agreement::Within(deviation.clone()) })
        }
        Expectation::UnexpectedRows { query } => Ok(Probe::UnexpectedRows(query.clone())),
        Expectation::Aggregate { column, metric, bounds } => {
            let kind = schema.get(column)?;
            let fit = |value: &Option<Scalar>| value.as_ref().map(|value| bound(value, kind)).transpose();
            let bounds = match metric {
                Metric::Min | Metric::Max => {
                    Bounds { min: fit(&bounds.min)?, max: fit(&bounds.max)?, ..bounds.clone() }
                }
                _ => bounds.clone(),
            };
            if metric.is_arithmetic() {
                numbers(column, schema)?;
            }
            Ok(Probe::Aggregate { column: column.clone(), metric: *metric, bounds })
        }
        Expectation::DistinctSet { column, values, relation } => {
            let asked =
                AskedOfFrequencies::Set { values: fitting(values.as_deref(), column, schema)?, relation: *relation };
            Ok(Probe::Frequencies { column: column.clone(), asked })
        }
        Expectation::MostCommon { column, values, ties_okay } => {
            let values = fitting(values.as_deref(), column, schema)?;
            let asked = AskedOfFrequencies::MostCommon { values, ties_okay: *ties_okay };
            Ok(Probe::Frequencies { column: column.clone(), asked })
        }
        Expectation::Quantiles { column, quantiles, ranges } => {
            numbers(column, schema)?;
            let (quantiles, ranges) = (quantiles.clone(), ranges.clone());
            Ok(Probe::Quantiles { column: column.clone(), quantiles, ranges })
        }
        Expectation::Divergence { column, divergence } => spread(column, divergence, schema),
        Expectation::OfType { column, names } => {
            let stored = &schema.column(column)?.stored;
            // A typed column is of the type with all of its values, or with none.
            let observed = json!({
                "observed_value": stored.reported,
                "partial_unexpected_list": [],
                "partial_unexpected_index_list": [],
                "details": { "type": stored.own },
            });
            let outcome = match names {
                None => Outcome::Vacuous,
                Some(names) if names.iter().any(|name| stored.is(name)) => Outcome::Passed,
                Some(_) => Outcome::Failed,
            };
            Ok(Probe::Decided(outcome, observed))
        }
        Expectation::ColumnExists { column, index } => {
            let place = schema.names().position(|name| name == column);
            let holds = place.is_some_and(|place| index.is_none_or(|index| index == place));
            Ok(decided(holds, place.map_or(Value::Null, Value::from)))
        }
        Expectation::ColumnCount { bounds } => {
            let count = schema.0.len();
            Ok(decided(bounds.hold(&Scalar::int(count as i128))?, count.into()))
        }
        Expectation::ColumnSet { columns, exact } => {
            let wanted = columns.as_deref().unwrap_or_default();
            let missing: Vec<_> = wanted.iter().filter(|name| !schema.names().any(|n| n == **name)).collect();
            let added: Vec<_> = schema.names().filter(|name| !wanted.iter().any(|n| n == name)).collect();
            let observed: Vec<_> = schema.names().collect();
            if columns.is_none() && !exact {
                return Ok(Probe::Decided(Outcome::Vacuous, json!({ "observed_value": observed })));
            }
            let holds = missing.is_empty() && (!exact || added.is_empty());
            let mut mismatched = serde_json::Map::new();
            for (name, columns) in [("unexpected", json!(added)), ("missing", json!(missing))] {
                if columns.as_array().is_some_and(|columns| !columns.is_empty()) {
                    mismatched.insert(name.to_owned(), columns);
                }
            }
            Ok(with_details(decided(holds, json!(observed)), json!({ "mismatched": mismatched })))
        }
        Expectation::ColumnList { columns } => {
            let observed: Vec<_> = schema.names().collect();
            Ok(match columns {
                None => Probe::Decided(Outcome::Vacuous, json!({ "observed_value": observed })),
                Some(columns) => decided(observed == *columns, json!(observed)),
            })
        }
    }
}

/// Whether a column can be summed up.
pub(crate) fn numbers(column: &str, schema: &Schema) -> Result<(), String> {
    match schema.get(column)?.summed_as() {
        Some(_) => Ok(()),
        None => Err(format!("`{column}` does not hold numbers")),
    }
}

fn fitting(values: Option<&[Scalar]>, column: &str, schema: &Schema) -> Result<Option<Vec<Scalar>>, String> {
    let kind = schema.get(column)?;
    values.map(|values| values.iter().map(|value| bound(value, kind)).collect()).transpose()
}

fn spread(column: &str, divergence: &Divergence, schema: &Schema) -> Result<Probe, String> {
    let mut divergence = divergence.clone();
    match &mut divergence.partition {
        Some(Partition::Bins { edges, .. }) => {
            numbers(column, schema)?;
            let value = || Expression::column(column);
            let below = |how, edge: f64| value().compare(how, Expression::literal(Scalar::Float(edge)));
            let finite = edges.iter().filter(|edge| edge.is_finite());
            let mut conditions = vec![value().is_not_null()];
            conditions.extend(finite.map(|edge| below(Comparison::Less, *edge)));
            // The last bin holds its upper edge too.
            conditions.extend(edges.last().filter(|edge| edge.is_finite()).map(|e| below(Comparison::LessOrEqual, *e)));
            Ok(Probe::Histogram { conditions, divergence })
        }
        Some(Partition::Values { values, .. }) => {
            *values = fitting(Some(values), column, schema)?.unwrap_or_default();
            Ok(Probe::Frequencies { column: column.to_owned(), asked: AskedOfFrequencies::Divergence(divergence) })
        }
        None => {
            if divergence.bucketize {
                numbers(column, schema)?;
            }
            Ok(Probe::Frequencies { column: column.to_owned(), asked: AskedOfFrequencies::Divergence(divergence) })
        }
    }
}

fn decided(holds: bool, observed: Value) -> Probe {
    let outcome = if holds { Outcome::Passed } else { Outcome::Failed };
    Probe::Decided(outcome, json!({ "observed_value": observed }))
}

fn with_details(probe: Probe, details: Value) -> Probe {
    match probe {
        Probe::Decided(outcome, mut observed) => {
            observed["details"] = details;
            Probe::Decided(outcome, observed)
        }
        other => other,
    }
}

fn considered(columns: &[String], ignore: Ignore) -> Expression {
    let present = columns.iter().map(|name| Expression::column(name.clone()).is_not_null()).collect();
    match ignore {
        Ignore::AnyNull => Expression::And(present),
        Ignore::AllNull => Expression::Or(present),
        Ignore::Never => Expression::always(),
    }
}

fn within(value: &Expression, bounds: &Bounds) -> Expression {
    let side = |bound: &Option<Scalar>, strict: bool, open: Comparison, closed: Comparison| {
        let bound = Expression::literal(bound.clone()?);
        Some(value.clone().compare(if strict { open } else { closed }, bound))
    };
    let low = side(&bounds.min, bounds.strict_min, Comparison::Greater, Comparison::GreaterOrEqual);
    let high = side(&bounds.max, bounds.strict_max, Comparison::Less, Comparison::LessOrEqual);
    Expression::And(low.into_iter().chain(high).collect())
}
