//! The servers that all tests share.

use std::process::Command;

use services::testing;

use crate::home::port;

#[test]
fn they_are_found_again_and_let_tests_create_databases() {
    let postgres = testing::postgres();
    assert_eq!(testing::postgres(), postgres);
    let run = |sql: &str| Command::new("psql").args([postgres.as_str(), "-qAtc", sql]).output().unwrap();
    let name = format!("shared_{}", std::process::id());
    let made = run(&format!("create database {name}"));
    assert!(made.status.success(), "{made:?}");
    assert!(run(&format!("drop database {name}")).status.success());

    let mysql = testing::mysql();
    let (user, password) = mysql["mysql://".len()..].split_once('@').unwrap().0.split_once(':').unwrap();
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "--protocol=tcp", "-h127.0.0.1", "-P", &port(&mysql).to_string(), "-u", user]);
    client.args(["-e", &format!("create database {name}; drop database {name}")]).env("MYSQL_PWD", password);
    let made = client.output().unwrap();
    assert!(made.status.success(), "{made:?}");
}
