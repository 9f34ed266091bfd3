//! The names that a DAG may refer to, and the resolution of a reference against them.

use std::collections::BTreeSet;

use chrono_tz::Tz;

use crate::{
    diagnostic::{Problem, did_you_mean},
    kind::{Reference, Target},
};

/// What the rest of the project defines. Whoever reads the project folder fills it in, so that checking is pure.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The project's time zone, for DAGs that name none. Default UTC.
    pub timezone: Tz,
    /// Suites in `quality/`.
    pub suites: BTreeSet<String>,
    /// Models in `sql/models/`, and the folders they stand in.
    pub models: BTreeSet<String>,
    /// Channels in `sluice.yaml`.
    pub channels: BTreeSet<String>,
    /// Connections in `sluice.yaml`.
    pub connections: BTreeSet<String>,
    /// Pools in `sluice.yaml`.
    pub pools: BTreeSet<String>,
    /// Webhooks in `sluice.yaml`.
    pub webhooks: BTreeSet<String>,
    /// Files of the project, relative to its folder.
    pub files: BTreeSet<String>,
}

impl Known {
    /// What is wrong with a reference to anything but a task.
    pub(super) fn resolve(&self, reference: &Reference) -> Option<Problem> {
        let (what, name, known, place) = match &reference.target {
            Target::Task(_) => return None,
            Target::Suite(name) => ("suite", name, &self.suites, "quality/"),
            Target::Model(name) => ("model", name, &self.models, "sql/models/"),
            Target::Channel(name) => ("channel", name, &self.channels, "sluice.yaml"),
            Target::Connection(name) => ("connection", name, &self.connections, "sluice.yaml"),
            Target::Pool(name) => ("pool", name, &self.pools, "sluice.yaml"),
            Target::File(name) => ("file", name, &self.files, "the project folder"),
        };
        if known.contains(name) {
            return None;
        }
        let names = known.iter().map(String::as_str);
        let hint = match &reference.target {
            Target::File(_) => crate::diagnostic::nearest(name, names).map_or_else(
                || "paths are relative to the project folder".to_owned(),
                |n| format!("did you mean `{n}`?"),
            ),
            _ => did_you_mean(name, names),
        };
        Some(Problem::new(&reference.field, format!("no {what} `{name}` in {place}")).hint(hint))
    }
}
