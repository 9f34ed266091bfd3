//! Each trouble that `up` mends, provoked.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
};

use services::{Condition, Service, ServiceError};

use crate::home::{Home, port, talk};

/// A process of another kind, ended with the test.
struct Bystander(Child);

impl Bystander {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        self.0.id().try_into().unwrap()
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a service and kills it; gives the id that it had.
fn start_and_kill(home: &Home, service: Service) -> i32 {
    home.up(service);
    let pid = home.pid(service);
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    while home.status(service).state != Condition::Died {
        std::thread::yield_now();
    }
    pid
}

/// Changes a file of a service's data as its owner left it.
fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    fs::write(path, change(fs::read_to_string(path).unwrap())).unwrap();
}

#[test]
fn a_taken_port_is_stepped_over_and_the_next_one_kept() {
    let home = Home::new();
    let first = port(&home.up(Service::Mariadb));
    home.services().down().unwrap();
    home.said();
    let squatter = TcpListener::bind(("127.0.0.1", first)).unwrap();
    let second = port(&home.up(Service::Mariadb));
    assert!(second > first);
    assert!(home.said().contains(&format!("! MariaDB: port {first} is taken; it gets {second}")));
    drop(squatter);
    home.services().down().unwrap();
    assert_eq!(port(&home.up(Service::Mariadb)), second, "remembered, though the first is free again");
    assert_eq!(talk(second, b"")[4], 10, "a MariaDB greets");
}

/// Each looks for a free port before any has bound it.
#[test]
fn homes_that_start_at_once_get_ports_of_their_own() {
    for service in [Service::Mariadb, Service::Kafka] {
        let homes: Vec<_> = (0..3).map(|_| Home::new()).collect();
        // The first start makes the data folder, which takes longer than the race.
        for home in &homes {
            home.up(service);
            home.services().down().expect("it stops");
        }
        let mut ports: Vec<u16> = std::thread::scope(|scope| {
            let starts: Vec<_> = homes.iter().map(|home| scope.spawn(|| port(&home.up(service)))).collect();
            starts.into_iter().map(|start| start.join().expect("it starts")).collect()
        });
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), homes.len());
    }
}

#[test]
fn a_killed_server_recovers_at_the_next_up() {
    let home = Home::new();
    for service in Service::ALL {
        let pid = start_and_kill(&home, service);
        home.said();
        home.up(service);
        let said = home.said();
        assert!(said.contains(&format!("! {service}: its process {pid} is gone without `sluice down`")), "{said}");
        assert_eq!(home.status(service).state, Condition::Running);
        assert_ne!(home.pid(service), pid);
    }
}

#[test]
fn a_pid_that_another_process_has_now_is_left_alone() {
    let home = Home::new();
    let pid = start_and_kill(&home, Service::Postgres);
    let mut bystander = Bystander::start();
    let other = bystander.pid();
    edit(&home.path().join("services.json"), |text| text.replace(&pid.to_string(), &other.to_string()));
    edit(&home.path().join("data/postgres/data/postmaster.pid"), |text| {
        text.replacen(&pid.to_string(), &other.to_string(), 1)
    });
    home.said();
    assert_eq!(home.status(Service::Postgres).state, Condition::Died);
    home.up(Service::Postgres);
    let said = home.said();
    assert!(said.contains(&format!("its process {other} is gone, and another process has that id now")), "{said}");
    assert!(said.contains(&format!("its pid file names process {other}, which is another program now")), "{said}");
    home.services().down().unwrap();
    assert!(bystander.is_alive(), "a process that is not ours was stopped");
}

#[test]
fn a_killed_server_that_nobody_has_collected_is_no_hindrance() {
    let home = Home::new();
    let pid = start_and_kill(&home, Service::Postgres);
    // What is left of a child of ours until we ask for its end; the server's own, as another user's would not count.
    let owner = fs::metadata(home.path().join("data/postgres/data")).unwrap().uid();
    let ended = Bystander(Command::new("true").uid(owner).spawn().unwrap());
    let stat = format!("/proc/{}/stat", ended.pid());
    while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    edit(&home.path().join("data/postgres/data/postmaster.pid"), |text| {
        text.replacen(&pid.to_string(), &ended.pid().to_string(), 1)
    });
    home.up(Service::Postgres);
    assert_eq!(home.status(Service::Postgres).state, Condition::Running);
}

