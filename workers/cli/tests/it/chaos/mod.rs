//! Chaos: random DAGs on real processes, which are killed and paused at random instants, over a Postgres that is restarted
//! and a network that is cut; then peace, and the question whether everything happened, and happened once.
//!
//! `SLUICE_CHAOS_SEED` repeats a failure as far as that is possible (DAGs and faults are the same, instants are not);
//! `SLUICE_CHAOS_SECONDS` is how long the faults go on. `make chaos` sets both.

mod dags;
mod faults;
mod fleet;
mod judge;
mod postgres;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use sqlx::query_scalar;
use testkit::{Dice, proxy::Proxy};
use tokio::{sync::Mutex, task::JoinSet};

use self::{fleet::Fleet, postgres::Postgres};
use crate::service;

/// How long the faults go on where nobody says so.
const SECONDS: u64 = 60;
/// How long what is under way may take to end in peace.
const PATIENCE: Duration = Duration::from_secs(90);

/// Everything that a fault may touch.
pub(crate) struct World {
    folder: PathBuf,
    fleet: Fleet,
    proxy: Proxy,
    postgres: Mutex<Postgres>,
    began: Instant,
}

impl World {
    /// Writes into the test's own log, between those of the processes.
    fn say(&self, line: &str) {
        let path = self.folder.join("chaos.log");
        let mut log = fs::OpenOptions::new().create(true).append(true).open(path).expect("a log");
        writeln!(log, "{:>8.3} s  {line}", self.began.elapsed().as_secs_f64()).expect("written");
    }

    /// As a person would: looks at what runs, and cancels one of those.
    async fn cancel_a_run(&self, place: usize) {
        let Some(listed) = self.fleet.try_sluice(&["ps", "--state", "running", "--json"]).await else { return };
        let runs: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        if let Some(run) = runs.get(place) {
            // It may have ended, or nobody may be there to ask.
            self.fleet.try_sluice(&["cancel", &run["run_id"].to_string(), "--reason", "chaos"]).await;
        }
    }

    /// A command that must succeed: nothing is wrong now.
    async fn sluice(self: &Arc<Self>, arguments: &[&str]) {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let world = Arc::clone(self);
        let run = move || {
            let output = world.fleet.sluice(&arguments);
            assert!(output.status.success(), "sluice {arguments:?}: {}", crate::project::text(&output));
        };
        tokio::task::spawn_blocking(run).await.expect("it succeeds");
    }

