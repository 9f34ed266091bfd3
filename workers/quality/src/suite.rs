//! A suite: what must hold of a dataset, read from `quality/<name>.yaml`.

mod great_expectations;
mod parameter;
mod read;
mod rows;
mod tolerance;
mod watched;

use std::{borrow::Cow, fmt, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use tolerance::Tolerance;
pub use watched::{Profiled, Watched};

use crate::{
    expectation::{Expectation, OtherDataset},
    expression::Expression,
};

/// The checks of one dataset.
#[derive(Debug, Clone)]
pub struct Suite {
    /// Its name, which is also its file's.
    pub name: String,
    /// What it is about, for people.
    pub description: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it belongs to, for people who run or list some suites only.
    pub tags: Vec<String>,
    /// What a failed check does that says nothing itself; a gate may say otherwise ([`Suite::with_default`]).
    pub on_fail: Option<OnFail>,
    /// SHA-256 of its content, in hex: which version of the suite a load passed. Comments and layout do not count.
    pub hash: String,
    /// Its file, as it stands.
    pub text: Arc<str>,
    /// What its file says beside the checks.
    pub(crate) head: Arc<Value>,
    /// Values that arguments may name as `{ $PARAMETER: … }`.
    pub parameters: Map<String, Value>,
    /// In the order of the file. Ids are unique.
    pub checks: Vec<Check>,
    /// What is compared from batch to batch.
    pub watched: Watched,
}

/// One expectation and what follows from it.
#[derive(Debug, Clone)]
pub struct Check {
    /// Stable name, unique in its suite; the rule id in `sluice.quarantine.rules`. Default: column and short form of
    /// the expectation, as in `quantity.between`.
    pub id: String,
    /// The full name that the expectation has in Great Expectations.
    pub expectation_type: &'static str,
    /// The arguments as written.
    pub arguments: Value,
    /// The arguments, read.
    pub expectation: Expectation,
    /// How many rows may break a row expectation.
    pub tolerance: Tolerance,
    /// The columns whose values make the groups that it is asked of, each as if it were the whole; none where it is
    /// asked of all rows together. A null makes a group too.
    pub group_by: Vec<String>,
    /// What its failure does; the suite's where absent.
    pub on_fail: Option<OnFail>,
    /// How bad a failure is, for people and alerts.
    pub severity: Severity,
    /// Why it must hold.
    pub description: Option<String>,
    /// Who answers for it; the suite's owner where absent.
    pub owner: Option<String>,
    /// What it belongs to, beside the suite's tags.
    pub tags: Vec<String>,
    /// Only rows for which this is true are looked at.
    pub when: Option<Expression>,
    /// Why its arguments could not be computed ([`Suite::at`]); it is errored then.
    pub(crate) fault: Option<String>,
}

/// What a failed check does to the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFail {
    /// It is recorded; everything is published.
    Warn,
    /// The rows that broke it go to quarantine; the rest is published.
    Quarantine,
    /// Nothing is published.
    Fail,
}

impl OnFail {
    /// As stored in `sluice.check_result.on_fail`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Quarantine => "quarantine",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for OnFail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// How bad a failure is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Someone should look.
    #[default]
    Warning,
    /// Someone must act.
    Critical,
}

impl Suite {
    /// The same suite where a check that names no `on_fail`, in a suite that names none, has this one. A gate's own
    /// `on_fail` comes in here.
    #[must_use]
    pub fn with_default(mut self, on_fail: OnFail) -> Self {
        self.on_fail.get_or_insert(on_fail);
        self
    }

    /// The same suite where no failure is worse than a warning.
    #[must_use]
    pub fn warn_only(mut self) -> Self {
        self.on_fail = Some(OnFail::Warn);
        for check in &mut self.checks {
            check.on_fail = None;
        }
        for rule in &mut self.watched.rules {
            rule.on_fail = OnFail::Warn;
        }
        self
    }

    /// The same suite with no other checks than those of one of these tags; all where there is none.
    #[must_use]
    pub fn tagged(mut self, tags: &[String]) -> Self {
        let of_suite = self.tags.iter().any(|tag| tags.contains(tag));
        self.checks.retain(|check| tags.is_empty() || of_suite || check.tags.iter().any(|tag| tags.contains(tag)));
        self
    }

    /// The tags of a check, its suite's first.
    pub fn tags_of(&self, check: &Check) -> Vec<String> {
        let own = check.tags.iter().filter(|tag| !self.tags.contains(tag));
        self.tags.iter().chain(own).cloned().collect()
    }

    /// Who answers for a check.
    pub fn owner_of<'a>(&'a self, check: &'a Check) -> Option<&'a str> {
        check.owner.as_deref().or(self.owner.as_deref())
    }

    /// The other datasets that its checks compare with.
    pub fn others(&self) -> impl Iterator<Item = &OtherDataset> {
        self.checks.iter().filter_map(|check| match &check.expectation {
            Expectation::ExistsIn { other, .. } | Expectation::Agrees { other, .. } => Some(other),
            _ => None,
        })
    }

    /// What a failure of `check` does: its own `on_fail`, else the suite's, else `fail`. A check that is not about
    /// single rows cannot quarantine any, so there an inherited `quarantine` means `fail`.
    pub fn policy(&self, check: &Check) -> OnFail {
        match check.on_fail.or(self.on_fail).unwrap_or(OnFail::Fail) {
            OnFail::Quarantine if !check.expectation.is_about_rows() => OnFail::Fail,
            policy => policy,
        }
    }

    /// The suite as it is at an instant: arguments that are computed have the values of then. Evaluations take those of
    /// now.
    pub fn at(&self, now: DateTime<Utc>) -> Cow<'_, Self> {
        if !self.checks.iter().any(|check| parameter::is_in(&check.arguments)) {
            return Cow::Borrowed(self);
        }
        let mut suite = self.clone();
        for check in &mut suite.checks {
            check.compute(&self.parameters, now);
        }
        Cow::Owned(suite)
    }

    /// The columns that its checks name, each once, in order of first use.
    pub fn columns(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for check in &self.checks {
            let when = check.when.iter().flat_map(Expression::columns).map(str::to_owned);
            for name in check.expectation.columns().into_iter().chain(when).chain(check.group_by.iter().cloned()) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }
}
