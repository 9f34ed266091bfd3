//! Fires, intervals and clock changes, case by case.

use super::*;

fn schedule(text: &str, zone: Tz) -> Schedule {
    Schedule::new(Timing::parse(text).expect(text), zone)
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().expect(text)
}

/// Fires after `from`, in the zone's local time.
fn fires(text: &str, zone: Tz, from: &str, count: usize) -> Vec<String> {
    fires_of(&schedule(text, zone), from, count)
}

fn fires_of(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let mut at = utc(from);
    std::iter::from_fn(|| {
        at = schedule.next_after(at)?;
        Some(at.with_timezone(&schedule.timezone).format("%m-%d %H:%M %Z").to_string())
    })
    .take(count)
    .collect()
}

#[test]
fn a_time_that_the_clock_skips_fires_once() {
    assert_eq!(
        fires("30 2 * * *", Tz::Europe__Berlin, "2026-03-28T00:00:00Z", 3),
        ["03-28 02:30 CET", "03-29 03:00 CEST", "03-30 02:30 CEST"]
    );
}

#[test]
fn several_times_of_day_fire_once_each_through_a_clock_change() {
    let berlin = Tz::Europe__Berlin;
    assert_eq!(
        fires("0 2,14 * * *", berlin, "2026-03-28T14:00:00Z", 3),
        ["03-29 03:00 CEST", "03-29 14:00 CEST", "03-30 02:00 CEST"]
    );
    assert_eq!(
        fires("0,30 2 * * *", berlin, "2026-10-24T12:00:00Z", 3),
        ["10-25 02:00 CEST", "10-25 02:30 CEST", "10-26 02:00 CET"]
    );
    // Back again, each fire's interval begins where the one before it ended.
    let twice = schedule("0 2,14 * * *", berlin);
    let mut at = utc("2026-10-24T00:00:00Z");
    for _ in 0..6 {
        let next = twice.next_after(at).expect("it goes on");
        assert!(twice.previous_before(next).is_some_and(|before| before <= at), "{at} {next}");
        at = next;
    }
    // The middle of the repeated hour lies after the fire of its first pass.
    assert_eq!(twice.previous_before(utc("2026-10-25T01:10:00Z")), Some(utc("2026-10-25T00:00:00Z")));
}

#[test]
fn a_deadline_is_the_next_such_time_or_so_long_after() {
    let (berlin, fire) = (Tz::Europe__Berlin, utc("2026-03-28T22:00:00Z"));
    let after = |text: &str| Deadline::parse(text).and_then(|deadline| deadline.after(fire, berlin));
    assert_eq!(after("08:00"), Some(utc("2026-03-29T06:00:00Z")));
    assert_eq!(after("23:30"), Some(utc("2026-03-28T22:30:00Z")));
    assert_eq!(after("02:30"), Some(utc("2026-03-29T01:00:00Z")), "skipped by the clock");
    assert_eq!(after("90m"), Some(utc("2026-03-28T23:30:00Z")));
    assert_eq!(Deadline::parse("soon"), None);
}

#[test]
fn a_time_that_comes_twice_fires_once() {
    assert_eq!(
        fires("30 2 * * *", Tz::Europe__Berlin, "2026-10-24T12:00:00Z", 2),
        ["10-25 02:30 CEST", "10-26 02:30 CET"]
    );
}

#[test]
fn an_hourly_schedule_keeps_its_rhythm_through_both_changes() {
    assert_eq!(
        fires("0 * * * *", Tz::Europe__Berlin, "2026-03-29T00:30:00Z", 2),
        ["03-29 03:00 CEST", "03-29 04:00 CEST"]
    );
    assert_eq!(
        fires("0 * * * *", Tz::Europe__Berlin, "2026-10-24T23:30:00Z", 3),
        ["10-25 02:00 CEST", "10-25 02:00 CET", "10-25 03:00 CET"]
    );
}

#[test]
fn midnight_where_it_does_not_exist() {
    assert_eq!(
        fires("@daily", Tz::America__Santiago, "2026-09-05T12:00:00Z", 2),
        ["09-06 01:00 -03", "09-07 00:00 -03"]
    );
    let day = NaiveDate::from_ymd_opt(2026, 9, 6).expect("a date");
    assert_eq!(start_of_day(Tz::America__Santiago, day), utc("2026-09-06T04:00:00Z"));
}

#[test]
fn intervals_join_without_gap_or_overlap() {
    for text in ["0 2 * * *", "30 2 * * *", "0 * * * *", "*/20 * * * *", "0 0 1 * *"] {
        let schedule = schedule(text, Tz::Europe__Berlin);
        for around in ["2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z"] {
            let mut last = schedule.next_after(utc(around)).expect("fires");
            for _ in 0..60 {
                let next = schedule.next_after(last).expect("fires");
                assert_eq!(schedule.interval(next), DataInterval { start: last, end: next }, "{text}");
                last = next;
            }
        }
    }
}

