//! What a suite found: one outcome a check, one verdict for the batch, and the rows to hold back.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::Value;

use crate::suite::{Check, OnFail, Severity, Suite};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Something was there to check, and it held.
    Passed,
    /// It did not hold.
    Failed,
    /// It could not be checked: a missing column, a type that does not fit. Never counted as passed.
    Errored,
    /// Nothing was there to check: no rows, or only nulls where nulls are ignored. Never shown as passed.
    Vacuous,
}

impl Outcome {
    /// As stored in `sluice.check_result.outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::Vacuous => "vacuous",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What a suite says of a whole batch. From best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No check failed or errored.
    Passed,
    /// Checks failed that only warn.
    Warned,
    /// Rows are to be held back; the rest may be published.
    Quarantined,
    /// Nothing may be published.
    Failed,
}

impl Verdict {
    /// As stored in `sluice.load_ledger.verdict`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// How one check ended.
#[derive(Debug, Clone, Serialize)]
pub struct CheckOutcome {
    /// [`Check::id`].
    pub id: String,
    /// [`Check::expectation_type`].
    pub expectation: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What its failure does: [`Suite::policy`].
    pub on_fail: OnFail,
    /// [`Check::severity`].
    pub severity: Severity,
    /// What was seen, under the names that Great Expectations gives: `element_count`, `unexpected_count`,
    /// `unexpected_percent`, `partial_unexpected_list`, `observed_value`; `error` for one that errored.
    pub observed: Value,
    /// Time spent on this check alone; checks that share a scan share its time in equal parts.
    pub duration: Duration,
}

impl CheckOutcome {
    /// The verdict that this check alone would give the batch. One that errored did not guard anything, so it stops
    /// the batch unless its failure would only have warned.
    pub fn verdict(&self) -> Verdict {
        match (self.outcome, self.on_fail) {
            (Outcome::Passed | Outcome::Vacuous, _) => Verdict::Passed,
            (_, OnFail::Warn) => Verdict::Warned,
            (Outcome::Failed, OnFail::Quarantine) => Verdict::Quarantined,
            (Outcome::Errored, OnFail::Quarantine) | (_, OnFail::Fail) => Verdict::Failed,
        }
    }

    /// See [`groups_in_words`].
    pub fn groups(&self) -> Option<String> {
        groups_in_words(&self.observed)
    }

    /// One line for logs and people: the id, the outcome and the numbers that matter.
    pub fn summary(&self) -> String {
        let mut text = format!("{} {}", self.id, self.outcome);
        if let Some(error) = self.observed["error"].as_str() {
            text.push_str(&format!(": {error}"));
        } else if let Some(reason) = self.observed["reason"].as_str() {
            text.push_str(&format!(": {reason}"));
        } else if let Some(groups) = self.groups() {
            text.push_str(&format!(": {groups}"));
        } else if let Some(unexpected) = self.observed["unexpected_count"].as_u64() {
            text.push_str(&format!(": {unexpected} of {} rows", self.observed["element_count"]));
            if let Some(allowed) = self.observed["allowed_count"].as_u64() {
                text.push_str(&format!(", {allowed} allowed"));
            }
        } else if let Some(value) = self.observed.get("observed_value") {
            text.push_str(&format!(": {value}"));
        }
        text
    }
}

/// What was observed of a check that is asked of groups: how many did not hold, and the worst three with their numbers.
pub fn groups_in_words(observed: &Value) -> Option<String> {
    let groups = observed.get("groups")?;
    let one = |group: &Value| {
        let key: Vec<_> = group["group"].as_object().into_iter().flatten().map(|(_, value)| plain(value)).collect();
        let numbers = match group["unexpected_count"].as_u64() {
            Some(bad) => format!("{bad} of {} rows", group["element_count"]),
            None => plain(&group["observed_value"]),
        };
        format!("{}: {numbers}", key.join(", "))
    };
    let worst: Vec<_> = groups["worst"].as_array().into_iter().flatten().take(3).map(one).collect();
    let failed = groups["failed"].as_u64().unwrap_or_default();
    let of = format!("{failed} of {} groups by {}", groups["count"], list(&groups["by"]));
    Some(if worst.is_empty() { of } else { format!("{of}, worst {}", worst.join("; ")) })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(names: &Value) -> String {
    names.as_array().into_iter().flatten().map(plain).collect::<Vec<_>>().join(", ")
}

/// Rows that broke row checks, by their index in the frame, each with the ids of all the rules that it broke.
pub type FailedRows = BTreeMap<usize, Vec<Arc<str>>>;

/// What a suite found in a batch.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The worst of its checks' verdicts.
    pub verdict: Verdict,
    /// Rows in the batch.
    pub rows: usize,
    /// One for each check of the suite, in its order, and then one for each anomaly that was looked for.
    pub checks: Vec<CheckOutcome>,
    /// Rows that failed checks want in quarantine, with every rule that they broke: all failed row checks, those that
    /// only warn too. Empty where no failed check quarantines.
    pub failed_rows: FailedRows,
}

impl Evaluation {
    pub(crate) fn new(rows: usize, checks: Vec<CheckOutcome>, failed_rows: FailedRows) -> Self {
        let verdict = checks.iter().map(CheckOutcome::verdict).max().unwrap_or(Verdict::Passed);
        Self { verdict, rows, checks, failed_rows }
    }

    /// The checks that ended in a certain way.
    pub fn ended(&self, outcome: Outcome) -> impl Iterator<Item = &CheckOutcome> {
        self.checks.iter().filter(move |check| check.outcome == outcome)
    }

    /// One line for logs: how many checks ended how, and the verdict.
    pub fn summary(&self) -> String {
        let count = |outcome| self.ended(outcome).count();
        format!(
            "{}: {} checks over {} rows: {} passed, {} failed, {} errored, {} vacuous",
            self.verdict,
            self.checks.len(),
            self.rows,
            count(Outcome::Passed),
            count(Outcome::Failed),
            count(Outcome::Errored),
            count(Outcome::Vacuous),
        )
    }
}

/// The outcome of a check, once what was seen has been judged.
pub(crate) fn outcome(
    suite: &Suite,
    check: &Check,
    judged: Result<(Outcome, Value), String>,
    duration: Duration,
) -> CheckOutcome {
    let (outcome, observed) = judged.unwrap_or_else(|error| (Outcome::Errored, serde_json::json!({ "error": error })));
    CheckOutcome {
        id: check.id.clone(),
        expectation: check.expectation_type,
        outcome,
        on_fail: suite.policy(check),
        severity: check.severity,
        observed,
        duration,
    }
}