    async fn open(&self) -> i64 {
        let mut connection = self.postgres.lock().await.connect().await;
        query_scalar(judge::OPEN).fetch_one(&mut connection).await.expect("a count")
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_everything_happens_and_happens_once() {
    let seed = setting("SLUICE_CHAOS_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        u64::from(now.subsec_micros())
    });
    let faults_for = Duration::from_secs(setting("SLUICE_CHAOS_SECONDS").unwrap_or(SECONDS));
    // Below target/, as the server's user can enter that and not every folder for temporary files.
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let mut folder = tempfile::Builder::new().prefix("chaos-").tempdir_in(target).expect("a folder");
    folder.disable_cleanup(true);
    let path = folder.path().canonicalize().expect("a path");
    println!("SLUICE_CHAOS_SEED={seed}, faults for {faults_for:?}; logs stay in {} after a failure", path.display());

    let world = set_up(seed, &path).await;
    rage(&world, seed, faults_for).await;
    settle(&world).await;
    let mut offences = {
        let mut connection = world.postgres.lock().await.connect().await;
        load_marks(&world, &mut connection).await;
        judge::ended(&mut connection).await
    };
    world.fleet.stop().await;
    {
        let mut connection = world.postgres.lock().await.connect().await;
        offences.extend(judge::left(&mut connection).await);
        offences.extend(left_processes(&path));
        offences.extend(judge::idle(&mut connection).await);
        let seen = judge::lines(&mut connection, judge::SUMMARY).await;
        println!("{}", seen.join(", "));
    }
    assert!(offences.is_empty(), "seed {seed}, {}:\n{}", path.display(), offences.join("\n"));
    drop(world);
    folder.disable_cleanup(false);
}

/// A project with random DAGs, its database, and the processes on it.
async fn set_up(seed: u64, folder: &Path) -> Arc<World> {
    let http = service::start().await;
    fs::create_dir(folder.join("dags")).expect("a folder");
    fs::write(folder.join("sluice.yaml"), dags::PROJECT).expect("a file");
    fs::write(folder.join(dags::MARKS), "").expect("a file");
    for dag in dags::dags(seed, &http).into_iter().chain([dags::last(&http)]) {
        fs::write(folder.join(format!("dags/{}.yaml", dag.name)), dag.text).expect("a file");
    }
    let postgres = Postgres::start(&folder.join(".sluice")).await;
    let proxy = Proxy::start(postgres.address()).await;
    let fleet = Fleet::new(folder, postgres.by_way_of(proxy.port));
    let (folder, postgres, began) = (folder.to_owned(), Mutex::new(postgres), Instant::now());
    let world = Arc::new(World { folder, fleet, proxy, postgres, began });
    world.sluice(&["check"]).await;
    // Makes the tables.
    world.sluice(&["ps"]).await;
    let mut connection = world.postgres.lock().await.connect().await;
    sqlx::raw_sql(judge::WITNESS).execute(&mut connection).await.expect("a witness");
    world
}

/// Faults, one after the other and several at once, until the time is up and the last of them has ended.
async fn rage(world: &Arc<World>, seed: u64, time: Duration) {
    let mut dice = Dice::new(seed);
    let mut under_way = JoinSet::new();
    let begun = Instant::now();
    let mut next_fault = begun + Duration::from_secs(2);
    while begun.elapsed() < time {
        for name in world.fleet.start() {
            world.say(&format!("{name} is started"));
        }
        if Instant::now() >= next_fault {
            let (fault, pause) = faults::next(&mut dice);
            world.say(&format!("{fault:?}"));
            under_way.spawn(faults::inject(fault, Dice::new(dice.roll(u64::MAX)), Arc::clone(world)));
            next_fault = Instant::now() + pause;
        }
        while let Some(ended) = under_way.try_join_next() {
            ended.expect("a fault that can be injected");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while let Some(ended) = under_way.join_next().await {
        ended.expect("a fault that can be injected");
    }
    // Nobody starts these processes again: each has to find out by itself.
    world.proxy.deaden(|| true);
    world.say("every connection is dead, and then there is peace");
}

/// No faults any more, and no new runs of schedules: everything that began comes to its end, and a last run goes well.
async fn settle(world: &Arc<World>) {
    let begun = Instant::now();
    for dag in dags::dags(0, "").into_iter().filter(|dag| dag.scheduled) {
        world.sluice(&["dag", "pause", &dag.name]).await;
    }
    everything_ends(world).await;
    world.say(&format!("everything has ended {:?} after the last fault", begun.elapsed()));
    // One task for each worker, and rows for the table whose staging tables dead attempts have left.
    world.sluice(&["run", dags::LAST]).await;
    everything_ends(world).await;
}

/// A backlog may take its time, as long as runs go on to end.
async fn everything_ends(world: &World) {
    let (mut left, mut since) = (i64::MAX, Instant::now());
    loop {
        let open = world.open().await;
        if open == 0 {
            return;
        }
        if open < left {
            (left, since) = (open, Instant::now());
        }
        if since.elapsed() > PATIENCE {
            let mut connection = world.postgres.lock().await.connect().await;
            let stuck = judge::lines(&mut connection, judge::STUCK).await;
            panic!("{}: no run ended for {PATIENCE:?}:\n{}", world.folder.display(), stuck.join("\n"));
        }
        for name in world.fleet.start() {
            world.say(&format!("{name} is started"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Lets the database know of the lines that programs wrote.
async fn load_marks(world: &World, connection: &mut sqlx::PgConnection) {
    let text = fs::read_to_string(world.folder.join(dags::MARKS)).expect("the marks");
    let (runs, tasks): (Vec<i64>, Vec<&str>) = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(run, task)| (run.parse::<i64>().expect("a run"), task))
        .unzip();
    sqlx::query("insert into chaos.marks select * from unnest($1::bigint[], $2::text[])")
        .bind(runs)
        .bind(tasks)
        .execute(connection)
        .await
        .expect("the marks");
}

/// Processes that still work in the project's folder, Postgres aside.
fn left_processes(folder: &Path) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let in_folder =
        processes.flatten().filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == *folder));
    in_folder
        .map(|process| {
            let command = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            format!("no process is left: {} {}", process.file_name().display(), command.replace('\0', " "))
        })
        .collect()
}
