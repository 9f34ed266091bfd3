//! `sluice status`: the services under a project, the processes of Sluice itself, and whether those are told who want to know
//! what runs do.

use std::{process::ExitCode, time::Duration};

use chrono_tz::Tz;
use serde::Serialize;
use services::{
    Condition, Service, ServiceStatus, ServiceUrl, Services,
    processes::{self, Process},
};
use warehouse::trail::{self, TrailRow};

use crate::{
    context::Context,
    output::{self, Style},
    runs, tellers,
};

/// How long a Postgres that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to do about what has died.
const REVIVES: &str = "; `sluice up` starts it again";

/// Arguments of `sluice status`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// As JSON; URLs in it have their passwords
    #[arg(long)]
    json: bool,
}

/// What `--json` gives.
#[derive(Serialize)]
struct Status {
    services: Vec<Line>,
    processes: Vec<Line>,
    /// Who is told what runs do, where somebody is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    told: Vec<TrailRow>,
}

/// One service or process.
#[derive(Serialize)]
struct Line {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<ServiceUrl>,
    /// `running`, `silent`, `stopped`, `died`, or `external` for a service that is not ours to run.
    state: &'static str,
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let home = ctx.home();
    let status = tokio::task::spawn_blocking({
        let given = Service::ALL.map(|service| (service, ctx.given_url(service)));
        move || look(&home, given)
    });
    let mut status = status.await??;
    status.told = told(ctx).await;
    if args.json {
        output::json(&status)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = status.services.iter().chain(&status.processes).map(row).collect();
    output::table(&["name", "state", "pid", "url"], &rows);
    for line in status.services.iter().chain(&status.processes) {
        if let Some(detail) = &line.detail {
            output::line(format!("{} {}: {detail}", output::paint("!", Style::Warn), line.name));
        }
    }
    for trail in &status.told {
        if let Some(trouble) = trouble(trail, ctx.project.timezone) {
            output::line(format!("{} {}: {trouble}", output::paint("!", Style::Warn), trail.sink));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How those do who are told, as far as Postgres answers: that it does not is said above.
async fn told(ctx: &Context) -> Vec<TrailRow> {
    let Ok(url) = ctx.postgres_url() else { return Vec::new() };
    let ask = async {
        let pool = warehouse::pool::connect_bounded(&url, PATIENCE).await.ok()?;
        trail::rows(&pool).await.ok()
    };
    let mut rows = tokio::time::timeout(PATIENCE, ask).await.ok().flatten().unwrap_or_default();
    let wanted = tellers::names(ctx);
    // What was told once, and is no longer, is nobody's trouble.
    rows.retain(|row| wanted.contains(&row.sink.as_str()));
    rows
}

/// What is wrong with the telling.
fn trouble(trail: &TrailRow, zone: Tz) -> Option<String> {
    if let Some(since) = trail.failing_since {
        let error = trail.error.as_deref().unwrap_or_default();
        let behind = match trail.attempts_behind {
            0 => String::new(),
            1 => "; 1 attempt is not told".to_owned(),
            n => format!("; {n} attempts are not told"),
        };
        return Some(format!("nobody is told since {}: {error}{behind}", runs::when(Some(since), zone)));
    }
    (trail.refused > 0).then(|| format!("{} events were refused for good; the log of `work` has them", trail.refused))
}

fn look(home: &std::path::Path, given: [(Service, Option<String>); 3]) -> anyhow::Result<Status> {
    let running = processes::list(home)?;
    let ended = processes::ended(home)?;
    let private = Services::at(home).status()?;
    let mut services: Vec<Line> = private
        .into_iter()
        .zip(given)
        .map(|(status, (_, given))| match given {
            Some(url) => Line {
                name: status.name.to_owned(),
                url: Some(ServiceUrl::new(url)),
                state: "external",
                pid: None,
                detail: None,
            },
            None => service_line(status),
        })
        .collect();
    // What serves an address stands among the services, and only there.
    let mut processes = Vec::new();
    let mut web = None;
    for process in running.into_iter().map(alive).chain(ended.into_iter().map(|process| died(home, process))) {
        if process.url.is_some() { web = web.or(Some(process)) } else { processes.push(process) }
    }
    services.push(web.unwrap_or(Line { name: "web".to_owned(), url: None, state: "stopped", pid: None, detail: None }));
    Ok(Status { services, processes, told: Vec::new() })
}

fn alive(process: Process) -> Line {
    Line {
        name: process.name,
        url: process.url.map(ServiceUrl::new),
        state: "running",
        pid: Some(process.pid),
        detail: None,
    }
}

fn died(home: &std::path::Path, process: Process) -> Line {
    let log = processes::log(home, &process.name);
    let again = if process.can_be_revived() { REVIVES } else { "" };
    let detail = format!("its process {} ended by itself; see {}{again}", process.pid, log.display());
    Line { name: process.name, url: process.url.map(ServiceUrl::new), state: "died", pid: None, detail: Some(detail) }
}

fn service_line(status: ServiceStatus) -> Line {
    let state = match status.state {
        Condition::Running => "running",
        Condition::Silent => "silent",
        Condition::Stopped => "stopped",
        Condition::Died => "died",
    };
    let detail = match status.state {
        Condition::Died => Some(format!("{}{REVIVES}", status.detail.as_deref().unwrap_or("it ended by itself"))),
        _ => status.detail,
    };
    Line { name: status.name.to_owned(), url: status.url, state, pid: status.pid, detail }
}

fn row(line: &Line) -> Vec<String> {
    let text = |value: Option<String>| value.unwrap_or_default();
    vec![
        line.name.clone(),
        mark(line.state),
        text(line.pid.map(|pid| pid.to_string())),
        text(line.url.as_ref().map(ToString::to_string)),
    ]
}

/// A state with a mark that does not depend on colour.
fn mark(state: &str) -> String {
    match state {
        "running" => output::paint("● running", Style::Good),
        "died" => output::paint("✗ died", Style::Bad),
        "silent" => output::paint("? silent", Style::Warn),
        other => output::paint(&format!("○ {other}"), Style::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_web_page_has_one_line() {
        let home = tempfile::tempdir().expect("a folder");
        let begin = |name: &str, url: Option<&str>| {
            let command = processes::Command {
                name: name.to_owned(),
                program: "/bin/sleep".into(),
                args: vec!["600".into()],
                folder: home.path().to_owned(),
                url: url.map(str::to_owned),
            };
            processes::spawn(home.path(), &command).expect("started")
        };
        begin("web", Some("http://127.0.0.1:8180"));
        begin("work", None);
        let status = look(home.path(), Service::ALL.map(|service| (service, None))).expect("a status");
        processes::stop_all(home.path()).expect("stopped");
        let names = |lines: &[Line]| lines.iter().map(|line| line.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&status.processes), ["work"]);
        let web: Vec<_> = status.services.iter().filter(|line| line.name == "web").map(|line| line.state).collect();
        assert_eq!(web, ["running"]);
    }
}
