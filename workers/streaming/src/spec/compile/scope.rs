//! What names and calls in a stream's expressions stand for.

use sqlparser::ast;

use crate::spec::{
    Span,
    expr::{self, AggregateCall, Expr, Scope, Type},
    fields::{Fields, Layout},
    scalar::Scalar,
};

use super::{PANE, Reference, Windows};

/// A leaf of a rule's condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// A field of the event at hand.
    Field(usize),
    /// The aggregate at this place.
    Measure(usize),
    /// A column of the row that the event finds in a reference table.
    Reference { table: usize, column: usize },
    /// The time of the event at hand, in seconds since 1970.
    EventTime,
}

/// What a rule keeps of a key's events, bucket by bucket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ring {
    /// Length of a bucket, in microseconds.
    pub(crate) unit: i64,
    /// How many buckets the longest window that uses it takes in.
    pub(crate) buckets: i64,
    pub(crate) folds: Vec<Folding>,
}

/// One running aggregate of a ring.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Folding {
    pub(crate) fold: Fold,
    /// Which of the rule's inputs it takes.
    pub(crate) input: usize,
}

/// How values are folded into a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    /// Their sum and their number.
    Sum,
    /// Number, mean and squared deviation.
    Moments,
    Min,
    Max,
    /// The set of them, as hashes.
    Distinct,
    /// A histogram of relative precision.
    Quantiles,
    First,
    Last,
}

/// A value that the event at hand gives to folds: that of `argument` where `filter` holds, and else none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Input {
    pub(crate) filter: Option<Expr<usize>>,
    pub(crate) argument: Argument,
    /// As written, to find it again.
    pub(crate) text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Argument {
    /// The event itself counts, whatever it says.
    Event,
    Number(Expr<usize>),
    /// Of any type.
    Value(Expr<usize>),
    /// Seconds between the event and the one counted before it.
    Gap,
}

/// An aggregate of a condition: of which window, and how it is read from the folds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measure {
    /// As in an alert's values: `sum(amount) over day`.
    pub(crate) text: String,
    pub(crate) ring: usize,
    /// How many buckets the window takes in, that of the event at hand included.
    pub(crate) buckets: i64,
    pub(crate) read: Read,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Read {
    /// Events in the window.
    Events,
    /// Events a second; the window's length.
    Rate(f64),
    /// Values taken by a sum.
    Number(usize),
    Sum(usize),
    Average(usize),
    Min(usize),
    Max(usize),
    Distinct(usize),
    Median(usize),
    Deviation(usize),
    /// Deviation over mean.
    Variation(usize),
    First(usize),
    Last(usize),
    /// Seconds since the first.
    SinceFirst(usize),
    /// The last one before the event at hand.
    Previous(usize),
    /// Seconds since that.
    SincePrevious(usize),
}

/// Names are fields of the event.
pub(super) struct RowScope<'a>(pub(super) &'a mut Fields);

impl Scope for RowScope<'_> {
    type Leaf = usize;

    fn name(&mut self, name: &str) -> Result<(usize, Type), String> {
        Ok((self.0.slot(name), Type::Any))
    }

    fn call(&mut self, call: &AggregateCall<'_>) -> Result<(usize, Type), String> {
        Err(format!("`{}(…)` cannot stand here: this is about one event, not about a window", call.function))
    }

    fn must_be_number(&mut self, slot: &usize) {
        self.0.must_be_number(*slot);
    }
}

/// A rule's condition: aggregates over its windows, fields of the event at hand, columns of reference tables.
pub(super) struct RuleScope<'a> {
    pub(super) layout: &'a mut Layout,
    pub(super) references: &'a mut Vec<Reference>,
    pub(super) window: Option<Span>,
    pub(super) windows: &'a Windows,
    pub(super) rings: Vec<Ring>,
    pub(super) inputs: Vec<Input>,
    pub(super) measures: Vec<Measure>,
    /// Something of the event, a window or a table has been named.
    pub(super) used: bool,
}

const AGGREGATES: [&str; 15] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "distinct",
    "median",
    "stddev",
    "rate",
    "first",
    "last",
    "previous",
    "since_first",
    "since_previous",
    "gap_cv",
];

