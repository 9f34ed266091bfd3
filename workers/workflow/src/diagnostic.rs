//! What is wrong with a user's file, as data: file, line, field, message and hint.
//!
//! Checks never stop at the first fault: each returns all that it found, and the CLI prints them at once.

use std::fmt;

/// One fault in a user's file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    /// Path as the user would type it, relative to the project folder.
    pub file: String,
    /// Line in `file`, from 1; 0 where the fault is in the file as a whole.
    pub line: usize,
    /// Where in the document: `tasks.load_orders.gate.suite`; empty for the document itself.
    pub field: String,
    /// What is wrong, with the names and values that matter; no final period.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file)?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
        }
        if !self.field.is_empty() {
            write!(out, ": {}", self.field)?;
        }
        write!(out, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(out, "\n    hint: {hint}")?;
        }
        Ok(())
    }
}

/// A fault inside one block of a document, before the block's place in its file is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path below the block: `gate.suite`.
    pub field: String,
    /// As [`Diagnostic::message`].
    pub message: String,
    /// As [`Diagnostic::hint`].
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at `field` with no hint.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), hint: None }
    }

    /// The problem as one of the block around: `field` is where in that block this one stands.
    #[must_use]
    pub(crate) fn below(mut self, field: &str) -> Self {
        self.field = crate::yaml::join(field, &self.field);
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The known name nearest to `name`, if one is near enough that a slip of the finger explains it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(name.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The hint for an unknown name: the nearest known one, else all of them.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(name, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<_> = known.into_iter().map(|k| format!("`{k}`")).collect();
    if all.is_empty() { "none is defined".to_owned() } else { format!("known: {}", all.join(", ")) }
}
