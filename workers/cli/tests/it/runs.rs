//! Commands about runs, on a small project whose tasks are programs.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use testkit::TestDatabase;

use crate::service;

const HELLO: &str = r#"
dag: hello
schedule: { cron: "0 2 * * *", timezone: Europe/Berlin }
params: { who: world }
tasks:
  greet: { kind: command, command: [echo, "hello {{ params.who }} on {{ ds }}"] }
  left: { kind: command, command: ["true"], needs: greet }
  right: { kind: command, command: ["true"], needs: greet }
  join: { kind: command, command: ["true"], needs: [left, right] }
"#;

/// Fails until there is a file called `mended`.
const FRAGILE: &str = "
dag: fragile
tasks:
  first: { kind: command, command: ['true'] }
  look: { kind: command, command: [test, -f, mended], needs: first }
  last: { kind: command, command: ['true'], needs: look }
";

const ONCE: &str = "
dag: at_once
schedule: '@once'
tasks:
  only: { kind: command, command: ['true'] }
";

pub(crate) struct Project {
    dir: TempDir,
    pub(crate) database: TestDatabase,
}

impl Project {
    pub(crate) async fn new() -> Self {
        let project = Self { dir: TempDir::new().expect("a folder"), database: testkit::empty_database().await };
        project
            .write("sluice.yaml", "project: Test\ntimezone: Europe/Berlin\nservices: { postgres: \"${TEST_URL}\" }\n");
        fs::create_dir(project.dir.path().join("dags")).expect("a folder");
        for (file, text) in [("hello", HELLO), ("fragile", FRAGILE), ("at_once", ONCE)] {
            project.write(&format!("dags/{file}.yaml"), text);
        }
        project
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.dir.path().join(file), text).expect("a writable folder");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        sluice(self.dir.path(), &self.database.url, arguments)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    /// Standard output of a call that ends with `code`.
    pub(crate) fn text(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "sluice {arguments:?}\n{out}\n{err}");
        if code == 0 { out.into_owned() } else { format!("{out}{err}") }
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(arguments, 0)).expect("JSON")
    }
}

fn sluice(dir: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).current_dir(dir).env("TEST_URL", url).env("SLUICE_LOG", "warn").env("NO_COLOR", "1");
    command
}

/// A process that is told to stop when the test is over, however it ends.
struct Background(Child);

