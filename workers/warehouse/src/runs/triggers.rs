//! Runs that follow from something that happened: each cause makes one run, or is part of one, whatever dies when.
//!
//! A cause is a row of `sluice.trigger_event`, unique by its key. It is taken by the transaction that makes the run.

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Map, Value, json};
use sqlx::{Connection as _, PgConnection, PgPool};
use workflow::{kind::DataInterval, plan::Plan, state::RunState, trigger::Trigger as Wanted};

use super::{
    Created, NewRun, RunError, Trigger,
    admit::admit_tasks,
    control::{cancel, pools_of},
    create::{Cause, Made, make},
    deploy,
};
use crate::alerts::{self, Alert, Severity};

/// Makes a DAG's sources those of its plan.
pub(super) async fn store(connection: &mut PgConnection, plan: &Plan) -> Result<(), RunError> {
    let (mut entries, mut kinds, mut sources, mut needs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (entry, trigger) in (0_i32..).zip(&plan.triggers) {
        let wanted = trigger.sources();
        for source in wanted.of {
            entries.push(entry);
            kinds.push(wanted.kind);
            sources.push(source);
            needs.push(i32::try_from(wanted.needs).unwrap_or(i32::MAX));
        }
    }
    sqlx::query(include_str!("../../../../sql/runs/trigger_sources.sql"))
        .bind(&plan.dag)
        .bind(entries)
        .bind(kinds)
        .bind(sources)
        .bind(needs)
        .execute(connection)
        .await?;
    Ok(())
}

/// A run that followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// The DAG.
    pub dag: String,
    /// The run: a new one, or the one that an earlier request of the same key made.
    pub created: Created,
}

/// Makes the runs of all entries for which enough has come. Any number of processes may call it at once. A cause of
/// which no run can be made is put aside with the reason, and an alert says so; the others have theirs.
pub async fn fire(pool: &PgPool, now: DateTime<Utc>) -> Result<Vec<Fired>, RunError> {
    let ready: Vec<(String, i32, String, String)> =
        sqlx::query_as(include_str!("../../../../sql/runs/trigger_ready.sql")).fetch_all(pool).await?;
    let mut fired = Vec::new();
    for (dag, entry, kind, version) in ready {
        let made = async {
            let plan = deploy::plan(pool, &dag, &version).await?;
            fire_one(pool, &plan, entry, &kind, now).await
        };
        match made.await {
            Ok(more) => fired.extend(more),
            Err(RunError::Busy(_)) => {}
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => tracing::error!(dag, entry, %error, "cannot make a run that is triggered"),
        }
    }
    Ok(fired)
}

type Event = (i64, String, Value);

/// Runs that an entry gets in one call, so that ten thousand files that come at once keep nobody waiting for long.
const MOST_RUNS: i64 = 50;

async fn fire_one(
    pool: &PgPool,
    plan: &Plan,
    entry: i32,
    kind: &str,
    now: DateTime<Utc>,
) -> Result<Vec<Fired>, RunError> {
    let wanted = usize::try_from(entry).ok().and_then(|entry| plan.triggers.get(entry));
    let Some(wanted) = wanted.filter(|wanted| wanted.sources().kind == kind) else { return Ok(Vec::new()) };
    let mut transaction = pool.begin().await?;
    let events: Vec<Event> = sqlx::query_as(include_str!("../../../../sql/runs/trigger_take.sql"))
        .bind(&plan.dag)
        .bind(entry)
        .bind((!matches!(wanted, Wanted::Datasets { .. })).then_some(MOST_RUNS))
        .fetch_all(&mut *transaction)
        .await?;
    // Publications since the last run are one cause; each file, each run and each request is one of its own.
    let causes: Vec<&[Event]> = match wanted {
        Wanted::Datasets { .. } => {
            let mut sources: Vec<&str> = events.iter().map(|event| event.1.as_str()).collect();
            sources.sort_unstable();
            sources.dedup();
            if sources.len() < wanted.sources().needs { Vec::new() } else { vec![&events[..]] }
        }
        _ => events.chunks(1).collect(),
    };
    let (mut fired, mut others) = (Vec::new(), Vec::new());
    for (place, cause) in (0_i64..).zip(causes) {
        // Two of one instant are told apart by a microsecond each.
        let at = now.trunc_subsecs(6) + chrono::TimeDelta::microseconds(place);
        let mut attempt = transaction.begin().await?;
        match follow(&mut attempt, plan, wanted, cause, at).await {
            Ok(made) => {
                attempt.commit().await?;
                others.extend(made.others);
                fired.push(Fired { dag: plan.dag.clone(), created: made.created });
            }
            Err(error @ RunError::Busy(_)) => return Err(error),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                attempt.rollback().await?;
                refuse(&mut transaction, plan, cause, &error, now).await?;
            }
        }
    }
    transaction.commit().await?;
    stand_aside(pool, plan, others).await?;
    Ok(fired)
}

