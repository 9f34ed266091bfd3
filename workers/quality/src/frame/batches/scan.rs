//! Passes over the batches of a source, several batches at a time.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use polars::prelude::{DataFrame, Expr, IntoLazy, PolarsResult};

use super::{
    super::{
        as_written,
        backend::{position, scalar},
    },
    keys::{Keys, MEMORY},
    plan::{Found, Plan, Told},
    ranks::Ranks,
    source::Source,
};
use crate::value::Scalar;

/// So many batches are in memory at most.
const AT_ONCE: usize = 4;

/// How many threads work on a pass. Polars evaluates what one of them asks for on all cores; others read meanwhile.
pub(super) fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from).clamp(1, AT_ONCE)
}

/// The columns that expressions look at.
pub(super) fn columns<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> BTreeSet<usize> {
    let leaf = |part: &Expr| if let Expr::Column(name) = part { position(name) } else { None };
    expressions.into_iter().flat_map(|expression| expression.into_iter().filter_map(leaf)).collect()
}

/// Shows some columns of some batches to `see`, in no order.
pub(super) fn pass(
    source: &Source,
    batches: &[usize],
    columns: &BTreeSet<usize>,
    see: impl Fn(usize, &DataFrame) + Sync,
) -> PolarsResult<()> {
    let columns: Vec<_> = columns.iter().copied().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            see(*batch, &source.read(*batch, &columns)?);
        }
        Ok(())
    };
    let threads = workers().min(batches.len());
    if threads <= 1 {
        return work();
    }
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, PolarsResult<()>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect::<Vec<_>>().into_iter().collect()
    })
}

/// Finds all that a plan asks for: in one pass, and further ones over single columns where keys or ranks need them. A
/// fault stays with the value that has it; an error is that of reading.
pub(super) fn scan(source: &Source, plan: &Plan) -> PolarsResult<Found> {
    let share = MEMORY / plan.keys.len().max(1);
    let new_keys = |key| Look::new(Keys::new(key, &source.dtypes, source.rows, share, source.batches()));
    let mut keys: Vec<_> = plan.keys.iter().map(new_keys).collect();
    let mut ranks: Vec<_> = plan
        .ranks
        .iter()
        .map(|(value, wanted)| Look::new(Ranks::new(value.clone(), wanted.clone(), source.rows)))
        .collect();
    let values: Mutex<Vec<Vec<Told>>> = Mutex::new(vec![Vec::new(); source.batches()]);
    let mut asked = plan.values.as_slice();
    let mut first = true;
    loop {
        let all = first || ranks.iter().any(|look| look.goes_on);
        let wanted = |batch: &usize| all || keys.iter().any(|look| look.goes_on && look.at.wants(*batch));
        let batches: Vec<_> = (0..source.batches()).filter(wanted).collect();
        let mut needed = columns(asked);
        for look in keys.iter().filter(|look| look.goes_on) {
            needed.extend(&look.at.key().columns);
            needed.extend(columns(&look.at.key().among));
        }
        needed.extend(columns(ranks.iter().filter(|look| look.goes_on).map(|look| &look.at.value)));
        pass(source, &batches, &needed, |batch, frame| {
            if first {
                let told = evaluate(frame, asked);
                values.lock().unwrap_or_else(PoisonError::into_inner)[batch] = told;
            }
            for look in keys.iter().filter(|look| look.goes_on && look.at.wants(batch)) {
                look.note(look.at.see(batch, frame));
            }
            for look in ranks.iter().filter(|look| look.goes_on) {
                look.note(look.at.see(frame));
            }
        })?;
        (first, asked) = (false, &[]);
        keys.iter_mut().filter(|look| look.goes_on).for_each(|look| look.goes_on = look.at.end_pass());
        ranks.iter_mut().filter(|look| look.goes_on).for_each(|look| look.goes_on = look.at.end_pass());
        if !keys.iter().any(|look| look.goes_on) && !ranks.iter().any(|look| look.goes_on) {
            break;
        }
    }
    Ok(Found {
        values: values.into_inner().unwrap_or_else(PoisonError::into_inner),
        keys: keys.into_iter().map(Look::finish).collect(),
        ranks: ranks.into_iter().map(Look::finish).collect(),
    })
}

/// Something that may take several passes.
struct Look<T> {
    at: T,
    goes_on: bool,
    fault: Mutex<Option<String>>,
}

impl<T> Look<T> {
    fn new(at: T) -> Self {
        Self { at, goes_on: true, fault: Mutex::default() }
    }

    fn note(&self, seen: PolarsResult<()>) {
        if let Err(error) = seen {
            self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
        }
    }

    fn finish(self) -> Result<T, String> {
        self.fault.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(self.at), Err)
    }
}

/// The values of a batch, from one plan; where that fails, from one plan each, so that a fault stays where it is.
fn evaluate(frame: &DataFrame, values: &[Expr]) -> Vec<Told> {
    let together = |values: &[Expr]| -> PolarsResult<Vec<Option<Scalar>>> {
        let named: Vec<_> = values.iter().enumerate().map(|(slot, e)| e.clone().alias(format!("v{slot}"))).collect();
        let row = as_written(frame.clone().lazy()).select(named).collect()?;
        row.columns().iter().map(|column| Ok(scalar(&column.get(0)?))).collect()
    };
    if values.is_empty() {
        return Vec::new();
    }
    if let Ok(told) = together(values) {
        return told.into_iter().map(Ok).collect();
    }
    let alone = |value: &Expr| together(std::slice::from_ref(value)).map_err(|error| error.to_string());
    values.iter().map(|value| alone(value).map(|told| told.into_iter().next().flatten())).collect()
}
