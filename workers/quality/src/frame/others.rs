//! A frame beside another dataset: a file that is a frame too, or a table of Postgres.

use polars::prelude::{DataType, Expr, NamedFrom, Series, col, len, lit};

use super::{Engine, row_count, scalar};
use crate::{
    expectation::{Measure, Metric, OtherDataset},
    expression::Expression,
    postgres::{missing_keys, other_number},
    probe::{Measured, Reference, numbers},
    types::{Backend, Type, common, lower},
};

/// So many keys go to Postgres at once.
const KEYS: usize = 50_000;

impl Engine {
    /// Which of the rows considered have keys that the other dataset lacks. None of their keys is null.
    pub(super) fn absent(&self, reference: &Reference, considered: &Expr) -> Result<Expr, String> {
        match &reference.other {
            OtherDataset::File(path) => {
                self.absent_from_frame(reference, &Self::new(&self.beside.file(path)?), considered)
            }
            OtherDataset::Table(_) => self.absent_from_table(reference, considered),
        }
    }

    fn absent_from_frame(&self, reference: &Reference, other: &Self, considered: &Expr) -> Result<Expr, String> {
        let (mut own_parts, mut other_parts) = (Vec::new(), Vec::new());
        for (own_name, other_name) in reference.pairs() {
            let (value, kind) = lower(&Expression::column(own_name), &self.schema, &mut self.backend())?;
            let found = lower(&Expression::column(other_name), &other.schema, &mut other.backend());
            let (there, other_kind) = found.map_err(|error| format!("in `{}` {error}", reference.other))?;
            let both = common(kind, other_kind)?;
            let fit = |value: Expr, own: Type| if own == both { value } else { self.backend().cast(value, own, both) };
            own_parts.push((fit(value, kind), both));
            other_parts.push((fit(there, other_kind), both));
        }
        let known = other.lazy().select([looked_up(other_parts).alias("key")]).filter(col("key").is_not_null());
        let known = known.group_by([col("key")]).agg([len()]).collect().map_err(|error| error.to_string())?;
        let known = known.column("key").map_err(|error| error.to_string())?.as_materialized_series().clone();
        Ok(considered.clone().and(looked_up(own_parts).is_in(lit(known).implode(false), false).not()))
    }

    /// The different keys go to Postgres, part by part, and the missing ones come back.
    fn absent_from_table(&self, reference: &Reference, considered: &Expr) -> Result<Expr, String> {
        let told = |error: polars::prelude::PolarsError| error.to_string();
        let mut parts = Vec::new();
        for (name, _) in reference.pairs() {
            parts.push(lower(&Expression::column(name), &self.schema, &mut self.backend())?);
        }
        let kinds: Vec<Type> = parts.iter().map(|(_, kind)| *kind).collect();
        let named = parts.iter().enumerate().map(|(place, (part, _))| part.clone().alias(format!("k{place}")));
        let mut columns: Vec<_> = named.collect();
        let key = looked_up(parts);
        columns.push(key.clone().alias("key"));
        let firsts: Vec<_> = (0..kinds.len()).map(|place| col(format!("k{place}")).first()).collect();
        let seen = self.lazy().filter(considered.clone()).select(columns).group_by([col("key")]).agg(firsts);
        let seen = seen.collect().map_err(told)?;
        let mut missing = Vec::new();
        for start in (0..seen.height()).step_by(KEYS) {
            let rows = start..(start + KEYS).min(seen.height());
            let mut keys = Vec::with_capacity(kinds.len());
            for place in 0..kinds.len() {
                let column = seen.column(&format!("k{place}")).map_err(told)?;
                let text =
                    |row| Ok(scalar(&column.get(row).map_err(told)?).map_or_else(String::new, |key| key.to_string()));
                keys.push(rows.clone().map(text).collect::<Result<Vec<_>, String>>()?);
            }
            let found = self.beside.postgres(&reference.other, async |connection| {
                missing_keys(connection, reference, &kinds, keys).await
            })?;
            missing.extend(found.into_iter().map(|place| start + place));
        }
        let lacks = Series::new("lacks".into(), {
            let mut lacks = vec![false; seen.height()];
            missing.into_iter().filter_map(|row| lacks.get_mut(row).map(|lacks| *lacks = true)).for_each(drop);
            lacks
        });
        let mask = lacks.bool().map_err(told)?.clone();
        let lacking = seen.column("key").map_err(told)?.as_materialized_series().filter(&mask).map_err(told)?;
        Ok(considered.clone().and(key.is_in(lit(lacking).implode(false), false)))
    }

    /// What a measure makes of the other dataset.
    pub(super) fn other_number(
        &self,
        measure: &Measure,
        other: &OtherDataset,
        when: Option<&Expression>,
    ) -> Result<Measured, String> {
        let OtherDataset::File(path) = other else {
            if matches!(other, OtherDataset::Table(table) if table.schema.is_empty()) {
                return Err(
                    "a file has no schema that the other table could be in: write it as `schema.table`".to_owned()
                );
            }
            return self
                .beside
                .postgres(other, async |connection| other_number(connection, other, measure, when).await);
        };
        let there = Self::new(&self.beside.file(path)?);
        there.measure(measure, when).map_err(|error| format!("in `{other}` {error}"))
    }

    fn measure(&self, measure: &Measure, when: Option<&Expression>) -> Result<Measured, String> {
        let within = when.map(|when| self.mask(&Expression::IsTrue(Box::new(when.clone())))).transpose()?;
        let mut asked = vec![row_count(within.as_ref())];
        if let Measure::Sum { other_column, .. } = measure {
            numbers(other_column, &self.schema)?;
            asked.extend(self.aggregate_job(other_column, Metric::Sum, within.as_ref())?);
        }
        let values = self.values(&asked).map_err(|error| error.to_string())?;
        Ok(Measured::of(&values))
    }
}

/// Keys as something that Polars looks up in a set: as they are where it can, else as text. Of several, each goes by its
/// length before it, so that no two different ones are written alike. Null where one is.
fn looked_up(parts: Vec<(Expr, Type)>) -> Expr {
    match parts.as_slice() {
        [(part, Type::Int)] => return part.clone().cast(DataType::Int64),
        [(part, Type::Text | Type::Float | Type::Date)] => return part.clone(),
        _ => {}
    }
    let text = |(part, _): (Expr, Type)| {
        let text = part.cast(DataType::String);
        text.clone().str().len_bytes().cast(DataType::String) + lit(":") + text
    };
    parts.into_iter().map(text).reduce(|a, b| a + b).unwrap_or_else(|| lit(""))
}
