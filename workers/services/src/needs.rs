//! What the private services need of this machine, and whether it is there.

use std::path::PathBuf;

use serde::Serialize;

use crate::{Service, programs};

/// A program that a private service needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// Which service.
    pub service: Service,
    /// The program.
    pub program: &'static str,
    /// Where it is; `None` where it is missing.
    pub found: Option<PathBuf>,
}

/// Every program that the private services need.
pub fn needs() -> Vec<Need> {
    let postgres = programs::postgres().into_iter().next().map(|(_, folder)| folder);
    let mut needs = vec![Need { service: Service::Postgres, program: "postgres", found: postgres }];
    needs.extend(
        [(Service::Mariadb, "mariadbd"), (Service::Kafka, "java"), (Service::Kafka, "mvn")]
            .map(|(service, program)| Need { service, program, found: programs::find(program) }),
    );
    needs
}
