//! What is an anomaly, and what is none.

use chrono::{Days, NaiveDate};
use quality::{
    Outcome, Suite,
    anomaly::{Judgement, Point, Rule},
};

/// A Thursday.
fn day(number: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).and_then(|first| first.checked_add_days(Days::new(number))).expect("a day")
}

fn suite(anomalies: &str) -> Suite {
    let text = format!("suite: s\nanomalies:\n{anomalies}");
    Suite::parse("quality/s.yaml", &text).unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
}

fn faults(anomalies: &str) -> Vec<String> {
    let text = format!("suite: s\nanomalies:\n{anomalies}");
    let faults = Suite::parse("quality/s.yaml", &text).expect_err("faults");
    faults.iter().map(ToString::to_string).collect()
}

/// Judges the last of these values, one a day, as `row_count` with these keys.
fn judge(keys: &str, values: &[f64]) -> Judgement {
    judge_of(&suite(&format!("  - {{ metric: row_count{keys} }}\n")), 1000, values)
}

fn judge_of(suite: &Suite, rows: u64, values: &[f64]) -> Judgement {
    let points: Vec<Point> = (0..).map(day).zip(values).map(|(day, value)| Point { day, value: *value }).collect();
    let (tested, before) = points.split_last().expect("a point");
    let before: Vec<_> = before.iter().rev().copied().collect();
    suite.watched.rules[0].judge(*tested, rows, &before, &suite.watched.calendar)
}

/// 28 values around 1,000 and then another.
fn around(last: f64) -> Vec<f64> {
    (0..28).map(|n| 1020.0 + 8.0 * f64::from(n * 37 % 29 - 14)).chain([last]).collect()
}

/// Numbers that look random and are the same each time (Steele, Lea and Flood's `SplitMix64`, 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of a normal distribution, by the sum of twelve.
    fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        mean + deviation * ((0..12).map(|_| self.next()).sum::<f64>() - 6.0)
    }
}

#[test]
fn a_point_far_from_the_median_explains_itself() {
    let found = judge("", &around(120.0));
    assert_eq!(found.outcome, Outcome::Failed);
    let told = "row_count 120; the median of 28 batches is 1,016, MAD 56, limit 7.29: 16.0 below";
    assert_eq!(found.reason, told);
    assert_eq!(found.observed["points"], 28);
    assert_eq!(judge("", &around(1020.0)).outcome, Outcome::Passed);
}

#[test]
fn only_the_side_that_is_asked_for_is_odd() {
    for (direction, low, high) in [("up", false, true), ("down", true, false), ("both", true, true)] {
        let odd = |last| judge(&format!(", direction: {direction}"), &around(last)).outcome == Outcome::Failed;
        assert_eq!((odd(120.0), odd(5000.0)), (low, high), "{direction}");
    }
}

#[test]
fn a_point_never_judges_itself() {
    // Whatever the tested value is, the baseline is the same.
    let baseline = |last| {
        let found = judge("", &around(last));
        (found.median, found.tolerance)
    };
    assert_eq!(baseline(0.0), baseline(1e12));
    // With itself among the points, so far a value would widen its own limit.
    assert_eq!(judge(", minimum: 3, window: 3", &[10.0, 11.0, 12.0, 1e6]).outcome, Outcome::Failed);
}

#[test]
fn another_unit_changes_no_judgement() {
    let mut chance = Chance(7);
    for round in 0..500 {
        let spread = [0.0, 1.0, 30.0, 400.0][round % 4];
        let mut values: Vec<f64> = (0..30).map(|_| chance.normal(1000.0, spread).round()).collect();
        values.push(chance.normal(1000.0, 3.0 * spread + 10.0).round());
        let found = judge("", &values);
        // Powers of two, so that no bit is lost.
        for scale in [1024.0, 1.0 / 4096.0, -8.0] {
            let scaled: Vec<f64> = values.iter().map(|value| value * scale).collect();
            let other = judge("", &scaled);
            assert_eq!(found.outcome, other.outcome, "{values:?}\n{}\n{}", found.reason, other.reason);
            assert_eq!(found.observed["distance"], other.observed["distance"]);
        }
    }
}

#[test]
fn the_order_of_the_points_does_not_matter_within_the_window() {
    let mut values = around(950.0);
    let found = judge("", &values);
    values[..28].reverse();
    assert_eq!(found, judge("", &values));
}

