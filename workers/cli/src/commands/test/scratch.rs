//! A run in a scratch database and a scratch lake: what stays within the warehouse is really run, all else ends as told.
//!
//! Without a URL in `sluice.yaml` the database is on a private server apart from the project's own. With one it is made beside
//! the project's, which nothing connects to for more than that. Nothing is delivered: notices and reports stay in the outbox
//! that goes with the database.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Map, Value};
use services::{Service, Services};
use sqlx::{
    AssertSqlSafe, PgPool,
    postgres::{PgDatabaseError, PgErrorPosition},
};
use warehouse::{
    lake::Lake,
    runs::{self as store, ItemRow, NewRun, RunRow, TaskRow, Trigger},
    scratch::Scratch,
};
use workflow::{
    kind::{DataInterval, Registry},
    plan::{Plan, parent_of},
    rehearsal::{self, Script},
    state::RunState,
};

use super::{show, told};
use crate::{
    commands::up,
    context::Context,
    exit::{self, Failure, count},
    output::{self, Style},
    runs,
};

/// What is tried.
pub(super) struct Try<'a> {
    pub(super) plan: &'a Plan,
    pub(super) script: Script,
    /// The parameters as given.
    pub(super) params: Map<String, Value>,
    /// Files of SQL that come first.
    pub(super) fixtures: &'a [PathBuf],
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    run: runs::Report,
    /// The items of mapped tasks.
    items: Vec<ItemRow>,
    /// The tasks that were really run.
    ran: BTreeSet<String>,
    /// What did not end as expected.
    unexpected: Vec<String>,
}

impl Try<'_> {
    pub(super) async fn run(
        self,
        ctx: &Context,
        expected: &[told::Expectation],
        json: bool,
    ) -> anyhow::Result<ExitCode> {
        let fixtures = self.read_fixtures()?;
        let folder = tempfile::tempdir().context("cannot make a folder for the scratch lake")?;
        let lake = Lake::open(&folder.path().display().to_string())?;
        let scratch = Scratch::create(&server(ctx).await?).await?;
        let tried = self.within(ctx, &scratch, lake, &fixtures).await;
        let removed = scratch.remove().await;
        let (mut report, interval) = tried?;
        removed.context("cannot remove the scratch database; the next `sluice test --scratch` does")?;

        let state = report.run.run.state.clone();
        let rows = &report.run.tasks;
        report.unexpected = told::unexpected(&state, expected, |task| {
            let item = report.items.iter().find(|item| item.task == task).map(|item| item.state.clone());
            rows.iter().find(|row| row.task == task).map(|row| row.state.clone()).or(item)
        });
        if json {
            output::json(&report)?;
        } else {
            show::heading(self.plan, self.script.logical_time, interval, &self.script.params);
            report.show();
        }
        Ok(match (expected.is_empty(), report.unexpected.is_empty()) {
            (true, _) => report.run.code(),
            (false, true) => ExitCode::SUCCESS,
            (false, false) => exit::FAILED.into(),
        })
    }

    fn read_fixtures(&self) -> anyhow::Result<Vec<(String, String)>> {
        self.fixtures
            .iter()
            .map(|file| {
                let name = file.display().to_string();
                let text = std::fs::read_to_string(file)
                    .map_err(|error| Failure::usage(format!("--fixture: cannot read {name}: {error}")))?;
                Ok((name, text))
            })
            .collect()
    }

    async fn within(
        &self,
        ctx: &Context,
        scratch: &Scratch,
        lake: Lake,
        fixtures: &[(String, String)],
    ) -> anyhow::Result<(Report, DataInterval)> {
        let pool = scratch.pool().await?;
        warehouse::migrate(&pool).await?;
        let sizes = ctx.project.pools.iter().map(|(name, slots)| (name.clone(), i32::from(slots.get()))).collect();
        store::set_pools(&pool, &sizes).await?;
        for (name, sql) in fixtures {
            sqlx::raw_sql(AssertSqlSafe(sql.as_str()))
                .execute(&pool)
                .await
                .map_err(|error| refused(name, sql, &error))?;
        }
        let registry = crate::registry::over(ctx, pool.clone(), lake.clone());
        let ran = self.real(&registry);
        let report = self.play(&pool, &registry, lake, &ran).await;
        pool.close().await;
        report
    }

    /// The tasks that are really run: those of which nothing is told, of kinds that stay within the warehouse.
    fn real(&self, registry: &Registry) -> BTreeSet<String> {
        let told: BTreeSet<&str> = (self.script.outcomes.keys().chain(self.script.outputs.keys()))
            .map(|name| parent_of(name).unwrap_or(name))
            .collect();
        let real = self.plan.tasks.iter().filter(|task| {
            !told.contains(task.name.as_str()) && registry.get(&task.kind).is_some_and(|kind| kind.scratch())
        });
        real.map(|task| task.name.clone()).collect()
    }

    async fn play(
        &self,
        pool: &PgPool,
        registry: &Registry,
        lake: Lake,
        ran: &BTreeSet<String>,
    ) -> anyhow::Result<(Report, DataInterval)> {
        let plan = rehearsal::hurried(self.plan, registry, &self.script);
        let new = NewRun {
            plan: &plan,
            logical_time: self.script.logical_time,
            trigger: Trigger::Manual,
            params: self.params.clone(),
            only: None,
        };
        let run_id = store::create(pool, &new).await.map_err(runs::refused)?.run_id();
        let real = ran.clone();
        let kinds = rehearsal::scripted(registry, &plan, &self.script, move |task| real.contains(task));
        let state = orchestrator::drain(pool, &kinds, Some(lake), run_id).await?;
        debug_assert!(matches!(state, RunState::Success | RunState::Failed), "nobody stops it");
        let run = runs::Report::read(pool, run_id).await?;
        let mut items = Vec::new();
        for task in run.tasks.iter().filter(|task| task.items.is_some()) {
            items.extend(store::items(pool, run_id, &task.task).await?);
        }
        let RunRow { interval_start: start, interval_end: end, .. } = run.run;
        let interval = DataInterval { start, end };
        Ok((Report { run, items, ran: ran.clone(), unexpected: Vec::new() }, interval))
    }
}

