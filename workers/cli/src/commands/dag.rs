//! `sluice dag`: the DAGs of the project and how they are scheduled.

pub(crate) mod diff;
mod graph;

use std::{collections::BTreeMap, process::ExitCode};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use warehouse::runs::{self as store, DagRow};
use workflow::{
    kind::DataInterval,
    plan::Plan,
    schedule::{ClockChange, Shift, clock_change},
    span::Span,
};

use crate::{
    context::{self, Context},
    output::{self, Style},
    runs,
};

/// Arguments of `sluice dag`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the DAGs: schedule, next run, how the last one went
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a DAG's checked plan: its tasks with every default filled in
    Show {
        /// The DAG
        dag: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Draw a DAG
    Graph {
        /// The DAG
        dag: String,
        /// How
        #[arg(long, value_enum, default_value_t)]
        format: graph::Format,
    },
    /// Show the next runs, in local time and in UTC
    Plan {
        /// The DAG
        dag: String,
        /// How many
        #[arg(long, short = 'n', default_value_t = 10)]
        next: usize,
        /// Those after this day or instant (default: now)
        #[arg(long, value_name = "DAY|TIME")]
        from: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the versions of a DAG that were ever deployed or run
    Versions {
        /// The DAG
        dag: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what changed between two versions of a DAG
    Diff(diff::Args),
    /// Let a DAG's schedule rest
    Pause {
        /// The DAG
        dag: String,
    },
    /// Take a DAG's schedule up again
    Resume {
        /// The DAG
        dag: String,
    },
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let plans = runs::plans(ctx)?;
    match args.action {
        Action::List { json } => list(ctx, &plans, json).await?,
        Action::Show { dag, json } => show(runs::find(&plans, &dag)?, json)?,
        Action::Graph { dag, format } => output::line(format.draw(runs::find(&plans, &dag)?)),
        Action::Plan { dag, next, from, json } => {
            let found = runs::find(&plans, &dag)?;
            let from = match from {
                None => Utc::now(),
                // A fire at the very beginning is one of them.
                Some(text) => runs::instant("from", &text, found.timezone)? - TimeDelta::microseconds(1),
            };
            plan(found, next, from, json)?;
        }
        Action::Versions { dag, json } => diff::versions(ctx, &dag, json).await?,
        Action::Diff(args) => diff::run(args, ctx, &plans).await?,
        Action::Pause { dag } => rest(ctx, runs::find(&plans, &dag)?, true).await?,
        Action::Resume { dag } => rest(ctx, runs::find(&plans, &dag)?, false).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(ctx: &Context, plans: &BTreeMap<String, Plan>, json: bool) -> anyhow::Result<()> {
    let pool = ctx.postgres().await?;
    let mut known: BTreeMap<String, DagRow> =
        store::dags(&pool).await?.into_iter().map(|row| (row.dag.clone(), row)).collect();
    let mut rows = Vec::new();
    for plan in plans.values() {
        rows.push(match known.remove(&plan.dag) {
            Some(row) => row,
            None => undeployed(&pool, plan).await?,
        });
    }
    if json {
        return output::json(&rows);
    }
    let zone = ctx.project.timezone;
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.dag.clone(),
                row.schedule.clone().unwrap_or_else(|| "by hand".to_owned()),
                if row.paused { "paused".to_owned() } else { runs::when(row.next, zone) },
                row.last_state.as_deref().map(output::state).unwrap_or_default(),
                row.description.clone(),
            ]
        })
        .collect();
    output::table(&["dag", "schedule", "next", "last", "description"], &cells);
    Ok(())
}

/// A DAG that no scheduler has seen yet.
async fn undeployed(pool: &sqlx::PgPool, plan: &Plan) -> anyhow::Result<DagRow> {
    let last = store::list(pool, Some(&plan.dag), None, 1).await?.pop();
    Ok(DagRow {
        dag: plan.dag.clone(),
        schedule: plan.schedule_text(),
        next: plan.schedule.as_ref().and_then(|schedule| schedule.next_after(Utc::now())),
        paused: false,
        last_state: last.as_ref().map(|run| run.state.clone()),
        last_run: last.map(|run| run.run_id),
        timezone: plan.timezone.name().to_owned(),
        description: plan.description.clone(),
        version: plan.version.clone(),
    })
}

fn show(plan: &Plan, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(plan);
    }
    output::line(output::paint(&plan.dag, Style::Bold));
    output::line(&plan.description);
    let schedule = plan.schedule_text().unwrap_or_else(|| "by hand".to_owned());
    output::line(format!("schedule    {schedule} ({})", plan.timezone));
    output::line(format!("version     {}", plan.version));
    if !plan.on_failure.is_empty() {
        output::line(format!("on failure  {}", plan.on_failure.join(", ")));
    }
    if !plan.params.is_empty() {
        output::line("");
        let cells: Vec<Vec<String>> = plan.params.iter().map(|(name, default)| param(plan, name, default)).collect();
        output::table(&["parameter", "default", "may be", ""], &cells);
    }
    output::line("");
    let cells: Vec<Vec<String>> = plan
        .tasks
        .iter()
        .map(|task| {
            vec![
                task.name.clone(),
                task.kind.clone(),
                task.needs.join(", "),
                task.trigger_rule.to_string(),
                task.attempts.to_string(),
                task.timeout.to_string(),
                task.queue.clone(),
            ]
        })
        .collect();
    output::table(&["task", "kind", "needs", "trigger rule", "attempts", "timeout", "queue"], &cells);
    Ok(())
}

