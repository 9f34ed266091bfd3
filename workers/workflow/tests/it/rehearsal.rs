//! How runs would go: conditions, trigger rules, retries, lists and teardowns, without a run.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use workflow::{
    plan::{self, Known, Plan},
    rehearsal::{Fault, Outcome, Rehearsal, Script, rehearse},
    state::RunState,
    yaml::Document,
};

use crate::kinds::registry;

fn checked(text: &str) -> Plan {
    let document = Document::parse("d.yaml", text).expect("valid YAML");
    plan::check(&document, &registry(), &Known::default()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn try_run(plan: &Plan, outcomes: &[(&str, &str)], outputs: &[(&str, Value)]) -> Result<Rehearsal, Vec<Fault>> {
    let outcome = |text: &str| text.parse::<Outcome>().unwrap_or_else(|()| panic!("{text}"));
    let script = Script {
        logical_time: "2026-03-29T01:00:00Z".parse().expect("a time"),
        params: plan.params.clone(),
        trigger: workflow::cause::of("manual", None),
        outcomes: outcomes.iter().map(|(task, text)| ((*task).to_owned(), outcome(text))).collect(),
        outputs: outputs.iter().map(|(task, value)| ((*task).to_owned(), value.clone())).collect::<BTreeMap<_, _>>(),
    };
    rehearse(plan, &registry(), &script)
}

/// `task state attempts ends` of each row.
fn told(rehearsal: &Rehearsal) -> Vec<String> {
    let row = |row: &workflow::rehearsal::Rehearsed| {
        format!("{} {} {} {}", row.task, row.state, row.attempts.len(), row.ends_after)
    };
    rehearsal.tasks.iter().map(row).collect()
}

fn reason<'a>(rehearsal: &'a Rehearsal, task: &str) -> &'a str {
    rehearsal.tasks.iter().find(|row| row.task == task).and_then(|row| row.reason.as_deref()).unwrap_or_default()
}

const BRANCHES: &str = "
dag: d
params: { full: false }
defaults: { attempts: 3, backoff: { from: 10s, to: 1m } }
tasks:
  read: { kind: command, command: [read] }
  rebuild: { kind: command, command: [rebuild], needs: read, when: params.full }
  add: { kind: command, command: [add], needs: read, when: outputs.read.rows > 0 }
  meet: { kind: command, command: [meet], needs: [rebuild, add], trigger_rule: none_failed_min_one_success }
  mourn: { kind: command, command: [mourn], needs: [rebuild, add], trigger_rule: one_failed }
";

#[test]
fn conditions_and_trigger_rules_decide_as_in_a_run() {
    let plan = checked(BRANCHES);
    let some = try_run(&plan, &[], &[("read", json!({ "rows": 3 }))]).expect("all is told");
    assert_eq!(
        told(&some),
        ["read success 1 0s", "rebuild skipped 1 0s", "add success 1 0s", "meet success 1 0s", "mourn skipped 0 0s"]
    );
    assert_eq!(some.state, RunState::Success);
    assert_eq!(reason(&some, "rebuild"), "its condition does not hold: params.full");
    let none = try_run(&plan, &[], &[("read", json!({ "rows": 0 }))]).expect("all is told");
    assert_eq!((told(&none)[3].as_str(), none.state), ("meet skipped 0 0s", RunState::Success));
    assert_eq!(reason(&none, "meet"), "a task that it needs was skipped: rebuild, add");
    let broken = try_run(&plan, &[("add", "user_fault")], &[("read", json!({ "rows": 3 }))]).expect("all is told");
    assert_eq!(told(&broken)[2..], ["add failed 1 0s", "meet upstream_failed 0 0s", "mourn success 1 0s"]);
    assert_eq!(reason(&broken, "meet"), "a task that it needs failed: add");
    assert_eq!(broken.state, RunState::Failed);
}

#[test]
fn an_output_that_decides_and_is_not_told_is_asked_for() {
    let untold = try_run(&checked(BRANCHES), &[], &[]).expect_err("it decides about add");
    let said: Vec<String> = untold.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["the condition of `add` reads `outputs.read`, and nobody has told what `read` leaves"]);
    // It is not missed where it decides nothing: what failed leaves none.
    let failed = try_run(&checked(BRANCHES), &[("read", "fail")], &[]).expect("nothing is asked");
    assert_eq!(told(&failed)[0], "read failed 3 30s");
    assert_eq!(reason(&failed, "read"), "told to fail; that was its last attempt");
    // An output of another shape fails the task, as in a run.
    let shapeless = try_run(&checked(BRANCHES), &[], &[("read", json!({}))]).expect("it is told");
    assert!(reason(&shapeless, "add").starts_with("the condition `outputs.read.rows > 0` fails"), "{shapeless:?}");
}