/// Puts a cause of which no run can be made aside, and tells people.
async fn refuse(
    connection: &mut PgConnection,
    plan: &Plan,
    events: &[Event],
    error: &RunError,
    now: DateTime<Utc>,
) -> Result<(), RunError> {
    sqlx::query("update sluice.trigger_event set refused = $2 where event_id = any ($1)")
        .bind(events.iter().map(|(event_id, ..)| *event_id).collect::<Vec<_>>())
        .bind(error.to_string())
        .execute(&mut *connection)
        .await?;
    let causes: Vec<String> = events.iter().map(|(.., detail)| cause_words(detail)).collect();
    let alert = Alert {
        dedupe_key: format!("trigger:{}", events.first().map_or(0, |(event_id, ..)| *event_id)),
        source: plan.dag.clone(),
        rule: "trigger".to_owned(),
        severity: Severity::High,
        key: causes.first().cloned().unwrap_or_default(),
        event_time: now,
        message: format!("no run could be made: {error}"),
        detail: json!({ "version": plan.version, "causes": causes }),
        fields: vec![
            ("Cause".to_owned(), causes.join("; ")),
            ("Then".to_owned(), format!("mend dags/{}.yaml: with its next version the cause has its run", plan.dag)),
        ],
        link: None,
    };
    alerts::raise(connection, &alert, &plan.on_failure).await?;
    Ok(())
}

/// Under `overlap: cancel`, those before a new run make room. Apart from what made it, since it locks the others.
async fn stand_aside(pool: &PgPool, plan: &Plan, others: Vec<i64>) -> Result<(), RunError> {
    if plan.overlap == workflow::plan::Overlap::Cancel {
        for run_id in others {
            cancel(pool, run_id).await?;
        }
    }
    Ok(())
}

/// Makes the run that follows from `events`, and marks them as taken.
async fn follow(
    connection: &mut PgConnection,
    plan: &Plan,
    wanted: &Wanted,
    events: &[Event],
    at: DateTime<Utc>,
) -> Result<Made, RunError> {
    let details = || events.iter().map(|(_, _, detail)| detail);
    let time = |detail: &Value, key: &str| detail[key].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let start = details().filter_map(|detail| time(detail, "interval_start")).min();
    let end = details().filter_map(|detail| time(detail, "interval_end")).max();
    let interval = start.zip(end).map(|(start, end)| DataInterval { start, end });
    let (trigger, logical_time) = match wanted {
        Wanted::Dag(_) => (Trigger::Dag, details().find_map(|detail| time(detail, "logical_time")).unwrap_or(at)),
        Wanted::Datasets { .. } => (Trigger::Dataset, at),
        Wanted::File { .. } => (Trigger::File, at),
        Wanted::Webhook { .. } => (Trigger::Webhook, at),
    };
    let detail = Value::Array(details().cloned().collect());
    let params = given(wanted, details().next().unwrap_or(&Value::Null));
    let mut new = NewRun { plan, logical_time, trigger, params, only: None };
    let made = loop {
        let made = make(connection, &new, None, Some(Cause { interval, detail: detail.clone() })).await?;
        // A run of the same instant followed from something else: a schedule, another DAG, another file.
        if matches!(made.created, Created::New(_)) {
            break made;
        }
        new.logical_time += chrono::TimeDelta::microseconds(1);
    };
    let run_id = made.created.run_id();
    if let (Created::New(_), RunState::Running) = (made.created, made.state) {
        let pools = pools_of(connection, plan, run_id).await?;
        admit_tasks(connection, &pools).await?;
    }
    sqlx::query("update sluice.trigger_event set run_id = $2 where event_id = any ($1)")
        .bind(events.iter().map(|(event_id, ..)| *event_id).collect::<Vec<_>>())
        .bind(run_id)
        .execute(connection)
        .await?;
    Ok(made)
}

/// The parameters that a cause gives.
fn given(wanted: &Wanted, detail: &Value) -> Map<String, Value> {
    match (wanted, wanted.param()) {
        (Wanted::File { .. }, Some(param)) => [(param.to_owned(), detail["path"].clone())].into_iter().collect(),
        (Wanted::Webhook { .. }, Some(param)) => [(param.to_owned(), detail["body"].clone())].into_iter().collect(),
        (Wanted::Webhook { .. }, None) => detail["body"].as_object().cloned().unwrap_or_default(),
        _ => Map::new(),
    }
}

/// What a run follows from, in words.
pub fn cause_words(cause: &Value) -> String {
    let text = |key: &str| cause[key].as_str().unwrap_or_default();
    if cause["dataset"].is_string() {
        format!("{} was published by load {}", text("dataset"), cause["load_id"])
    } else if cause["path"].is_string() {
        format!("{} came, {} bytes", text("path"), cause["bytes"])
    } else if cause["webhook"].is_string() {
        format!("a request to the webhook {}", text("webhook"))
    } else {
        format!("run {} of {} succeeded", cause["run_id"], text("dag"))
    }
}

/// An entry that waits for files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTrigger {
    /// The DAG.
    pub dag: String,
    /// Its place among the DAG's triggers.
    pub entry: i32,
    /// Which files.
    pub path: String,
    /// Whether they are in the lake.
    pub lake: bool,
    /// How long each must have been as it is.
    pub settle: std::time::Duration,
}

