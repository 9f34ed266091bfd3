//! The first look: the numbers of all checks from one query.

use sqlx::PgConnection;

use super::{
    Engine, QualityError,
    answer::{Values, attempt, texts},
    backend::{Statement, quote},
    rows::Marked,
};
use crate::{
    expectation::{Measure, Metric},
    expression::Expression,
    probe::{Probe, RowCounts, RowProbe, Unexpected},
    suite::{Check, Suite},
    types::{Backend, Type, lower},
};

impl Engine<'_> {
    /// The expressions that give the check's numbers, each one value.
    pub(super) fn counts(
        &self,
        check: &Check,
        probe: &Probe,
        statement: &mut Statement,
    ) -> Result<Vec<String>, String> {
        Ok(match probe {
            Probe::Decided(..) | Probe::UnexpectedRows(_) => Vec::new(),
            Probe::RowCount(_) | Probe::Frequencies { .. } | Probe::Agreement { measure: Measure::Rows, .. } => {
                vec![filtered(&self.within(check, statement)?)]
            }
            Probe::Agreement { measure: Measure::Sum { column, .. }, .. } => {
                self.aggregate_counts(check, column, Metric::Sum, statement)?
            }
            Probe::Quantiles { column, quantiles, .. } => {
                let (value, _) = lower(&Expression::column(column), &self.schema, statement)?;
                let value = statement.cast(value, self.schema.get(column)?, Type::Float);
                let within = self.within(check, statement)?;
                let mut counts = vec![filtered(&within), filtered(&format!("{within} and {value} is not null"))];
                counts.extend(quantiles.iter().map(|at| {
                    format!("percentile_disc({at:?}::double precision) within group (order by {value}) filter (where {within})")
                }));
                counts
            }
            Probe::Histogram { conditions, .. } => {
                let mut counts = vec![filtered(&self.within(check, statement)?)];
                for condition in conditions {
                    let within = self.within(check, statement)?;
                    counts.push(filtered(&format!("{within} and {}", self.condition(condition, statement)?)));
                }
                counts
            }
            Probe::Contract { not_null, .. } => {
                let mut counts = Vec::new();
                for name in not_null {
                    let within = self.within(check, statement)?;
                    let null = self.condition(&Expression::column(name.clone()).is_null(), statement)?;
                    counts.push(filtered(&format!("{within} and {null}")));
                }
                counts
            }
            Probe::Rows(rows) => {
                let elements = filtered(&self.within(check, statement)?);
                let present = match (&check.when, rows.considered.only_present()) {
                    (None, Some(column)) => format!("count({})", quote(column)),
                    _ => filtered(&self.considered(check, rows, statement)?),
                };
                let unexpected = match &rows.unexpected {
                    Unexpected::Where(bad) => self.bad_rows(check, rows, (bad, &present), statement)?,
                    Unexpected::Duplicates(columns) => {
                        if let Some(different) = self.different(check, rows, statement)? {
                            different
                        } else {
                            self.repeated(check, rows, columns, statement)?
                        }
                    }
                    Unexpected::Absent(_) => {
                        let Marked { from, bad } = self.marked(check, rows, statement)?;
                        format!("(select count(*) from {from} where {bad})")
                    }
                    Unexpected::Outliers { .. } => filtered(&self.marked(check, rows, statement)?.bad),
                    Unexpected::Disordered { .. } => {
                        let Marked { from, bad } = self.marked(check, rows, statement)?;
                        format!("(select count(*) from {from} where {bad})")
                    }
                };
                vec![elements, present, unexpected]
            }
            Probe::Aggregate { column, metric, .. } => self.aggregate_counts(check, column, *metric, statement)?,
        })
    }

    /// How many of the rows considered, which are counted by `present`, are bad. Each condition is asked once where that is
    /// enough: where no row that meets it is left out of those considered.
    fn bad_rows(
        &self,
        check: &Check,
        rows: &RowProbe,
        (bad, present): (&Expression, &str),
        statement: &mut Statement,
    ) -> Result<String, String> {
        let met = |condition: &Expression, statement: &mut Statement| {
            let within = self.within(check, statement)?;
            let condition = self.condition(condition, statement)?;
            Ok::<_, String>(filtered(&if check.when.is_none() {
                condition
            } else {
                format!("({within} and {condition})")
            }))
        };
        match bad.truth() {
            Some((good, false)) if good.implies(&rows.considered) => {
                Ok(format!("{present} - {}", met(good, statement)?))
            }
            Some((bad, true)) if bad.implies(&rows.considered) => met(bad, statement),
            _ => {
                let considered = self.considered(check, rows, statement)?;
                Ok(filtered(&format!("({considered} and {})", self.condition(bad, statement)?)))
            }
        }
    }

    fn aggregate_counts(
        &self,
        check: &Check,
        column: &str,
        metric: Metric,
        statement: &mut Statement,
    ) -> Result<Vec<String>, String> {
        let (value, kind) = lower(&Expression::column(column), &self.schema, statement)?;
        let (value, kind) = match kind.summed_as().filter(|_| metric.is_arithmetic()) {
            Some(number) if number != kind => (statement.cast(value, kind, number), number),
            _ => (value, kind),
        };
        let elements = filtered(&self.within(check, statement)?);
        let filter = match &check.when {
            Some(_) => format!(" filter (where {})", self.within(check, statement)?),
            None => String::new(),
        };
        let collation = if kind == Type::Text { " collate \"C\"" } else { "" };
        let computed = match metric {
            // A sum of doubles has no exact type to lose.
            Metric::Sum | Metric::Mean => format!("sum({value})"),
            // Postgres has no least boolean: false is below true.
            Metric::Min if kind == Type::Bool => format!("bool_and({value})"),
            Metric::Max if kind == Type::Bool => format!("bool_or({value})"),
            Metric::Min => format!("min({value}{collation})"),
            Metric::Max => format!("max({value}{collation})"),
            Metric::Median => {
                format!("percentile_cont(0.5) within group (order by ({value})::double precision)")
            }
            Metric::Stdev => format!("stddev_samp(({value})::double precision)"),
            Metric::Distinct | Metric::DistinctFraction => format!("count(distinct {value})"),
        };
        Ok(vec![elements, format!("count({value}){filter}"), format!("{computed}{filter}")])
    }

    /// How many values of the one column differ that a check wants to be unique: told in the same scan. Where some repeat,
    /// [`Self::repeated`] is asked.
    fn different(&self, check: &Check, rows: &RowProbe, statement: &mut Statement) -> Result<Option<String>, String> {
        let (Unexpected::Duplicates(columns), Some(_)) = (&rows.unexpected, rows.considered.only_present()) else {
            return Ok(None);
        };
        let filter = match &check.when {
            Some(_) => format!(" filter (where {})", self.within(check, statement)?),
            None => String::new(),
        };
        let text = columns.iter().any(|name| self.schema.get(name) == Ok(Type::Text));
        // Sorted byte by byte, which is faster than in a language's order.
        let key = if text { format!("{}::text collate \"C\"", Self::keys(columns)) } else { Self::keys(columns) };
        Ok(Some(format!("count(distinct {key}){filter}")))
    }

    /// How many rows share their keys with another.
    fn repeated(
        &self,
        check: &Check,
        rows: &RowProbe,
        columns: &[String],
        statement: &mut Statement,
    ) -> Result<String, String> {
        let (from, keys) = (self.from(), Self::keys(columns));
        let considered = self.considered(check, rows, statement)?;
        Ok(format!(
            "(select coalesce(sum(n), 0) from (select count(*) as n from {from} where {considered} \
             group by {keys} having count(*) > 1) as duplicates)"
        ))
    }

    /// The counts of a row check, and where only different values were counted and some repeat, of the rows that do.
    pub(super) async fn row_counts(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        rows: &RowProbe,
        [elements, considered, unexpected]: [u64; 3],
    ) -> Result<Result<RowCounts, String>, QualityError> {
        let counts = |unexpected| RowCounts { elements, considered, unexpected };
        let (Unexpected::Duplicates(columns), Some(_)) = (&rows.unexpected, rows.considered.only_present()) else {
            return Ok(Ok(counts(unexpected)));
        };
        if considered == unexpected {
            return Ok(Ok(counts(0)));
        }
        let mut statement = self.statement();
        let repeated = match self.repeated(check, rows, columns, &mut statement) {
            Ok(repeated) => repeated,
            Err(error) => return Ok(Err(error)),
        };
        let told = self.values(connection, &[repeated], statement).await?;
        Ok(told.map(|told| counts(told.into_iter().flatten().next().and_then(|n| n.parse().ok()).unwrap_or(0))))
    }

    /// The numbers of all checks from one query; where that fails, from one query a check, so that a fault stays
    /// with the check that has it.
    pub(super) async fn count(
        &self,
        connection: &mut PgConnection,
        suite: &Suite,
        jobs: &[Result<Probe, String>],
    ) -> Result<(usize, Vec<Result<Values, String>>), QualityError> {
        let mut statement = self.statement();
        let mut all = vec!["count(*)".to_owned()];
        let mut slots = Vec::new();
        for (check, job) in suite.checks.iter().zip(jobs) {
            let own = match job {
                Ok(probe) if check.group_by.is_empty() => self.counts(check, probe, &mut statement).unwrap_or_default(),
                _ => Vec::new(),
            };
            let slot = |expression: String| {
                all.iter().position(|known| *known == expression).unwrap_or_else(|| {
                    all.push(expression);
                    all.len() - 1
                })
            };
            slots.push(own.into_iter().map(slot).collect::<Vec<_>>());
        }
        let rows = |values: &Values| values.first().cloned().flatten().and_then(|n| n.parse().ok()).unwrap_or(0);
        if let Ok(values) = self.values(connection, &all, statement).await? {
            let counted =
                slots.into_iter().map(|own| Ok(own.into_iter().map(|slot| values[slot].clone()).collect())).collect();
            return Ok((rows(&values), counted));
        }
        let total = self.values(connection, &all[..1], Statement::default()).await?;
        let mut counted = Vec::new();
        for (check, job) in suite.checks.iter().zip(jobs) {
            let mut statement = self.statement();
            let own = match job {
                Ok(probe) if check.group_by.is_empty() => self.counts(check, probe, &mut statement).unwrap_or_default(),
                _ => Vec::new(),
            };
            counted.push(self.values(connection, &own, statement).await?);
        }
        Ok((total.as_ref().map_or(0, rows), counted))
    }

    /// Evaluates aggregates over the whole table. The inner error is the database's word on the statement; the outer
    /// one means that it could not be asked.
    async fn values(
        &self,
        connection: &mut PgConnection,
        expressions: &[String],
        statement: Statement,
    ) -> Result<Result<Values, String>, QualityError> {
        if expressions.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        // JSON writes times in ISO 8601 and floats in full, whatever the session's settings are.
        let selected: Vec<_> = expressions.iter().map(|e| format!("to_jsonb({e}) #>> '{{}}'")).collect();
        let sql = format!("select {} from {}", selected.join(", "), self.from());
        let row = attempt(connection, sql, statement).await?;
        Ok(row.map(|rows| rows.first().map(texts).unwrap_or_default()))
    }
}

/// How many rows meet a condition.
fn filtered(mask: &str) -> String {
    if mask == "true" { "count(*)".to_owned() } else { format!("count(*) filter (where {mask})") }
}
