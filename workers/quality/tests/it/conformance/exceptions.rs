//! The cases that end otherwise on purpose.

use super::fixtures::Target;

use Target::{Frames, Tables};

/// Why this case may end otherwise, if it may.
pub(super) fn reason(target: Target, expectation: &str, title: &str) -> Option<&'static str> {
    let found = EXCEPTIONS.iter().find(|(of, name, known, _)| *of == target && *name == expectation && *known == title);
    found.map(|(.., reason)| *reason)
}

const EXCEPTIONS: &[(Target, &str, &str, &str)] = &[];
