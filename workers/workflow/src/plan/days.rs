//! Local days of a DAG, and the runs that belong to them.

use chrono::{DateTime, NaiveDate, Utc};

use super::Plan;
use crate::schedule::start_of_day;

impl Plan {
    /// The logical times of the local days from `from` to `to`, both included: those of the schedule, else each day's
    /// first instant.
    pub fn logical_times(&self, from: NaiveDate, to: NaiveDate) -> Vec<DateTime<Utc>> {
        let fires = self.schedule.as_ref().map(|schedule| schedule.fires_on(from, to)).unwrap_or_default();
        if !fires.is_empty() {
            return fires;
        }
        from.iter_days().take_while(|day| *day <= to).map(|day| start_of_day(self.timezone, day)).collect()
    }

    /// The first instant of the local day `from`, and the first after the local day `to`.
    pub fn days(&self, from: NaiveDate, to: NaiveDate) -> (DateTime<Utc>, DateTime<Utc>) {
        let after = to.succ_opt().unwrap_or(to);
        (start_of_day(self.timezone, from), start_of_day(self.timezone, after))
    }
}
