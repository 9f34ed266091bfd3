//! The project that a command works on: its folder, its settings, and connections made when first asked for.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use secrecy::{ExposeSecret, SecretString};
use services::{Service, Services, processes};
use sqlx::PgPool;
use tokio::sync::OnceCell;
use warehouse::{
    WarehouseError,
    lake::Lake,
    runs::{Actor, Via},
};
use workflow::{
    endpoint::Endpoint,
    kind::Registry,
    project::{Project, Web},
};

use crate::{exit::Failure, files::Files};

/// What every command gets.
pub(crate) struct Context {
    /// The project's folder, absolute.
    pub(crate) dir: PathBuf,
    /// `sluice.yaml`.
    pub(crate) project: Project,
    postgres: OnceCell<PgPool>,
}

impl Context {
    /// Opens the project at `dir`, or the nearest one at or above the working folder.
    pub(crate) fn open(dir: Option<&Path>) -> anyhow::Result<Self> {
        let dir = match dir {
            Some(dir) => dir.to_owned(),
            None => find_project(&std::env::current_dir().context("cannot tell the working folder")?)?,
        };
        let dir = dir.canonicalize().map_err(|e| Failure::usage(format!("no project at {}: {e}", dir.display())))?;
        let file = dir.join("sluice.yaml");
        let text = std::fs::read_to_string(&file).map_err(|e| {
            Failure::usage_hint(format!("cannot read {}: {e}", file.display()), "`sluice init DIR` makes a project")
        })?;
        let project = Project::parse(&text, |name| std::env::var(name).ok()).map_err(Failure::Files)?;
        Ok(Self { dir, project, postgres: OnceCell::new() })
    }