impl RuleScope<'_> {
    /// The plain count over the default window, which every alert tells; `None` where the rule has no window.
    pub(super) fn plain_count(&mut self) -> Option<usize> {
        let call = AggregateCall { function: "count", argument: None, distinct: false, filter: None, over: None };
        self.window.is_some().then(|| self.measure(&call).ok()).flatten().map(|(at, _)| at)
    }

    fn measure(&mut self, call: &AggregateCall<'_>) -> Result<(usize, Type), String> {
        let function = match (call.function, call.distinct) {
            ("count", true) => "distinct",
            (other, true) => return Err(format!("`{other}(distinct …)` is not supported; only count knows it")),
            (other, false) => other,
        };
        if !AGGREGATES.contains(&function) {
            let known: Vec<_> = AGGREGATES.into_iter().chain(Scalar::names()).collect();
            let hint = workflow::diagnostic::did_you_mean(function, known.iter().copied());
            return Err(format!("there is no aggregate `{function}`; {hint}"));
        }
        let wants_field = !matches!(function, "count" | "rate" | "since_first" | "since_previous" | "gap_cv");
        match call.argument {
            None if wants_field => return Err(format!("`{function}` needs a field")),
            Some(argument) if !wants_field && function != "count" => {
                return Err(format!("`{function}({argument})`: `{function}` takes no argument"));
            }
            _ => {}
        }
        let (length, suffix) = self.length(call.over)?;
        let filter = call.filter.map(|filter| {
            expr::condition(filter, &mut RowScope(&mut self.layout.fields)).map(|compiled| (compiled, filter))
        });
        let (filter, written) = filter.transpose()?.unzip();
        if filter.is_some() && function == "gap_cv" {
            return Err("`gap_cv` knows no filter; use the rule's `where`".to_owned());
        }
        let written = written.map(|filter| format!(" filter (where {filter})")).unwrap_or_default();
        let shown = call.argument.map(ToString::to_string).unwrap_or_default();
        let text = match (function, call.argument.is_none() && written.is_empty()) {
            ("count", true) => format!("count{suffix}"),
            ("count", false) if call.argument.is_none() => format!("count(*){written}{suffix}"),
            _ => format!("{function}({shown}){written}{suffix}"),
        };
        let any = matches!(function, "first" | "last" | "previous");
        let kind = if any { Type::Any } else { Type::Number };
        if let Some(at) = self.measures.iter().position(|measure| measure.text == text) {
            return Ok((at, kind));
        }
        let argument = match (function, call.argument) {
            ("gap_cv", _) => Argument::Gap,
            (_, None) => Argument::Event,
            ("count", Some(argument)) => Argument::Value(self.value(argument)?),
            ("distinct" | "first" | "last" | "previous", Some(argument)) => Argument::Value(self.value(argument)?),
            (_, Some(argument)) => Argument::Number(expr::number(argument, &mut RowScope(&mut self.layout.fields))?),
        };
        let unfiltered = filter.is_none() && argument == Argument::Event;
        let input = Input { filter, argument, text: format!("{shown}{written}") };
        let (unit, buckets) = buckets(length).ok_or_else(|| {
            format!("a window of {length} must be a multiple of 5s up to 8m, of 1m up to 96m, of 15m up to 24h")
        })?;
        let ring = self.ring(unit, buckets);
        let read = match function {
            "count" if unfiltered => Read::Events,
            "rate" if unfiltered => Read::Rate(length.micros() as f64 / 1e6),
            "rate" => return Err("`rate` knows no filter; divide a filtered count by the seconds".to_owned()),
            "count" => Read::Number(self.fold(ring, Fold::Sum, input)),
            "sum" => Read::Sum(self.fold(ring, Fold::Sum, input)),
            "avg" => Read::Average(self.fold(ring, Fold::Sum, input)),
            "min" => Read::Min(self.fold(ring, Fold::Min, input)),
            "max" => Read::Max(self.fold(ring, Fold::Max, input)),
            "distinct" => Read::Distinct(self.fold(ring, Fold::Distinct, input)),
            "median" => Read::Median(self.fold(ring, Fold::Quantiles, input)),
            "stddev" => Read::Deviation(self.fold(ring, Fold::Moments, input)),
            "gap_cv" => Read::Variation(self.fold(ring, Fold::Moments, input)),
            "first" => Read::First(self.fold(ring, Fold::First, input)),
            "last" => Read::Last(self.fold(ring, Fold::Last, input)),
            "previous" => Read::Previous(self.fold(ring, Fold::Last, input)),
            "since_first" => Read::SinceFirst(self.fold(ring, Fold::First, input)),
            _ => Read::SincePrevious(self.fold(ring, Fold::Last, input)),
        };
        self.measures.push(Measure { text, ring, buckets, read });
        Ok((self.measures.len() - 1, kind))
    }

    fn value(&mut self, argument: &ast::Expr) -> Result<Expr<usize>, String> {
        Ok(expr::compile(argument, &mut RowScope(&mut self.layout.fields))?.0)
    }

    /// The length of the window that `over` names, and what to write after the aggregate.
    fn length(&self, over: Option<&str>) -> Result<(Span, String), String> {
        let Some(name) = over else {
            let none =
                || "this needs a window: give the rule a `window`, or say `over` which of its `windows`".to_owned();
            return Ok((self.window.ok_or_else(none)?, String::new()));
        };
        let length = self.windows.get(name).copied().ok_or_else(|| {
            let hint = workflow::diagnostic::did_you_mean(name, self.windows.keys().map(String::as_str));
            format!("the rule has no window `{name}`; {hint}")
        })?;
        Ok((length, format!(" over {name}")))
    }

    fn ring(&mut self, unit: i64, buckets: i64) -> usize {
        if let Some(at) = self.rings.iter().position(|ring| ring.unit == unit) {
            self.rings[at].buckets = self.rings[at].buckets.max(buckets);
            return at;
        }
        self.rings.push(Ring { unit, buckets, folds: Vec::new() });
        self.rings.len() - 1
    }

    fn fold(&mut self, ring: usize, fold: Fold, input: Input) -> usize {
        let same = |known: &Input| known.text == input.text && known.argument == input.argument;
        let input = self.inputs.iter().position(same).unwrap_or_else(|| {
            self.inputs.push(input);
            self.inputs.len() - 1
        });
        let folding = Folding { fold, input };
        let folds = &mut self.rings[ring].folds;
        folds.iter().position(|known| *known == folding).unwrap_or_else(|| {
            folds.push(folding);
            folds.len() - 1
        })
    }
}

