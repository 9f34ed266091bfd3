//! `sluice quality replay`: rows that a gate held back go through it again; shown first and done with `--yes`.
//!
//! `sluice quality dismiss`: or are given up, with a reason.

use std::{path::PathBuf, process::ExitCode};

use server::SuiteJudge;
use warehouse::{
    WarehouseError,
    load::replay::{self as store, Chosen, CorrectedRow, Correction, Replay, ReplayError, Replayed},
};

use super::dataset::must_be_known;
use crate::{
    context::{self, Context},
    exit::{self, Failure},
    output, runs,
};

/// Which rows.
#[derive(clap::Args)]
struct Which {
    /// The table that the rows were meant for, such as `staging.sales`
    dataset: String,
    /// Only rows of the loads of this run: its number, or a DAG for its latest run
    #[arg(long)]
    run: Option<String>,
    /// Only rows of this load
    #[arg(long, value_name = "N")]
    load: Option<i64>,
    /// Only rows that broke this rule, such as `quantity.between`
    #[arg(long)]
    rule: Option<String>,
}

impl Which {
    async fn chosen(&self, ctx: &Context) -> anyhow::Result<Chosen> {
        let pool = ctx.postgres().await?;
        must_be_known(&pool, &self.dataset).await?;
        let run_id = match &self.run {
            Some(run) => Some(runs::find_run(&pool, run).await?.run_id),
            None => None,
        };
        let (dataset, rule) = (self.dataset.clone(), self.rule.clone());
        Ok(Chosen { dataset, run_id, load_id: self.load, rule, rows: None })
    }
}

/// Arguments of `sluice quality replay`.
#[derive(clap::Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    which: Which,
    /// Correct a column by a SQL expression over the row: --set "quantity = abs(quantity)"
    #[arg(long, value_name = "COLUMN = EXPRESSION")]
    set: Vec<String>,
    /// Take just the rows of this file, as corrected there: what `sluice quality quarantine --json` printed
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Let rows replace rows of their key that may be newer
    #[arg(long)]
    overwrite: bool,
    /// Do it; without it, it is only shown
    #[arg(long, short)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn replay(args: &ReplayArgs, ctx: &Context) -> anyhow::Result<ExitCode> {
    let set = args.set.iter().map(|text| {
        Correction::parse(text).map_err(|message| {
            Failure::usage_hint(
                message,
                "use arithmetic, `case` and functions on texts and dates, over columns of the row",
            )
        })
    });
    let set = set.collect::<Result<Vec<_>, _>>()?;
    let corrected = args.from.as_deref().map(read).transpose()?;
    let wish = Replay { chosen: args.which.chosen(ctx).await?, corrected, set, overwrite: args.overwrite };
    let judge = SuiteJudge { project: ctx.dir.clone() };
    let (pool, actor) = (ctx.postgres().await?, context::actor());
    let replayed = store::replay(&pool, &judge, &wish, &actor, !args.yes).await.map_err(refused)?;
    if args.json {
        output::json(&replayed)?;
    } else {
        show(&replayed);
    }
    let still = replayed.loads.iter().any(|load| load.quarantined > 0);
    Ok(if still { ExitCode::from(exit::GATE) } else { ExitCode::SUCCESS })
}

fn show(replayed: &Replayed) {
    if replayed.loads.is_empty() {
        output::line("no such row is held back");
        return;
    }
    let cells: Vec<Vec<String>> = replayed
        .loads
        .iter()
        .map(|load| {
            let rules: Vec<_> = load.rules.iter().map(|(rule, rows)| format!("{rule} ({rows})")).collect();
            vec![
                load.load_id.to_string(),
                load.read.to_string(),
                load.loaded.to_string(),
                load.quarantined.to_string(),
                load.deduplicated.to_string(),
                load.replay.map(|id| id.to_string()).unwrap_or_default(),
                rules.join(", "),
            ]
        })
        .collect();
    output::table(&["load", "read", "published", "still held", "deduplicated", "replay", "held for"], &cells);
    let mut left_out: Vec<&str> = replayed.loads.iter().flat_map(|load| &load.left_out).map(String::as_str).collect();
    left_out.sort_unstable();
    left_out.dedup();
    if !left_out.is_empty() {
        output::line(format!("not asked, as they are about a whole batch: {}", left_out.join(", ")));
    }
    let sum = |count: fn(&store::ReplayedLoad) -> i64| replayed.loads.iter().map(count).sum::<i64>();
    let (published, held) = (sum(|load| load.loaded), sum(|load| load.quarantined));
    output::line(if replayed.preview {
        format!("{published} would be published, {held} would stay; add --yes to do it")
    } else {
        format!("{published} published, {held} still held")
    });
}

/// Arguments of `sluice quality dismiss`.
#[derive(clap::Args)]
pub(super) struct DismissArgs {
    #[command(flatten)]
    which: Which,
    /// Why; it is kept with the rows and in the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Do it; without it, it is only shown
    #[arg(long, short)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn dismiss(args: &DismissArgs, ctx: &Context) -> anyhow::Result<ExitCode> {
    let chosen = args.which.chosen(ctx).await?;
    let (pool, actor) = (ctx.postgres().await?, context::actor());
    let dismissed = store::dismiss(&pool, &chosen, &args.reason, &actor, !args.yes).await.map_err(refused)?;
    if args.json {
        output::json(&dismissed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells: Vec<_> = dismissed.loads.iter().map(|(load, rows)| vec![load.to_string(), rows.to_string()]).collect();
    if !cells.is_empty() {
        output::table(&["load", "rows"], &cells);
    }
    let rows = exit::count(usize::try_from(dismissed.loads.values().sum::<i64>())?, "row");
    output::line(match (dismissed.loads.is_empty(), dismissed.preview) {
        (true, _) => "no such row is held back".to_owned(),
        (false, true) => format!("{rows} would be dismissed; add --yes to do it"),
        (false, false) => format!("{rows} dismissed"),
    });
    Ok(ExitCode::SUCCESS)
}

fn read(path: &std::path::Path) -> Result<Vec<CorrectedRow>, Failure> {
    let fault = |error: &dyn std::fmt::Display| {
        let message = format!("cannot read rows from {}: {error}", path.display());
        Failure::usage_hint(message, "`sluice quality quarantine DATASET --json` prints them; change what is in `row`")
    };
    let text = std::fs::read_to_string(path).map_err(|error| fault(&error))?;
    serde_json::from_str(&text).map_err(|error| fault(&error))
}

fn refused(error: ReplayError) -> anyhow::Error {
    match error {
        ReplayError::NotOpen(_) => {
            Failure::usage_hint(error.to_string(), "`sluice quality quarantine --json` prints the rows that are held")
                .into()
        }
        ReplayError::Refused(_) | ReplayError::NoReason => Failure::usage(error.to_string()).into(),
        ReplayError::Warehouse(error @ WarehouseError::Name { .. }) => Failure::usage(error.to_string()).into(),
        ReplayError::Warehouse(error) => error.into(),
    }
}