impl Background {
    fn stop(mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        Command::new("kill").arg(pid).status().expect("kill");
        self.0.wait().expect("ended").code()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_run_is_made_worked_on_and_shown() {
    let project = Project::new().await;
    let said = project.text(&["run", "hello", "--date", "2026-01-05", "--param", "who=you", "--wait"], 0);
    assert!(said.contains("✓ success  join"), "{said}");
    let runs = project.json(&["ps", "--json"]);
    let run = &runs[0];
    assert_eq!((run["dag"].as_str(), run["state"].as_str()), (Some("hello"), Some("success")));
    assert_eq!(run["logical_time"], "2026-01-05T01:00:00Z");
    let logs = project.text(&["logs", "hello.greet"], 0);
    assert!(logs.contains("hello you on 2026-01-05"), "{logs}");
    let shown = project.json(&["show", "1", "--json"]);
    assert_eq!(shown["tasks"].as_array().map(Vec::len), Some(4));
    assert_eq!(shown["attempts"][0]["state"], "success");
    let dags = project.json(&["dag", "list", "--json"]);
    let hello = dags.as_array().expect("a list").iter().find(|d| d["dag"] == "hello").expect("the DAG");
    assert_eq!((hello["schedule"].as_str(), hello["last_state"].as_str()), (Some("0 2 * * *"), Some("success")));
    assert_eq!(hello["paused"], false);
    assert!(hello["next"].as_str().is_some_and(|next| next.ends_with(":00:00Z")), "{hello}");
    // The same day again is the same run.
    project.text(&["run", "hello", "--date", "2026-01-05", "--wait"], 0);
    assert_eq!(project.json(&["ps", "--json"]).as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_failed_run_ends_with_1_and_is_retried_from_where_it_failed() {
    let project = Project::new().await;
    let said = project.text(&["run", "fragile", "--wait"], 1);
    assert!(said.contains("`test` ended with exit code 1"), "{said}");
    assert!(said.contains("upstream_failed"), "{said}");
    project.write("mended", "");
    let said = project.text(&["retry", "fragile", "--wait"], 0);
    assert!(said.contains("2 tasks: look, last"), "{said}");
    let shown = project.json(&["show", "fragile", "--json"]);
    let attempts: Vec<_> = shown["tasks"].as_array().expect("tasks").iter().map(|t| t["attempts"].as_i64()).collect();
    assert_eq!(attempts, [Some(1), Some(2), Some(1)]);
    project.text(&["retry", "fragile"], 2);
    // One task alone, on what the others left.
    project.text(&["run", "fragile.last", "--wait"], 0);
}

#[tokio::test]
async fn what_does_not_exist_ends_with_2_and_a_hint() {
    let project = Project::new().await;
    let cases: [(&[&str], &str); 8] = [
        (&["run", "helo"], "did you mean `hello`?"),
        (&["run", "hello.gret"], "did you mean `greet`?"),
        (&["run", "hello", "--param", "wo=1"], "did you mean `who`?"),
        (&["run", "hello", "--param", "who"], "write `--param name=value`"),
        (&["show", "77"], "there is no run 77"),
        (&["logs", "hello"], "`hello` has no runs yet"),
        (&["ps", "--state", "sucess"], "did you mean `success`?"),
        (&["backfill", "hello", "--from", "2026-01-02", "--to", "2026-01-01"], "comes before"),
    ];
    for (arguments, expected) in cases {
        let said = project.text(arguments, 2);
        assert!(said.contains(expected), "sluice {arguments:?}: {said}");
    }
    project.write("dags/bad.yaml", "dag: bad\ntasks:\n  a: { kind: comand }\n");
    let said = project.text(&["run", "hello"], 2);
    assert!(said.contains("dags/bad.yaml:3: tasks.a.kind") && said.contains("did you mean `command`?"), "{said}");
    assert_eq!(project.json(&["ps", "--json"]).as_array().map(Vec::len), Some(0), "nothing was changed");
}

#[tokio::test]
async fn a_backfill_is_shown_first_and_made_once() {
    let project = Project::new().await;
    let span = ["backfill", "hello", "--from", "2026-03-28", "--to", "2026-03-30"];
    let shown = project.text(&span, 0);
    assert!(shown.contains("3 runs would be made"), "{shown}");
    assert_eq!(project.json(&["ps", "--json"]).as_array().map(Vec::len), Some(0));
    let made = project.text(&[&span[..], &["--yes", "--wait"]].concat(), 0);
    assert_eq!(made.matches("✓ success").count(), 3, "{made}");
    let again = project.text(&[&span[..], &["--yes", "--wait"]].concat(), 0);
    assert_eq!(again.matches("✓ success").count(), 3, "{again}");
    let runs = project.json(&["ps", "--json"]);
    let times: Vec<_> =
        runs.as_array().expect("runs").iter().map(|r| r["logical_time"].as_str().unwrap_or("")).collect();
    // At 2 o'clock in Berlin; on the 29th that hour is skipped.
    assert_eq!(times, ["2026-03-30T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-28T01:00:00Z"]);
}

#[tokio::test]
async fn a_queued_run_is_cancelled_and_taken_up_again() {
    let project = Project::new().await;
    project.text(&["run", "hello"], 0);
    assert!(project.text(&["cancel", "hello"], 0).contains("is cancelled"));
    assert!(project.text(&["cancel", "1"], 0).contains("had ended before: cancelled"));
    project.text(&["retry", "1", "--wait"], 0);
}

#[tokio::test]
async fn dags_are_drawn_and_planned() {
    let project = Project::new().await;
    let drawn = project.text(&["dag", "graph", "hello"], 0);
    let expected = "\
● greet       command
├─● left      command
╰─┼─● right   command
  ╰─┴─● join  command
";
    assert_eq!(drawn.lines().map(str::trim_end).collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>(), "\n{drawn}");
    let mermaid = project.text(&["dag", "graph", "hello", "--format", "mermaid"], 0);
    assert!(mermaid.starts_with("flowchart LR\n    greet[\"greet<br/><small>command</small>\"]\n"), "{mermaid}");
    assert!(mermaid.ends_with("    left --> join\n    right --> join\n"), "{mermaid}");
    let svg = project.text(&["dag", "graph", "hello", "--format", "svg"], 0);
    assert_eq!((svg.matches("<rect ").count(), svg.matches("<path ").count()), (4, 4), "{svg}");
    let plan = project.json(&["dag", "plan", "hello", "--next", "400", "--json"]);
    let days = plan.as_array().expect("fires");
    assert_eq!(days.len(), 400);
    let changes = days.iter().filter(|day| !day["clock_change"].is_null()).count();
    assert!((2..=3).contains(&changes), "{changes} days with a clock change in 400");
    assert_eq!(project.json(&["dag", "show", "hello", "--json"])["tasks"][3]["needs"][1], "right");
}

#[tokio::test]
async fn scheduler_and_worker_are_processes_of_their_own_and_stop_when_told() {
    let project = Project::new().await;
    let start = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        Background(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started"))
    };
    let (worker, scheduler) = (start(&["work", "--slots", "2"]), start(&["schedule"]));
    let begun = Instant::now();
    while !project.text(&["ps", "at_once", "--json"], 0).contains("\"success\"") {
        assert!(begun.elapsed() < Duration::from_mins(1), "{}", project.text(&["ps"], 0));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(scheduler.stop(), Some(0));
    assert_eq!(worker.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_patience_gets_it() {
    let project = Project::new().await;
    let url = service::start().await;
    // Without what the server asks for, the next attempt would begin at once.
    let dag = format!(
        "dag: polite\ntasks:\n  read:\n    kind: extract_http\n    url: \"{url}/later/{{{{ run_id }}}}/1\"\n    \
         dataset: units\n    attempts: 2\n    backoff: {{ from: 1ms }}\n"
    );
    project.write("dags/polite.yaml", &dag);
    project.text(&["run", "polite", "--wait"], 0);
    let shown = project.json(&["show", "polite", "--json"]);
    let attempts = shown["attempts"].as_array().expect("attempts");
    let states: Vec<_> = attempts.iter().map(|attempt| attempt["state"].as_str().unwrap_or("")).collect();
    assert_eq!(states, ["failed", "success"], "{shown}");
    assert!(attempts[0]["error"].as_str().is_some_and(|error| error.contains("429")), "{shown}");
    let at = |attempt: usize, key: &str| -> chrono::DateTime<chrono::Utc> {
        attempts[attempt][key].as_str().expect("a time").parse().expect("a time")
    };
    let waited = at(1, "started_at") - at(0, "finished_at");
    assert!(waited >= service::RETRY_AFTER, "it waited {waited}");
}
