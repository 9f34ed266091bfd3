//! Up, found again, down.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, Instant},
};

use services::{Condition, Service};

use crate::home::{Home, port};

#[test]
fn all_come_up_are_found_again_and_go_down_without_a_trace() {
    let home = Home::new();
    assert!(home.services().status().unwrap().iter().all(|status| status.state == Condition::Stopped));
    let started = Instant::now();
    let first = home.services().up(&Service::ALL).unwrap();
    assert!(started.elapsed() < Duration::from_mins(1), "up took {:?}: {}", started.elapsed(), home.said());
    let status = home.services().status().unwrap();
    assert!(status.iter().all(|status| status.state == Condition::Running), "{status:?}");

    let again = home.services().up(&Service::ALL).unwrap();
    assert_eq!(again, first);
    assert_eq!(home.services().endpoints().unwrap(), first);
    assert_eq!(home.services().status().unwrap(), status, "the same processes");
    assert!(home.said().contains("Kafka: runs already on port"));

    let mut stopped = home.services().down().unwrap();
    stopped.sort();
    assert_eq!(stopped, Service::ALL);
    assert_eq!(home.said().matches("stopped").count(), 3);
    for status in status {
        assert!(!alive(status.pid.unwrap()), "{} still runs", status.name);
    }
    let left = Command::new("pgrep").args(["-f", &home.path().display().to_string()]).output().unwrap();
    assert!(left.stdout.is_empty(), "no helper of theirs runs on: {left:?}");
    assert!(home.services().status().unwrap().iter().all(|status| status.state == Condition::Stopped));
    assert!(home.services().down().unwrap().is_empty(), "a second down finds nothing");
}

#[test]
fn two_at_once_start_one_server() {
    let home = Home::new();
    let urls: Vec<String> = std::thread::scope(|scope| {
        let starts = [(); 3].map(|()| scope.spawn(|| home.up(Service::Postgres)));
        starts.map(|start| start.join().unwrap()).into()
    });
    assert!(urls.iter().all(|url| *url == urls[0]));
    assert_eq!(home.said().matches("makes its data folder").count(), 1);
}

#[test]
fn the_url_lets_clients_in_and_only_with_the_password() {
    let home = Home::new();
    let endpoints = home.services().up(&[Service::Postgres, Service::Mariadb]).unwrap();
    let postgres = endpoints.get(Service::Postgres).unwrap().expose();
    let query = |url: &str, sql: &str| Command::new("psql").args([url, "-qAtc", sql]).output().unwrap();
    let rights = query(postgres, "select rolsuper or rolcreaterole or rolcreatedb from pg_roles where rolname = user");
    assert_eq!(String::from_utf8_lossy(&rights.stdout), "f\n", "Sluice's role is an ordinary one");
    let made = query(postgres, "create extension btree_gist; create schema s; select current_database()");
    assert_eq!(String::from_utf8_lossy(&made.stdout), "sluice\n", "{made:?}");
    let (start, rest) = postgres.split_once('@').unwrap();
    let wrong = format!("{}:wrong@{rest}", start.rsplit_once(':').unwrap().0);
    assert!(!query(&wrong, "select 1").status.success());
    assert!(!query(&wrong.replace("sluice:wrong", "postgres"), "select 1").status.success());

    let mariadb = endpoints.get(Service::Mariadb).unwrap().expose();
    let password = mariadb.split(':').nth(2).unwrap().split('@').next().unwrap();
    let port = port(mariadb).to_string();
    let ask = |user: &str, password: &str, sql: &str| {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--protocol=tcp", "-h127.0.0.1", "-P", &port, "-u", user, "-sNe", sql]);
        client.env("MYSQL_PWD", password).output().unwrap()
    };
    let made = ask("sluice", password, "create table shop.t (a int); select @@time_zone, @@character_set_server");
    assert_eq!(String::from_utf8_lossy(&made.stdout), "+00:00\tutf8mb4\n", "{made:?}");
    assert!(!ask("sluice", password, "create database other").status.success());
    assert!(!ask("sluice", "", "select 1").status.success());
    assert!(!ask("root", "", "select 1").status.success());
    assert!(!ask("mysql", "", "select 1").status.success());
}

#[test]
fn passwords_are_kept_from_other_eyes() {
    let home = Home::new();
    let url = home.up(Service::Postgres);
    let password = url.split(':').nth(2).unwrap().split('@').next().unwrap();
    let mode = fs::metadata(home.path().join("services.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
    assert!(!home.said().contains(password));
    assert!(!format!("{:?}", home.services().status().unwrap()).contains(password));
    assert!(!fs::read_to_string(home.path().join("log/postgres.log")).unwrap().contains(password));
}

#[test]
fn no_server_runs_as_root() {
    let home = Home::new();
    home.services().up(&Service::ALL).unwrap();
    for status in home.services().status().unwrap() {
        let owner = fs::metadata(format!("/proc/{}", status.pid.unwrap()));
        if let Ok(owner) = owner {
            assert_ne!(std::os::unix::fs::MetadataExt::uid(&owner), 0, "{} runs as root", status.name);
        }
    }
}

#[test]
fn data_survive_down_and_up() {
    let home = Home::new();
    let url = home.up(Service::Postgres);
    let run = |sql: &str| Command::new("psql").args([url.as_str(), "-qAtc", sql]).output().unwrap();
    assert!(run("create table kept as select 42 as answer").status.success());
    home.services().down().unwrap();
    assert_eq!(home.up(Service::Postgres), url, "the same port and password");
    assert_eq!(String::from_utf8_lossy(&run("select answer from kept").stdout), "42\n");
}

/// Whether a process id belongs to more than what is left of an ended process that nobody has asked about yet.
fn alive(pid: i32) -> bool {
    let listed = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}
