//! The private services of one home: up, down, status.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use serde::Serialize;

use crate::{
    account::Account,
    error::ServiceError,
    note::{self, Level, Note, Say},
    place,
    process::Ending,
    secret::{Password, ServiceUrl},
    server::{self, Purpose, Service, Site},
    state::State,
};

/// The longest path of a Unix socket, in bytes, on Linux.
const SOCKET_PATH: usize = 107;

/// The private services of one home, a folder such as `.sluice`.
pub struct Services {
    home: PathBuf,
    purpose: Purpose,
    say: Arc<Say>,
}

/// Where services are: those that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints(BTreeMap<Service, ServiceUrl>);

impl Endpoints {
    /// Where one is, if it is among them.
    pub fn get(&self, service: Service) -> Option<&ServiceUrl> {
        self.0.get(&service)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Service, &ServiceUrl)> {
        self.0.iter().map(|(service, url)| (*service, url))
    }
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It answers.
    Running,
    /// Its process lives but does not answer (yet).
    Silent,
    /// It was stopped, or never started.
    Stopped,
    /// It ended without being told to; `up` starts it again.
    Died,
}

/// One line of `sluice status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceStatus {
    /// `postgres`, `mariadb` or `kafka`.
    pub name: &'static str,
    /// Where it is, password included; none unless its process lives.
    pub url: Option<ServiceUrl>,
    /// How it is.
    pub state: Condition,
    /// Its process, if that lives.
    pub pid: Option<i32>,
    /// More words on the state, for people.
    pub detail: Option<String>,
}

