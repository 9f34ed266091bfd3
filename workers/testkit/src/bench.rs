//! What `make bench` writes: `target/bench/<area>.json`, and the same as a table.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::Serialize;
use sqlx::PgPool;

/// One measured figure, next to the physical limit measured in the same run.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// The name that stays from release to release.
    pub name: &'static str,
    /// The value, in `unit`.
    pub value: f64,
    /// `rows/s`, `ms`, `ratio`, `MiB`.
    pub unit: &'static str,
    /// What the machine can do at most, in `unit`, measured in the same run.
    pub limit: Option<f64>,
    /// How near `value` comes to `limit`.
    pub ratio: Option<f64>,
    /// What was measured and what the limit is.
    pub note: String,
}

impl Figure {
    /// A figure with no limit beside it.
    pub fn new(name: &'static str, value: f64, unit: &'static str, note: impl Into<String>) -> Self {
        Self { name, value, unit, limit: None, ratio: None, note: note.into() }
    }

    /// Sets the limit, and the ratio `value / limit`.
    #[must_use]
    pub fn against(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self.ratio = Some(self.value / limit);
        self
    }
}

/// Writes `target/bench/<area>.json` and prints the figures as a table.
///
/// # Panics
/// Where the file cannot be written: a bench that leaves no figures has failed.
pub fn report(area: &str, figures: &[Figure]) {
    let dir = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let dir = dir.join("bench");
    fs::create_dir_all(&dir).expect("make target/bench");
    let text = serde_json::to_string_pretty(figures).expect("figures are JSON");
    fs::write(dir.join(format!("{area}.json")), text + "\n").expect("write the figures");
    let number = |v: f64| if v.abs() >= 100.0 { format!("{v:.0}") } else { format!("{v:.3}") };
    let show = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), number);
    println!("{:<34} {:>14} {:<8} {:>14} {:>8}  note", format!("[{area}]"), "value", "unit", "limit", "ratio");
    for f in figures {
        let (value, limit, ratio) = (number(f.value), show(f.limit), show(f.ratio));
        println!("{:<34} {value:>14} {:<8} {limit:>14} {ratio:>8}  {}", f.name, f.unit, f.note);
    }
}

/// Milliseconds of one durable commit of one row by one client: the median of 200.
///
/// # Panics
/// Where Postgres fails.
pub async fn commit_ms(pool: &PgPool) -> f64 {
    let mut connection = pool.acquire().await.expect("a connection");
    let table = "create table if not exists public.bench_commit (n int)";
    sqlx::query(table).execute(&mut *connection).await.expect("a table");
    let mut times = Vec::new();
    for n in 0..200 {
        let start = Instant::now();
        sqlx::query("insert into public.bench_commit values ($1)")
            .bind(n)
            .execute(&mut *connection)
            .await
            .expect("a commit");
        times.push(start.elapsed());
    }
    percentile(&mut times, 0.5).as_secs_f64() * 1000.0
}

/// The time that such a part of them does not exceed: `0.5` for the median. Sorts them.
///
/// # Panics
/// Where there are none.
pub fn percentile(times: &mut [Duration], part: f64) -> Duration {
    times.sort();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
    let place = ((times.len() - 1) as f64 * part).round() as usize;
    times[place]
}

/// Runs `work` and gives its result and how many seconds it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// The largest resident set that this process has had, in MiB (`VmHWM`); 0 where the system does not tell.
pub fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|l| l.split_whitespace().nth(1))
        .and_then(|kib| kib.parse::<f64>().ok())
        .map_or(0.0, |kib| kib / 1024.0)
}
