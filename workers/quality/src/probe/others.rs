//! What checks against another dataset ask, and how two numbers are judged.

use serde_json::{Value, json};

use crate::{
    expectation::{Deviation, Measure, OtherDataset},
    outcome::Outcome,
    value::Scalar,
};

/// Keys that another dataset must have.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) columns: Vec<String>,
    pub(crate) other: OtherDataset,
    /// As many as `columns`.
    pub(crate) other_columns: Vec<String>,
}

impl Reference {
    /// Each column with that of the other dataset.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.columns.iter().zip(&self.other_columns).map(|(own, other)| (own.as_str(), other.as_str()))
    }
}

/// How two numbers must agree.
#[derive(Debug)]
pub(crate) enum Agreement {
    /// They are the same, of which two empty tables are an example, as in Great Expectations.
    Equal,
    /// They lie no further apart. Where both datasets have nothing there is nothing to compare.
    Within(Deviation),
}

/// What a measure makes of a dataset.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) rows: u64,
    /// Nothing where no row has a value.
    pub(crate) sum: Option<Scalar>,
}

impl Measured {
    /// From how many rows there are, how many have a value, and the sum of those.
    pub(crate) fn of(values: &[Option<Scalar>]) -> Self {
        let count = |slot: usize| match values.get(slot) {
            Some(Some(Scalar::Decimal { units, .. })) => u64::try_from(*units).unwrap_or_default(),
            _ => 0,
        };
        Self { rows: count(0), sum: values.get(2).cloned().flatten().filter(|_| count(1) > 0) }
    }

    fn number(&self, measure: &Measure) -> Scalar {
        match measure {
            Measure::Rows => Scalar::int(self.rows),
            Measure::Sum { .. } => self.sum.clone().unwrap_or_else(|| Scalar::int(0)),
        }
    }

    fn has_any(&self, measure: &Measure) -> bool {
        match measure {
            Measure::Rows => self.rows > 0,
            Measure::Sum { .. } => self.sum.is_some(),
        }
    }
}

/// Judges a number by that of another dataset; a sum of nothing is 0 beside one that is there.
pub(crate) fn judge_agreement(
    measure: &Measure,
    judged: &Agreement,
    own: &Measured,
    other: &Measured,
) -> (Outcome, Value) {
    let (here, there) = (own.number(measure), other.number(measure));
    let mut told = json!({ "self": here.to_json(), "other": there.to_json() });
    let holds = match judged {
        Agreement::Equal => here == there,
        Agreement::Within(deviation) => {
            if !own.has_any(measure) && !other.has_any(measure) {
                return (Outcome::Vacuous, json!({ "observed_value": told }));
            }
            let difference = here.minus(&there);
            told["difference"] = difference.to_json();
            told["tolerance"] = deviation.to_string().into();
            deviation.bears(&difference, &there)
        }
    };
    (if holds { Outcome::Passed } else { Outcome::Failed }, json!({ "observed_value": told }))
}
