//! Checks that are asked of each group of rows: one query for all checks that group by the same columns, judged row by row
//! as it answers.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    Engine, QualityError,
    answer::{Values, attempt_each, read, texts},
    backend::{Statement, quote},
    rows::OWN,
};
use crate::{
    expression::Expression,
    outcome::Outcome,
    probe::{Groups, Probe, RowProbe, SAMPLES, Unexpected},
    suite::{Check, Suite},
    types::{Backend, Type, lower},
    value::Scalar,
};

/// The groups of every check that is asked of groups, by its place in the suite.
pub(super) type GroupsByCheck = BTreeMap<usize, Result<Groups, String>>;

/// A check that is asked of groups, with its place in the suite.
type Asked<'a> = (usize, &'a Check, &'a Probe);

/// Columns beside the table's that conditions on bad rows need: what windows over the groups compute.
#[derive(Default)]
pub(super) struct Marks(Vec<String>);

impl Marks {
    fn add(&mut self, window: String) -> String {
        let place = self.0.iter().position(|known| *known == window).unwrap_or_else(|| {
            self.0.push(window);
            self.0.len() - 1
        });
        format!("\"sluice.mark{place}\"")
    }

    fn from(&self, table: &str) -> String {
        if self.0.is_empty() {
            return table.to_owned();
        }
        let marks: Vec<_> =
            self.0.iter().enumerate().map(|(place, mark)| format!("{mark} as \"sluice.mark{place}\"")).collect();
        // A fence: Postgres fails to plan windows over a subquery that it has pulled up.
        format!("(select *, {} from {table} as {OWN} offset 0) as marked", marks.join(", "))
    }
}

