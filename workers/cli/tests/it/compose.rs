//! What the services of `compose/docker-compose.yml` are told to run.

use std::{path::Path, process::Command};

use serde_json::Value;
use workflow::yaml::Document;

use crate::project::text;

#[test]
fn every_command_of_the_containers_is_one_of_ours() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose/docker-compose.yml");
    let file = Document::parse("docker-compose.yml", &std::fs::read_to_string(path).expect("the file")).expect("YAML");
    let file = file.value;
    let words = |list: &Value| -> Vec<String> {
        list.as_array().expect("a list").iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let known = |words: &[String]| {
        // Words that are not known are told before the help is.
        let output = Command::new(env!("CARGO_BIN_EXE_sluice")).args(words).arg("--help").output();
        let output = output.expect("run sluice");
        assert!(output.status.success(), "{words:?}: {}", text(&output));
    };
    let services = file["services"].as_object().expect("services");
    let ours: Vec<_> =
        services.values().filter(|service| service["<<"]["image"] == file["x-sluice"]["image"]).collect();
    assert_eq!(ours.len(), 5, "server, scheduler, worker, stream and shop");
    for service in ours {
        known(&words(&service["command"]));
    }
    let health = words(&file["x-sluice"]["healthcheck"]["test"]);
    assert_eq!(health[..2], ["CMD", "sluice"]);
    known(&health[2..]);
    let refused = Command::new(env!("CARGO_BIN_EXE_sluice")).args(["generate", "--alive", "--help"]).output();
    assert!(!refused.expect("run sluice").status.success(), "this test would notice");
}