#[test]
fn a_folder_that_is_half_made_is_moved_aside_and_made_again() {
    let home = Home::new();
    for (service, vital) in [
        (Service::Postgres, "data/PG_VERSION"),
        (Service::Mariadb, "data/ibdata1"),
        (Service::Kafka, "data/meta.properties"),
    ] {
        home.up(service);
        home.services().down().unwrap();
        let data = home.path().join("data");
        fs::remove_file(data.join(service.name()).join(vital)).unwrap();
        // What a start leaves that was cut off while it made the folder.
        fs::create_dir_all(data.join(format!("{}.new-1", service.name())).join("data")).unwrap();
        home.said();
        home.up(service);
        let said = home.said();
        assert!(said.contains("is only half a data folder; moved to"), "{said}");
        assert!(said.contains("a first start was cut off; its leftovers are removed"), "{said}");
        assert!(data.join(format!("{}.aside-1", service.name())).is_dir());
        assert!(!data.join(format!("{}.new-1", service.name())).exists());
        assert_eq!(home.status(service).state, Condition::Running);
        home.services().down().unwrap();
    }
}

#[test]
fn a_path_longer_than_a_socket_allows() {
    let home = Home::below(&format!("{}/.sluice", ["a-long-folder-name"; 8].join("/")));
    home.services().up(&Service::ALL).unwrap();
    assert!(home.said().contains("is longer than a Unix socket allows: reached over loopback TCP alone"));
    assert!(home.services().status().unwrap().iter().all(|status| status.state == Condition::Running));
}

#[test]
fn lost_state_is_made_anew_and_the_data_stay() {
    let home = Home::new();
    let url = home.up(Service::Postgres);
    let run = |url: &str, sql: &str| Command::new("psql").args([url, "-qAtc", sql]).output().unwrap();
    assert!(run(&url, "create table kept as select 42 as answer").status.success());
    let pid = home.pid(Service::Postgres);
    fs::remove_file(home.path().join("services.json")).unwrap();
    home.said();
    let new = home.up(Service::Postgres);
    let said = home.said();
    assert!(said.contains(&format!("process {pid} has run on from before; starting it anew")), "{said}");
    assert!(said.contains("its password was lost; it has a new one"), "{said}");
    assert_eq!(String::from_utf8_lossy(&run(&new, "select answer from kept").stdout), "42\n");
    assert!(!run(&url.replace(&port(&url).to_string(), &port(&new).to_string()), "select 1").status.success());
}

#[test]
fn a_copied_project_has_servers_of_its_own() {
    let home = Home::new();
    let url = home.up(Service::Postgres);
    let pid = home.pid(Service::Postgres);
    let copy = Home::new();
    let copied = Command::new("cp").arg("-a").arg(home.path()).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    let other = copy.up(Service::Postgres);
    assert_ne!(port(&other), port(&url));
    copy.services().down().unwrap();
    assert_eq!(home.pid(Service::Postgres), pid, "the original runs on");
}

#[test]
fn a_server_that_does_not_start_says_why_and_where_its_log_is() {
    let home = Home::new();
    home.up(Service::Postgres);
    home.services().down().unwrap();
    let control = home.path().join("data/postgres/data/global/pg_control");
    fs::write(&control, "nonsense").unwrap();
    let error = home.services().up(&[Service::Postgres]).unwrap_err();
    assert!(matches!(error, ServiceError::Failed { service: Service::Postgres, action: "start", .. }), "{error:?}");
    assert!(error.to_string().contains("could not read file \"global/pg_control\""), "{error}");
    assert!(error.hint().unwrap().contains("log/postgres.log"));
    assert_eq!(home.status(Service::Postgres).state, Condition::Died);
}

#[test]
fn data_of_a_version_that_is_not_installed_are_left_alone() {
    let home = Home::new();
    home.up(Service::Postgres);
    home.services().down().unwrap();
    let version = home.path().join("data/postgres/data/PG_VERSION");
    edit(&version, |_| "9\n".to_owned());
    let error = home.services().up(&[Service::Postgres]).unwrap_err();
    assert!(matches!(&error, ServiceError::Version { data, .. } if data == "9"), "{error:?}");
    assert!(home.path().join("data/postgres/data/base").is_dir(), "nothing was moved");
}

/// Only root meets this one: a home that the servers' users cannot enter.
#[test]
fn a_home_that_servers_cannot_enter_has_its_data_elsewhere() {
    let home = Home::below("closed/project/.sluice");
    let closed = home.around().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    home.services().up(&Service::ALL).unwrap();
    let said = home.said();
    assert!(home.services().status().unwrap().iter().all(|status| status.state == Condition::Running));
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&closed).unwrap());
    let data = fs::canonicalize(home.path().join("data")).unwrap();
    if owner == 0 {
        assert!(data.starts_with("/var/lib/sluice"), "{said}");
        assert!(said.contains("cannot enter"), "{said}");
        home.services().down().unwrap();
        fs::remove_dir_all(data).unwrap();
    } else {
        assert!(data.starts_with(&closed), "our own servers can enter our own folder");
    }
}
