//! What a DAG waits for before it runs again.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use super::{Why, clock};
use crate::runs::{RunError, cause_words};

#[derive(sqlx::FromRow)]
struct Stands {
    paused: bool,
    retired_at: Option<DateTime<Utc>>,
    next_run_at: Option<DateTime<Utc>>,
    timezone: String,
    led: bool,
    refused: i64,
}

#[derive(sqlx::FromRow)]
#[expect(clippy::struct_field_names, reason = "as the column is called")]
struct Source {
    entry: i32,
    kind: String,
    source: String,
    needs: i32,
    came: i64,
    last: Option<DateTime<Utc>>,
}

/// Causes of which no run could be made, that an answer tells of.
const MOST_REFUSED: i64 = 5;

/// What starts a DAG next, or what keeps it from being started; `None` where no DAG of that name was ever deployed.
pub async fn why_next(pool: &PgPool, dag: &str) -> Result<Option<Why>, RunError> {
    let stands: Option<Stands> =
        sqlx::query_as(include_str!("../../../../../sql/runs/why_dag.sql")).bind(dag).fetch_optional(pool).await?;
    let Some(stands) = stands else { return Ok(None) };
    let sources: Vec<Source> =
        sqlx::query_as(include_str!("../../../../../sql/runs/why_triggers.sql")).bind(dag).fetch_all(pool).await?;
    let refused: Vec<(Value, String)> = sqlx::query_as(
        "select detail, refused from sluice.trigger_event where dag = $1 and refused is not null
         order by event_id desc limit $2",
    )
    .bind(dag)
    .bind(MOST_REFUSED)
    .fetch_all(pool)
    .await?;
    let (state, because, hint) = stands.verdict(dag, !sources.is_empty(), Utc::now());
    let mut facts: Vec<String> = sources.chunk_by(|a, b| a.entry == b.entry).map(entry_words).collect();
    facts.extend(refused.iter().map(|(cause, why)| format!("no run could be made for {}: {why}", cause_words(cause))));
    if stands.refused > MOST_REFUSED {
        facts.push(format!("and {} more such", stands.refused - MOST_REFUSED));
    }
    let mend = || format!("mend dags/{dag}.yaml: what was refused has its run with the next version");
    let hint = hint.or_else(|| (stands.refused > 0).then(mend));
    Ok(Some(Why { task: None, state: state.to_owned(), because, facts, hint }))
}

impl Stands {
    fn verdict(&self, dag: &str, triggered: bool, now: DateTime<Utc>) -> (&'static str, String, Option<String>) {
        if let Some(at) = self.retired_at {
            let because = format!("it is retired: its file was gone at {}", clock(at));
            return ("retired", because, Some(format!("put dags/{dag}.yaml back")));
        }
        if self.paused {
            let because = "it is paused: neither its schedule nor its triggers start it".to_owned();
            return ("paused", because, Some(format!("`sluice dag resume {dag}`")));
        }
        let start = || Some("`sluice schedule` starts one".to_owned());
        if !self.led && (triggered || self.next_run_at.is_some()) {
            return ("waiting", "no scheduler is alive to make its next run".to_owned(), start());
        }
        match self.next_run_at {
            Some(at) if at <= now => ("due", format!("its run of {} is being made", self.local(at)), None),
            Some(at) => ("scheduled", format!("its schedule starts it next at {}", self.local(at)), None),
            None if triggered => ("waiting", "it waits for what its triggers name".to_owned(), None),
            None => {
                let because = "nothing but people starts it: it has neither a schedule nor triggers".to_owned();
                ("by hand", because, Some(format!("`sluice run {dag}`")))
            }
        }
    }

    fn local(&self, at: DateTime<Utc>) -> String {
        match self.timezone.parse::<chrono_tz::Tz>() {
            Ok(zone) if zone != chrono_tz::Tz::UTC => {
                format!("{} ({})", at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z"), clock(at))
            }
            _ => clock(at),
        }
    }
}

/// What one entry of `triggers:` waits for. All sources of an entry are of one kind.
fn entry_words(sources: &[Source]) -> String {
    let came = |source: &Source| match source.last {
        Some(at) => format!("{} (came at {})", source.source, clock(at)),
        None => format!("{} (nothing yet)", source.source),
    };
    let names = sources.iter().map(came).collect::<Vec<_>>().join(", ");
    let first = &sources[0];
    match first.kind.as_str() {
        "dag" => format!("a trigger waits for the success of {}", first.source),
        "file" => format!("a trigger waits for files {}{}", first.source, open_words(first.came)),
        "webhook" => format!("a trigger waits for requests to /hooks/{}", first.source),
        _ if sources.len() > 1 && first.needs == 1 => format!("a trigger waits for one of {names}"),
        _ => format!("a trigger waits for {names}"),
    }
}

fn open_words(came: i64) -> String {
    if came == 0 { String::new() } else { format!("; {came} have come and have no run yet") }
}
