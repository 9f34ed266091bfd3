//! How soon things start, and what they hold: a run by hand from the command line to the first line of its task, a
//! process until it is ready, and the memory of a scheduler and a worker, idle and loaded.
//!
//! All of it by the `sluice` program, built beside this one, over one Postgres.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::PgPool;
use testkit::bench::{Figure, commit_ms, percentile, report};

const STARTS: usize = 250;
const PROCESSES: usize = 15;
/// The load: so many DAGs that catch up on so many days each, and one run of so many tasks.
const DAGS: usize = 1000;
const CAUGHT_UP: i64 = 12;
const WIDE: usize = 5000;
/// What an idle process, and one at work, may hold, and how soon one shall be ready.
const IDLE_MIB: f64 = 40.0;
const LOADED_MIB: f64 = 100.0;
const READY_MS: f64 = 500.0;

#[tokio::main]
async fn main() {
    let db = testkit::database().await;
    let commit_ms = commit_ms(&db.pool).await;
    let folder = tempfile::tempdir().expect("a folder");
    let project = folder.path();
    fs::create_dir(project.join("dags")).expect("a folder");
    fs::write(project.join("sluice.yaml"), format!("project: bench\nservices: {{ postgres: '{}' }}\n", db.url))
        .expect("settings");
    fs::write(
        project.join("dags/hello.yaml"),
        "dag: hello\ntasks: { say: { kind: command, command: [echo, hello] } }\n",
    )
    .expect("a DAG");

    let mut worker_ready = Vec::new();
    let mut scheduler_ready = Vec::new();
    for _ in 0..PROCESSES {
        let worker = Process::start(project, &["work"]);
        worker_ready.push(worker.until(&db.pool, WORKS).await);
        worker.stop();
        let scheduler = Process::start(project, &["schedule"]);
        scheduler_ready.push(scheduler.until(&db.pool, LEADS).await);
        scheduler.stop();
    }

    let worker = Process::start(project, &["work", "--slots", "64"]);
    let scheduler = Process::start(project, &["schedule"]);
    worker.until(&db.pool, WORKS).await;
    scheduler.until(&db.pool, LEADS).await;
    let mut starts = Vec::new();
    let mut programs = Vec::new();
    for start in 0..STARTS + 10 {
        let (to_line, program) = hello(project, &db.pool).await;
        // The first ones warm connections and statements.
        if start >= 10 {
            starts.push(to_line);
            programs.push(program);
        }
    }
    // Idle is what they hold with nothing to do, having done something.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = [worker.memory("VmRSS"), scheduler.memory("VmRSS")];
    let own = [worker.memory("RssAnon"), scheduler.memory("RssAnon")];
    scheduler.stop();

    load(project);
    let scheduler = Process::start(project, &["schedule"]);
    run(project, "wide");
    // All are deployed, none is due, and every run has ended.
    let done = "select count(*) filter (where next_run_at > now()) = $1
                       and not exists (select from sluice.dag_run where state in ('queued', 'running'))
                from sluice.dag where dag like 'load_%'";
    let dags = i64::try_from(DAGS).expect("few");
    while !sqlx::query_scalar::<_, bool>(done).bind(dags).fetch_one(&db.pool).await.expect(done) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let caught_up: i64 =
        sqlx::query_scalar("select count(*) from sluice.dag_run where dag like 'load_%' and state = 'success'")
            .fetch_one(&db.pool)
            .await
            .expect("runs");
    assert!(caught_up >= CAUGHT_UP * dags, "{caught_up} runs were caught up on");
    let loaded = [worker.memory("VmHWM"), scheduler.memory("VmHWM")];
    scheduler.stop();
    worker.stop();

    let ms = |times: &mut [Duration], part| percentile(times, part).as_secs_f64() * 1000.0;
    let note = format!("`sluice run` to the first line of its task, {STARTS} starts, idle worker; limit: the target");
    let held = |name, mib, limit, what: &str| {
        Figure::new(name, mib, "MiB", format!("{what}; limit: the target")).against(limit)
    };
    let load = format!(
        "the most that it held while {DAGS} DAGs caught up on {CAUGHT_UP} days each and a run had {WIDE} tasks"
    );
    let ready = |what: &str| format!("from the start of `sluice {what}`, median of {PROCESSES}; limit: the target");
    report(
        "start",
        &[
            Figure::new("trigger_p50_ms", ms(&mut starts, 0.5), "ms", note.clone()).against(30.0),
            Figure::new("trigger_p99_ms", ms(&mut starts, 0.99), "ms", note).against(30.0),
            Figure::new(
                "trigger_program_p50_ms",
                ms(&mut programs, 0.5),
                "ms",
                "from the start of `sluice run` to its end; limit: one commit",
            )
            .against(commit_ms),
            Figure::new(
                "worker_ready_ms",
                ms(&mut worker_ready, 0.5),
                "ms",
                ready("work") + ", until it is known as a worker",
            )
            .against(READY_MS),
            Figure::new(
                "scheduler_ready_ms",
                ms(&mut scheduler_ready, 0.5),
                "ms",
                ready("schedule") + ", until it leads",
            )
            .against(READY_MS),
            held("worker_idle_mib", idle[0], IDLE_MIB, "resident, after the starts"),
            held("scheduler_idle_mib", idle[1], IDLE_MIB, "resident, after the starts"),
            held("worker_idle_own_mib", own[0], IDLE_MIB, "of that its own, not pages of the program's file"),
            held("scheduler_idle_own_mib", own[1], IDLE_MIB, "of that its own, not pages of the program's file"),
            held("worker_loaded_mib", loaded[0], LOADED_MIB, &load),
            held("scheduler_loaded_mib", loaded[1], LOADED_MIB, &load),
        ],
    );
}

