//! What the three servers have in common, and how one of them is brought to life.

use std::{
    fmt,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde::Serialize;

use crate::{
    account::Account,
    error::ServiceError,
    kafka::Kafka,
    mariadb::Mariadb,
    note::{Level, Note, Say},
    place, port,
    postgres::Postgres,
    process::{self, Ending, Identity, Launch},
    secret::{Password, ServiceUrl},
    state::{self, State},
};

/// How long a server may take from its start to its first answer: long enough for crash recovery.
const START: Duration = Duration::from_mins(1);
/// How often one is asked whether it is ready.
const POLL: Duration = Duration::from_millis(25);
/// How often a start is tried again, when the port was taken meanwhile or what a killed one left is still there.
const TRIES: usize = 8;

/// One of the private servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Sluice's own tables and the warehouse.
    Postgres,
    /// The shop, where no `MySQL` is given.
    Mariadb,
    /// The event stream.
    Kafka,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Mariadb, Self::Kafka];

    /// Its name in `sluice status`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
            Self::Kafka => "kafka",
        }
    }

    /// The users that may run it where we are root, best first.
    pub(crate) fn accounts(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgres"],
            Self::Mariadb => &["mysql", "mariadb"],
            Self::Kafka => &["kafka", "nobody"],
        }
    }

    /// The command that installs it.
    pub(crate) fn install(self) -> &'static str {
        match (self, cfg!(target_os = "macos")) {
            (Self::Postgres, false) => "sudo apt-get install postgresql",
            (Self::Postgres, true) => "brew install postgresql@17",
            (Self::Mariadb, false) => "sudo apt-get install mariadb-server",
            (Self::Mariadb, true) => "brew install mariadb",
            (Self::Kafka, false) => "sudo apt-get install default-jre-headless maven",
            (Self::Kafka, true) => "brew install openjdk maven",
        }
    }

    pub(crate) fn server(self) -> &'static dyn Server {
        match self {
            Self::Postgres => &Postgres,
            Self::Mariadb => &Mariadb,
            Self::Kafka => &Kafka,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Postgres => "Postgres",
            Self::Mariadb => "MariaDB",
            Self::Kafka => "Kafka",
        })
    }
}

/// What the servers are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A project: durable, and the password opens no more than the project needs.
    Project,
    /// Tests, and what is tried out: may create and drop databases, takes many connections, and forgets on a power cut.
    Tests,
    /// Benchmarks: as for tests, but with the disk waited for, as in a project.
    Benches,
}

impl Purpose {
    /// Whether databases are created and dropped there.
    pub(crate) fn is_scratch(self) -> bool {
        self != Self::Project
    }
}

/// One server's place.
pub(crate) struct Site<'a> {
    pub(crate) service: Service,
    pub(crate) purpose: Purpose,
    pub(crate) account: Account,
    /// Holds everything of this server; its user's own.
    pub(crate) folder: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) say: &'a Say,
}

/// Where a server listens. The second is Kafka's controller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) main: u16,
    pub(crate) controller: u16,
}

