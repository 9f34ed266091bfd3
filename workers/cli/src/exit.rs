//! Exit codes, and the one place where an error's chain of causes is printed.
//!
//! 0 done · 1 a run or task failed · 2 the user's files or arguments are wrong · 3 a gate stopped it ·
//! 4 a service cannot be reached.

use std::{fmt, process::ExitCode};

use services::ServiceError;
use warehouse::{error::WarehouseError, migrations::MigrationError};
use workflow::{diagnostic::Diagnostic, error::TaskError};

/// A run or task failed.
pub(crate) const FAILED: u8 = 1;
/// The user's files or arguments are wrong.
pub(crate) const USAGE: u8 = 2;
/// A gate stopped it.
pub(crate) const GATE: u8 = 3;
/// A service cannot be reached.
pub(crate) const SERVICE: u8 = 4;

/// An error that says how the process ends.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Faults in the user's files: all of them.
    Files(Vec<Diagnostic>),
    /// Something asked for on the command line does not exist or does not fit; with a hint.
    Usage { message: String, hint: Option<String> },
    /// A service cannot be reached: which, where it was looked for, how to start it.
    Service { service: &'static str, at: String, cause: String },
    /// Said already; only the code is left.
    Code(u8),
}

impl Failure {
    /// Arguments are wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// Arguments are wrong; what to do about it.
    pub(crate) fn usage_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Files(_) | Self::Usage { .. } => USAGE,
            Self::Service { .. } => SERVICE,
            Self::Code(code) => *code,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(faults) => {
                for fault in faults {
                    writeln!(out, "{fault}")?;
                }
                let files: std::collections::BTreeSet<_> = faults.iter().map(|f| &f.file).collect();
                write!(out, "{} in {}; nothing was changed", count(faults.len(), "fault"), count(files.len(), "file"))
            }
            Self::Usage { message, hint } => {
                write!(out, "error: {message}")?;
                hint.as_ref().map_or(Ok(()), |hint| write!(out, "\n    hint: {hint}"))
            }
            Self::Service { service, at, cause } => {
                write!(out, "error: cannot reach {service} at {at}: {cause}\n    hint: ")?;
                write!(out, "`sluice up` starts the private services; or set its URL in sluice.yaml")
            }
            Self::Code(_) => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// `3 faults`, `1 file`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Prints why the command did not do what it should, and gives the exit code for it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        let text = failure.to_string();
        if !text.is_empty() {
            eprintln!("{text}");
        }
        return ExitCode::from(failure.code());
    }
    if let Some(error) = error.downcast_ref::<ServiceError>() {
        eprintln!("error: {}", chain(error));
        if let Some(hint) = error.hint() {
            eprintln!("    hint: {hint}");
        }
        return ExitCode::from(SERVICE);
    }
    let unreachable = error.chain().find_map(|cause| match cause.downcast_ref::<WarehouseError>() {
        Some(error @ WarehouseError::Unreachable { .. }) => Some(error),
        _ => None,
    });
    if let Some(error) = unreachable {
        eprintln!("error: {error}");
        return ExitCode::from(SERVICE);
    }
    eprintln!("error: {}", chain(error.as_ref()));
    if lost_postgres(error) {
        eprintln!("    hint: Postgres was lost; `sluice status` says where it is, `sluice up` starts the private one");
        return ExitCode::from(SERVICE);
    }
    // Nothing failed where an older build refuses what it does not know: it is the wrong program.
    let foreign = |cause: &MigrationError| matches!(cause, MigrationError::Newer { .. } | MigrationError::Unreleased);
    let refused = error.chain().any(|cause| cause.downcast_ref().is_some_and(foreign));
    ExitCode::from(if refused { USAGE } else { FAILED })
}

/// Whether a connection of the command's own was lost. It has them to Postgres alone; a task names its services itself.
fn lost_postgres(error: &anyhow::Error) -> bool {
    !error.chain().any(<dyn std::error::Error>::is::<TaskError>)
        && error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<sqlx::Error>())
            .any(|error| matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut))
}

/// The message and each cause beneath it, none twice.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_postgres_is_told_beneath_other_errors_and_from_a_tasks_service() {
        let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(lost_postgres(&anyhow::Error::from(WarehouseError::Database(lost())).context("cannot list the runs")));
        assert!(!lost_postgres(&sqlx::Error::RowNotFound.into()));
        assert!(!lost_postgres(&TaskError::external("no shop").because(lost()).into()));
    }
}