/// Every entry that waits for files.
pub async fn file_triggers(pool: &PgPool) -> Result<Vec<FileTrigger>, RunError> {
    let rows: Vec<(String, i32, Value)> = sqlx::query_as(
        "select s.dag, s.entry, v.plan -> 'triggers' -> s.entry
         from sluice.trigger_source s
         join sluice.dag d on d.dag = s.dag and not d.paused and d.retired_at is null
         join sluice.dag_version v on v.dag = d.dag and v.version = d.version
         where s.kind = 'file' and v.plan -> 'triggers' -> s.entry is not null
         order by s.dag, s.entry",
    )
    .fetch_all(pool)
    .await?;
    let mut found = Vec::new();
    for (dag, entry, wanted) in rows {
        match serde_json::from_value(wanted) {
            Ok(Wanted::File { path, lake, settle, .. }) => {
                found.push(FileTrigger { dag, entry, path, lake, settle: settle.0 });
            }
            Ok(_) => {}
            // A newer build deployed it.
            Err(error) => tracing::error!(dag, entry, %error, "cannot read a trigger"),
        }
    }
    Ok(found)
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its path, as the run gets it.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// When it last changed.
    pub modified: DateTime<Utc>,
}

/// Notes the files that an entry's path matches: one that was noted before, with this size and time, is no news. Gives
/// how many are new.
pub async fn arrived(pool: &PgPool, dag: &str, entry: i32, pattern: &str, files: &[Arrival]) -> Result<u64, RunError> {
    let key = |file: &Arrival| format!("{} {} {}", file.path, file.bytes, file.modified.timestamp_micros());
    let detail = |file: &Arrival| json!({ "path": file.path, "bytes": file.bytes, "modified": file.modified });
    let done = sqlx::query(
        "insert into sluice.trigger_event (dag, entry, kind, source, key, detail)
         select $1, $2, 'file', $3, f.key, f.detail
         from unnest($4::text[], $5::jsonb[]) as f(key, detail)
         where exists (select from sluice.trigger_source s
                       join sluice.dag d on d.dag = s.dag and not d.paused
                       where s.dag = $1 and s.entry = $2 and s.source = $3)
         on conflict do nothing",
    )
    .bind(dag)
    .bind(entry)
    .bind(pattern)
    .bind(files.iter().map(key).collect::<Vec<_>>())
    .bind(files.iter().map(detail).collect::<Vec<_>>())
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Makes the runs that follow from a request to the webhook `name`: all of them, or none where a DAG cannot take what the
/// request says. `key` tells requests apart; one that came before gives the runs that it made then.
pub async fn hook(
    pool: &PgPool,
    name: &str,
    key: &str,
    body: &Value,
    now: DateTime<Utc>,
) -> Result<Vec<Fired>, RunError> {
    let mut transaction = pool.begin().await?;
    let waiting: Vec<(String, i32, String)> = sqlx::query_as(
        "select s.dag, s.entry, d.version
         from sluice.trigger_source s
         join sluice.dag d on d.dag = s.dag and not d.paused and d.retired_at is null
         where s.kind = 'webhook' and s.source = $1
         order by s.dag, s.entry",
    )
    .bind(name)
    .fetch_all(&mut *transaction)
    .await?;
    let (mut fired, mut others) = (Vec::new(), Vec::new());
    for (dag, entry, version) in waiting {
        // Over the connection that it has: requests that all waited for a second one would wait for each other.
        let plan = deploy::plan(&mut *transaction, &dag, &version).await?;
        let Some(wanted) = usize::try_from(entry).ok().and_then(|entry| plan.triggers.get(entry)) else { continue };
        let detail = json!({ "webhook": name, "key": key, "body": body });
        let event: Option<i64> = sqlx::query_scalar(
            "insert into sluice.trigger_event (dag, entry, kind, source, key, detail)
             values ($1, $2, 'webhook', $3, $4, $5) on conflict do nothing returning event_id",
        )
        .bind(&dag)
        .bind(entry)
        .bind(name)
        .bind(key)
        .bind(&detail)
        .fetch_optional(&mut *transaction)
        .await?;
        let created = match event {
            Some(event_id) => {
                let made = follow(
                    &mut transaction,
                    &plan,
                    wanted,
                    &[(event_id, name.to_owned(), detail)],
                    now.trunc_subsecs(6),
                )
                .await?;
                others.push((plan, made.others));
                made.created
            }
            None => Created::Existing(
                sqlx::query_scalar(
                    "select run_id from sluice.trigger_event
                     where dag = $1 and entry = $2 and source = $3 and key = $4 and run_id is not null",
                )
                .bind(&dag)
                .bind(entry)
                .bind(name)
                .bind(key)
                .fetch_one(&mut *transaction)
                .await?,
            ),
        };
        fired.push(Fired { dag, created });
    }
    transaction.commit().await?;
    for (plan, others) in others {
        stand_aside(pool, &plan, others).await?;
    }
    Ok(fired)
}
