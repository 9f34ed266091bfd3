//! Random DAGs: pure, the same for the same seed.
//!
//! Two kinds of effect are counted. A unit (`e1` extracts it, `u1` loads it) is published through the fencing token: one row
//! for each task that succeeded. A mark (a line of a file, by a program that must not be repeated) cannot be fenced: one at
//! most for each task, and one where it succeeded.

use std::fmt::Write as _;

use testkit::Dice;

/// What every project has: pools, a channel, and Postgres by way of a proxy.
pub(crate) const PROJECT: &str = "\
project: Chaos
services: { postgres: \"${CHAOS_POSTGRES}\" }
pools: { narrow: 1, wide: 3 }
channels: { ops: { kind: mail, to: [ops@shop.example] } }
";

/// A line for each time that a program ran, in the project's folder.
pub(crate) const MARKS: &str = "marks";

const MARK: &str = "echo $SLUICE_RUN_ID $SLUICE_TASK >> marks";
const SCHEDULED: u64 = 6;
const TRIGGERED: u64 = 3;

/// A DAG file, and what starts it.
pub(crate) struct Dag {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) scheduled: bool,
}

/// The name of [`last`].
pub(crate) const LAST: &str = "last";

/// What a person starts when all is over: a unit by each of the workers, named by their labels.
pub(crate) fn last(http: &str) -> Dag {
    let mut text = format!("dag: {LAST}\ntasks:\n");
    for worker in 1..=3 {
        let e = extract(http, "unit", worker);
        writeln!(text, "  e{worker}: {{ {e}, labels: [worker_{worker}] }}").expect("strings take all");
        writeln!(text, "  u{worker}: {{ kind: load, from: e{worker}, into: effects.units }}")
            .expect("strings take all");
    }
    Dag { name: LAST.to_owned(), text, scheduled: false }
}

fn extract(http: &str, path: &str, number: u64) -> String {
    let url = format!("{http}/{path}/{{{{ run_id }}}}/{number}");
    let columns = "{ run_id: integer, task: text }";
    format!("kind: extract_http, url: \"{url}\", dataset: units, attempts: 9, columns: {columns}")
}

/// Six that are scheduled, and three that follow on the success of others.
pub(crate) fn dags(seed: u64, http: &str) -> Vec<Dag> {
    let mut dice = Dice::new(seed);
    let mut dags = Vec::new();
    for number in 0..SCHEDULED + TRIGGERED {
        let scheduled = number < SCHEDULED;
        let name = format!("c{number}");
        let start = if scheduled {
            format!(
                "schedule: {{ every: {}s, catchup: true }}
",
                4 + dice.roll(4)
            )
        } else {
            format!(
                "triggers: [{{ dag: c{} }}]
",
                dice.roll(SCHEDULED)
            )
        };
        let text = format!("dag: {name}\n{start}{}tasks:\n{}", limits(&mut dice), tasks(&mut dice, http));
        dags.push(Dag { name, text, scheduled });
    }
    dags
}

fn limits(dice: &mut Dice) -> String {
    let mut text = "defaults: { backoff: { from: 100ms, to: 1s }, timeout: 8s, on_failure: [ops] }\n".to_owned();
    if dice.once_in(2) {
        let overlap = dice.pick(&["queue", "queue", "skip", "cancel"]);
        writeln!(text, "max_active_runs: {}\noverlap: {overlap}", 1 + dice.roll(2)).expect("strings take all");
    }
    if dice.once_in(3) {
        writeln!(text, "retry_budget: {}", 3 + dice.roll(9)).expect("strings take all");
    }
    text
}

/// What a step of a DAG is.
#[derive(Clone, Copy)]
enum Step {
    Unit,
    Mark,
    Sleep,
    Fail,
    Later,
    Wait,
    Mapped,
    SetUp,
}

