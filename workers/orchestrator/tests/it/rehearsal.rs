//! What is rehearsed is what happens: random DAGs, told how their attempts end, rehearsed and then run.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use futures::StreamExt;
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use testkit::Dice;
use warehouse::runs::{self, NewRun, Trigger};
use workflow::{
    kind::Registry,
    plan::Plan,
    rehearsal::{Outcome, Rehearsal, Script, rehearse, scripted},
    state::TaskState,
};

use crate::{
    kinds::Hands,
    sensors::Arrives,
    support::{RULES, drain, plan, utc},
};

/// A DAG of 1 to 10 tasks with all that decides what runs, and how its attempts end.
fn made_up(seed: u64) -> (String, Script) {
    let mut dice = Dice::new(seed);
    let budget = if dice.roll(6) == 0 { "retry_budget: 0\n" } else { "" };
    let mut text = format!("dag: d{seed}\n{budget}tasks:\n");
    let (mut outcomes, mut outputs) = (BTreeMap::new(), BTreeMap::new());
    let mut before: Vec<String> = Vec::new();
    for task in 0..=dice.roll(10) {
        let name = format!("t{task}");
        let needs: Vec<String> = before.iter().filter(|_| dice.roll(3) == 0).cloned().collect();
        let mut last = false;
        let mut keys = format!("kind: echo, backoff: {{ from: 1ms, to: 2ms }}, attempts: {}", 1 + dice.roll(3));
        if let Some(need) = needs.first() {
            let list = needs.join(", ");
            match dice.roll(8) {
                0 => {
                    // Nothing but another one may follow it.
                    last = true;
                    write!(keys, ", needs: [{list}], teardown: {need}")
                }
                1 => write!(keys, ", needs: [{list}], when: outputs.{need}.n > 2"),
                2 => {
                    write!(keys, ", needs: [{list}], for_each: {{ over: outputs.{need}.list }}, say: '{{{{ item }}}}'")
                }
                3 => write!(keys, ", needs: [{list}], say: '{{{{ outputs.{need}.n }}}}'"),
                _ => {
                    let rule = dice.pick(&RULES);
                    write!(keys, ", needs: [{list}], trigger_rule: {rule}")
                }
            }
            .expect("strings take all");
        }
        let more = dice.pick(&[", retry_on: [timeout]", ", retry_on: [external]", ", pool: narrow", "", "", ""]);
        keys += more;
        let mut told = |name: String, dice: &mut Dice| match dice.roll(10) {
            0 => outcomes.insert(name, Outcome::Fail(None)),
            1 => outcomes.insert(name, Outcome::Fail(Some(1))),
            2 => outcomes.insert(name, Outcome::UserFault),
            _ => None,
        };
        told(name.clone(), &mut dice);
        for place in 0..3 {
            told(format!("{name}[{place}]"), &mut dice);
        }
        if dice.roll(10) == 0 {
            outcomes.insert(name.clone(), Outcome::Timeout);
            // The whole of its time, or one attempt's.
            keys += if dice.roll(2) == 0 { ", timeout: 40ms, total_timeout: 40ms" } else { ", timeout: 30ms" };
        }
        let list: Vec<u64> = (0..dice.roll(4)).collect();
        // Now and then it is no list, or nothing that a condition can read.
        let output = match dice.roll(12) {
            0 => json!("nothing"),
            1 => json!({ "n": 3, "list": 3 }),
            _ => json!({ "n": dice.roll(6), "list": list }),
        };
        outputs.insert(name.clone(), output);
        if !last {
            before.push(name);
        }
        writeln!(text, "  t{task}: {{ {keys} }}").expect("strings take all");
    }
    let script = Script {
        logical_time: utc("2026-03-29T01:00:00Z"),
        params: Map::new(),
        trigger: Value::Null,
        outcomes,
        outputs,
    };
    (text, script)
}

/// The script without what it tells about items that the run never comes to.
fn trimmed(plan: &Plan, registry: &Registry, mut script: Script) -> (Script, Rehearsal) {
    let bare = Script {
        outcomes: script.outcomes.clone().into_iter().filter(|(name, _)| !name.contains('[')).collect(),
        ..script.clone()
    };
    let rows = rehearse(plan, registry, &bare).expect("all is told").tasks;
    script.outcomes.retain(|name, _| rows.iter().any(|row| row.task == *name));
    let rehearsal = rehearse(plan, registry, &script).expect("all is told");
    (script, rehearsal)
}

/// State, reason and the states of the attempts of each row of a run.
type Rows = BTreeMap<String, (String, String, Vec<String>)>;

async fn happened(pool: &PgPool, run_id: i64) -> Rows {
    let sql =
        "select t.task, t.state, coalesce(t.reason, ''), array_remove(array_agg(a.state order by a.attempt), null)
               from sluice.task_run t left join sluice.attempt a using (task_run_id)
               where t.run_id = $1 group by t.task_run_id";
    let rows: Vec<(String, String, String, Vec<String>)> =
        sqlx::query_as(sql).bind(run_id).fetch_all(pool).await.expect(sql);
    rows.into_iter().map(|(task, state, reason, attempts)| (task, (state, reason, attempts))).collect()
}

