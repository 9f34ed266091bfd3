//! Sluice's own processes in the background.

use services::processes::{self, Command};

use crate::home::Home;

fn shell(home: &Home, name: &str, script: &str) -> Command {
    Command {
        name: name.to_owned(),
        program: "/bin/sh".into(),
        args: ["-c", script].map(Into::into).into(),
        folder: home.around().to_owned(),
        url: Some("http://127.0.0.1:8180".to_owned()),
    }
}

#[test]
fn they_are_listed_logged_and_stopped() {
    let home = Home::new();
    let started = processes::spawn(home.path(), &shell(&home, "serve", "echo hello; exec sleep 600")).unwrap();
    let worker = processes::spawn(home.path(), &shell(&home, "work", "exec sleep 600")).unwrap();
    assert_eq!(processes::list(home.path()).unwrap(), [started.clone(), worker]);
    assert!(home.path().join("run/serve.json").is_file());
    while processes::last_words(home.path(), "serve") != "hello" {
        std::thread::yield_now();
    }
    let stopped = processes::stop_all(home.path()).unwrap();
    assert_eq!(stopped.len(), 2);
    assert!(stopped.iter().all(|stopped| !stopped.killed));
    assert!(!started.is_alive());
    assert!(processes::list(home.path()).unwrap().is_empty());
    assert!(!home.path().join("run/serve.json").exists());
}

#[test]
fn one_that_ended_by_itself_is_told_from_one_that_runs() {
    let home = Home::new();
    let started = processes::spawn(home.path(), &shell(&home, "work", "exit 3")).unwrap();
    while started.is_alive() {
        std::thread::yield_now();
    }
    assert!(processes::list(home.path()).unwrap().is_empty());
    assert_eq!(processes::ended(home.path()).unwrap(), [started]);
    assert!(processes::stop(home.path(), "work").unwrap().is_none());
    assert!(processes::ended(home.path()).unwrap().is_empty());
}

#[test]
fn a_second_start_replaces_the_first() {
    let home = Home::new();
    let first = processes::spawn(home.path(), &shell(&home, "serve", "exec sleep 600")).unwrap();
    let second = processes::spawn(home.path(), &shell(&home, "serve", "exec sleep 600")).unwrap();
    assert!(!first.is_alive());
    assert_eq!(processes::list(home.path()).unwrap(), [second]);
    processes::stop_all(home.path()).unwrap();
}