/// What Postgres says of a fixture, at its line of the file.
fn refused(file: &str, sql: &str, error: &sqlx::Error) -> anyhow::Error {
    let said = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    let Some(said) = said else { return Failure::usage(format!("{file}: {error}")).into() };
    let line = match said.position() {
        Some(PgErrorPosition::Original(place)) => {
            let before = sql.chars().take(place.saturating_sub(1)).filter(|c| *c == '\n').count();
            format!(":{}", before + 1)
        }
        _ => String::new(),
    };
    Failure::usage(format!("{file}{line}: {}", said.message())).into()
}

/// The Postgres that the scratch database is made on. A private one stays up until `sluice down`.
async fn server(ctx: &Context) -> anyhow::Result<String> {
    if let Some(given) = ctx.given_url(Service::Postgres) {
        return Ok(given);
    }
    let services = Services::scratch(&ctx.home()).saying(up::say);
    let endpoints = tokio::task::spawn_blocking(move || services.up(&[Service::Postgres])).await??;
    let url = endpoints.get(Service::Postgres).context("the scratch Postgres has no address")?;
    Ok(url.expose().to_owned())
}

impl Report {
    fn show(&self) {
        let mut rows = Vec::new();
        for task in &self.run.tasks {
            rows.push(self.cells(&task.task, &task.kind, task));
            let own = |item: &&ItemRow| parent_of(&item.task) == Some(task.task.as_str());
            rows.extend(self.items.iter().filter(own).map(|item| self.item(item, &task.kind)));
        }
        output::table(&["task", "kind", "", "state", "attempts", ""], &rows);
        output::line("");
        let (state, ran) = (output::state(&self.run.run.state), self.ran.len());
        let took = runs::took(Some(self.run.run.created_at), self.run.run.finished_at);
        let told = match self.run.tasks.len() - ran {
            0 => String::new(),
            1 => "; 1 ended as told".to_owned(),
            told => format!("; {told} ended as told"),
        };
        output::line(format!("{state}  {} ran in a scratch database, now gone, in {took}{told}", count(ran, "task")));
        show::unexpected(&self.unexpected);
    }

    fn cells(&self, task: &str, kind: &str, row: &TaskRow) -> Vec<String> {
        self.row(task, kind, (&row.state, row.attempts), said(row.reason.as_deref(), row.output.as_ref()))
    }

    fn item(&self, item: &ItemRow, kind: &str) -> Vec<String> {
        let said = said(item.reason.as_deref(), item.output.as_ref());
        self.row(&item.task, kind, (&item.state, item.attempts), said)
    }

    fn row(&self, task: &str, kind: &str, (state, attempts): (&str, i32), said: String) -> Vec<String> {
        let really = self.ran.contains(parent_of(task).unwrap_or(task));
        let how = if really { "ran".to_owned() } else { output::paint("told", Style::Dim) };
        vec![task.to_owned(), kind.to_owned(), how, output::state(state), attempts.to_string(), said]
    }
}

/// Why it stands so, or else the plain facts of what it left: `rows=7 path=…`.
fn said(reason: Option<&str>, left: Option<&Value>) -> String {
    if let Some(reason) = reason {
        return reason.to_owned();
    }
    let Some(Value::Object(left)) = left else { return String::new() };
    let plain = left.iter().filter(|(_, value)| value.is_number() || value.is_boolean());
    plain.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}