#[test]
fn a_fixed_interval_counts_from_its_start() {
    let mut every = Schedule::new(Timing::Every("15m".parse().expect("span")), Tz::UTC);
    assert_eq!(every.next_after(utc("2026-01-01T10:07:00Z")), Some(utc("2026-01-01T10:15:00Z")));
    assert_eq!(every.interval(utc("2026-01-01T10:15:00Z")).start, utc("2026-01-01T10:00:00Z"));
    every.start = Some(utc("2026-01-01T10:05:00Z"));
    assert_eq!(every.next_after(utc("2025-01-01T00:00:00Z")), Some(utc("2026-01-01T10:05:00Z")));
    assert_eq!(every.next_after(utc("2026-01-01T10:05:00Z")), Some(utc("2026-01-01T10:20:00Z")));
    every.end = Some(utc("2026-01-01T10:20:00Z"));
    assert_eq!(every.next_after(utc("2026-01-01T10:05:00Z")), None);
}

#[test]
fn days_hold_the_fires_of_their_local_time() {
    let day = |d| NaiveDate::from_ymd_opt(2026, 3, d).expect("a date");
    let found = schedule("0 */12 * * *", Tz::Europe__Berlin).fires_on(day(28), day(29), 10);
    assert_eq!(found.len(), 4);
    assert_eq!(found[0], utc("2026-03-27T23:00:00Z"));
    assert_eq!(found[3], utc("2026-03-29T10:00:00Z"));
}

#[test]
fn bad_expressions_are_refused_with_a_reason() {
    for (text, reason) in [
        ("0 0 30 2 *", "`0 0 30 2 *` never fires"),
        ("0 2 * *", "`0 2 * *` has 4 fields, a cron expression has 5, or 6 with seconds first"),
        ("@dayly", "`@dayly` is not a schedule"),
    ] {
        assert_eq!(Timing::parse(text).expect_err(text), reason);
    }
    assert!(Timing::parse("61 2 * * *").expect_err("minute").starts_with("`61 2 * * *` is not a cron expression"));
}

#[test]
fn a_time_that_comes_twice_fires_as_often_as_the_schedule_says() {
    // Where clocks are put back, when, and what each zone shows.
    let cases = [
        (
            Tz::Europe__Berlin,
            "30 2 * * *",
            "2026-10-24T12:00:00Z",
            ["10-25 02:30 CEST", "10-25 02:30 CET", "10-26 02:30 CET"],
        ),
        (
            Tz::America__New_York,
            "30 1 * * *",
            "2026-10-31T12:00:00Z",
            ["11-01 01:30 EDT", "11-01 01:30 EST", "11-02 01:30 EST"],
        ),
        // By half an hour.
        (
            Tz::Australia__Lord_Howe,
            "45 1 * * *",
            "2026-04-04T00:00:00Z",
            ["04-05 01:45 +11", "04-05 01:45 +1030", "04-06 01:45 +1030"],
        ),
    ];
    for (zone, text, from, both) in cases {
        assert_eq!(fires(text, zone, from, 2), [both[0], both[2]], "{zone}");
        let twice = Schedule { fold: Fold::Twice, ..schedule(text, zone) };
        assert_eq!(fires_of(&twice, from, 3), both, "{zone}");
    }
}

#[test]
fn a_time_that_no_clock_shows_fires_at_the_end_of_the_gap() {
    let cases = [
        (Tz::America__New_York, "30 2 * * *", "2026-03-07T12:00:00Z", ["03-08 03:00 EDT", "03-09 02:30 EDT"]),
        (Tz::Australia__Lord_Howe, "15 2 * * *", "2026-10-03T00:00:00Z", ["10-04 02:30 +11", "10-05 02:15 +11"]),
        // A whole day was left out.
        (Tz::Pacific__Apia, "0 8 * * *", "2011-12-29T19:00:00Z", ["12-31 00:00 +14", "12-31 08:00 +14"]),
    ];
    for (zone, text, from, expected) in cases {
        assert_eq!(fires(text, zone, from, 2), expected, "{zone}");
        let twice = Schedule { fold: Fold::Twice, ..schedule(text, zone) };
        assert_eq!(fires_of(&twice, from, 2), expected, "{zone}: a gap is no fold");
    }
}

#[test]
fn several_schedules_fire_as_one() {
    let berlin = Tz::Europe__Berlin;
    let saturdays = schedule("0 4 * * 6", berlin);
    let both = Schedule { also: vec![saturdays], ..schedule("0 2,4 * * 1-6", berlin) };
    assert_eq!(
        fires_of(&both, "2026-01-02T02:00:00Z", 4),
        ["01-02 04:00 CET", "01-03 02:00 CET", "01-03 04:00 CET", "01-05 02:00 CET"],
        "an instant that two of them mean is one fire"
    );
    assert_eq!(both.to_string(), "0 2,4 * * 1-6; 0 4 * * 6");
    // Each interval begins where the one before it ended, whichever schedule fired.
    let mut last = both.next_after(utc("2026-03-27T00:00:00Z")).expect("fires");
    for _ in 0..20 {
        let next = both.next_after(last).expect("fires");
        assert_eq!(both.interval(next), DataInterval { start: last, end: next });
        assert_eq!(both.latest_until(next), Some(next));
        last = next;
    }
}

