//! What of a suite's batches is kept and compared from one to the next.

use polars::prelude::{DataFrame, PlSmallStr};
use serde::Deserialize;

use crate::{
    anomaly::{Calendar, Rule},
    profile::Profile,
};

/// The numbers that a suite watches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    /// Columns whose profile is kept, whether a rule watches them or not.
    pub profile: Profiled,
    /// What is an anomaly.
    pub rules: Vec<Rule>,
    /// When none is.
    pub calendar: Calendar,
}

/// Which columns' profiles are kept with each batch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected true, false or a list of columns")]
pub enum Profiled {
    /// All, or none.
    Every(bool),
    /// These.
    Columns(Vec<String>),
}

impl Default for Profiled {
    fn default() -> Self {
        Self::Every(false)
    }
}

impl Watched {
    /// The columns to profile out of those that there are, in their order.
    pub fn columns<'a>(&self, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let is_wanted = |name: &str| {
            let kept = match &self.profile {
                Profiled::Every(every) => *every,
                Profiled::Columns(columns) => columns.iter().any(|column| column == name),
            };
            kept || self.rules.iter().any(|rule| rule.column() == Some(name))
        };
        known.into_iter().filter(|name| is_wanted(name)).map(str::to_owned).collect()
    }

    /// Profiles what is wanted of a batch that is in memory; nothing where nothing is. Blocking.
    pub fn profile_frame(&self, frame: &DataFrame) -> Option<Profile> {
        let names = self.columns(frame.get_column_names().into_iter().map(PlSmallStr::as_str));
        if names.is_empty() {
            return None;
        }
        frame.select(names).ok().map(|wanted| crate::profile_frame(&wanted))
    }
}
