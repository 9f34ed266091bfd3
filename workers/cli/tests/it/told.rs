//! Who is told what runs do, and what the program says where nobody is.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

use crate::runs::Project;

/// A collector that takes whatever it is sent; counts requests by the path that is asked for.
fn collector() -> (String, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (events, traces) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&events), Arc::clone(&traces));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counts) = (stream.expect("a connection"), (Arc::clone(&counts.0), Arc::clone(&counts.1)));
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
                loop {
                    let (mut length, mut first) = (0, String::new());
                    if reader.read_line(&mut first).unwrap_or(0) == 0 {
                        return;
                    }
                    loop {
                        let mut line = String::new();
                        reader.read_line(&mut line).expect("a header");
                        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().expect("a length");
                        }
                        if line.trim().is_empty() {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).expect("a body");
                    if first.starts_with("POST /api/v1/lineage ") {
                        counts.0.fetch_add(1, Ordering::SeqCst);
                    } else if first.starts_with("POST /v1/traces ") {
                        counts.1.fetch_add(1, Ordering::SeqCst);
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("answered");
                }
            });
        }
    });
    (url, events, traces)
}

fn settings(more: &str) -> String {
    format!("project: Test\nservices: {{ postgres: \"${{TEST_URL}}\" }}\n{more}\n")
}

#[tokio::test]
async fn a_run_by_hand_is_told_before_the_command_ends() {
    let project = Project::new().await;
    let (collector, events, traces) = collector();
    project.write("sluice.yaml", &settings(&format!("lineage: {{ url: '{collector}' }}")));
    project.write("dags/said.yaml", "dag: said\ntasks:\n  hello: { kind: command, command: [echo, hello] }\n");
    let run = |arguments: &[&str]| {
        let output =
            project.command(arguments).env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    for told in [4, 8] {
        run(&["run", "said", "--wait"]);
        assert_eq!(events.load(Ordering::SeqCst), told, "a beginning and an end, of each run and of its task");
    }
    assert!(traces.load(Ordering::SeqCst) >= 2);
    let status: Value = serde_json::from_slice(&run(&["status", "--json"])).expect("JSON");
    let told = status["told"].as_array().expect("told");
    assert_eq!(told.iter().map(|row| row["sink"].as_str().unwrap_or("")).collect::<Vec<_>>(), ["lineage", "traces"]);
    assert!(told.iter().all(|row| row["failing_since"].is_null() && row["attempts_behind"] == 0), "{status}");
}

#[tokio::test]
async fn a_collector_that_is_away_fails_no_run_and_is_named_by_status() {
    let project = Project::new().await;
    project.write("sluice.yaml", &settings("lineage: { url: 'http://127.0.0.1:1' }"));
    project.write("dags/said.yaml", "dag: said\ntasks:\n  hello: { kind: command, command: [echo, hello] }\n");
    project.text(&["run", "said", "--wait"], 0);
    let said = project.text(&["status"], 0);
    assert!(said.contains("! lineage: nobody is told since "), "{said}");
    assert!(said.contains("http://127.0.0.1:1/api/v1/lineage cannot be reached: Connection refused"), "{said}");
    // Who does not ask any more has no trouble.
    project.write("sluice.yaml", &settings(""));
    let said = project.text(&["status"], 0);
    assert!(!said.contains("lineage"), "{said}");
}

#[tokio::test]
async fn wrong_settings_are_faults_of_the_file() {
    let project = Project::new().await;
    project.write("sluice.yaml", &settings("traces:\n  endpont: http://c:4318"));
    let said = project.text(&["check"], 2);
    assert!(said.contains("sluice.yaml:4") && said.contains("traces.endpont"), "{said}");
    assert!(said.contains("did you mean `endpoint`"), "{said}");
    project.write("sluice.yaml", &settings("lineage:\n  url: marquez:5000"));
    let said = project.text(&["check"], 2);
    assert!(said.contains("sluice.yaml:4: lineage.url: `marquez:5000` is not an address"), "{said}");
    assert!(said.contains("write `https://host` or `http://host:port`"), "{said}");
}
