//! Sluice's own processes in the background: started so that they outlive the command, found again by their pid
//! files `<home>/run/<name>.json`, stopped on `sluice down`. Their output is in `<home>/log/<name>.log`.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::{
    account::Account,
    error::ServiceError,
    place,
    process::{self, Ending, Identity, Launch},
    services::lock,
    state,
};

/// How long a process may take to finish what it does.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to start.
#[derive(Debug, Clone)]
pub struct Command {
    /// Its name: the pid file and the log are named by it.
    pub name: String,
    /// The program, by its whole path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Where it runs.
    pub folder: PathBuf,
    /// The address that it serves, if it serves one.
    pub url: Option<String>,
}

/// A background process: the content of its pid file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Its id.
    pub pid: i32,
    /// When it started, in the system's own terms; tells it from a later process with the same id.
    pub start_time: String,
    /// The address that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The program; files written before it was kept have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<PathBuf>,
    /// Its arguments.
    #[serde(default)]
    args: Vec<OsString>,
    /// Where it runs.
    #[serde(default)]
    folder: PathBuf,
}

impl Process {
    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        self.identity().is_alive()
    }

    /// Whether [`revive`] can start it again.
    pub fn can_be_revived(&self) -> bool {
        self.program.is_some()
    }

    /// What started it.
    fn command(&self) -> Option<Command> {
        Some(Command {
            name: self.name.clone(),
            program: self.program.clone()?,
            args: self.args.clone(),
            folder: self.folder.clone(),
            url: self.url.clone(),
        })
    }

    fn identity(&self) -> Identity {
        Identity { pid: self.pid, start_time: self.start_time.clone() }
    }
}

/// How a process was stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Which one.
    pub process: Process,
    /// It had to be killed.
    pub killed: bool,
}

/// Starts a process, in place of one of that name, which is stopped first.
pub fn spawn(home: &Path, command: &Command) -> Result<Process, ServiceError> {
    stop(home, &command.name)?;
    launch(home, command)
}

/// Starts again those that ended without being stopped, and tells which. One that cannot be started keeps its file.
pub fn revive(home: &Path) -> Result<Vec<Process>, ServiceError> {
    // Two at once must not both start one.
    let _lock = lock(&place::open_home(home)?)?;
    let commands = ended(home)?.into_iter().filter_map(|process| process.command());
    commands.map(|command| launch(home, &command)).collect()
}

fn launch(home: &Path, command: &Command) -> Result<Process, ServiceError> {
    let launch = Launch {
        program: command.program.clone(),
        args: command.args.clone(),
        environment: None,
        folder: command.folder.clone(),
        account: Account::Ours,
    };
    let home = &place::open_home(home)?;
    let log = log(home, &command.name);
    let from = process::log_length(&log);
    let Identity { pid, start_time } = launch.detached(&log)?;
    let started = Process {
        name: command.name.clone(),
        pid,
        start_time,
        url: command.url.clone(),
        program: Some(command.program.clone()),
        args: command.args.clone(),
        folder: command.folder.clone(),
    };
    let file = pid_file(home, &command.name);
    state::write_private_json(&file, &started)?;
    tracing::debug!(name = started.name, pid, log_from = from, "started");
    Ok(started)
}

/// The processes that run, by name. Pid files of those that have ended stay for [`ended`].
pub fn list(home: &Path) -> Result<Vec<Process>, ServiceError> {
    Ok(recorded(home)?.into_iter().filter(Process::is_alive).collect())
}

/// The processes that have ended without being stopped.
pub fn ended(home: &Path) -> Result<Vec<Process>, ServiceError> {
    Ok(recorded(home)?.into_iter().filter(|process| !process.is_alive()).collect())
}

/// Stops the process of a name, if it runs: asks, waits, and kills as a last resort.
pub fn stop(home: &Path, name: &str) -> Result<Option<Stopped>, ServiceError> {
    let file = pid_file(home, name);
    let Some(process) = state::read_json::<Process>(&file)? else { return Ok(None) };
    let ending = process.identity().stop(name, Signal::SIGTERM, PATIENCE)?;
    fs::remove_file(&file).map_err(ServiceError::io("remove", &file))?;
    Ok((ending != Ending::WasGone).then_some(Stopped { process, killed: ending == Ending::Killed }))
}

/// Stops all processes; all are asked before the first is waited for.
pub fn stop_all(home: &Path) -> Result<Vec<Stopped>, ServiceError> {
    let (running, ended): (Vec<_>, Vec<_>) = recorded(home)?.into_iter().partition(Process::is_alive);
    for process in &running {
        process.identity().signal(Signal::SIGTERM);
    }
    for process in &ended {
        stop(home, &process.name)?;
    }
    let stop = |process: Process| {
        let killed = stop(home, &process.name)?.is_some_and(|stopped| stopped.killed);
        Ok(Stopped { process, killed })
    };
    running.into_iter().map(stop).collect()
}

/// The last lines of a process's log.
pub fn last_words(home: &Path, name: &str) -> String {
    process::summary(&process::words_since(&log(home, name), 0))
}

/// Where a process's output is.
pub fn log(home: &Path, name: &str) -> PathBuf {
    home.join("log").join(format!("{name}.log"))
}

fn pid_file(home: &Path, name: &str) -> PathBuf {
    home.join("run").join(format!("{name}.json"))
}

fn recorded(home: &Path) -> Result<Vec<Process>, ServiceError> {
    let folder = home.join("run");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    Ok(files.iter().map(|file| state::read_json(file)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}