/// Whether the process `$1` is known as a worker.
const WORKS: &str = "select exists (select from sluice.worker where pid = $1)";
/// Whether a scheduler leads; nobody else is one here.
const LEADS: &str =
    "select exists (select from sluice.leader where role = 'scheduler' and lease_until > clock_timestamp() and $1 > 0)";

/// A `sluice` in the background, killed when dropped.
struct Process {
    child: Child,
    began: Instant,
}

impl Process {
    fn start(project: &Path, arguments: &[&str]) -> Self {
        let began = Instant::now();
        let child = sluice(project, arguments).stderr(Stdio::null()).spawn().expect("start sluice");
        Self { child, began }
    }

    fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a pid")
    }

    /// From its start until `sql` says so.
    async fn until(&self, pool: &PgPool, sql: &'static str) -> Duration {
        while !sqlx::query_scalar::<_, bool>(sql).bind(self.pid()).fetch_one(pool).await.expect(sql) {
            assert!(self.began.elapsed() < Duration::from_secs(20), "`sluice` is not ready after 20 s");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.began.elapsed()
    }

    /// MiB, by the name that the system has for them.
    fn memory(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("KiB") / 1024.0
    }

    /// Stops it in order.
    fn stop(mut self) {
        kill(Pid::from_raw(self.pid()), Signal::SIGTERM).expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
    }
}

fn sluice(project: &Path, arguments: &[&str]) -> Command {
    let here = std::env::current_exe().expect("this program's path");
    let program = here.parent().and_then(Path::parent).expect("examples are below the programs").join("sluice");
    let mut command = Command::new(program);
    command.arg("--project").arg(project).args(arguments).stdout(Stdio::null());
    command
}

fn run(project: &Path, dag: &str) {
    assert!(sluice(project, &["run", dag]).status().expect("run sluice").success(), "`sluice run {dag}` fails");
}

/// From the start of `sluice run` to the first line of its task, and to its own end.
async fn hello(project: &Path, pool: &PgPool) -> (Duration, Duration) {
    let (start, began) = (Utc::now(), Instant::now());
    run(project, "hello");
    let program = began.elapsed();
    let first = "select min(at) from sluice.logs where run_id = (select max(run_id) from sluice.dag_run)";
    loop {
        // The worker's clock is this machine's.
        let line: Option<DateTime<Utc>> = sqlx::query_scalar(first).fetch_one(pool).await.expect(first);
        if let Some(line) = line {
            return ((line - start).to_std().expect("later"), program);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Files of DAGs that have runs to catch up on, and of a wide one.
fn load(project: &Path) {
    let since = (Utc::now() - chrono::TimeDelta::days(CAUGHT_UP)).date_naive();
    for n in 0..DAGS {
        let text = format!(
            "dag: load_{n}\nschedule: {{ every: 1d, start_date: {since}, catchup: true }}\ntasks: {{ a: {{ kind: wait_until, time: \
             '2026-01-01T00:00:00Z' }}, b: {{ kind: wait_until, needs: a, time: '2026-01-01T00:00:00Z' }} }}\n"
        );
        fs::write(project.join(format!("dags/load_{n}.yaml")), text).expect("a DAG");
    }
    let mut wide = "dag: wide\ntasks:\n".to_owned();
    for n in 0..WIDE {
        writeln!(wide, "  t{n}: {{ kind: wait_until, time: '2026-01-01T00:00:00Z' }}").expect("strings take all");
    }
    fs::write(project.join("dags/wide.yaml"), wide).expect("a DAG");
}