    /// `.sluice/`: services, logs, outbox, lake.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.join(".sluice")
    }

    /// Where people find the web page.
    pub(crate) fn public_url(&self) -> String {
        self.project.web.public_url.clone().unwrap_or_else(|| self.web_url())
    }

    /// Where this project's own tasks find the web page.
    pub(crate) fn internal_url(&self) -> String {
        self.project.web.internal_url.clone().unwrap_or_else(|| self.web_url())
    }

    /// Where the web page is on this machine: the one in the background, whose port may be another than the one in
    /// `sluice.yaml`, else where it would listen.
    fn web_url(&self) -> String {
        let running = processes::list(&self.home()).unwrap_or_default().into_iter().find_map(|process| process.url);
        running.unwrap_or_else(|| {
            let Web { host, port, .. } = &self.project.web;
            match host.parse::<IpAddr>() {
                Ok(ip) if ip.is_unspecified() => format!("http://localhost:{port}"),
                Ok(IpAddr::V6(ip)) => format!("http://[{ip}]:{port}"),
                _ => format!("http://{host}:{port}"),
            }
        })
    }

    /// Where a private service is, if it runs.
    fn private(&self, service: Service) -> anyhow::Result<Option<String>> {
        let endpoints = Services::at(self.home()).endpoints()?;
        Ok(endpoints.get(service).map(|url| url.expose().to_owned()))
    }

    /// The given URL, else the private service's.
    fn url(&self, service: Service, given: Option<String>) -> anyhow::Result<String> {
        match given {
            Some(given) => Ok(given),
            None => self.private(service)?.ok_or_else(|| self.not_started(service)),
        }
    }

    /// The URL that the project's settings give for a service; none means the private one.
    pub(crate) fn given_url(&self, service: Service) -> Option<String> {
        let services = &self.project.services;
        let secret = |url: &SecretString| url.expose_secret().to_owned();
        match service {
            Service::Postgres => services.postgres.as_ref().map(secret),
            Service::Mariadb => services.mysql.as_ref().map(secret),
            Service::Kafka => services.kafka.clone(),
        }
    }

    /// URL of the platform's Postgres: the one in `sluice.yaml`, else the private one.
    pub(crate) fn postgres_url(&self) -> anyhow::Result<String> {
        self.url(Service::Postgres, self.given_url(Service::Postgres))
    }

    /// Kafka's brokers.
    pub(crate) fn kafka(&self) -> anyhow::Result<String> {
        self.url(Service::Kafka, self.given_url(Service::Kafka))
    }

    /// Where tasks find a service, each time they connect: a private one that was started again may be elsewhere.
    pub(crate) fn endpoint(&self, service: Service) -> Endpoint {
        let name = service_name(service);
        if let Some(given) = self.given_url(service) {
            return Endpoint::fixed(name, given);
        }
        let home = self.home();
        Endpoint::found_by(name, move || {
            let found = Services::at(home.clone()).endpoints().map_err(|error| error.to_string())?;
            found.get(service).map(|url| url.expose().to_owned().into()).ok_or_else(|| {
                let noted = home.join("services.json");
                format!(
                    "{name} cannot be reached: no URL is set in sluice.yaml, and {} names none that runs; \
                     start the private one with `sluice up`",
                    noted.display()
                )
            })
        })
    }

    /// A pool on the platform's Postgres, its tables up to date. Connected once.
    pub(crate) async fn postgres(&self) -> anyhow::Result<PgPool> {
        let connect = async {
            let pool = warehouse::pool::connect_as(&self.postgres_url()?, &application()).await?;
            warehouse::migrate(&pool).await?;
            let sizes = self.project.pools.iter().map(|(name, slots)| (name.clone(), i32::from(slots.get()))).collect();
            warehouse::runs::set_pools(&pool, &sizes).await?;
            anyhow::Ok(pool)
        };
        self.postgres.get_or_try_init(|| connect).await.cloned()
    }

    /// Waits for `command`, which does nothing but ask Postgres, for as long as somebody is there to answer. Migrations take
    /// the time that they take.
    pub(crate) async fn answered<T>(&self, command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let silence = async {
            while !self.postgres.initialized() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let silence = warehouse::pool::silence(&self.postgres_url()?, &application()).await;
            Err(match silence {
                WarehouseError::Unreachable { at, source, .. } => {
                    let cause = source.source().map_or_else(|| source.to_string(), ToString::to_string);
                    Failure::Service { service: service_name(Service::Postgres), at, cause }.into()
                }
                other => anyhow::Error::from(other),
            })
        };
        tokio::select! {
            done = command => done,
            silent = silence => silent,
        }
    }

    /// The lake: `.sluice/lake` unless the project says otherwise.
    pub(crate) fn lake(&self) -> anyhow::Result<Lake> {
        if self.project.lake.is_none() {
            services::open_home(&self.home())?;
        }
        let place = self.lake_place();
        let mut s3 = self.project.s3.clone();
        s3.ca = s3.ca.map(|file| self.dir.join(file));
        // A variable that is not UTF-8 is none of AWS'.
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        Lake::open_with(&place, &s3, environment).map_err(|error| match error {
            WarehouseError::Address { .. } => Failure::usage(error.to_string()).into(),
            other => other.into(),
        })
    }

    /// Where the lake is: a folder or a URL.
    pub(crate) fn lake_place(&self) -> String {
        self.project.lake.clone().unwrap_or_else(|| self.home().join("lake").display().to_string())
    }

    /// Every file of the project, read and checked; or all that is wrong with them.
    pub(crate) fn files(&self) -> anyhow::Result<Files> {
        let registry = crate::registry::offline(self)?;
        Ok(Files::read(&self.dir, &self.project, &registry).map_err(Failure::Files)?)
    }

    /// Every task kind, wired to this project's services.
    pub(crate) async fn registry(&self) -> anyhow::Result<Registry> {
        crate::registry::connected(self).await
    }

    fn not_started(&self, service: Service) -> anyhow::Error {
        let at = self.home().join("services.json").display().to_string();
        let cause = "no URL is set and the private one does not run".to_owned();
        Failure::Service { service: service_name(service), at, cause }.into()
    }
}

/// What `pg_stat_activity` calls the sessions of this process.
fn application() -> String {
    format!("sluice {}", std::process::id())
}

fn service_name(service: Service) -> &'static str {
    match service {
        Service::Postgres => "Postgres",
        Service::Mariadb => "MariaDB",
        Service::Kafka => "Kafka",
    }
}

/// Who is at the keyboard: `SLUICE_ACTOR`, else the user that this process runs as.
pub(crate) fn actor() -> Actor {
    let given = std::env::var("SLUICE_ACTOR").ok().filter(|name| !name.trim().is_empty());
    let name = given.unwrap_or_else(|| {
        let uid = nix::unistd::Uid::current();
        let user = nix::unistd::User::from_uid(uid).ok().flatten();
        user.map_or_else(|| format!("user {uid}"), |user| user.name)
    });
    Actor { name, via: Via::Cli }
}

fn find_project(from: &Path) -> anyhow::Result<PathBuf> {
    from.ancestors().find(|dir| dir.join("sluice.yaml").is_file()).map(Path::to_owned).ok_or_else(|| {
        Failure::usage_hint(
            format!("no sluice.yaml in {} or above it", from.display()),
            "run it in a project's folder, name one with --project DIR, or make one with `sluice init DIR`",
        )
        .into()
    })
}
