//! What people do at the command line, as they see it: marks, retries on another version, clears, backfills, tokens, and
//! the log of it all.

use serde_json::Value;

use crate::runs::Project;

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn a_failed_task_is_marked_and_the_audit_log_says_by_whom_and_why() {
    let project = Project::new().await;
    project.text(&["run", "fragile", "--wait"], 1);
    let marked = project.json(&["mark", "fragile.look", "success", "--reason", "looked by hand", "--json"]);
    assert_eq!((marked["state"].as_str(), names(&marked["decided_anew"])), (Some("running"), vec!["last"]));
    project.text(&["mark", "1.last", "skipped", "--reason", "not today"], 0);
    let shown = project.text(&["show", "1"], 0);
    assert!(shown.contains("✓ success") && shown.contains("last: marked by"), "{shown}");
    let log = project.json(&["audit", "--dag", "fragile", "--json"]);
    let acts: Vec<_> = log.as_array().expect("acts").iter().map(|act| act["act"].as_str().unwrap_or("")).collect();
    assert_eq!(acts, ["mark", "mark", "run"]);
    assert_eq!(
        (&log[1]["reason"], &log[1]["task"], &log[1]["via"]),
        (&"looked by hand".into(), &"look".into(), &"cli".into())
    );
    let user = log[1]["actor"].as_str().expect("someone").to_owned();
    assert!(!user.is_empty());
    let mut as_ada = project.command(&["cancel", "1"]);
    as_ada.env("SLUICE_ACTOR", "ada");
    assert!(as_ada.output().expect("starts").status.success());
    project.text(&["run", "hello"], 0);
    let mut as_ada = project.command(&["cancel", "hello", "--reason", "wrong day"]);
    as_ada.env("SLUICE_ACTOR", "ada");
    assert!(as_ada.output().expect("starts").status.success());
    let text = project.text(&["audit", "-n", "1"], 0);
    assert!(text.contains("ada") && text.contains("cancel") && text.contains("wrong day"), "{text}");
}