fn param(plan: &Plan, name: &str, default: &serde_json::Value) -> Vec<String> {
    let declared = plan.declared.get(name);
    let default = if declared.is_some_and(|d| d.required) { "required".to_owned() } else { default.to_string() };
    let (may_be, words) =
        declared.map(|d| (d.expected(), d.description.clone().unwrap_or_default())).unwrap_or_default();
    vec![name.to_owned(), default, may_be, words]
}

#[derive(Serialize)]
struct Next {
    logical_time: DateTime<Utc>,
    /// Later than the logical time by the jitter.
    starts_at: DateTime<Utc>,
    local: String,
    interval: DataInterval,
    /// Of the DAG's schedules, the one that fires.
    schedule: String,
    /// What clocks do on that day.
    clock_change: Option<ClockChange>,
    /// What they do between the first and the last moment of its data.
    clock_change_in_data: Option<ClockChange>,
    /// What that does to this fire.
    shift: Option<Shift>,
}

fn plan(plan: &Plan, next: usize, from: DateTime<Utc>, json: bool) -> anyhow::Result<()> {
    let Some(schedule) = &plan.schedule else {
        output::line(format!("{} runs by hand only", plan.dag));
        return Ok(());
    };
    let mut at = from;
    let fires = std::iter::from_fn(|| {
        at = schedule.next_after(at)?;
        let firing = schedule.firing(at);
        let local = at.with_timezone(&firing.timezone);
        let interval = schedule.interval(at);
        Some(Next {
            logical_time: at,
            starts_at: schedule.start_of_run(&plan.dag, at),
            local: local.format("%a %Y-%m-%d %H:%M:%S %Z").to_string(),
            interval,
            schedule: firing.timing.to_string(),
            clock_change: clock_change(firing.timezone, local.date_naive()),
            clock_change_in_data: ClockChange::between(firing.timezone, interval.start, interval.end),
            shift: schedule.shift(at),
        })
    });
    let fires: Vec<Next> = fires.take(next).collect();
    if json {
        return output::json(&fires);
    }
    let mut head = vec!["local", "utc", "data from", "to"];
    let several = !schedule.also.is_empty();
    head.extend(several.then_some("schedule"));
    let jitter = fires.iter().any(|fire| fire.starts_at != fire.logical_time);
    head.extend(jitter.then_some("starts"));
    head.push("");
    let utc = |at| runs::when(Some(at), Tz::UTC);
    let cells: Vec<Vec<String>> = fires
        .iter()
        .map(|fire| {
            let mut row =
                vec![fire.local.clone(), utc(fire.logical_time), utc(fire.interval.start), utc(fire.interval.end)];
            row.extend(several.then(|| fire.schedule.clone()));
            row.extend(jitter.then(|| {
                let later = (fire.starts_at - fire.logical_time).num_seconds().unsigned_abs();
                format!("{} later", Span::from_secs(later))
            }));
            row.push(mark(fire));
            row
        })
        .collect();
    output::table(&head, &cells);
    Ok(())
}

/// What a change of clocks does to a fire, or to its data.
fn mark(fire: &Next) -> String {
    if let Some(shift) = &fire.shift {
        return shift.to_string();
    }
    let DataInterval { start, end } = fire.interval;
    let length = (end - start).to_std().map(Span).ok();
    match (fire.clock_change_in_data, length) {
        (Some(ClockChange::Gap), Some(length)) => format!("clocks go forward within its data, {length}"),
        (Some(ClockChange::Fold), Some(length)) => format!("clocks go back within its data, {length}"),
        _ => String::new(),
    }
}

async fn rest(ctx: &Context, plan: &Plan, pause: bool) -> anyhow::Result<()> {
    let pool = ctx.postgres().await?;
    // What is deployed stays so: whoever lets a schedule rest does not put the file at hand into force.
    if store::current_plan(&pool, &plan.dag).await?.is_none() {
        store::deploy(&pool, plan, Utc::now()).await?;
    }
    store::Person::new(&pool, &context::actor()).pause(plan, pause, Utc::now()).await?;
    output::line(format!("{} is {}", plan.dag, if pause { "paused" } else { "scheduled again" }));
    Ok(())
}
