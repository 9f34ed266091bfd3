//! The log of one attempt. Kinds write lines; who runs them decides where the lines go.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What happened.
    Info,
    /// What someone should look at.
    Warn,
    /// What went wrong.
    Error,
}

impl LogLevel {
    /// As stored in `sluice.task_log.level`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One line of an attempt's log.
#[derive(Debug, Clone, serde::Serialize)]
pub struct LogLine {
    /// When it was written.
    pub at: DateTime<Utc>,
    /// How much it matters.
    pub level: LogLevel,
    /// The text. No secrets, no personal data.
    pub line: String,
}

/// Where an attempt's lines go. Cheap to clone; never blocks.
#[derive(Clone)]
pub struct TaskLog(Arc<dyn Fn(LogLine) + Send + Sync>);

impl TaskLog {
    /// Lines go to `sink`, which must not block.
    pub fn new(sink: impl Fn(LogLine) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Lines go nowhere.
    pub fn discard() -> Self {
        Self::new(|_| {})
    }

    /// Writes a line.
    pub fn info(&self, line: impl Into<String>) {
        self.write(LogLevel::Info, line.into());
    }

    /// Writes a line that someone should look at.
    pub fn warn(&self, line: impl Into<String>) {
        self.write(LogLevel::Warn, line.into());
    }

    /// Writes a line about what went wrong.
    pub fn error(&self, line: impl Into<String>) {
        self.write(LogLevel::Error, line.into());
    }

    fn write(&self, level: LogLevel, line: String) {
        (self.0)(LogLine { at: Utc::now(), level, line });
    }
}

impl std::fmt::Debug for TaskLog {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TaskLog")
    }
}