/// The unit that a window slides by, in microseconds, and how many of them it takes in.
fn buckets(window: Span) -> Option<(i64, i64)> {
    const MOST: i64 = 96;
    let length = window.micros();
    if length < PANE {
        return Some((length, 1));
    }
    let unit = [PANE, 12 * PANE, 180 * PANE].into_iter().find(|unit| length <= unit * MOST)?;
    (length % unit == 0).then_some((unit, length / unit))
}

impl Scope for RuleScope<'_> {
    type Leaf = Leaf;

    fn name(&mut self, name: &str) -> Result<(Leaf, Type), String> {
        self.used = true;
        if name.eq_ignore_ascii_case("count") {
            let call = AggregateCall { function: "count", argument: None, distinct: false, filter: None, over: None };
            return self.call(&call);
        }
        Ok((Leaf::Field(self.layout.fields.slot(name)), Type::Any))
    }

    fn column(&mut self, table: &str, column: &str) -> Result<(Leaf, Type), String> {
        self.used = true;
        let Some(at) = self.references.iter().position(|reference| reference.name == table) else {
            let hint = workflow::diagnostic::did_you_mean(table, self.references.iter().map(|r| r.name.as_str()));
            return Err(format!("the stream has no reference `{table}`; {hint}"));
        };
        let columns = &mut self.references[at].columns;
        let place = columns.iter().position(|known| known == column).unwrap_or_else(|| {
            columns.push(column.to_owned());
            columns.len() - 1
        });
        Ok((Leaf::Reference { table: at, column: place }, Type::Any))
    }

    fn call(&mut self, call: &AggregateCall<'_>) -> Result<(Leaf, Type), String> {
        self.used = true;
        let (at, kind) = self.measure(call)?;
        Ok((Leaf::Measure(at), kind))
    }

    fn now(&mut self) -> Option<Leaf> {
        Some(Leaf::EventTime)
    }

    fn must_be_number(&mut self, leaf: &Leaf) {
        if let Leaf::Field(slot) = leaf {
            self.layout.fields.must_be_number(*slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PANE, buckets};
    use crate::spec::Span;

    #[test]
    fn windows_slide_by_the_finest_unit_that_keeps_them_bounded() {
        let of = |seconds| buckets(Span::seconds(seconds));
        assert_eq!(of(1), Some((1_000_000, 1)));
        assert_eq!(of(5), Some((PANE, 1)));
        assert_eq!(of(60), Some((PANE, 12)));
        assert_eq!(of(480), Some((PANE, 96)));
        assert_eq!(of(600), Some((60_000_000, 10)));
        assert_eq!(of(3_600), Some((60_000_000, 60)));
        assert_eq!(of(86_400), Some((900_000_000, 96)));
        assert_eq!(of(7), None);
        assert_eq!(of(500), None);
    }
}
