//! Proposes a suite from a profile, and holds it to the data that it came from and to other batches before anyone reads
//! it.
//!
//! [`Suggestion::new`] only looks at a profile. Whether a check holds is for the engines to say: a caller evaluates
//! [`Suggestion::suite`] on every batch and gives what was found to [`Suggestion::learn`], until nothing changes. What
//! is left has passed on all of them.

mod bounds;
mod notes;
mod propose;
pub(crate) mod yaml;

use serde_json::{Value, json};
use workflow::diagnostic::Diagnostic;

use crate::{
    outcome::{CheckOutcome, Evaluation, Outcome},
    profile::{Profile, thousands},
    suite::Suite,
};

/// A row check that fails for more than this part of some batch, in percent, is left out rather than weakened.
const WEAKENED_UP_TO: f64 = 5.0;

/// A proposed suite.
#[derive(Debug, Clone)]
pub struct Suggestion {
    name: String,
    /// What it came from, for people.
    head: String,
    candidates: Vec<Candidate>,
    /// What a person should look at.
    notes: Vec<String>,
}

/// One proposed check.
#[derive(Debug, Clone)]
struct Candidate {
    expectation: &'static str,
    arguments: Vec<(&'static str, Value)>,
    /// What speaks for it.
    evidence: String,
    /// What spoke against it as it was.
    weakened: Option<String>,
    weakening: Weakening,
}

/// What can be done where a check does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weakening {
    /// It is left out.
    None,
    /// Few rows may break it.
    Mostly,
    /// Its bounds take in what was counted.
    Bounds,
}

impl Suggestion {
    /// Proposes a suite called `name` for data like that of `profile`, which came from `source`.
    pub fn new(name: &str, source: &str, profile: &Profile) -> Self {
        let (candidates, notes) = propose::propose(profile);
        let head =
            format!("Proposed from {source}: {} rows, {} columns", thousands(profile.rows), profile.columns.len());
        Self { name: name.to_owned(), head, candidates, notes }
    }

    /// How many checks it has now.
    pub fn checks(&self) -> usize {
        self.candidates.len()
    }

    /// The suite as it stands.
    ///
    /// # Errors
    /// Where no check is left.
    pub fn suite(&self) -> Result<Suite, Vec<Diagnostic>> {
        Suite::parse(&format!("{}.yaml", self.name), &self.yaml())
    }

    /// Takes what the present suite found in each batch, by its name; the first is the one that it was proposed from.
    /// Weakens what failed for few rows, leaves out the rest, and says whether anything changed.
    pub fn learn(&mut self, found: &[(String, Evaluation)]) -> bool {
        let mut changed = false;
        let mut kept = Vec::new();
        for (place, mut candidate) in std::mem::take(&mut self.candidates).into_iter().enumerate() {
            let against: Vec<_> = found
                .iter()
                .enumerate()
                .filter_map(|(batch, (name, evaluation))| Some((batch, name, evaluation.checks.get(place)?)))
                .filter(|(batch, _, check)| match check.outcome {
                    Outcome::Passed => false,
                    // What the data itself cannot show is no proposal; another batch may be empty.
                    Outcome::Vacuous => *batch == 0,
                    Outcome::Failed | Outcome::Errored => true,
                })
                .map(|(_, name, check)| (name.as_str(), check))
                .collect();
            if against.is_empty() {
                kept.push(candidate);
                continue;
            }
            changed = true;
            let reason = reason(&against);
            if candidate.weaken(&against) {
                candidate.weakened = Some(reason);
                kept.push(candidate);
            } else {
                self.notes.push(format!("left out: {}: {reason}", yaml::check(&candidate)));
            }
        }
        self.candidates = kept;
        changed
    }

    /// Its file, ready to commit as `quality/NAME.yaml`.
    pub fn yaml(&self) -> String {
        yaml::file(self)
    }
}

impl Candidate {
    /// Once; what then still fails is left out.
    fn weaken(&mut self, against: &[(&str, &CheckOutcome)]) -> bool {
        if self.weakened.is_some() || against.iter().any(|(_, check)| check.outcome != Outcome::Failed) {
            return false;
        }
        match self.weakening {
            Weakening::None => false,
            Weakening::Mostly => {
                let percent = |check: &CheckOutcome| check.observed["unexpected_percent"].as_f64().unwrap_or(100.0);
                let worst = against.iter().map(|(_, check)| percent(check)).fold(0.0, f64::max);
                if worst > WEAKENED_UP_TO {
                    return false;
                }
                // Twice as many may break it as did.
                let mostly = ((1.0 - worst / 50.0) * 1000.0).floor() / 1000.0;
                self.arguments.push(("mostly", json!(mostly)));
                true
            }
            Weakening::Bounds => {
                for (_, check) in against {
                    let Some(rows) = check.observed["observed_value"].as_u64() else { return false };
                    for (name, value) in &mut self.arguments {
                        match (*name, value.as_u64()) {
                            ("min_value", Some(min)) => *value = min.min(rows / 2).into(),
                            ("max_value", Some(max)) => *value = max.max(rows * 2).into(),
                            _ => {}
                        }
                    }
                }
                true
            }
        }
    }
}

/// Why a check does not stay as it is: the batches that it fails in, with numbers.
fn reason(against: &[(&str, &CheckOutcome)]) -> String {
    let one = |(batch, check): &(&str, &CheckOutcome)| {
        let observed = &check.observed;
        let what = match (observed["error"].as_str(), observed["unexpected_count"].as_u64()) {
            _ if check.outcome == Outcome::Vacuous => "has nothing to check".to_owned(),
            (Some(error), _) => error.to_owned(),
            (None, Some(count)) => {
                let all = observed["element_count"].as_u64().unwrap_or_default();
                format!("{} of {} rows fail", thousands(count), thousands(all))
            }
            (None, None) => format!("found {}", observed["observed_value"]),
        };
        format!("{what} in {batch}")
    };
    against.iter().map(one).collect::<Vec<_>>().join(", ")
}
