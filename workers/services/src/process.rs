//! Processes as we keep hold of them: an id together with the moment it started, so that an id which the system
//! gave to another process since is never taken for ours, waited for, or killed.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

use crate::{account::Account, error::ServiceError, programs};

/// How often the end of a process is looked for.
const POLL: Duration = Duration::from_millis(20);

/// A process: its id, and when it started in the system's own terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The process id.
    pub(crate) pid: i32,
    /// Clock ticks since this boot and the boot's id on Linux, a date elsewhere: only ever compared.
    pub(crate) start_time: String,
}

/// How a process ended when told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It had ended before.
    WasGone,
    /// It ended in time.
    Clean,
    /// It had to be killed.
    Killed,
}

impl Identity {
    /// The process that has this id now; none if there is none, or only what is left of one (a zombie).
    pub(crate) fn of(pid: i32) -> Option<Self> {
        start_time(pid).map(|start_time| Self { pid, start_time })
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        start_time(self.pid).is_some_and(|found| found == self.start_time)
    }

    /// Sends a signal, if it still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // It may end between the look and the signal; then there is nobody to tell.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Waits until it has ended; false if it still runs after `patience`.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while self.is_alive() {
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(POLL);
        }
        true
    }

    /// Asks it to end with `signal`, waits for `patience`, then kills it.
    pub(crate) fn stop(&self, name: &str, signal: Signal, patience: Duration) -> Result<Ending, ServiceError> {
        if !self.is_alive() {
            return Ok(Ending::WasGone);
        }
        self.signal(signal);
        if self.wait(patience) {
            return Ok(Ending::Clean);
        }
        self.signal(Signal::SIGKILL);
        if self.wait(Duration::from_secs(10)) {
            Ok(Ending::Killed)
        } else {
            Err(ServiceError::Unstoppable { name: name.to_owned(), pid: self.pid })
        }
    }
}

#[cfg(target_os = "linux")]
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may itself hold spaces and parentheses; after it come state (3) and so on.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let (state, threads, ticks) = (fields.first()?, fields.get(17)?, fields.get(19)?);
    // A zombie whose other threads still end holds its ports and files until the last one has.
    let threads = threads.parse::<u32>().unwrap_or(0);
    if *state == "X" || (*state == "Z" && threads <= 1) {
        return None;
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{}/{ticks}", boot.trim()))
}

#[cfg(not(target_os = "linux"))]
fn start_time(pid: i32) -> Option<String> {
    let listed = Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).output().ok()?;
    let line = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    let (state, started) = line.split_once(' ')?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}

/// The command line of a process, its words joined by spaces.
pub(crate) fn command_line(pid: i32) -> Option<String> {
    if cfg!(target_os = "linux") {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let listed = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&listed.stdout).into_owned())
}

/// Whether the id is taken, if only by a process that has ended and that nobody has collected yet.
pub(crate) fn is_taken(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None::<Signal>) != Err(Errno::ESRCH)
}

/// A process id that nobody has.
pub(crate) fn unused_pid() -> i32 {
    (1..32_000).rev().find(|pid| !is_taken(*pid)).unwrap_or(31_999)
}

/// What is to be started, before it is decided how.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The program, by its whole path.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Its whole environment; none: ours.
    pub(crate) environment: Option<Vec<(&'static str, OsString)>>,
    /// Where it runs.
    pub(crate) folder: PathBuf,
    /// As whom.
    pub(crate) account: Account,
}

impl Launch {
    /// Starts it so that it outlives us: in a session of its own where the system has `setsid` (which keeps the
    /// process id), else in a process group of its own, so that neither Ctrl-C nor a closed terminal reaches
    /// it. What it prints is appended to `log`.
    pub(crate) fn detached(&self, log: &Path) -> Result<Identity, ServiceError> {
        let output = open_log(log)?;
        let errors = output.try_clone().map_err(ServiceError::io("open", log))?;
        let mut command = if let Some(setsid) = programs::find("setsid") {
            let mut command = Command::new(setsid);
            command.arg(&self.program);
            command
        } else {
            let mut command = Command::new(&self.program);
            command.process_group(0);
            command
        };
        command.args(&self.args).current_dir(&self.folder);
        if let Some(environment) = &self.environment {
            command.env_clear().envs(environment.iter().map(|(name, value)| (*name, value)));
        }
        self.account.apply(&mut command);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut child = command.spawn().map_err(ServiceError::io("start", &self.program))?;
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        // One that ended at once keeps its id as a zombie until the thread below has waited for it.
        let identity = Identity::of(pid).unwrap_or(Identity { pid, start_time: String::new() });
        thread::spawn(move || child.wait());
        Ok(identity)
    }
}

/// The log of a detached process, at most this long when it starts; what is older moves to `<log>.1`.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

fn open_log(log: &Path) -> Result<File, ServiceError> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).map_err(ServiceError::io("create", folder))?;
    }
    if fs::metadata(log).is_ok_and(|found| found.len() > LOG_LIMIT) {
        fs::rename(log, log.with_extension("log.1")).map_err(ServiceError::io("rotate", log))?;
    }
    OpenOptions::new().create(true).append(true).open(log).map_err(ServiceError::io("open", log))
}

/// The length of a log, to read from there later what a process says.
pub(crate) fn log_length(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |found| found.len())
}

/// What was written to a log after its first `from` bytes.
pub(crate) fn words_since(log: &Path, from: u64) -> String {
    let text = fs::read(log).unwrap_or_default();
    let new = text.get(usize::try_from(from).unwrap_or(0)..).unwrap_or(&text);
    String::from_utf8_lossy(new).into_owned()
}

/// The last lines of what a program printed, on one line.
pub(crate) fn summary(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(4)..].join(" / ");
    if last.is_empty() { "it ended without a word".to_owned() } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn an_id_with_another_start_time_is_another_process() {
        let mut child = sleeper();
        let pid = i32::try_from(child.id()).unwrap();
        let ours = Identity::of(pid).unwrap();
        let stale = Identity { pid, start_time: "before".to_owned() };
        assert!(ours.is_alive());
        assert!(!stale.is_alive());
        assert_eq!(stale.stop("sleep", Signal::SIGTERM, Duration::from_secs(1)).unwrap(), Ending::WasGone);
        assert!(ours.is_alive(), "a stale identity must not stop the process that has its id now");
        child.kill().unwrap();
        assert!(ours.wait(Duration::from_secs(10)), "what is left of an ended process does not count as alive");
        child.wait().unwrap();
    }

    #[test]
    fn one_that_ignores_the_signal_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let launch = Launch {
            program: "/bin/sh".into(),
            args: ["-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"].map(Into::into).into(),
            environment: None,
            folder: folder.path().into(),
            account: Account::Ours,
        };
        let deaf = launch.detached(&log).unwrap();
        while log_length(&log) == 0 {
            thread::sleep(POLL);
        }
        assert_eq!(words_since(&log, 0).trim(), "deaf");
        assert_eq!(deaf.stop("deaf", Signal::SIGTERM, Duration::from_millis(100)).unwrap(), Ending::Killed);
    }

    #[test]
    fn the_unused_pid_is_unused() {
        assert_eq!(Identity::of(unused_pid()), None);
    }
}
