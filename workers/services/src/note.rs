//! What a person is told while services start and stop.

use std::fmt;

use crate::server::Service;

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Progress: what happens now.
    Progress,
    /// Something was not as it should be, and was mended.
    Mended,
}

/// One thing said.
#[derive(Debug, Clone)]
pub struct Note {
    /// Which server it is about; none for all of them.
    pub service: Option<Service>,
    /// How much it matters.
    pub level: Level,
    /// One sentence, no final period.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.service {
            Some(service) => write!(out, "{service}: {}", self.text),
            None => out.write_str(&self.text),
        }
    }
}

/// Where notes go.
pub(crate) type Say = dyn Fn(&Note) + Send + Sync;

/// Without a listener, notes go to the log.
pub(crate) fn log(note: &Note) {
    let service = note.service.map(Service::name);
    match note.level {
        Level::Progress => tracing::info!(service, "{}", note.text),
        Level::Mended => tracing::warn!(service, "{}", note.text),
    }
}