#[test]
fn a_series_that_stands_still_has_a_hundredth_of_itself_to_move() {
    let still = |last: f64| judge("", &[vec![1000.0; 28], vec![last]].concat());
    assert_eq!(still(1000.0).outcome, Outcome::Passed);
    assert_eq!(still(1050.0).outcome, Outcome::Passed);
    let found = still(1100.0);
    assert_eq!(found.outcome, Outcome::Failed);
    assert!(found.reason.contains("MAD 0, taken as 1 % of the median, 10,"), "{}", found.reason);
    // Seven shippers are seven shippers.
    assert_eq!(judge("", &[vec![7.0; 28], vec![8.0]].concat()).outcome, Outcome::Failed);
    // What was always nothing has no scale: the first that is something is odd.
    let first = judge("", &[vec![0.0; 28], vec![1.0]].concat());
    assert_eq!((first.outcome, &first.observed["distance"]), (Outcome::Failed, &serde_json::Value::Null));
    assert!(first.reason.ends_with("above, and none ever was"), "{}", first.reason);
    // Where it moved now and then, the mean distance is the measure.
    let mut seldom = vec![0.0; 28];
    (seldom[3], seldom[17]) = (40.0, 44.0);
    assert_eq!(judge("", &[seldom.clone(), vec![4.0]].concat()).outcome, Outcome::Passed);
    let far = judge("", &[seldom, vec![400.0]].concat());
    assert_eq!(far.outcome, Outcome::Failed);
    assert!(far.reason.contains("MAD 0, by the mean distance"), "{}", far.reason);
}

#[test]
fn a_share_of_few_rows_may_move_by_chance() {
    let suite = suite("  - { metric: null_share, column: c, direction: up }\n");
    let never = vec![0.0; 28];
    for (rows, share, outcome) in [
        (1000, 0.001, Outcome::Passed),
        (1000, 0.02, Outcome::Failed),
        (20, 0.05, Outcome::Passed),
        (1_000_000, 0.001, Outcome::Failed),
    ] {
        let found = judge_of(&suite, rows, &[never.clone(), vec![share]].concat());
        assert_eq!(found.outcome, outcome, "{rows} rows: {}", found.reason);
    }
    let found = judge_of(&suite, 1000, &[never, vec![0.02]].concat());
    assert!(found.reason.starts_with("null_share of c 2 %; the median of 28 batches is 0 %"), "{}", found.reason);
}

#[test]
fn a_weekday_is_compared_with_its_like() {
    // Sundays are quiet.
    let week = |number: u64| if number % 7 == 3 { 100.0 } else { 1000.0 };
    let mut values: Vec<f64> = (0..73).map(|n| week(n) + (n * 5 % 7) as f64).collect();
    assert_eq!(values.len() % 7, 3, "the next is a Sunday");
    values.push(101.0);
    assert_eq!(judge(", season: weekday", &values).outcome, Outcome::Passed);
    assert_eq!(judge("", &values).outcome, Outcome::Failed);
    *values.last_mut().expect("a value") = 1000.0;
    let found = judge(", season: weekday", &values);
    assert_eq!(found.outcome, Outcome::Failed);
    assert!(found.reason.contains("the median of 8 Sundays is"), "{}", found.reason);
    assert_eq!(judge("", &values).outcome, Outcome::Passed);
}

#[test]
fn with_too_little_history_nothing_is_judged_and_said_so() {
    let found = judge("", &[5.0, 6.0, 1e9]);
    assert_eq!(found.outcome, Outcome::Vacuous);
    assert_eq!(found.reason, "row_count 1,000,000,000; not judged: 2 batches before it, 14 are needed");
    let found = judge(", season: weekday", &around(1e9));
    assert_eq!(found.reason, "row_count 1,000,000,000; not judged: 4 Thursdays before it, 6 are needed");
}

