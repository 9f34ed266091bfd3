//! Cases: which alerts they hold, and what a person says of them.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;
use warehouse::{
    alerts::{self, Alert, Severity},
    cases::{self, Case, CaseError, CaseFilter, Verdict},
    runs::{Actor, Via},
};

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).expect("in range")
}

fn alert(name: &str, key: &str, hours: i64) -> Alert {
    Alert {
        dedupe_key: name.to_owned(),
        source: "stream:fraud".to_owned(),
        rule: "card_velocity".to_owned(),
        severity: Severity::High,
        key: key.to_owned(),
        event_time: noon() + TimeDelta::hours(hours),
        message: format!("{key} is at it again"),
        detail: json!({ "version": "v1", "why": ["count(*) is 7, 6 was allowed"] }),
        fields: Vec::new(),
        link: None,
    }
}

async fn raise(pool: &PgPool, alert: &Alert) -> Option<i64> {
    let mut connection = pool.acquire().await.expect("a connection");
    alerts::raise(&mut connection, alert, &["fraud_slack".to_owned()]).await.expect("raised")
}

fn ada() -> Actor {
    Actor { name: "ada".to_owned(), via: Via::Cli }
}

async fn all(pool: &PgPool) -> Vec<Case> {
    cases::list(pool, &CaseFilter { limit: 100, ..CaseFilter::default() }).await.expect("cases")
}

#[tokio::test]
async fn alerts_of_a_key_join_its_case_until_a_day_goes_by_or_someone_settles_it() {
    let db = testkit::database().await;
    let pool = &db.pool;
    for (name, key, hours) in [("a", "c_1", 0), ("b", "c_1", 20), ("c", "c_1", 44), ("d", "c_2", 1)] {
        assert!(raise(pool, &alert(name, key, hours)).await.is_some());
    }
    assert_eq!(raise(pool, &alert("b", "c_1", 20)).await, None, "it was raised before");
    // One that comes late belongs to what is going on; one more than a day later does not.
    let worse = Alert { rule: "burst".to_owned(), severity: Severity::Critical, ..alert("e", "c_1", -3) };
    raise(pool, &worse).await.expect("raised");
    raise(pool, &alert("f", "c_1", 69)).await.expect("raised");
    let found: Vec<_> =
        all(pool).await.into_iter().map(|case| (case.key, case.alerts, case.severity, case.rules)).collect();
    let rules = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        found,
        [
            ("c_1".to_owned(), 1, "high".to_owned(), rules(&["card_velocity"])),
            ("c_2".to_owned(), 1, "high".to_owned(), rules(&["card_velocity"])),
            ("c_1".to_owned(), 4, "critical".to_owned(), rules(&["burst", "card_velocity"])),
        ]
    );
    let newest = all(pool).await[0].case_id;
    cases::settle(pool, &ada(), newest, Verdict::Confirmed, None).await.expect("settled");
    raise(pool, &alert("g", "c_1", 70)).await.expect("raised");
    assert_eq!(all(pool).await[0].alerts, 1, "what is settled takes no more alerts");
    let counted: i64 =
        sqlx::query_scalar("select sum(alerts)::bigint from sluice.alert_case").fetch_one(pool).await.expect("a sum");
    let alone: i64 = sqlx::query_scalar("select count(*) from sluice.alert where case_id is null")
        .fetch_one(pool)
        .await
        .expect("a count");
    assert_eq!((counted, alone), (7, 0));
}