impl Engine<'_> {
    /// The expressions that give the check's numbers of a group, each one value.
    pub(super) fn group_counts(
        &self,
        check: &Check,
        probe: &Probe,
        statement: &mut Statement,
        marks: &mut Marks,
    ) -> Result<Vec<String>, String> {
        match probe {
            Probe::Rows(rows) if !matches!(rows.unexpected, Unexpected::Where(_)) => {
                let elements = self.within(check, statement)?;
                let considered = self.considered(check, rows, statement)?;
                let bad = self.group_bad(check, rows, statement, marks)?;
                Ok([elements, considered, bad].map(|mask| format!("count(*) filter (where {mask})")).to_vec())
            }
            Probe::Rows(_) | Probe::RowCount(_) | Probe::Aggregate { .. } => self.counts(check, probe, statement),
            _ => Err("this expectation cannot be asked of groups".to_owned()),
        }
    }

    /// Which rows are bad, as a condition over the table with its marks.
    fn group_bad(
        &self,
        check: &Check,
        rows: &RowProbe,
        statement: &mut Statement,
        marks: &mut Marks,
    ) -> Result<String, String> {
        let considered = self.considered(check, rows, statement)?;
        let by = Self::keys(&check.group_by);
        let bad = match &rows.unexpected {
            Unexpected::Where(bad) => self.condition(bad, statement)?,
            Unexpected::Duplicates(columns) => {
                let keys = Self::keys(columns);
                let alike = format!("count(*) filter (where {considered}) over (partition by {by}, {keys})");
                format!("{} > 1", marks.add(alike))
            }
            Unexpected::Absent(reference) => marks.add(self.absent(reference, OWN, statement)?),
            Unexpected::Outliers { column, threshold, double_sided } => {
                let (value, kind) = lower(&Expression::column(column), &self.schema, statement)?;
                let value = statement.cast(value, kind, Type::Float);
                let mut of_group = |how: &str| {
                    marks.add(format!("{how}({value}) filter (where {considered}) over (partition by {by})"))
                };
                let (mean, deviation) = (of_group("avg"), of_group("stddev_samp"));
                let distance = format!("({value} - {mean}) / {deviation}");
                let distance = if *double_sided { format!("abs({distance})") } else { distance };
                format!("case when {deviation} > 0 then not ({distance} < {threshold:?}) else false end")
            }
            Unexpected::Disordered { column, descending, strictly, order_by } => {
                let order = Self::order(order_by.as_deref())?;
                let (value, kind) = lower(&Expression::column(column), &self.schema, statement)?;
                let collation = if kind == Type::Text { " collate \"C\"" } else { "" };
                // Rows that are not considered stand in a partition of their own.
                let before = format!("lag({value}) over (partition by {by}, {considered} order by {order} nulls last)");
                let before = marks.add(before);
                format!("{value}{collation} {} {before}{collation}", Self::out_of_order(*descending, *strictly))
            }
        };
        Ok(format!("({considered} and {bad})"))
    }

    /// Judges the groups of all checks that are asked of groups: one query a grouping; where that fails, one a check, so
    /// that a fault stays with the check that has it.
    pub(super) async fn groups(
        &self,
        connection: &mut PgConnection,
        suite: &Suite,
        jobs: &[Result<Probe, String>],
    ) -> Result<GroupsByCheck, QualityError> {
        let mut groupings: Vec<(&[String], Vec<Asked<'_>>)> = Vec::new();
        for (place, (check, job)) in suite.checks.iter().zip(jobs).enumerate() {
            let Ok(probe) = job else { continue };
            if check.group_by.is_empty() {
                continue;
            }
            match groupings.iter_mut().find(|(by, _)| *by == check.group_by) {
                Some((_, asked)) => asked.push((place, check, probe)),
                None => groupings.push((&check.group_by, vec![(place, check, probe)])),
            }
        }
        let mut found = GroupsByCheck::new();
        for (by, asked) in groupings {
            match self.grouping(connection, by, &asked).await? {
                Ok(groups) => found.extend(groups),
                Err(_) => {
                    for one in asked {
                        match self.grouping(connection, by, &[one]).await? {
                            Ok(groups) => found.extend(groups),
                            Err(error) => drop(found.insert(one.0, Err(error))),
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    async fn grouping(
        &self,
        connection: &mut PgConnection,
        by: &[String],
        asked: &[Asked<'_>],
    ) -> Result<Result<GroupsByCheck, String>, QualityError> {
        let (mut statement, mut marks) = (self.statement(), Marks::default());
        let mut all = Vec::new();
        let mut slots = Vec::new();
        for (_, check, probe) in asked {
            let own = match self.group_counts(check, probe, &mut statement, &mut marks) {
                Ok(own) => own,
                Err(error) => return Ok(Err(error)),
            };
            let slot = |expression: String| {
                all.iter().position(|known| *known == expression).unwrap_or_else(|| {
                    all.push(expression);
                    all.len() - 1
                })
            };
            slots.push(own.into_iter().map(slot).collect::<Vec<_>>());
        }
        let keys = Self::keys(by);
        let shown = by.iter().map(|name| quote(name)).chain(all).map(|value| format!("to_jsonb({value}) #>> '{{}}'"));
        let shown: Vec<_> = shown.collect();
        let sql = format!("select {} from {} group by {keys}", shown.join(", "), marks.from(&self.from()));
        let mut groups: Vec<_> = asked.iter().map(|_| Ok(Groups::default())).collect();
        let see = |row: &PgRow| {
            let mut key = texts(row);
            let numbers = key.split_off(by.len());
            for (((_, check, probe), own), groups) in asked.iter().zip(&slots).zip(&mut groups) {
                if let Ok(known) = groups
                    && let Err(error) =
                        self.see_group(known, check, probe, &key, own.iter().map(|slot| &numbers[*slot]))
                {
                    *groups = Err(error);
                }
            }
        };
        let answered = attempt_each(connection, sql, statement, see).await?;
        Ok(answered.map(|()| asked.iter().map(|(place, ..)| *place).zip(groups).collect()))
    }

    fn see_group<'v>(
        &self,
        groups: &mut Groups,
        check: &Check,
        probe: &Probe,
        key: &Values,
        numbers: impl Iterator<Item = &'v Option<String>>,
    ) -> Result<(), String> {
        let value = |text: &Option<String>, kind: Type| text.as_deref().and_then(|text| read(text, kind));
        let kind = |slot: usize| match probe {
            Probe::Aggregate { column, metric, .. } if slot == 2 => self.metric_type(column, *metric),
            _ => Type::Int,
        };
        let numbers: Vec<Option<Scalar>> = numbers.enumerate().map(|(slot, text)| value(text, kind(slot))).collect();
        let key = check.group_by.iter().zip(key);
        let key = key.map(|(name, text)| value(text, self.schema.get(name).unwrap_or(Type::Other))).collect();
        groups.see(check, probe, key, &numbers)
    }

    pub(super) async fn judge_groups(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        probe: &Probe,
        groups: Groups,
    ) -> Result<Result<(Outcome, Value), String>, QualityError> {
        let samples = match probe {
            Probe::Rows(rows) if groups.failed() => self.group_samples(connection, check, rows).await?,
            _ => Ok(Vec::new()),
        };
        Ok(samples.map(|samples| groups.judge(check, probe, samples, None)))
    }

    /// The first bad rows of groups that do not bear so many.
    async fn group_samples(
        &self,
        connection: &mut PgConnection,
        check: &Check,
        rows: &RowProbe,
    ) -> Result<Result<Vec<Value>, String>, QualityError> {
        let mut statement = self.statement();
        let sql = self.group_sample_query(check, rows, &mut statement);
        self.sampled(connection, rows, sql, statement).await
    }

    fn group_sample_query(&self, check: &Check, rows: &RowProbe, statement: &mut Statement) -> Result<String, String> {
        const CONSIDERED: &str = "\"sluice.considered\"";
        const BAD: &str = "\"sluice.bad\"";
        let mut marks = Marks::default();
        let bad = self.group_bad(check, rows, statement, &mut marks)?;
        let (shown, from) = (Self::shows(rows), marks.from(&self.from()));
        let mut borne: Vec<String> = Vec::new();
        if let Some(mostly) = check.tolerance.mostly {
            let good = format!("({CONSIDERED} - {BAD})::double precision / {CONSIDERED}");
            borne.push(format!("{good} >= {mostly:?}::double precision"));
        }
        borne.extend(check.tolerance.at_most.map(|most| format!("{BAD} <= {most}")));
        if borne.is_empty() {
            return Ok(format!("select {shown} from {from} where {bad} limit {SAMPLES}"));
        }
        let considered = self.considered(check, rows, statement)?;
        let by = Self::keys(&check.group_by);
        let of_group = |mask: &str| format!("count(*) filter (where {mask}) over (partition by {by})");
        let (considered, unexpected) = (of_group(&considered), of_group(&bad));
        Ok(format!(
            "select {shown} from (select *, {considered} as {CONSIDERED}, {unexpected} as {BAD} from {from}) as counted \
             where {bad} and not ({}) limit {SAMPLES}",
            borne.join(" and ")
        ))
    }
}
