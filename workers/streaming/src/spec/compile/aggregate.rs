//! Aggregates: results by key and window, which go into a table.

use crate::spec::{
    Span,
    expr::{self, Expr},
    fields::Layout,
    file::AggregateFile,
};

use super::{Faults, check_window, compile_filter, scope::RowScope};

/// A named result, by key and window.
#[derive(Debug, Clone)]
pub(crate) struct Aggregate {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    /// The list whose items it counts; `None`: the events themselves.
    pub(crate) list: Option<usize>,
    pub(crate) filter: Option<Expr<usize>>,
    /// Slot of the key, in the list's items or in the event; `None`: one key, `all`.
    pub(crate) key: Option<usize>,
    /// What is added up besides the count.
    pub(crate) sum: Option<Expr<usize>>,
    /// Tells whether state kept for it fits it: the definition as written.
    pub(crate) definition: String,
}

/// Which windows an event belongs to. Microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Windows of `length`, one of which begins every `every`: the same for tumbling ones.
    Hopping { length: i64, every: i64 },
    /// Events of a key no further apart than `gap`.
    Session { gap: i64 },
}

/// An event may be in so many windows of one aggregate.
const MOST_OVERLAP: i64 = 60;

impl Shape {
    /// The longest time that a window needs to end after its last event.
    pub(crate) fn longest(self) -> i64 {
        match self {
            Self::Hopping { length, .. } => length,
            Self::Session { gap } => gap,
        }
    }

    /// What its windows begin and end at multiples of.
    pub(super) fn pane(self) -> Option<i64> {
        match self {
            Self::Hopping { length, every } => Some(super::greatest_common_divisor(length, every)),
            Self::Session { .. } => None,
        }
    }
}

pub(super) fn compile(
    name: &str,
    aggregate: &AggregateFile,
    layout: &mut Layout,
    faults: &mut Faults<'_>,
) -> Option<Aggregate> {
    let before = faults.problems.len();
    let shape = shape(aggregate, faults);
    let filter = compile_filter(aggregate.filter.as_deref(), &mut layout.fields, faults);
    let list = aggregate.unnest.as_deref().map(|list| layout.list(list));
    let fields = match list {
        Some(list) => &mut layout.lists[list].1,
        None => &mut layout.fields,
    };
    let key = aggregate.key.as_deref().map(|key| fields.slot(key));
    let sum = aggregate.sum.as_deref().and_then(|text| {
        let argument = expr::parse(text).and_then(|parsed| expr::number(&parsed, &mut RowScope(fields)));
        faults.keep("sum", argument)
    });
    if faults.problems.len() > before {
        return None;
    }
    let text = |of: &Option<String>| of.clone().unwrap_or_default();
    let definition = format!(
        "{shape:?} key={} where={} unnest={} sum={}",
        text(&aggregate.key),
        text(&aggregate.filter),
        text(&aggregate.unnest),
        text(&aggregate.sum)
    );
    Some(Aggregate { name: name.to_owned(), shape: shape?, list, filter, key, sum, definition })
}

fn shape(aggregate: &AggregateFile, faults: &mut Faults<'_>) -> Option<Shape> {
    match (aggregate.window, aggregate.gap) {
        (Some(_), Some(_)) => faults.add("gap", "a session has no `window`: give one of the two"),
        (None, None) => faults.add("window", "give the length of its windows, or the `gap` that ends a session"),
        (None, Some(gap)) => {
            check_window("gap", gap, faults);
            if aggregate.every.is_some() {
                faults.add("every", "sessions follow from the events: `every` belongs to a `window`");
            }
            return Some(Shape::Session { gap: gap.micros() });
        }
        (Some(window), None) => {
            check_window("window", window, faults);
            let every = aggregate.every.unwrap_or(window);
            let (length, hop) = (window.micros(), every.micros());
            if every < Span::seconds(1) {
                faults.add("every", format!("a window every {every}: a second is the least"));
            } else if hop > length || length % hop != 0 {
                faults.add("every", format!("windows of {window} cannot begin every {every}: it must divide them"));
            } else if length / hop > MOST_OVERLAP {
                let overlap = length / hop;
                faults.add("every", format!("each event would be in {overlap} windows; {MOST_OVERLAP} are the most"));
            } else {
                return Some(Shape::Hopping { length, every: hop });
            }
        }
    }
    None
}