/// What differs between the servers.
pub(crate) trait Server: Sync {
    /// The port that the first project gets; it steps on from there.
    fn first_port(&self) -> u16;
    /// Fills the empty `folder` (the site's, under another name) with everything a first start needs.
    fn initialise(&self, site: &Site<'_>, folder: &Path, password: &Password) -> Result<(), ServiceError>;
    /// Whether `folder` holds all that `initialise` makes.
    fn is_whole(&self, folder: &Path) -> bool;
    /// Gives existing data a new password, where that has to happen before the start.
    fn set_password(&self, site: &Site<'_>, password: &Password) -> Result<(), ServiceError>;
    /// Writes the configuration and says what to start.
    fn launch(&self, site: &Site<'_>, ports: Ports, password: &Password) -> Result<Launch, ServiceError>;
    /// Whether this very process answers on its port.
    fn is_ready(&self, site: &Site<'_>, process: &Identity, port: u16) -> bool;
    /// Whether something of its kind answers on a port.
    fn answers(&self, port: u16) -> bool;
    /// Whether a start that ended with these words may go well a moment later.
    fn is_passing(&self, _last_words: &str) -> bool {
        false
    }
    /// What asks it to end, without losing anything.
    fn stop_signal(&self) -> Signal {
        Signal::SIGTERM
    }
    /// Where it is.
    fn url(&self, port: u16, password: &Password) -> ServiceUrl;
}

impl Site<'_> {
    pub(crate) fn progress(&self, text: impl Into<String>) {
        (self.say)(&Note { service: Some(self.service), level: Level::Progress, text: text.into() });
    }

    pub(crate) fn mended(&self, text: impl Into<String>) {
        (self.say)(&Note { service: Some(self.service), level: Level::Mended, text: text.into() });
    }

    pub(crate) fn failed(&self, action: &'static str, reason: String) -> ServiceError {
        ServiceError::Failed { service: self.service, action, reason, log: self.log.clone() }
    }

    /// Finds the server running or starts it; it answers when this returns.
    pub(crate) fn up(&self, state: &State) -> Result<ServiceUrl, ServiceError> {
        let server = self.service.server();
        if let Some(url) = self.find_running(state)? {
            return Ok(url);
        }
        self.stop_orphan()?;
        let remembered = state.get(self.service);
        let password = match &remembered.password {
            Some(password) => password.clone(),
            None => Password::generate()?,
        };
        if !self.make_whole(&password)? && remembered.password.is_none() {
            self.mended("its password was lost; it has a new one");
            server.set_password(self, &password)?;
        }
        state.update(self.service, |remembered| remembered.password = Some(password.clone()))?;
        let mut ports = self.ports(remembered.port, remembered.controller_port)?;
        for _ in 0..TRIES {
            let from = process::log_length(&self.log);
            let process = server.launch(self, ports, &password)?.detached(&self.log)?;
            state::write_private_json(&self.folder.join("process.json"), &process)?;
            state.update(self.service, |remembered| {
                remembered.port = Some(ports.main);
                remembered.controller_port = (self.service == Service::Kafka).then_some(ports.controller);
                remembered.process = Some(process.clone());
            })?;
            if self.wait_ready(&process, ports.main)? {
                self.progress(format!("runs on port {}", ports.main));
                return Ok(server.url(ports.main, &password));
            }
            let words = process::words_since(&self.log, from);
            if port::was_taken(&words) {
                // Another start was faster, and may have given the port back since: not this one again.
                ports = self.ports(Some(ports.main.saturating_add(1)), Some(ports.controller.saturating_add(1)))?;
                self.mended(format!("another program was faster to its port; it gets {}", ports.main));
            } else if server.is_passing(&words) {
                thread::sleep(Duration::from_millis(250));
            } else {
                return Err(self.failed("start", process::summary(&words)));
            }
        }
        Err(self.failed("start", format!("{TRIES} tries in vain")))
    }

    fn find_running(&self, state: &State) -> Result<Option<ServiceUrl>, ServiceError> {
        let remembered = state.get(self.service);
        let Some(process) = &remembered.process else { return Ok(None) };
        if let (Some(port), Some(password), true) = (remembered.port, &remembered.password, process.is_alive()) {
            if self.wait_ready(process, port)? {
                self.progress(format!("runs already on port {port}"));
                return Ok(Some(self.service.server().url(port, password)));
            }
        } else if Identity::of(process.pid).is_some() {
            self.mended(format!("its process {} is gone, and another process has that id now", process.pid));
        } else {
            self.mended(format!("its process {} is gone without `sluice down`", process.pid));
        }
        Ok(None)
    }

    /// Ends a server of this very folder that the state does not know (it was lost).
    fn stop_orphan(&self) -> Result<(), ServiceError> {
        let written = state::read_json::<Identity>(&self.folder.join("process.json")).unwrap_or_default();
        let Some(process) = written.filter(Identity::is_alive) else { return Ok(()) };
        // In a copied folder it names the process of the original, whose command line has another path.
        let path = format!("{}/", self.folder.display());
        if process::command_line(process.pid).is_some_and(|line| line.contains(&path)) {
            self.mended(format!("process {} has run on from before; starting it anew", process.pid));
            self.stop(&process)?;
        }
        Ok(())
    }

    /// Sees to it that the folder is whole: true if it was made just now, false if it was there.
    fn make_whole(&self, password: &Password) -> Result<bool, ServiceError> {
        let server = self.service.server();
        let root = self.folder.parent().unwrap_or(Path::new("/"));
        let prefix = format!("{}.new-", self.service.name());
        for entry in fs::read_dir(root).map_err(ServiceError::io("read", root))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                fs::remove_dir_all(entry.path()).map_err(ServiceError::io("remove", entry.path()))?;
                self.mended("a first start was cut off; its leftovers are removed and it begins anew");
            }
        }
        if self.folder.join("complete").exists() && server.is_whole(&self.folder) {
            return Ok(false);
        }
        place::move_aside(&self.folder, "is only half a data folder", &|text| self.mended(text))?;
        self.progress("makes its data folder");
        let new = root.join(format!("{prefix}{}", std::process::id()));
        fs::create_dir(&new).map_err(ServiceError::io("create", &new))?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o700)).map_err(ServiceError::io("protect", &new))?;
        self.account.own(&new)?;
        server.initialise(self, &new, password)?;
        // The folder is the server's: nothing that stands there by that name is followed or written over.
        File::create_new(new.join("complete")).map_err(ServiceError::io("write", &new))?;
        fs::rename(&new, &self.folder).map_err(ServiceError::io("rename", &new))?;
        Ok(true)
    }

    fn ports(&self, main: Option<u16>, controller: Option<u16>) -> Result<Ports, ServiceError> {
        let wanted = main.unwrap_or_else(|| self.service.server().first_port());
        let main = port::next_free(self.service, wanted)?;
        if main != wanted {
            self.mended(format!("port {wanted} is taken; it gets {main}"));
        }
        if self.service != Service::Kafka {
            return Ok(Ports { main, controller: 0 });
        }
        let controller = port::next_free(self.service, controller.unwrap_or(main + 1000))?;
        Ok(Ports { main, controller })
    }

    /// True when it answers, false when it ended before it did.
    fn wait_ready(&self, process: &Identity, port: u16) -> Result<bool, ServiceError> {
        let end = Instant::now() + START;
        while process.is_alive() {
            if self.service.server().is_ready(self, process, port) {
                return Ok(true);
            }
            if Instant::now() > end {
                self.mended(format!("process {} gives no answer for {} s; stopping it", process.pid, START.as_secs()));
                self.stop(process)?;
                return Ok(false);
            }
            thread::sleep(POLL);
        }
        Ok(false)
    }

    /// Ends a process of this server.
    pub(crate) fn stop(&self, process: &Identity) -> Result<Ending, ServiceError> {
        stop(self.service, process, self.say)
    }
}

/// Ends a server: asks, waits, and kills as a last resort, which is said.
pub(crate) fn stop(service: Service, process: &Identity, say: &Say) -> Result<Ending, ServiceError> {
    let ending = process.stop(service.name(), service.server().stop_signal(), Duration::from_secs(30))?;
    let (level, text) = match ending {
        Ending::Clean => (Level::Progress, "stopped".to_owned()),
        Ending::WasGone => (Level::Mended, format!("its process {} had ended before", process.pid)),
        Ending::Killed => {
            (Level::Mended, "did not stop within 30 s and was killed; it recovers at its next start".into())
        }
    };
    say(&Note { service: Some(service), level, text });
    Ok(ending)
}