fn foreseen(rehearsal: &Rehearsal) -> Rows {
    let row = |row: &workflow::rehearsal::Rehearsed| {
        let attempts = row.attempts.iter().map(|attempt| attempt.state.to_string()).collect();
        (row.task.clone(), (row.state.to_string(), row.reason.clone().unwrap_or_default(), attempts))
    };
    rehearsal.tasks.iter().map(row).collect()
}

async fn compare(pool: &PgPool, seed: u64) -> Rows {
    let registry = Hands::default().registry();
    let (text, script) = made_up(seed);
    let plan = plan(&registry, &text);
    let (script, rehearsal) = trimmed(&plan, &registry, script);
    let kinds = scripted(&registry, &plan, &script, |_| false);
    let new = NewRun {
        plan: &plan,
        logical_time: script.logical_time,
        trigger: Trigger::Manual,
        params: script.params.clone(),
        only: None,
    };
    let run_id = runs::create(pool, &new).await.expect("a new run").run_id();
    let told = format!("seed {seed}:\n{text}{:?}\n{:?}", script.outcomes, script.outputs);
    let ended = orchestrator::drain(pool, &kinds, None, run_id);
    let Ok(state) = tokio::time::timeout(Duration::from_secs(20), ended).await else {
        panic!("{told}\n{:?}", happened(pool, run_id).await)
    };
    let state = state.expect("no error");
    assert_eq!(rehearsal.state, state, "{told}");
    let (mut foreseen, happened) = (foreseen(&rehearsal), happened(pool, run_id).await);
    for (task, (_, reason, _)) in &mut foreseen {
        // A rehearsal says more of why: which task it was, why nothing follows.
        if let Some((_, short, _)) = happened.get(task)
            && reason.starts_with(short.as_str())
        {
            reason.clone_from(short);
        }
    }
    assert_eq!(foreseen, happened, "{told}");
    happened
}

#[tokio::test]
async fn random_dags_run_as_they_were_rehearsed() {
    let db = testkit::database().await;
    runs::set_pools(&db.pool, &[("narrow".to_owned(), 1)].into()).await.expect("a pool");
    let seen: Vec<Rows> =
        futures::stream::iter(0..80).map(|seed| compare(&db.pool, seed)).buffer_unordered(3).collect().await;
    // Or the comparison says little.
    let rows: Vec<_> = seen.iter().flat_map(BTreeMap::iter).collect();
    for state in [TaskState::Success, TaskState::Failed, TaskState::Skipped, TaskState::UpstreamFailed] {
        let found = rows.iter().filter(|(_, (found, ..))| found == state.as_str()).count();
        assert!(found >= 20, "{found} rows are {state}");
    }
    let counts = [
        ("items", rows.iter().filter(|(task, _)| task.contains('[')).count()),
        ("retries", rows.iter().filter(|(task, (.., attempts))| !task.contains('[') && attempts.len() > 1).count()),
        ("timeouts", rows.iter().filter(|(_, (.., attempts))| attempts.iter().any(|a| a == "timed_out")).count()),
        ("conditions", rows.iter().filter(|(_, (_, reason, _))| reason.contains("its condition")).count()),
        ("teardowns", rows.iter().filter(|(_, (_, reason, _))| reason.contains("nothing to take down")).count()),
        ("budgets", rows.iter().filter(|(_, (_, reason, _))| reason.contains("retry budget")).count()),
    ];
    for (what, count) in counts {
        assert!(count >= 3, "{count} {what}");
    }
}

#[tokio::test]
async fn what_waits_in_vain_uses_all_its_time() {
    let (db, registry) = (testkit::database().await, Hands::default().registry().with(Arrives(Arc::default())));
    let plan = plan(
        &registry,
        "{ dag: d, tasks: { w: { kind: arrives, at: 1, every: 10ms, timeout: 50ms, attempts: 3, total_timeout: 100ms }, a: { kind: echo, needs: w } } }",
    );
    let script = Script {
        logical_time: utc("2026-03-29T01:00:00Z"),
        params: Map::new(),
        trigger: Value::Null,
        outcomes: [("w".to_owned(), Outcome::Timeout)].into(),
        outputs: BTreeMap::<String, Value>::new(),
    };
    let rehearsal = rehearse(&plan, &registry, &script).expect("all is told");
    let kinds = scripted(&registry, &plan, &script, |_| false);
    let run_id = crate::support::start(&db.pool, &plan).await;
    assert_eq!(drain(&db.pool, &kinds, run_id).await, rehearsal.state);
    let (foreseen, happened) = (foreseen(&rehearsal), happened(&db.pool, run_id).await);
    assert_eq!(foreseen["a"].0, happened["a"].0);
    assert_eq!(foreseen["w"].2, happened["w"].2);
    assert_eq!(happened["w"].1, "timed out: what it waits for did not come within 100ms");
    assert!(foreseen["w"].1.starts_with(&happened["w"].1), "{foreseen:?}");
}
