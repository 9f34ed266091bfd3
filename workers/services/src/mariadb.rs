//! MariaDB: `mariadb-install-db`, and a server without sockets. Its root accounts are bound to the system's users
//! and a socket, so nobody gets in as root; Sluice's own user is set up by an init file at each start.

use std::{fs, io::Read, net::TcpStream, path::Path, process::Command, time::Duration};

use crate::{
    account::Account,
    error::ServiceError,
    port, process,
    process::{Identity, Launch},
    programs,
    secret::{Password, ServiceUrl},
    server::{Ports, Purpose, Server, Service, Site},
    state,
};

const CONFIGURATION: &str = include_str!("../../../compose/local/mariadb.cnf");
const CONFIGURATION_TESTS: &str = "innodb-flush-log-at-trx-commit = 0\nmax-connections = 400\n";
const SETUP: &str = include_str!("../../../compose/local/mariadb-setup.sql");
const SETUP_TESTS: &str = include_str!("../../../compose/local/mariadb-setup-tests.sql");

/// See the module.
pub(crate) struct Mariadb;

impl Server for Mariadb {
    fn first_port(&self) -> u16 {
        23306
    }

    fn initialise(&self, site: &Site<'_>, folder: &Path, _password: &Password) -> Result<(), ServiceError> {
        need_server()?;
        let install = programs::need(Service::Mariadb, &["mariadb-install-db", "mysql_install_db"])?;
        let mut command = Command::new(install);
        command.arg("--no-defaults").arg(format!("--datadir={}", folder.join("data").display()));
        command.args(["--skip-test-db", "--auth-root-authentication-method=socket"]);
        if let Account::Other { name, .. } = site.account {
            command.arg(format!("--auth-root-socket-user={name}"));
        }
        // A starting MariaDB clears away the temporary tables that it finds, so each has a folder of its own.
        let temporary = folder.join("tmp");
        fs::create_dir(&temporary).map_err(ServiceError::io("create", &temporary))?;
        site.account.own(&temporary)?;
        site.account.apply(&mut command);
        command.current_dir(folder).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TMPDIR", &temporary);
        let output = command.output().map_err(ServiceError::io("start", "mariadb-install-db"))?;
        if output.status.success() {
            return Ok(());
        }
        let words = [output.stdout, output.stderr].concat();
        Err(site.failed("initialise its data", process::summary(&String::from_utf8_lossy(&words))))
    }

    fn is_whole(&self, folder: &Path) -> bool {
        ["data/ibdata1", "data/mysql", "data/aria_log_control", "tmp"].iter().all(|name| folder.join(name).exists())
    }

    fn set_password(&self, _site: &Site<'_>, _password: &Password) -> Result<(), ServiceError> {
        Ok(())
    }

    fn launch(&self, site: &Site<'_>, ports: Ports, password: &Password) -> Result<Launch, ServiceError> {
        let program = need_server()?;
        let folder = site.folder.display();
        let (configuration, setup) = match site.purpose {
            Purpose::Project => ("", ""),
            Purpose::Tests => (CONFIGURATION_TESTS, SETUP_TESTS),
            Purpose::Benches => ("max-connections = 400\n", SETUP_TESTS),
        };
        let configuration = format!(
            "{CONFIGURATION}{configuration}port = {}\ndatadir = {folder}/data\ntmpdir = {folder}/tmp\n\
             pid-file = {folder}/mariadb.pid\ninit-file = {folder}/setup.sql\n",
            ports.main
        );
        let setup = format!("{SETUP}{setup}").replace("{password}", password.expose());
        for (name, text) in [("mariadb.cnf", configuration), ("setup.sql", setup)] {
            let path = site.folder.join(name);
            state::write_private(&path, &text, &site.account)?;
        }
        let _ = fs::remove_file(site.folder.join("mariadb.pid"));
        Ok(Launch {
            program,
            args: vec![format!("--defaults-file={folder}/mariadb.cnf").into()],
            environment: Some(vec![("PATH", "/usr/bin:/bin".into()), ("TZ", "UTC".into())]),
            folder: site.folder.clone(),
            account: site.account.clone(),
        })
    }

    fn is_ready(&self, site: &Site<'_>, process: &Identity, port: u16) -> bool {
        // The pid file is written once the port is ours.
        let written = fs::read_to_string(site.folder.join("mariadb.pid")).unwrap_or_default();
        written.trim() == process.pid.to_string() && self.answers(port)
    }

    fn answers(&self, port: u16) -> bool {
        greeting(port) == Some(10)
    }

    fn url(&self, port: u16, password: &Password) -> ServiceUrl {
        ServiceUrl::new(format!("mysql://sluice:{}@127.0.0.1:{port}/shop", password.expose()))
    }
}

fn need_server() -> Result<std::path::PathBuf, ServiceError> {
    programs::need(Service::Mariadb, &["mariadbd", "mysqld"])
}

/// The protocol version with which a `MySQL` server greets: 10 since long, 255 for an error.
fn greeting(port: u16) -> Option<u8> {
    let mut stream = TcpStream::connect_timeout(&port::address(port).into(), Duration::from_millis(500)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let mut start = [0; 5];
    stream.read_exact(&mut start).ok()?;
    Some(start[4])
}