impl Services {
    /// The services of a home. Nothing is touched yet.
    pub fn at(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), purpose: Purpose::Project, say: Arc::new(note::log) }
    }

    /// Those of a home for what is only tried out: they are apart from its own, their users may make databases, and they may
    /// forget all on a power cut.
    pub fn scratch(home: &Path) -> Self {
        Self::with(home.join("scratch"), Purpose::Tests)
    }

    /// Servers for tests or benchmarks.
    pub(crate) fn with(home: impl Into<PathBuf>, purpose: Purpose) -> Self {
        Self { purpose, ..Self::at(home) }
    }

    /// Has notes (progress, and troubles that were mended) told to `say` instead of the log. Several threads
    /// call it.
    #[must_use]
    pub fn saying(mut self, say: impl Fn(&Note) + Send + Sync + 'static) -> Self {
        self.say = Arc::new(say);
        self
    }

    /// Starts what does not run and finds what does, side by side; each answers when this returns. What was
    /// started before an error stays up.
    pub fn up(&self, wanted: &[Service]) -> Result<Endpoints, ServiceError> {
        let home = place::open_home(&self.home)?;
        let _lock = lock(&home)?;
        let state = State::open(&home)?;
        let accounts = wanted.iter().map(|service| Account::for_service(*service)).collect::<Result<Vec<_>, _>>()?;
        let data = place::data_folder(&home, &accounts, &*self.say)?;
        if data.as_os_str().len() + "/.s.PGSQL.25432".len() > SOCKET_PATH {
            let text =
                format!("{} is longer than a Unix socket allows: reached over loopback TCP alone", data.display());
            (self.say)(&Note { service: None, level: Level::Mended, text });
        }
        let sites = wanted.iter().zip(accounts).map(|(service, account)| Site {
            service: *service,
            purpose: self.purpose,
            account,
            folder: data.join(service.name()),
            log: log(&home, *service),
            say: &*self.say,
        });
        let state = &state;
        let mut found = BTreeMap::new();
        let mut errors = Vec::new();
        for (service, result) in side_by_side(sites, |site| (site.service, site.up(state))) {
            match result {
                Ok(url) => drop(found.insert(service, url)),
                Err(error) => errors.push(error),
            }
        }
        ServiceError::all(errors)?;
        Ok(Endpoints(found))
    }

    /// Where the services are that run, without starting any.
    pub fn endpoints(&self) -> Result<Endpoints, ServiceError> {
        let Some((_, state)) = self.existing()? else { return Ok(Endpoints::default()) };
        let found = Service::ALL.into_iter().filter_map(|service| {
            let remembered = state.get(service);
            remembered.process.filter(crate::process::Identity::is_alive)?;
            Some((service, service.server().url(remembered.port?, &remembered.password?)))
        });
        Ok(Endpoints(found.collect()))
    }

    /// Stops what runs, without losing anything, side by side. The ones that ran are returned.
    pub fn down(&self) -> Result<Vec<Service>, ServiceError> {
        let Some((home, _)) = self.existing()? else { return Ok(Vec::new()) };
        let _lock = lock(&home)?;
        // Another `up` may have changed it before the lock was ours.
        let state = &State::open(&home)?;
        let mut stopped = Vec::new();
        let mut errors = Vec::new();
        for ending in side_by_side(Service::ALL, |service| self.stop(service, state)) {
            match ending {
                Ok(service) => stopped.extend(service),
                Err(error) => errors.push(error),
            }
        }
        ServiceError::all(errors)?;
        Ok(stopped)
    }

    fn stop(&self, service: Service, state: &State) -> Result<Option<Service>, ServiceError> {
        let Some(process) = state.get(service).process else { return Ok(None) };
        let ending = server::stop(service, &process, &*self.say)?;
        state.update(service, |remembered| remembered.process = None)?;
        Ok((ending != Ending::WasGone).then_some(service))
    }

    /// How each service is.
    pub fn status(&self) -> Result<Vec<ServiceStatus>, ServiceError> {
        let Some((home, state)) = self.existing()? else {
            return Ok(Service::ALL.map(stopped).into());
        };
        let all = Service::ALL.map(|service| {
            let remembered = state.get(service);
            let (Some(process), Some(port)) = (&remembered.process, remembered.port) else { return stopped(service) };
            if !process.is_alive() {
                let detail = format!(
                    "process {} ended without `sluice down`; log: {}",
                    process.pid,
                    log(&home, service).display()
                );
                return ServiceStatus { state: Condition::Died, detail: Some(detail), ..stopped(service) };
            }
            let answers = service.server().answers(port);
            ServiceStatus {
                name: service.name(),
                url: url(service, port, remembered.password.as_ref()),
                state: if answers { Condition::Running } else { Condition::Silent },
                pid: Some(process.pid),
                detail: (!answers)
                    .then(|| format!("port {port} does not answer; log: {}", log(&home, service).display())),
            }
        });
        Ok(all.into())
    }

    /// The home and its state, if there is one.
    fn existing(&self) -> Result<Option<(PathBuf, State)>, ServiceError> {
        if !self.home.join("services.json").exists() {
            return Ok(None);
        }
        let home = self.home.canonicalize().map_err(ServiceError::io("open", &self.home))?;
        let state = State::open(&home)?;
        Ok(Some((home, state)))
    }
}

/// Runs `work` on each item in a thread of its own; the results come in the order of the items.
fn side_by_side<I: Send, R: Send>(items: impl IntoIterator<Item = I>, work: impl Fn(I) -> R + Sync) -> Vec<R> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

fn url(service: Service, port: u16, password: Option<&Password>) -> Option<ServiceUrl> {
    password.map(|password| service.server().url(port, password))
}

fn stopped(service: Service) -> ServiceStatus {
    ServiceStatus { name: service.name(), url: None, state: Condition::Stopped, pid: None, detail: None }
}

fn log(home: &Path, service: Service) -> PathBuf {
    home.join("log").join(format!("{}.log", service.name()))
}

/// Held while services start or stop, and processes are revived, so that two commands do not both start one.
pub(crate) fn lock(home: &Path) -> Result<File, ServiceError> {
    let path = home.join("services.lock");
    let file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(ServiceError::io("open", &path))?;
    file.lock().map_err(ServiceError::io("lock", &path))?;
    Ok(file)
}
