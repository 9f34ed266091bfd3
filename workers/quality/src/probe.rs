//! What an engine must count for a check, and how the counts are judged. Nothing here knows an engine.

use serde_json::{Map, Value, json};

use crate::{
    expectation::{Bounds, Expectation, Ignore, Metric, SetRelation},
    expression::{Comparison, Expression},
    outcome::Outcome,
    suite::Check,
    types::{Schema, bound},
    value::Scalar,
};

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
    /// The different values of a column.
    Distinct { column: String, values: Vec<Scalar>, relation: SetRelation },
    /// Decided by the columns alone.
    Decided(Outcome, Value),
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
}

/// What was counted for a row check.
#[derive(Debug, Clone, Copy)]
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
    for name in check.expectation.columns() {
        if !matches!(check.expectation, Expectation::ColumnExists { .. }) {
            schema.get(&name)?;
        }
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
            tells_missing: columns.len() == 1,
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
        Expectation::Aggregate { column, metric, bounds } => {
            let kind = schema.get(column)?;
            let fit = |value: &Option<Scalar>| value.as_ref().map(|value| bound(value, kind)).transpose();
            let bounds = match metric {
                Metric::Min | Metric::Max => {
                    Bounds { min: fit(&bounds.min)?, max: fit(&bounds.max)?, ..bounds.clone() }
                }
                _ => bounds.clone(),
            };
            if metric.is_arithmetic() && kind.summed_as().is_none() {
                return Err(format!("`{column}` does not hold numbers"));
            }
            Ok(Probe::Aggregate { column: column.clone(), metric: *metric, bounds })
        }
        Expectation::DistinctSet { column, values, relation } => {
            let kind = schema.get(column)?;
            let values = values.iter().map(|value| bound(value, kind)).collect::<Result<_, _>>()?;
            Ok(Probe::Distinct { column: column.clone(), values, relation: *relation })
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
            let missing: Vec<_> = columns.iter().filter(|name| !schema.names().any(|n| n == **name)).collect();
            let added: Vec<_> = schema.names().filter(|name| !columns.iter().any(|n| n == name)).collect();
            let holds = missing.is_empty() && (!exact || added.is_empty());
            let observed: Vec<_> = schema.names().collect();
            Ok(with_details(decided(holds, json!(observed)), json!({ "missing": missing, "unexpected": added })))
        }
        Expectation::ColumnList { columns } => {
            let observed: Vec<_> = schema.names().collect();
            Ok(decided(observed == *columns, json!(observed)))
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

fn percent(part: u64, whole: u64) -> Value {
    if whole == 0 { Value::Null } else { json!(part as f64 / whole as f64 * 100.0) }
}

/// Judges a row check; `samples` are values of its first bad rows.
pub(crate) fn judge_rows(check: &Check, probe: &RowProbe, counts: RowCounts, samples: Vec<Value>) -> (Outcome, Value) {
    let RowCounts { elements, considered, unexpected } = counts;
    let mut observed = Map::new();
    observed.insert("element_count".to_owned(), elements.into());
    if probe.tells_missing {
        observed.insert("missing_count".to_owned(), (elements - considered).into());
        observed.insert("missing_percent".to_owned(), percent(elements - considered, elements));
    }
    observed.insert("unexpected_count".to_owned(), unexpected.into());
    observed.insert("unexpected_percent".to_owned(), percent(unexpected, considered));
    observed.insert("unexpected_percent_total".to_owned(), percent(unexpected, elements));
    observed.insert("unexpected_percent_nonmissing".to_owned(), percent(unexpected, considered));
    observed.insert("partial_unexpected_list".to_owned(), Value::Array(samples));
    (verdict(check, counts), Value::Object(observed))
}

/// Whether a row check holds, by its counts alone.
pub(crate) fn verdict(check: &Check, counts: RowCounts) -> Outcome {
    let good = counts.considered - counts.unexpected;
    if counts.considered == 0 {
        Outcome::Vacuous
    } else if counts.unexpected == 0 || good as f64 / counts.considered as f64 >= check.mostly {
        Outcome::Passed
    } else {
        Outcome::Failed
    }
}

/// Judges a number of rows.
pub(crate) fn judge_count(bounds: &Bounds, rows: u64) -> Result<(Outcome, Value), String> {
    let outcome = if bounds.hold(&Scalar::int(rows))? { Outcome::Passed } else { Outcome::Failed };
    Ok((outcome, json!({ "observed_value": rows })))
}

/// The metric from what an engine computed over `count` values: means and fractions are divided here, once, so that
/// both engines round alike.
pub(crate) fn divide(metric: Metric, count: u64, value: Option<Scalar>) -> Option<Scalar> {
    match metric {
        Metric::Mean | Metric::DistinctFraction => Some(Scalar::Float(value?.as_f64()? / count as f64)),
        _ => value,
    }
}

/// Judges an aggregate; null where there was nothing to compute it from.
pub(crate) fn judge_aggregate(bounds: &Bounds, value: Option<&Scalar>) -> Result<(Outcome, Value), String> {
    let Some(value) = value else { return Ok((Outcome::Vacuous, json!({ "observed_value": null }))) };
    let outcome = if bounds.hold(value)? { Outcome::Passed } else { Outcome::Failed };
    Ok((outcome, json!({ "observed_value": value.to_json() })))
}

/// Judges the different values of a column, which are sorted.
pub(crate) fn judge_distinct(values: &[Scalar], relation: SetRelation, seen: &[Scalar]) -> (Outcome, Value) {
    let same = |a: &Scalar, b: &Scalar| a.compare(b).is_some_and(std::cmp::Ordering::is_eq);
    let within = seen.iter().all(|value| values.iter().any(|known| same(known, value)));
    let contains = values.iter().all(|value| seen.iter().any(|known| same(known, value)));
    let holds = match relation {
        SetRelation::Within => within,
        SetRelation::Contains => contains,
        SetRelation::Equal => within && contains,
    };
    let outcome = match (seen.is_empty(), holds) {
        (true, _) => Outcome::Vacuous,
        (false, true) => Outcome::Passed,
        (false, false) => Outcome::Failed,
    };
    let shown: Vec<_> = seen.iter().take(100).map(Scalar::to_json).collect();
    (outcome, json!({ "observed_value": shown, "distinct_count": seen.len() }))
}

/// What a sample shows of a bad row: its value, a list for a pair, a mapping for more.
pub(crate) fn sample(columns: &[String], value: impl Fn(&String) -> Value) -> Value {
    match columns {
        [one] => value(one),
        [a, b] => json!([value(a), value(b)]),
        many => Value::Object(many.iter().map(|name| (name.clone(), value(name))).collect()),
    }
}