#[test]
fn known_events_are_neither_judged_nor_a_measure() {
    let with = |events: &str, values: &[f64]| {
        let text = format!("suite: s\nevents:\n{events}anomalies:\n  - {{ metric: row_count }}\n");
        let suite = Suite::parse("quality/s.yaml", &text).unwrap_or_else(|faults| panic!("{faults:#?}"));
        judge_of(&suite, 1000, values)
    };
    let sale = with("  - { name: the sale, on: 2026-01-29 }\n", &around(9e9));
    assert_eq!(sale.reason, "row_count 9,000,000,000; not judged: 2026-01-29 is the sale");
    assert_eq!(sale.outcome, Outcome::Vacuous);
    // Two weeks of another kind would move the median; as an event they do not.
    let mut values = around(5000.0);
    values[..14].fill(5000.0);
    assert_eq!(with("  - { name: x, on: \"12-24\" }\n", &values).outcome, Outcome::Passed);
    let spans = "  - { name: winter, from: \"12-20\", to: \"01-14\" }\n  - { name: y, on: [2025-01-01, 2025-01-02] }\n";
    let found = with(spans, &values);
    assert_eq!((found.outcome, &found.observed["points"]), (Outcome::Failed, &14.into()), "{}", found.reason);
}

#[test]
fn a_rule_that_makes_no_sense_is_refused_with_a_hint() {
    for (written, told) in [
        ("  - { metric: row_cout }\n", "did you mean `row_count`?"),
        ("  - { metric: mean }\n", "name the `column`"),
        ("  - { metric: row_count, column: a }\n", "remove `column`"),
        ("  - { sql: select 1 }\n", "needs an `id`"),
        ("  - { metric: row_count, sql: select 1 }\n", "one of them"),
        ("  - { metric: row_count, sensitivity: 0 }\n", "must be above 0"),
        ("  - { metric: row_count, minimum: 1 }\n", "at least 3 points"),
        ("  - { metric: row_count, window: 5 }\n", "must be from 14"),
        ("  - { metric: row_count, on_fail: quarantine }\n", "not about single rows"),
        ("  - { metric: row_count, seasn: weekday }\n", "unknown"),
        ("  - { metric: row_count }\n  - { metric: row_count }\n", "two anomalies have the id"),
        ("  - { metric: row_count }\nevents:\n  - { name: x }\n", "`on: 2026-12-24`"),
        ("  - { metric: row_count }\nevents:\n  - { name: x, on: Friday }\n", "`Friday` is no day"),
        ("  - { metric: row_count }\nevents:\n  - { name: x, from: 2026-02-01, to: 2026-01-01 }\n", "is before"),
        (
            "  - { id: a.not_null, metric: row_count }\nchecks:\n  - expect_column_values_to_not_be_null: { column: a }\n",
            "a check and an anomaly",
        ),
    ] {
        let found = faults(written);
        assert!(
            found.iter().any(|fault| fault.contains(told) && fault.starts_with("quality/s.yaml:")),
            "{written}{found:#?}"
        );
    }
}

/// How often a rule speaks up about noise alone: the default is meant to be quiet.
#[test]
fn sixty_clean_days_raise_no_alarm() {
    let mut chance = Chance(20_260_101);
    let suite = suite(
        "  - { metric: row_count, season: weekday }\n  - { metric: null_share, column: email, direction: up }
  - { metric: mean, column: total }\n  - { metric: distinct, column: customer }\n",
    );
    let weekday = [1.0, 1.05, 1.1, 1.3, 1.6, 0.9, 0.95];
    let days: Vec<[f64; 4]> = (0..180_usize)
        .map(|n| {
            let rows = chance.normal(1000.0 * weekday[n % 7], 60.0).round();
            let nulls = (0..1000).filter(|_| chance.next() < 0.01).count() as f64 / 1000.0;
            [rows, nulls, chance.normal(59.9, 2.5), chance.normal(0.8 * rows, 20.0).round()]
        })
        .collect();
    let mut judged = 0;
    for tested in 120..180 {
        for (place, rule) in suite.watched.rules.iter().enumerate() {
            let series: Vec<Point> =
                (0..).map(day).zip(&days[..=tested]).map(|(day, values)| Point { day, value: values[place] }).collect();
            let found = judge_last(rule, &suite, &series);
            assert_eq!(found.outcome, Outcome::Passed, "{}", found.reason);
            judged += 1;
        }
    }
    assert_eq!(judged, 240);
}

fn judge_last(rule: &Rule, suite: &Suite, series: &[Point]) -> Judgement {
    let (tested, before) = series.split_last().expect("a point");
    let before: Vec<_> = before.iter().rev().copied().collect();
    rule.judge(*tested, 1000, &before, &suite.watched.calendar)
}