#[tokio::test]
async fn a_run_goes_on_with_the_mended_file_once_its_changes_were_seen() {
    let project = Project::new().await;
    project.text(&["run", "fragile", "--wait"], 1);
    project.write(
        "dags/fragile.yaml",
        "dag: fragile
tasks:
  first: { kind: command, command: ['true'] }
  look: { kind: command, command: [test, -d, .], needs: first }
  tell: { kind: command, command: ['true'], needs: look }
",
    );
    let shown = project.text(&["retry", "fragile", "--on", "new"], 0);
    for line in [
        "- task last",
        "+ task tell",
        "~ task look",
        r#"command: ["test","-f","mended"] -> ["test","-d","."]"#,
        "add --yes",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert_eq!(project.json(&["show", "1", "--json"])["state"], "failed");
    let said = project.text(&["retry", "fragile", "--on", "new", "--yes", "--wait"], 0);
    assert!(said.contains("2 tasks: look, tell"), "{said}");
    let versions = project.json(&["dag", "versions", "fragile", "--json"]);
    let runs: Vec<_> = versions.as_array().expect("versions").iter().map(|v| v["runs"].as_i64()).collect();
    assert_eq!(runs, [Some(1), Some(0)]);
    let old = versions[1]["version"].as_str().expect("a version");
    let diff = project.json(&["dag", "diff", "fragile", old, "--json"]);
    assert_eq!((names(&diff["added"]), names(&diff["removed"])), (vec!["tell"], vec!["last"]));
    assert_eq!(diff["changed"][0]["changes"][0]["key"], "command");
    // On the version that the run keeps there is nothing to show first.
    project.text(&["retry", "1.first", "--only", "--on", "new", "--wait"], 0);
    let attempts = project.json(&["show", "1", "--json"])["tasks"][0]["attempts"].clone();
    assert_eq!(attempts, 2);
}

#[tokio::test]
async fn a_backfill_goes_on_by_itself_and_stops_when_told() {
    let project = Project::new().await;
    let span =
        ["backfill", "hello", "--from", "2026-01-01", "--to", "2026-01-04", "--order", "newest", "--parallel", "1"];
    let made = project.text(&[&span[..], &["--yes"]].concat(), 0);
    assert!(made.contains("`sluice backfill stop 1`"), "{made}");
    let runs = project.json(&["ps", "--json"]);
    let states: Vec<_> = runs.as_array().expect("runs").iter().map(|run| run["state"].as_str().unwrap_or("")).collect();
    assert_eq!(states, ["queued", "queued", "queued", "running"]);
    let listed = project.json(&["backfill", "list", "--json"]);
    assert_eq!((&listed[0]["state"], &listed[0]["queued"]), (&"running".into(), &3.into()));
    let stopped = project.text(&["backfill", "stop", "1"], 0);
    assert!(stopped.contains("3 runs cancelled before they began, 1 run told to end"), "{stopped}");
    assert!(project.text(&["backfill", "list"], 0).contains("stopped"));
    // They can be cleared all the same: shown first.
    let clear = ["clear", "hello", "--from", "2026-01-01", "--to", "2026-01-02", "--task", "left"];
    let shown = project.text(&clear, 0);
    assert!(shown.contains("left, join") && shown.contains("2 runs would run again"), "{shown}");
    let done = project.text(&[&clear[..], &["--yes"]].concat(), 0);
    assert!(done.contains("2 runs cleared; `sluice backfill stop 2`"), "{done}");
}

#[tokio::test]
async fn tokens_are_shown_once_listed_and_revoked() {
    let project = Project::new().await;
    let made = project.json(&["token", "create", "grafana", "--role", "viewer", "--expires", "90d", "--json"]);
    let secret = made["token"].as_str().expect("the token");
    assert!(secret.starts_with("sluice_") && secret.len() == 7 + 64, "{secret}");
    let listed = project.text(&["token", "list"], 0);
    assert!(listed.contains("grafana") && listed.contains("active") && !listed.contains(&secret[7..]), "{listed}");
    project.text(&["token", "revoke", "grafana"], 0);
    assert_eq!(project.json(&["token", "list", "--json"])[0]["state"], "revoked");
    let log = project.text(&["audit", "--json"], 0);
    assert!(log.contains("token_revoke") && !log.contains(&secret[7..]), "{log}");
}

#[tokio::test]
async fn acts_that_make_no_sense_end_with_2_and_a_hint() {
    let project = Project::new().await;
    project.text(&["run", "hello"], 0);
    let cases: [(&[&str], &str); 14] = [
        (&["mark", "hello", "success", "--reason", "x"], "write RUN.TASK"),
        (&["mark", "hello.greet", "sucess", "--reason", "x"], "did you mean `success`?"),
        (&["mark", "hello.greet", "success", "--reason", " "], "a mark needs a reason"),
        (&["mark", "hello.nobody", "success", "--reason", "x"], "`hello` has no task `nobody`"),
        (&["mark", "hello.greet", "success"], "--reason"),
        (&["retry", "hello", "--on", "beef"], "`sluice dag versions hello` lists them"),
        (&["retry", "hello", "--only", "--downstream"], "cannot be used with"),
        (&["dag", "diff", "hello", "beef"], "`sluice dag versions hello` lists them"),
        (&["dag", "versions", "helo"], "no version of `helo`"),
        (&["clear", "hello", "--from", "2026-01-02", "--to", "2026-01-01"], "comes before"),
        (&["clear", "hello", "--from", "2026-01-01", "--to", "2026-01-02", "--task", "gret"], "did you mean `greet`?"),
        (&["backfill", "stop", "7"], "there is no backfill 7"),
        (&["token", "revoke", "nobody"], "`sluice token list` lists them"),
        (&["token", "create", "two words", "--role", "viewer"], "a token's name is"),
    ];
    for (arguments, expected) in cases {
        let said = project.text(arguments, 2);
        assert!(said.contains(expected), "sluice {arguments:?}: {said}");
    }
    let log = project.json(&["audit", "--json"]);
    assert_eq!(log.as_array().map(Vec::len), Some(1), "what is refused is no act: {log}");
}

#[tokio::test]
async fn an_older_build_stops_at_a_newer_database() {
    let project = Project::new().await;
    project.text(&["ps"], 0);
    sqlx::query(
        "insert into sluice._sqlx_migrations (version, description, success, checksum, execution_time)
         values (9000, 'the future', true, '\\x00', 0)",
    )
    .execute(&project.database.pool)
    .await
    .expect("a newer build has been here");
    let said = project.text(&["ps"], 2);
    assert!(said.contains("a newer Sluice has been at work there"), "{said}");
    sqlx::query("update sluice._sqlx_migrations set checksum = '\\x00' where version = 1")
        .execute(&project.database.pool)
        .await
        .expect("a build from before the first release has been here");
    let said = project.text(&["ps"], 2);
    assert!(said.contains("from before its first release"), "{said}");
}

#[tokio::test]
async fn dags_that_wait_for_each_other_are_refused() {
    let project = Project::new().await;
    let dag = |name: &str, before: &str| {
        let text =
            format!("dag: {name}\ntriggers:\n  - dag: {before}\ntasks:\n  a: {{ kind: command, command: [echo] }}\n");
        project.write(&format!("dags/{name}.yaml"), &text);
    };
    dag("one", "two");
    dag("two", "three");
    dag("three", "hello");
    project.text(&["check"], 0);
    dag("three", "one");
    let said = project.text(&["check"], 2);
    assert!(
        said.contains("dags/one.yaml:3: triggers[0].dag: the DAGs wait for each other: one → two → three → one"),
        "{said}"
    );
    dag("three", "helo");
    let said = project.text(&["check"], 2);
    assert!(said.contains("triggers[0].dag: no DAG `helo` in dags/\n    hint: did you mean `hello`?"), "{said}");
}

#[tokio::test]
async fn datasets_that_nobody_publishes_and_circles_over_datasets_are_told() {
    let project = Project::new().await;
    let dag = |name: &str, into: &str, triggers: &str| {
        let text = format!(
            "dag: {name}\n{triggers}tasks:\n  read: {{ kind: extract_csv, path: 'in/*.csv' }}\n  \
             keep: {{ kind: load, from: read, into: {into} }}\n"
        );
        project.write(&format!("dags/{name}.yaml"), &text);
    };
    dag("one", "staging.orders", "");
    dag("two", "staging.totals", "triggers:\n  - { datasets: [staging.order, staging.orders] }\n");
    let said = project.text(&["check"], 0);
    let expected = "dags/two.yaml:3: triggers[0].datasets[0]: no DAG publishes `staging.order`, so this waits for ever";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("did you mean `staging.orders`?"), "{said}");
    dag("two", "staging.totals", "triggers:\n  - { datasets: [staging.orders] }\n");
    dag("one", "staging.orders", "triggers:\n  - { dag: two }\n");
    let said = project.text(&["check"], 0);
    assert!(said.contains("triggers[0]: the DAGs start each other for ever: one → two → one"), "{said}");
    // Where a template decides what is published, it may be anything.
    dag("one", "'staging.{{ task }}'", "");
    let said = project.text(&["check"], 0);
    assert!(!said.contains("no DAG publishes"), "{said}");
    let said = project.text(&["why", "two"], 0);
    assert!(said.contains("no scheduler has seen its file yet"), "{said}");
    let said = project.text(&["why", "nobody"], 2);
    assert!(said.contains("`nobody` has no runs yet"), "{said}");
}
