//! The processes under test: real ones of the built program, started again whenever they have ended, as systemd would.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Roles and arguments. A lease of 2 s is lost in a pause that a test can wait for.
const FLEET: [(&str, &[&str]); 5] = [
    ("worker_1", &["work", "--slots", "6", "--lease", "2s", "--label", "worker_1"]),
    ("worker_2", &["work", "--slots", "6", "--lease", "2s", "--label", "worker_2"]),
    ("worker_3", &["work", "--slots", "2", "--lease", "2s", "--label", "worker_3"]),
    ("scheduler_1", &["schedule"]),
    ("scheduler_2", &["schedule"]),
];

/// How long after an end the next start comes.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a process may take to end once it is told to.
const PATIENCE: Duration = Duration::from_secs(45);

/// Which of them a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Worker,
    Scheduler,
}

/// The processes of one project.
pub(crate) struct Fleet {
    folder: PathBuf,
    url: String,
    members: Vec<Mutex<Member>>,
}

struct Member {
    name: &'static str,
    arguments: &'static [&'static str],
    process: Option<Child>,
    /// When it was seen to have ended.
    ended: Option<Instant>,
    paused: bool,
}

impl Fleet {
    /// None of them runs yet.
    pub(crate) fn new(folder: &Path, url: String) -> Self {
        let member =
            |(name, arguments)| Mutex::new(Member { name, arguments, process: None, ended: None, paused: false });
        let members = FLEET.map(member);
        Self { folder: folder.to_owned(), url, members: members.into() }
    }

    fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.args(arguments).current_dir(&self.folder).env("CHAOS_POSTGRES", &self.url).env("NO_COLOR", "1");
        command.env("SLUICE_LOG", "info").stdin(Stdio::null());
        command
    }

    /// What a person types.
    pub(crate) fn sluice(&self, arguments: &[impl AsRef<OsStr>]) -> Output {
        self.command(arguments).output().expect("run sluice")
    }

    /// As [`Fleet::sluice`], by someone who does not wait for ever: nothing where no answer comes.
    pub(crate) async fn try_sluice(&self, arguments: &[impl AsRef<OsStr>]) -> Option<Output> {
        let mut command = tokio::process::Command::from(self.command(arguments));
        let output = command.kill_on_drop(true).output();
        tokio::time::timeout(Duration::from_secs(10), output).await.ok().map(|output| output.expect("run sluice"))
    }

    fn log(&self, name: &str) -> File {
        let path = self.folder.join(format!("{name}.log"));
        OpenOptions::new().create(true).append(true).open(path).expect("a log file")
    }

    /// Starts what has ended, after a moment; gives who was started.
    pub(crate) fn start(&self) -> Vec<&'static str> {
        let mut started = Vec::new();
        for member in &self.members {
            let mut member = member.lock().expect("no panic");
            if let Some(process) = &mut member.process {
                if process.try_wait().expect("waited").is_none() {
                    continue;
                }
                if member.ended.get_or_insert_with(Instant::now).elapsed() < PAUSE {
                    continue;
                }
            }
            let (out, err) = (self.log(member.name), self.log(member.name));
            let process = self.command(member.arguments).stdout(out).stderr(err).spawn();
            (member.process, member.ended, member.paused) = (Some(process.expect("start sluice")), None, false);
            started.push(member.name);
        }
        started
    }

    /// Sends a signal to one of a role. False where there is nobody to send it to, or it is paused.
    pub(crate) fn signal(&self, place: usize, signal: Signal) -> bool {
        let mut member = self.members[place].lock().expect("no panic");
        let wanted = matches!(signal, Signal::SIGCONT | Signal::SIGKILL);
        let paused = member.paused;
        let Some(process) = &mut member.process else { return false };
        // It is this test's child and not waited for yet, so its number is no other process'.
        if process.try_wait().expect("waited").is_some() || (paused && !wanted) {
            return false;
        }
        kill(pid(process), signal).expect("signalled");
        member.paused = signal == Signal::SIGSTOP || (paused && signal == Signal::SIGKILL);
        true
    }

    /// The places of a role.
    pub(crate) fn places(role: Role) -> Vec<usize> {
        let wanted = if role == Role::Worker { "worker" } else { "scheduler" };
        (0..FLEET.len()).filter(|place| FLEET[*place].0.starts_with(wanted)).collect()
    }

    /// Who a place is.
    pub(crate) fn name(place: usize) -> &'static str {
        FLEET[place].0
    }

    /// Tells all of them to end, in order. Each must, and well.
    pub(crate) async fn stop(&self) {
        for place in 0..self.members.len() {
            self.signal(place, Signal::SIGTERM);
        }
        let told = Instant::now();
        for member in &self.members {
            let name = member.lock().expect("no panic").name;
            loop {
                let ended = match &mut member.lock().expect("no panic").process {
                    Some(process) => process.try_wait().expect("waited"),
                    None => break,
                };
                if let Some(status) = ended {
                    assert!(status.success(), "{name} was told to end, and ended with {status}");
                    break;
                }
                assert!(told.elapsed() < PATIENCE, "{name} does not end");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &self.members {
            // A test that fails has its own message.
            let Ok(mut member) = member.lock() else { continue };
            if let Some(process) = &mut member.process {
                let _ = (process.kill(), process.wait());
            }
        }
    }
}

fn pid(process: &Child) -> Pid {
    Pid::from_raw(i32::try_from(process.id()).expect("a process id"))
}