#[test]
fn attempts_follow_by_backoff_time_and_budget() {
    let retried = |keys: &str, outcome: &str| {
        let plan = checked(&format!(
            "{{ dag: d, tasks: {{ a: {{ kind: command, command: [x], attempts: 4, timeout: 20s, \
             backoff: {{ from: 10s, to: 15s }}{keys} }} }} }}"
        ));
        let rehearsal = try_run(&plan, &[("a", outcome)], &[]).expect("all is told");
        format!("{}: {}", told(&rehearsal)[0], reason(&rehearsal, "a"))
    };
    assert_eq!(retried("", "fail:2"), "a success 3 25s: ");
    assert_eq!(retried("", "fail"), "a failed 4 40s: told to fail; that was its last attempt");
    assert_eq!(retried("", "user_fault"), "a failed 1 0s: told to fail by a user's fault; a retry cannot mend it");
    assert_eq!(retried("", "timeout"), "a failed 4 2m: timed out after 20s; that was its last attempt");
    assert_eq!(
        retried(", retry_on: [external]", "timeout"),
        "a failed 1 20s: timed out after 20s; its `retry_on` leaves such an end out"
    );
    assert_eq!(
        retried(", total_timeout: 45s", "timeout"),
        "a failed 2 45s: timed out: all its attempts together may take 45s; its `total_timeout` is over"
    );
    let plan = checked(
        "{ dag: d, retry_budget: 3, defaults: { attempts: 3, backoff: { from: 10s } },
           tasks: { a: { kind: command, command: [x] }, b: { kind: command, command: [x] } } }",
    );
    let rehearsal = try_run(&plan, &[("a", "fail"), ("b", "fail")], &[]).expect("all is told");
    assert_eq!(told(&rehearsal), ["a failed 3 30s", "b failed 2 10s"]);
    assert_eq!(reason(&rehearsal, "b"), "told to fail; no other attempt: the retry budget of its run is spent");
}

#[test]
fn a_list_runs_item_by_item_and_keys_are_rendered() {
    let plan = checked(
        "{ dag: d, tasks: {
             find: { kind: command, command: [find] },
             load: { kind: command, command: [load, '{{ item }}', 'n{{ index }}', '{{ ds }}'], needs: find,
                     for_each: { over: outputs.find.files } } } }",
    );
    let files = |names: Value| [("find", json!({ "files": names }))];
    let all = try_run(&plan, &[], &files(json!(["a", "b"]))).expect("all is told");
    assert_eq!(told(&all), ["find success 1 0s", "load success 2 0s", "load[0] success 1 0s", "load[1] success 1 0s"]);
    assert_eq!(all.tasks[3].keys, Some(json!({ "command": ["load", "b", "n1", "2026-03-29"] })));
    let one = try_run(&plan, &[("load[1]", "user_fault")], &files(json!(["a", "b"]))).expect("all is told");
    assert_eq!((told(&one)[1].as_str(), one.state), ("load failed 1 0s", RunState::Failed));
    assert_eq!(reason(&one, "load"), "1 of its 2 items failed");
    let none = try_run(&plan, &[], &files(json!([]))).expect("all is told");
    assert_eq!(told(&none), ["find success 1 0s", "load success 1 0s"]);
    let no_list = try_run(&plan, &[], &files(json!("a"))).expect("all is told");
    assert_eq!(
        reason(&no_list, "load"),
        "for_each: `outputs.find.files` is a text, and a task is mapped over a list; a retry cannot mend it"
    );
    let untold = try_run(&plan, &[], &[]).expect_err("it makes the list");
    assert_eq!(
        untold[0].to_string(),
        "the list of `load` reads `outputs.find`, and nobody has told what `find` leaves"
    );
    let beyond = try_run(&plan, &[("load[2]", "fail")], &files(json!(["a", "b"]))).expect_err("there are two");
    assert_eq!(beyond, [Fault::NoItem("load[2]".to_owned())]);
}

#[test]
fn a_teardown_runs_where_something_was_set_up_and_does_not_decide() {
    let plan = checked(
        "{ dag: d, tasks: {
             up: { kind: command, command: [up] },
             work: { kind: command, command: [work], needs: up },
             down: { kind: command, command: [down], needs: work, teardown: up } } }",
    );
    let failed = try_run(&plan, &[("work", "fail")], &[]).expect("all is told");
    assert_eq!(told(&failed)[2], "down success 1 0s");
    assert_eq!(failed.state, RunState::Failed);
    let untidy = try_run(&plan, &[("down", "fail")], &[]).expect("all is told");
    assert_eq!(untidy.state, RunState::Success);
    let nothing = try_run(&plan, &[("up", "fail")], &[]).expect("all is told");
    assert_eq!(reason(&nothing, "down"), "there is nothing to take down: `up` did not succeed");
}
