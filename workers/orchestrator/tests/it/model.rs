//! The run store against a model: random acts of people on random runs, and after each of them what must always hold.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use sqlx::PgPool;
use testkit::Dice;
use warehouse::runs::{self, Actor, Mark, Person, Reach, Retry, RunError, Via};
use workflow::state::{RunState, TaskState};

use crate::{
    kinds::Hands,
    support::{RULES, drain, plan, start},
};

/// A DAG of six tasks, each behind some of those before it.
fn dag(dice: &mut Dice) -> String {
    let mut text = "dag: d\ntasks:\n".to_owned();
    for task in 0..6 {
        let needs: Vec<String> = (0..task).filter(|_| dice.roll(3) == 0).map(|need| format!("t{need}")).collect();
        let kind = dice.pick(&["echo", "fragile"]);
        let rule = if needs.is_empty() { "all_success" } else { dice.pick(&RULES) };
        text += &format!("  t{task}: {{ kind: {kind}, trigger_rule: {rule}, needs: [{}] }}\n", needs.join(", "));
    }
    text
}

#[derive(sqlx::FromRow)]
#[expect(clippy::struct_field_names, reason = "named as in the store")]
struct Task {
    task: String,
    state: String,
    needs_open: i32,
    needs_failed: i32,
    needs_skipped: i32,
    needs: Vec<String>,
}

/// What must hold of a run whatever was done to it.
async fn check(pool: &PgPool, run_id: i64, after: &str) {
    let tasks: Vec<Task> = sqlx::query_as(
        "select t.task, t.state, t.needs_open, t.needs_failed, t.needs_skipped,
                coalesce((select array_agg(e.needs) from sluice.task_edge e where e.run_id = t.run_id and e.task = t.task),
                         '{}') as needs
         from sluice.task_run t where t.run_id = $1 order by t.task_run_id",
    )
    .bind(run_id)
    .fetch_all(pool)
    .await
    .expect("tasks");
    let (state, open): (String, i32) = sqlx::query_as("select state, tasks_open from sluice.dag_run where run_id = $1")
        .bind(run_id)
        .fetch_one(pool)
        .await
        .expect("the run");
    let states: BTreeMap<&str, TaskState> =
        tasks.iter().map(|t| (t.task.as_str(), t.state.parse().expect("a state"))).collect();
    let unfinished = states.values().filter(|state| !state.is_final()).count();
    assert_eq!(usize::try_from(open), Ok(unfinished), "{after}: tasks_open of {states:?}");
    let run: RunState = state.parse().expect("a state");
    assert_eq!(run.is_final(), unfinished == 0, "{after}: a {run} run of {states:?}");
    let has = |wanted: TaskState| states.values().any(|state| *state == wanted);
    match run {
        RunState::Success => assert!(!has(TaskState::Failed) && !has(TaskState::Cancelled), "{after}: {states:?}"),
        RunState::Failed => assert!(has(TaskState::Failed), "{after}: {states:?}"),
        _ => {}
    }
    for task in tasks.iter().filter(|task| task.state == "waiting") {
        let count = |wanted: fn(TaskState) -> bool| {
            i32::try_from(task.needs.iter().filter(|need| wanted(states[need.as_str()])).count()).expect("few")
        };
        let counted = (task.needs_open, task.needs_failed, task.needs_skipped);
        let model = (
            count(|state| !state.is_final()),
            count(|state| state.is_fault() || state == TaskState::Cancelled),
            count(|state| state == TaskState::Skipped),
        );
        assert_eq!(counted, model, "{after}: {} of {states:?}", task.task);
        assert!(model.0 > 0, "{after}: {} waits for nothing in {states:?}", task.task);
    }
}

#[tokio::test]
async fn whatever_people_do_a_run_keeps_its_accounts_and_ends() {
    let (db, hands) = (testkit::database().await, Hands::default());
    let (registry, ada) = (hands.registry(), Actor { name: "ada".to_owned(), via: Via::Cli });
    let person = Person::new(&db.pool, &ada);
    let mut done = 0;
    for seed in 0..24 {
        let mut dice = Dice::new(seed);
        let text = dag(&mut dice);
        let run_id = start(&db.pool, &plan(&registry, &text)).await;
        let mut acts = Vec::new();
        for _ in 0..12 {
            hands.broken.store(dice.roll(2) == 0, Ordering::SeqCst);
            let task = format!("t{}", dice.roll(6));
            let reach = *dice.pick(&[Reach::Downstream, Reach::Only]);
            let act = dice.roll(6);
            let result: Result<(), RunError> = match act {
                0 => {
                    drain(&db.pool, &registry, run_id).await;
                    Ok(())
                }
                1 => person.cancel(run_id, None).await.map(drop),
                2 => person.retry(run_id, &Retry { reach, ..Retry::default() }, false).await.map(drop),
                3 => person.retry(run_id, &Retry { task: Some(&task), reach, on: None }, false).await.map(drop),
                4 | 5 => {
                    let mark = *dice.pick(&Mark::ALL);
                    acts.push(format!("{mark:?}"));
                    person.mark(run_id, &task, mark, "dice").await.map(drop)
                }
                _ => unreachable!("six sides"),
            };
            match result {
                Ok(()) => done += 1,
                Err(refused) => assert!(refused.is_usage(), "seed {seed} {acts:?}: {refused}"),
            }
            acts.push(format!("{act} {task} {reach:?}"));
            check(&db.pool, run_id, &format!("seed {seed}\n{text}{acts:?}")).await;
        }
        assert!(drain(&db.pool, &registry, run_id).await.is_final());
        check(&db.pool, run_id, &format!("seed {seed}, at its end")).await;
    }
    let written = runs::audit(&db.pool, None, None, 1000).await.expect("the audit log").len();
    assert!(done > 150 && written > 100, "{done} acts done, {written} written down");
}