#[tokio::test]
async fn a_verdict_closes_the_alerts_counts_for_each_rule_and_version_and_can_be_taken_back() {
    let db = testkit::database().await;
    let pool = &db.pool;
    let versions = ["v1", "v1", "v1", "v2"];
    for (number, version) in versions.iter().enumerate() {
        let detail = json!({ "version": version });
        raise(pool, &Alert { detail, ..alert(&format!("a{number}"), &format!("c_{number}"), 0) })
            .await
            .expect("raised");
    }
    for (case_id, verdict) in [(1, Verdict::Confirmed), (2, Verdict::Confirmed), (3, Verdict::FalseAlarm)] {
        cases::settle(pool, &ada(), case_id, verdict, Some(" seen by hand \0")).await.expect("settled");
    }
    cases::settle(pool, &ada(), 4, Verdict::FalseAlarm, None).await.expect("settled");
    let counts = async || -> Vec<(String, i64, i64)> {
        let found = cases::precision(pool, Some("stream:fraud")).await.expect("a precision").into_iter();
        found.map(|row| (row.version, row.confirmed, row.false_alarms)).collect()
    };
    assert_eq!(counts().await, [("v1".to_owned(), 2, 1), ("v2".to_owned(), 0, 1)]);
    let case = cases::get(pool, 3).await.expect("the case");
    assert_eq!((case.settled_by.as_deref(), case.note.as_deref()), (Some("ada"), Some("seen by hand \u{fffd}")));
    assert!(matches!(
        cases::settle(pool, &ada(), 3, Verdict::FalseAlarm, None).await,
        Err(CaseError::Already { case_id: 3, .. })
    ));
    assert!(matches!(cases::settle(pool, &ada(), 99, Verdict::Open, None).await, Err(CaseError::NoCase(99))));

    // Taken back: its alerts are open, it counts no more, and takes its key's next alert.
    cases::settle(pool, &ada(), 3, Verdict::Open, None).await.expect("opened");
    raise(pool, &alert("again", "c_2", 1)).await.expect("raised");
    assert_eq!(cases::get(pool, 3).await.expect("the case").alerts, 2);
    assert_eq!(counts().await, [("v1".to_owned(), 2, 0), ("v2".to_owned(), 0, 1)]);
    let states: Vec<(String, i64)> =
        sqlx::query_as("select state, count(*) from sluice.alert group by state order by state")
            .fetch_all(pool)
            .await
            .expect("states");
    assert_eq!(states, [("closed".to_owned(), 3), ("open".to_owned(), 2)]);
    let acts: Vec<(String, Option<String>)> =
        sqlx::query_as("select act, reason from sluice.audit_log order by audit_id")
            .fetch_all(pool)
            .await
            .expect("acts");
    let names: Vec<_> = acts.iter().map(|(act, _)| act.as_str()).collect();
    assert_eq!(names, ["case_confirm", "case_confirm", "case_dismiss", "case_dismiss", "case_open"]);
    assert_eq!(acts[0].1.as_deref(), Some("seen by hand \u{fffd}"));
}

/// A case that is opened again beside a newer one leaves the key's alerts to that.
#[tokio::test]
async fn a_key_has_one_case_that_takes_alerts() {
    let db = testkit::database().await;
    let pool = &db.pool;
    raise(pool, &alert("a", "c_1", 0)).await.expect("raised");
    cases::settle(pool, &ada(), 1, Verdict::FalseAlarm, None).await.expect("settled");
    raise(pool, &alert("b", "c_1", 1)).await.expect("raised");
    cases::settle(pool, &ada(), 1, Verdict::Open, Some("not so sure")).await.expect("opened");
    raise(pool, &alert("c", "c_1", 2)).await.expect("raised");
    let found: Vec<_> = all(pool).await.into_iter().map(|case| (case.state, case.alerts)).collect();
    assert_eq!(found, [("open".to_owned(), 2), ("open".to_owned(), 1)]);
}

#[tokio::test]
async fn alerts_raised_at_once_share_one_case_and_one_that_settles_itself_has_none() {
    let db = testkit::database().await;
    let pool = &db.pool;
    let raising = (0..40).map(|number| {
        let pool = pool.clone();
        tokio::spawn(async move { raise(&pool, &alert(&format!("a{number}"), "all", 0)).await })
    });
    for raised in raising.collect::<Vec<_>>() {
        assert!(raised.await.expect("no panic").is_some());
    }
    let found: Vec<_> = all(pool).await.into_iter().map(|case| case.alerts).collect();
    assert_eq!(found, [40]);

    let mut connection = pool.acquire().await.expect("a connection");
    let low = alerts::note(&mut connection, &alert("low", "product 7", 0)).await.expect("noted").expect("new");
    assert!(matches!(cases::of_alert(pool, low).await, Err(CaseError::Alone(_))));
    assert!(matches!(cases::of_alert(pool, 9_999).await, Err(CaseError::NoAlert(_))));
}

/// Whoever settles a case waits for an alert that joins it at that moment, and then closes that one too.
#[tokio::test]
async fn an_alert_that_joins_while_its_case_is_settled_is_closed_with_it() {
    let db = testkit::database().await;
    let pool = &db.pool;
    raise(pool, &alert("a", "c_1", 0)).await.expect("raised");
    let case_id = all(pool).await[0].case_id;
    let mut joining = pool.begin().await.expect("a transaction");
    alerts::raise(&mut joining, &alert("b", "c_1", 1), &[]).await.expect("raised");
    let settling = tokio::spawn({
        let pool = pool.clone();
        async move { cases::settle(&pool, &ada(), case_id, Verdict::Confirmed, None).await }
    });
    let waits = "select exists (select from pg_stat_activity
                                where datname = current_database() and wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(pool).await.expect("activity") {}
    joining.commit().await.expect("committed");
    let case = settling.await.expect("no panic").expect("settled");
    assert_eq!(case.alerts, 2);
    let open: i64 = sqlx::query_scalar("select count(*) from sluice.alert where state = 'open'")
        .fetch_one(pool)
        .await
        .expect("alerts");
    assert_eq!(open, 0, "no alert of a settled case stays open");
}
