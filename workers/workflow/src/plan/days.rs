//! Local days of a DAG, and the runs that belong to them.

use chrono::{DateTime, NaiveDate, Utc};

use super::Plan;
use crate::schedule::{Timing, start_of_day};

impl Plan {
    /// The logical times of the local days from `from` to `to`, both included: those of the schedule, or each day's
    /// first instant where there is none that fires again. No more than `most` and one.
    pub fn logical_times(&self, from: NaiveDate, to: NaiveDate, most: usize) -> Vec<DateTime<Utc>> {
        match &self.schedule {
            Some(schedule) if schedule.timing != Timing::Once => schedule.fires_on(from, to, most),
            _ => {
                let days = from.iter_days().take_while(|day| *day <= to).take(most + 1);
                days.map(|day| start_of_day(self.timezone, day)).collect()
            }
        }
    }

    /// The first instant of the local day `from`, and the first after the local day `to`.
    pub fn days(&self, from: NaiveDate, to: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
        let after = to.succ_opt().unwrap_or(to);
        (start_of_day(self.timezone, from), start_of_day(self.timezone, after))
    }
}
