//! Sluice's own processes in the background.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
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

#[test]
fn one_that_was_killed_is_revived_and_one_that_was_stopped_is_not() {
    let home = Home::new();
    let first = processes::spawn(home.path(), &shell(&home, "serve", "exec sleep 600")).unwrap();
    let other = processes::spawn(home.path(), &shell(&home, "work", "exec sleep 600")).unwrap();
    processes::spawn(home.path(), &shell(&home, "gone", "exec sleep 600")).unwrap();
    processes::stop(home.path(), "gone").unwrap();
    kill(Pid::from_raw(first.pid), Signal::SIGKILL).unwrap();
    while first.is_alive() {
        std::thread::yield_now();
    }
    let revived = processes::revive(home.path()).unwrap();
    assert_eq!(revived.iter().map(|process| process.name.as_str()).collect::<Vec<_>>(), ["serve"]);
    assert_ne!(revived[0].pid, first.pid);
    assert_eq!(revived[0].url, first.url);
    assert_eq!(processes::list(home.path()).unwrap(), [revived[0].clone(), other]);
    assert!(processes::revive(home.path()).unwrap().is_empty());
    processes::stop_all(home.path()).unwrap();
}

#[test]
fn a_file_that_does_not_tell_the_program_is_left_as_it_is() {
    let home = Home::new();
    let started = processes::spawn(home.path(), &shell(&home, "work", "exit 3")).unwrap();
    while started.is_alive() {
        std::thread::yield_now();
    }
    let file = home.path().join("run/work.json");
    let older = format!(r#"{{ "name": "work", "pid": {}, "start_time": "{}" }}"#, started.pid, started.start_time);
    std::fs::write(&file, older).unwrap();
    assert!(processes::revive(home.path()).unwrap().is_empty());
    assert!(!processes::ended(home.path()).unwrap()[0].can_be_revived());
}
