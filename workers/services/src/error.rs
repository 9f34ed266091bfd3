//! What can keep the private services from running.

use std::{error::Error, io, path::PathBuf};

use crate::server::Service;

/// Why services are not up (or down). Each message names the service and the place; hints say what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A program is not installed.
    #[error("{service} needs `{program}`, which is not installed")]
    Missing {
        /// Who needs it.
        service: Service,
        /// The program that was looked for.
        program: &'static str,
        /// The command that installs it.
        install: &'static str,
    },
    /// Root may not run a server, and no user to step down to exists.
    #[error("{service} does not run as root, and there is no user `{user}` to run it")]
    NoAccount {
        /// Which server.
        service: Service,
        /// The user that its package makes.
        user: &'static str,
    },
    /// The data folder was made by another major version.
    #[error("the data in {} were written by {service} {data}, which is not installed", path.display())]
    Version {
        /// Which server.
        service: Service,
        /// The version that wrote them.
        data: String,
        /// The data folder.
        path: PathBuf,
    },
    /// No port was free.
    #[error("{service}: the ports {from} to {to} are all taken")]
    NoPort {
        /// Which server.
        service: Service,
        /// The first that was tried.
        from: u16,
        /// The last.
        to: u16,
    },
    /// A server or one of its tools ended with an error.
    #[error("{service} does not {action}: {reason}")]
    Failed {
        /// Which server.
        service: Service,
        /// What it should have done: `start`, `initialise its data`.
        action: &'static str,
        /// Its last words.
        reason: String,
        /// Where the rest of its words are.
        log: PathBuf,
    },
    /// Kafka's jars could not be fetched.
    #[error("Kafka's jars cannot be fetched with Maven: {reason}")]
    Fetch {
        /// Maven's last words.
        reason: String,
    },
    /// A file or folder resists.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `create`, `write`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A state file that is not ours.
    #[error("{} does not hold what Sluice writes there", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: serde_json::Error,
    },
    /// Several services have troubles of their own.
    #[error("{}", sentences(.0))]
    Several(Vec<ServiceError>),
    /// A process does not end.
    #[error("process {pid} ({name}) does not end")]
    Unstoppable {
        /// Its name.
        name: String,
        /// Its id.
        pid: i32,
    },
}

impl ServiceError {
    /// What a person can do about it, if that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { install, .. } => Some(format!("{install}, or run `make setup`")),
            Self::NoAccount { service, .. } => Some(format!("reinstall {service} from the system's packages")),
            Self::Version { service, data, path } => {
                Some(format!("install {service} {data}, or move {} away to begin with an empty one", path.display()))
            }
            Self::NoPort { .. } => Some("stop what listens there, or `sluice down` in other projects".to_owned()),
            Self::Failed { log, .. } => Some(format!("its log: {}", log.display())),
            Self::Fetch { .. } => Some("check the network and Maven's settings, then try again".to_owned()),
            Self::State { path, .. } => Some(format!("`sluice down`, then move {} away", path.display())),
            Self::Several(all) => {
                let hints: Vec<String> = all.iter().filter_map(Self::hint).collect();
                (!hints.is_empty()).then(|| hints.join("; "))
            }
            Self::Io { .. } | Self::Unstoppable { .. } => None,
        }
    }

    /// One error as itself, more of them as one.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// Each error with its causes, joined by semicolons.
fn sentences(errors: &[ServiceError]) -> String {
    let sentence = |error: &ServiceError| match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    errors.iter().map(sentence).collect::<Vec<_>>().join("; ")
}
