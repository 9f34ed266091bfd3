//! `sluice test`: a rehearsal of a run, for people who write a DAG and for their CI. Nothing is run, written or sent, and no
//! service is needed; unless the warehouse's part of it is tried in a scratch database.

mod scratch;
mod show;
mod told;

use std::{path::PathBuf, process::ExitCode};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use workflow::{
    plan::Plan,
    rehearsal::{self, Fault, Rehearsal, Script},
    state::RunState,
};

use crate::{
    context::Context,
    exit::{self, Failure},
    output, runs,
};

/// Arguments of `sluice test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The DAG
    dag: String,
    /// The time that the run stands for: a day, for its first run, or an instant (default: now)
    #[arg(long, value_name = "DAY|TIME")]
    at: Option<String>,
    /// A parameter that differs from its default
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// What starts the run, as templates read it: `file=inbox/a.csv`, `body={"id": 7}`, `kind=schedule` (default: a person)
    #[arg(long = "trigger", value_name = "KEY=VALUE", conflicts_with = "scratch")]
    trigger: Vec<String>,
    /// How a task's attempts end: `success` (the default), `fail`, `fail:2` (its first two), `user_fault`, `timeout`
    #[arg(long = "outcome", value_name = "TASK=OUTCOME")]
    outcomes: Vec<String>,
    /// What a task leaves, for the conditions, lists and templates of those behind it
    #[arg(long = "output", value_name = "TASK=JSON")]
    outputs: Vec<String>,
    /// How the run, or a task of it, has to end; without any, the run has to succeed
    #[arg(long = "expect", value_name = "[TASK=]STATE")]
    expected: Vec<String>,
    /// Really run what stays within the warehouse, in a database and a lake that are gone afterwards; all other tasks, and
    /// those with an --outcome or --output, end as told
    #[arg(long)]
    scratch: bool,
    /// A file of SQL for the scratch database, before the run; may be given more than once
    #[arg(long = "fixture", value_name = "FILE", requires = "scratch")]
    fixtures: Vec<PathBuf>,
    /// Show each task's keys with their templates rendered
    #[arg(long, conflicts_with = "scratch")]
    keys: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    rehearsal: &'a Rehearsal,
    /// What did not end as expected.
    unexpected: &'a [String],
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let plans = runs::plans(ctx)?;
    let plan = runs::find(&plans, &args.dag)?;
    let given = runs::params(&args.params)?;
    let script = Script {
        logical_time: logical_time(plan, args.at.as_deref())?,
        params: plan.params(&given).map_err(|error| Failure::usage(error.to_string()))?,
        trigger: told::trigger(&args.trigger)?,
        outcomes: told::outcomes(plan, &args.outcomes)?,
        outputs: told::outputs(plan, &args.outputs)?,
    };
    let expected = told::expectations(plan, &args.expected)?;
    if args.scratch {
        let tried = scratch::Try { plan, script, params: given, fixtures: &args.fixtures };
        return tried.run(ctx, &expected, args.json).await;
    }
    let registry = crate::registry::offline(ctx)?;
    let rehearsal = rehearsal::rehearse(plan, &registry, &script).map_err(|faults| refused(&faults))?;
    let unexpected = told::unexpected(rehearsal.state.as_str(), &expected, |task| {
        rehearsal.tasks.iter().find(|row| row.task == task).map(|row| row.state.to_string())
    });
    if args.json {
        output::json(&Report { rehearsal: &rehearsal, unexpected: &unexpected })?;
    } else {
        show::rehearsal(plan, &rehearsal, args.keys);
        show::unexpected(&unexpected);
    }
    let failed = expected.is_empty() && rehearsal.state != RunState::Success;
    Ok(if failed || !unexpected.is_empty() { exit::FAILED.into() } else { ExitCode::SUCCESS })
}

fn logical_time(plan: &Plan, at: Option<&str>) -> anyhow::Result<DateTime<Utc>> {
    match at {
        None => Ok(Utc::now()),
        Some(at) => match at.parse::<NaiveDate>() {
            Ok(day) => Ok(runs::of_day(plan, day)),
            Err(_) => runs::instant("at", at, plan.timezone),
        },
    }
}

fn refused(faults: &[Fault]) -> Failure {
    let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let message = all.join("\nerror: ");
    match faults.first() {
        Some(Fault::Untold { reads, .. }) => {
            Failure::usage_hint(message, format!("tell it: `--output {reads}='{{\"rows\": 0}}'`"))
        }
        _ => Failure::usage(message),
    }
}
