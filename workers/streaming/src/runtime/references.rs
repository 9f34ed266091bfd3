//! Reference tables: read from Postgres now and then, kept in memory, looked into by rules.
//!
//! What a rule sees is the table as it was read last, so the same event may be judged otherwise later. Results of windows
//! never depend on a reference table: only conditions of rules may look into one, and an alert once raised stands.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgPool};
use tokio_util::sync::CancellationToken;

use super::{commit::chain, error::StreamError};
use crate::{
    core::{Datum, References},
    spec::{Reference, Stream},
};

/// The tables as read last, and how often that was.
#[derive(Debug, Default)]
pub(super) struct Tables {
    current: Mutex<Arc<References>>,
    version: AtomicU64,
}

impl Tables {
    /// The tables, if they have been read since `seen`, which is set to now.
    pub(super) fn newer_than(&self, seen: &mut u64) -> Option<Arc<References>> {
        let version = self.version.load(Ordering::Acquire);
        (version != *seen).then(|| {
            *seen = version;
            Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// The tables.
    pub(super) fn now(&self) -> Arc<References> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, references: References) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(references);
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

/// Reads all tables, through any outage of Postgres. A query that cannot work ends the stream: without its block list it
/// would let everything pass.
pub(super) async fn first(
    stream: &Stream,
    pool: &PgPool,
    tables: &Tables,
    stop: &CancellationToken,
) -> Result<(), StreamError> {
    if stream.references.is_empty() {
        return Ok(());
    }
    let mut backoff = Duration::from_millis(100);
    loop {
        let mut all = Vec::with_capacity(stream.references.len());
        let mut transient = None;
        for reference in &stream.references {
            match read(stream, reference, pool).await {
                Ok(table) => all.push(table),
                Err(error) if error.is_transient() => transient = Some(error),
                Err(error) => return Err(error),
            }
        }
        let Some(error) = transient else {
            tables.set(References(all));
            return Ok(());
        };
        tracing::warn!(stream = stream.name, error = %chain(&error), "cannot read reference tables; trying again");
        tokio::select! {
            () = tokio::time::sleep(backoff) => {}
            () = stop.cancelled() => return Ok(()),
        }
        backoff = (backoff * 2).min(Duration::from_secs(5));
    }
}

/// Reads each table anew when it is due, until `stop`. One that cannot be read stays as it was.
pub(super) async fn refresh(stream: &Stream, pool: &PgPool, tables: &Tables, stop: &CancellationToken) {
    let mut due: Vec<_> =
        stream.references.iter().map(|reference| Instant::now() + reference.every.duration()).collect();
    while let Some((at, next)) = due.iter().copied().enumerate().min_by_key(|(_, next)| *next) {
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {}
            () = stop.cancelled() => return,
        }
        let reference = &stream.references[at];
        match read(stream, reference, pool).await {
            Ok(table) => {
                let mut all = References::clone(&tables.now());
                all.0[at] = table;
                tables.set(all);
            }
            Err(error) => {
                tracing::warn!(stream = stream.name, reference = reference.name, error = %chain(&error), "the table stays as it was read last");
            }
        }
        due[at] = Instant::now() + reference.every.duration();
    }
    stop.cancelled().await;
}

async fn read(
    stream: &Stream,
    reference: &Reference,
    pool: &PgPool,
) -> Result<HashMap<String, Box<[Datum]>>, StreamError> {
    let fault = |problem: String| StreamError::Reference {
        stream: stream.name.clone(),
        reference: reference.name.clone(),
        problem,
    };
    let mut transaction = pool.begin_with("begin read only").await?;
    // The query is the project's own, as its models are; it can read and do nothing else.
    let wrapped = format!("select row_to_json(r)::text from (\n{}\n) r", reference.query);
    let rows: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(wrapped)).fetch_all(&mut *transaction).await.map_err(|error| {
            let error = StreamError::from(error);
            if error.is_transient() { error } else { fault(chain(&error)) }
        })?;
    transaction.rollback().await?;
    let mut table = HashMap::with_capacity(rows.len());
    for row in rows {
        let row: Map<String, Value> = serde_json::from_str(&row).map_err(|error| fault(error.to_string()))?;
        let Some((first, key)) = row.iter().next() else { return Err(fault("it has no columns".to_owned())) };
        let key = match key {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let column = |name: &String| {
            let value = row.get(name).ok_or_else(|| {
                let known = row.keys().cloned().collect::<Vec<_>>().join(", ");
                fault(format!("a rule asks for its column `{name}`, and it has {known}"))
            })?;
            Ok(match value {
                Value::Null => Datum::Null,
                Value::Bool(value) => Datum::Bool(*value),
                Value::Number(number) => number.as_f64().map_or(Datum::Null, Datum::Number),
                Value::String(text) => Datum::Text(text.as_str().into()),
                other => Datum::Text(other.to_string().into()),
            })
        };
        let values = reference.columns.iter().map(column).collect::<Result<Box<[_]>, StreamError>>()?;
        if table.insert(key.clone(), values).is_some() {
            return Err(fault(format!("two rows have the {first} `{key}`")));
        }
    }
    Ok(table)
}