const STEPS: [(u64, Step); 8] = [
    (6, Step::Unit),
    (6, Step::Mark),
    (3, Step::Sleep),
    (1, Step::Fail),
    (2, Step::Later),
    (1, Step::Wait),
    (2, Step::Mapped),
    (1, Step::SetUp),
];

fn tasks(dice: &mut Dice, http: &str) -> String {
    let mut text = String::new();
    let mut names: Vec<String> = Vec::new();
    for number in 0..3 + dice.roll(6) {
        let keys = keys(dice, &names);
        let sleep = 50 + dice.roll(400);
        let lines: Vec<(String, String)> = match dice.weigh(&STEPS) {
            Step::Unit => {
                let when = if dice.once_in(6) {
                    ", when: outputs.eN.rows > 1".replace('N', &number.to_string())
                } else {
                    String::new()
                };
                vec![
                    (format!("e{number}"), format!("{}{keys}", extract(http, "unit", number))),
                    (
                        format!("u{number}"),
                        format!("kind: load, from: e{number}, into: effects.units, attempts: 9{}{when}", slot(dice)),
                    ),
                ]
            }
            Step::Mark => vec![(format!("m{number}"), format!("kind: command, shell: \"{MARK}\", attempts: 1{keys}"))],
            Step::Sleep => vec![(
                format!("s{number}"),
                format!("kind: command, command: [sleep, \"0.{sleep:03}\"], attempts: 3{keys}"),
            )],
            Step::Fail => {
                vec![(format!("f{number}"), format!("kind: command, command: [\"false\"], attempts: 2{keys}"))]
            }
            Step::Later => vec![(format!("r{number}"), format!("{}{keys}", extract(http, "later", number)))],
            Step::Wait => vec![(format!("w{number}"), format!("kind: wait_until, after: {}s{keys}", 1 + dice.roll(3)))],
            Step::Mapped => {
                let each = format!("{{ over: \"range({})\", max_parallel: {} }}", dice.roll(5), 1 + dice.roll(3));
                vec![(
                    format!("a{number}"),
                    format!("kind: command, shell: \"{MARK}\", attempts: 1, for_each: {each}{}", needs(dice, &names)),
                )]
            }
            Step::SetUp => vec![
                (format!("b{number}"), format!("kind: command, shell: \"{MARK}\", attempts: 1{keys}")),
                (
                    format!("t{number}"),
                    format!(
                        "kind: command, shell: \"{MARK}\", attempts: 1, teardown: b{number}{}",
                        needs(dice, &names)
                    ),
                ),
            ],
        };
        for (name, keys) in lines {
            writeln!(text, "  {name}: {{ {keys} }}").expect("strings take all");
            // Nothing stands behind a teardown.
            if !name.starts_with('t') {
                names.push(name);
            }
        }
    }
    text
}

/// What a task needs, its rule about that, and how it is let in.
fn keys(dice: &mut Dice, before: &[String]) -> String {
    let mut text = needs(dice, before);
    if !text.is_empty() && dice.once_in(2) {
        let rules = ["all_done", "none_failed", "one_success", "one_failed", "none_failed_min_one_success", "always"];
        write!(text, ", trigger_rule: {}", dice.pick(&rules)).expect("strings take all");
    }
    text + &slot(dice)
}

fn needs(dice: &mut Dice, before: &[String]) -> String {
    let needs: Vec<&str> = before.iter().filter(|_| dice.once_in(3)).map(String::as_str).collect();
    if needs.is_empty() { String::new() } else { format!(", needs: [{}]", needs.join(", ")) }
}

fn slot(dice: &mut Dice) -> String {
    let mut text = match dice.roll(8) {
        0 => ", pool: narrow".to_owned(),
        1 => ", pool: wide".to_owned(),
        2 => dice.pick(&[", concurrency: { key: one, limit: 1 }", ", concurrency: { key: two, limit: 2 }"]).to_string(),
        _ => String::new(),
    };
    if dice.once_in(4) {
        write!(text, ", priority: {}", dice.roll(3)).expect("strings take all");
    }
    text
}
