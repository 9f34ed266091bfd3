//! Why a task failed: whose fault it is and whether to try again. Retry policy comes from these two alone.

use std::{error::Error, fmt, time::Duration};

/// Whose side a fault is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorDomain {
    /// The user's files or data; a retry cannot help.
    User,
    /// A service, the network, another machine; a retry may help.
    External,
    /// Sluice itself.
    Internal,
}

impl ErrorDomain {
    /// As stored in `sluice.attempt.error_domain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::External => "external",
            Self::Internal => "internal",
        }
    }
}

/// Whether another attempt can end otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryHint {
    /// It will end the same way.
    Never,
    /// After the task's own backoff.
    Backoff,
    /// Not before this long (a server said so).
    After(Duration),
}

type Cause = Box<dyn Error + Send + Sync>;

/// The error of an attempt. `Display` prints the message alone; [`TaskError::chain`] adds the causes, once.
#[derive(Debug)]
pub struct TaskError {
    /// Whose side it is on.
    pub domain: ErrorDomain,
    /// Whether another attempt can help.
    pub retry: RetryHint,
    /// A gate stopped it (exit code 3 of the CLI) rather than a fault.
    pub gate: bool,
    /// The service that cannot be reached, where that is the fault (exit code 4 of the CLI).
    pub service: Option<&'static str>,
    /// No fault at all: what the task waits for is not there yet, and it looks again after this long. The attempt does not
    /// count, and the task has no slot meanwhile.
    pub look_again: Option<Duration>,
    message: String,
    cause: Option<Cause>,
}

impl TaskError {
    /// A fault of the user's files or data: not retried.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(ErrorDomain::User, RetryHint::Never, message.into())
    }

    /// A fault of something outside: retried with backoff.
    pub fn external(message: impl Into<String>) -> Self {
        Self::new(ErrorDomain::External, RetryHint::Backoff, message.into())
    }

    /// A fault of Sluice: retried with backoff.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorDomain::Internal, RetryHint::Backoff, message.into())
    }

    /// A gate refused the data: not retried.
    pub fn gate(message: impl Into<String>) -> Self {
        Self { gate: true, ..Self::user(message) }
    }

    /// A service that cannot be reached: the message says which, where it was looked for, and how to start it. Retried
    /// with backoff.
    pub fn unreachable(service: &'static str, message: impl Into<String>) -> Self {
        Self { service: Some(service), ..Self::external(message) }
    }

    /// What the task waits for is not there: `message` says what it is, and another look comes after `wait`, until the time
    /// of the task as a whole is up. An error, so that `?` can end a look at any place.
    pub fn not_yet(wait: Duration, message: impl Into<String>) -> Self {
        Self { look_again: Some(wait), ..Self::external(message) }
    }

    fn new(domain: ErrorDomain, retry: RetryHint, message: String) -> Self {
        Self { domain, retry, gate: false, service: None, look_again: None, message, cause: None }
    }

    /// Adds what lies beneath.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Says when another attempt makes sense.
    #[must_use]
    pub fn retry(mut self, retry: RetryHint) -> Self {
        self.retry = retry;
        self
    }

    /// The message and each cause beneath it, joined by `: `, none twice.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.cause.as_deref().map(|c| c as &dyn Error);
        while let Some(error) = next {
            let line = error.to_string();
            if !text.contains(&line) {
                text.push_str(": ");
                text.push_str(&line);
            }
            next = error.source();
        }
        text
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|c| c as &(dyn Error + 'static))
    }
}