#[test]
fn each_of_several_schedules_keeps_its_own_end_deadline_and_zone() {
    let mut nightly = schedule("0 2 * * *", Tz::UTC);
    nightly.end = Some(utc("2026-01-03T00:00:00Z"));
    nightly.deadline = Deadline::parse("1h");
    let mut noon = schedule("0 12 * * *", Tz::America__New_York);
    noon.deadline = Deadline::parse("2h");
    let both = Schedule { also: vec![noon], ..nightly };
    let mut at = utc("2026-01-01T20:00:00Z");
    let fires: Vec<_> = std::iter::from_fn(|| {
        at = both.next_after(at)?;
        Some(at)
    })
    .take(3)
    .collect();
    assert_eq!(fires, [utc("2026-01-02T02:00:00Z"), utc("2026-01-02T17:00:00Z"), utc("2026-01-03T17:00:00Z")]);
    assert_eq!(both.deadline(fires[0], fires[0]), Some(utc("2026-01-02T03:00:00Z")));
    assert_eq!(both.deadline(fires[1], fires[1]), Some(utc("2026-01-02T19:00:00Z")));
}

#[test]
fn jitter_is_the_same_for_the_same_fire_and_spread_over_others() {
    let mut hourly = schedule("@hourly", Tz::UTC);
    let fire = utc("2026-01-01T01:00:00Z");
    assert_eq!(hourly.start_of_run("d", fire), fire);
    hourly.jitter = Some(Span::from_secs(300));
    let delay = |dag: &str, fire| (hourly.start_of_run(dag, fire) - fire).num_seconds();
    assert_eq!(delay("d", fire), delay("d", fire));
    let delays: Vec<_> = (0..50).map(|dag| delay(&format!("d{dag}"), fire)).collect();
    assert!(delays.iter().all(|delay| (0..=300).contains(delay)), "{delays:?}");
    assert!(delays.iter().any(|delay| *delay < 100) && delays.iter().any(|delay| *delay > 200), "{delays:?}");
}

#[test]
fn days_with_a_clock_change_are_told() {
    let change = |zone, day: &str| clock_change(zone, day.parse().expect(day));
    assert_eq!(change(Tz::Europe__Berlin, "2026-03-29"), Some(ClockChange::Gap));
    assert_eq!(change(Tz::Europe__Berlin, "2026-10-25"), Some(ClockChange::Fold));
    assert_eq!(change(Tz::Europe__Berlin, "2026-10-26"), None);
    assert_eq!(change(Tz::Australia__Lord_Howe, "2026-04-05"), Some(ClockChange::Fold));
    assert_eq!(change(Tz::America__Santiago, "2026-09-06"), Some(ClockChange::Gap), "at midnight");
}

#[test]
fn the_very_fire_that_a_clock_change_moves_says_how() {
    let said = |cron: &str, fold: Fold, day: &str| -> Vec<String> {
        let timing = Timing::parse(cron).expect("a schedule");
        let schedule = Schedule { fold, ..Schedule::new(timing, Tz::Europe__Berlin) };
        let day: NaiveDate = day.parse().expect(day);
        let fires = schedule.fires_on(day, day, 100);
        fires.into_iter().map(|fire| schedule.shift(fire).map_or_else(String::new, |shift| shift.to_string())).collect()
    };
    assert_eq!(said("30 2 * * *", Fold::Once, "2026-03-29"), ["02:30 does not exist, runs at 03:00"]);
    assert_eq!(said("0 2,3,4 * * *", Fold::Once, "2026-03-29"), ["02:00 does not exist, runs at 03:00", ""]);
    assert_eq!(
        said("*/20 2 * * *", Fold::Once, "2026-03-30"),
        ["", "", ""],
        "the day after is as any other, and a rhythm is moved by nothing"
    );
    assert_eq!(
        said("0,20,40 2 * * *", Fold::Once, "2026-03-29"),
        ["02:00 to 02:40 do not exist (3 times), run once at 03:00"]
    );
    let once = "02:30 comes twice, runs the first time only";
    assert_eq!(said("30 1,2,3 * * *", Fold::Once, "2026-10-25"), ["", once, ""]);
    let twice = ["02:30 comes twice, this is the first", "02:30 comes twice, this is the second"];
    assert_eq!(said("30 2 * * *", Fold::Twice, "2026-10-25"), twice);
    let hourly = said("30 * * * *", Fold::Once, "2026-10-25");
    assert_eq!((hourly.len(), &hourly[2..4]), (25, &twice.map(str::to_owned)[..]));
    assert_eq!(said("0 3 * * *", Fold::Once, "2026-03-29"), [""], "what is there by itself stands for nothing else");
}
