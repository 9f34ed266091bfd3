//! When people buy: by season, by weekday, by hour, in the shop's own zone, with a little growth and noise.

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::Europe::Berlin;

use crate::{
    Settings,
    draw::{Stream, Weighted, unit},
};

/// Share of a day's orders that falls into each local hour: a small peak at lunch, a large one in the evening.
const HOURS: [f64; 24] = [
    1.6, 0.9, 0.5, 0.4, 0.4, 0.7, 1.5, 2.6, 3.6, 4.4, 5.0, 5.4, 6.0, 5.6, 5.0, 4.9, 5.1, 5.8, 6.9, 8.2, 8.8, 7.6, 5.4,
    3.2,
];

/// How orders spread over the past: one weight an hour.
#[derive(Debug)]
pub(crate) struct Demand {
    start: DateTime<Utc>,
    until: DateTime<Utc>,
    hours: Weighted,
}

impl Demand {
    pub(crate) fn new(settings: &Settings) -> Self {
        let start = settings.start();
        let hours = i64::from(settings.days) * 24;
        let weights = (0..hours).map(|hour| {
            let at = start + TimeDelta::hours(hour);
            let growth = 1.0 + 0.25 * hour as f64 / hours as f64;
            growth * weight(at, settings.seed)
        });
        Self { start, until: settings.until, hours: Weighted::new(weights) }
    }

    /// The instant at which a share of `unit` in `[0, 1)` of all orders has been placed. Rises with `unit`.
    #[expect(clippy::cast_possible_truncation, reason = "an hour's microseconds fit")]
    pub(crate) fn at(&self, unit: f64) -> DateTime<Utc> {
        let (hour, within) = self.hours.place(unit);
        let offset = TimeDelta::hours(i64::try_from(hour).unwrap_or(i64::MAX))
            + TimeDelta::microseconds((within * 3_600e6) as i64);
        (self.start + offset).min(self.until - TimeDelta::microseconds(1))
    }
}

/// How much is bought in the hour at `at`, relative to an average one.
fn weight(at: DateTime<Utc>, seed: u64) -> f64 {
    let local = at.with_timezone(&Berlin);
    let day_number = u64::try_from(local.num_days_from_ce()).unwrap_or_default();
    let noise = 0.9 + 0.2 * unit(seed, Stream::Demand, day_number);
    HOURS[local.hour() as usize] * weekday(local.weekday()) * season(local.month(), local.day()) * noise
}

fn weekday(day: Weekday) -> f64 {
    match day {
        Weekday::Mon => 1.04,
        Weekday::Tue => 0.96,
        Weekday::Wed => 0.94,
        Weekday::Thu => 0.97,
        Weekday::Fri => 0.93,
        Weekday::Sat => 0.92,
        Weekday::Sun => 1.24,
    }
}

/// The year's curve: quiet in summer, presents before Christmas, the discount week at the end of November.
fn season(month: u32, day: u32) -> f64 {
    let base = match month {
        1 => 0.92,
        2 | 8 => 0.86,
        7 => 0.84,
        4..=6 => 0.95,
        10 => 1.05,
        11 => 1.2,
        12 => 1.4,
        _ => 1.0,
    };
    match (month, day) {
        (11, 23..=30) => base * 1.5,
        (12, 24..=26) => base * 0.35,
        (12, 27..=31) => base * 0.7,
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn demand() -> (Settings, Demand) {
        let until = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().expect("an instant");
        let settings = Settings::new(3, until);
        let demand = Demand::new(&settings);
        (settings, demand)
    }

    #[test]
    fn time_rises_and_stays_inside() {
        let (settings, demand) = demand();
        let times: Vec<_> = (0..10_000).map(|i| demand.at(f64::from(i) / 10_000.0)).collect();
        assert!(times.is_sorted());
        assert!(times[0] >= settings.start() && times[9_999] < settings.until);
    }

    #[test]
    fn evenings_beat_nights_and_december_beats_july() {
        let (_, demand) = demand();
        let mut evening = 0;
        let mut night = 0;
        let mut december = 0;
        let mut july = 0;
        for i in 0..20_000 {
            let local = demand.at(f64::from(i) / 20_000.0).with_timezone(&Berlin);
            evening += u32::from((19..22).contains(&local.hour()));
            night += u32::from((2..5).contains(&local.hour()));
            december += u32::from(local.month() == 12);
            july += u32::from(local.month() == 7);
        }
        assert!(evening > 8 * night, "{evening} in the evening, {night} at night");
        assert!(december * 10 > july * 13, "{december} in December, {july} in July");
    }
}
