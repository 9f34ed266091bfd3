//! Where a server is. It is asked each time a task connects, as a server that was started again may be elsewhere.

use std::{fmt, sync::Arc};

use secrecy::SecretString;

use crate::error::TaskError;

type Find = dyn Fn() -> Result<SecretString, String> + Send + Sync;

/// The address of a server, found when it is asked for.
#[derive(Clone)]
pub struct Endpoint {
    service: &'static str,
    find: Arc<Find>,
}

impl Endpoint {
    /// An address that stays.
    pub fn fixed(service: &'static str, url: impl Into<SecretString>) -> Self {
        let url = url.into();
        Self::found_by(service, move || Ok(url.clone()))
    }

    /// An address that `find` looks up; its error says where it looked, and what to do.
    pub fn found_by(
        service: &'static str,
        find: impl Fn() -> Result<SecretString, String> + Send + Sync + 'static,
    ) -> Self {
        Self { service, find: Arc::new(find) }
    }

    /// `MariaDB`, `Kafka`.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// The address now. Where there is none, the service is the fault.
    pub fn locate(&self) -> Result<SecretString, TaskError> {
        (self.find)().map_err(|message| TaskError::unreachable(self.service, message))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Endpoint").field("service", &self.service).finish_non_exhaustive()
    }
}
