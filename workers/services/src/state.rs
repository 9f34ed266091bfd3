//! `services.json`: what a home remembers of its servers. Passwords are in it, so only its owner can read it.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{account::Account, error::ServiceError, process::Identity, secret::Password, server::Service};

/// What is remembered of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered {
    /// The port it had last, which it gets again if that is free.
    pub(crate) port: Option<u16>,
    /// Kafka's second port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) controller_port: Option<u16>,
    /// Sluice's password there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<Password>,
    /// The process that was started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<Identity>,
}

/// The file's content.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// The home that wrote it: in a copied folder the processes are those of the original.
    home: PathBuf,
    #[serde(default)]
    postgres: Remembered,
    #[serde(default)]
    mariadb: Remembered,
    #[serde(default)]
    kafka: Remembered,
}

impl Content {
    fn of(&mut self, service: Service) -> &mut Remembered {
        match service {
            Service::Postgres => &mut self.postgres,
            Service::Mariadb => &mut self.mariadb,
            Service::Kafka => &mut self.kafka,
        }
    }
}

/// The open state of a home; every change is on disk before it is acted on.
pub(crate) struct State {
    path: PathBuf,
    content: Mutex<Content>,
}

impl State {
    /// Reads the state of a home (its canonical path), or begins one. Processes and ports written by another
    /// home, of which this one is a copy, are forgotten; its passwords stay, as the copied data hold them.
    pub(crate) fn open(home: &Path) -> Result<Self, ServiceError> {
        let path = home.join("services.json");
        let mut content: Content = read_json(&path)?.unwrap_or_default();
        if content.home != home {
            home.clone_into(&mut content.home);
            for service in Service::ALL {
                let remembered = content.of(service);
                *remembered = Remembered { password: remembered.password.take(), ..Remembered::default() };
            }
        }
        Ok(Self { path, content: Mutex::new(content) })
    }

    /// What is remembered of a server.
    pub(crate) fn get(&self, service: Service) -> Remembered {
        self.content.lock().unwrap_or_else(PoisonError::into_inner).of(service).clone()
    }

    /// Changes what is remembered of a server, and writes it.
    pub(crate) fn update(&self, service: Service, change: impl FnOnce(&mut Remembered)) -> Result<(), ServiceError> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        change(content.of(service));
        write_private_json(&self.path, &*content)
    }
}

/// Reads a JSON file that may be absent.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ServiceError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| ServiceError::State { path: path.to_owned(), source }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ServiceError::io("read", path)(error)),
    }
}

/// Writes a JSON file that only its owner can read, whole or not at all.
pub(crate) fn write_private_json(path: &Path, value: &impl Serialize) -> Result<(), ServiceError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|source| ServiceError::State { path: path.to_owned(), source })?;
    write_private(path, &text, &Account::Ours)
}

/// Writes a file that only `owner` can read, whole or not at all. It is theirs before it has its name: what stands
/// under a name in a folder of theirs may be a link by the next moment.
pub(crate) fn write_private(path: &Path, text: &str, owner: &Account) -> Result<(), ServiceError> {
    let new = path.with_extension("new");
    let written = (|| {
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        owner.own_file(&file)?;
        fs::rename(&new, path)
    })();
    written.map_err(ServiceError::io("write", path))
}
