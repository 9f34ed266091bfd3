//! Postgres: `initdb`, two roles, and a server without sockets. Its superuser has no password and no way in: what
//! has to be done as superuser is done in single-user mode, before the server starts.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    error::ServiceError,
    port, process,
    process::{Identity, Launch},
    programs,
    secret::{Password, ServiceUrl},
    server::{Ports, Purpose, Server, Service, Site},
    state,
};

const CONFIGURATION: &str = include_str!("../../../compose/local/postgres.conf");
const CONFIGURATION_TESTS: &str =
    "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_connections = 400\n";
const ACCESS: &str = include_str!("../../../compose/local/pg_hba.conf");
const SETUP: &str = include_str!("../../../compose/local/postgres-setup.sql");
const SETUP_TESTS: &str = include_str!("../../../compose/local/postgres-setup-tests.sql");
const PASSWORD: &str = include_str!("../../../compose/local/postgres-password.sql");
const LOCALE: &str = if cfg!(target_os = "linux") { "C.UTF-8" } else { "en_US.UTF-8" };

/// See the module.
pub(crate) struct Postgres;

impl Server for Postgres {
    fn first_port(&self) -> u16 {
        25432
    }

    fn initialise(&self, site: &Site<'_>, folder: &Path, password: &Password) -> Result<(), ServiceError> {
        let Some((_, programs)) = programs::postgres().into_iter().next() else { return Err(missing()) };
        let data = folder.join("data");
        let mut initdb = Command::new(programs.join("initdb"));
        initdb.arg("-D").arg(&data).args(["-U", "postgres", "-A", "reject", "-E", "UTF8", "--locale", LOCALE]);
        if site.purpose == Purpose::Tests {
            initdb.arg("--no-sync");
        }
        run(site, initdb, folder, "", "initialise its data")?;
        let mut commands = SETUP.to_owned();
        if site.purpose.is_scratch() {
            commands.push_str(SETUP_TESTS);
        }
        commands.push_str(&password_command(password));
        single_user(site, &programs, folder, &commands)
    }

    fn is_whole(&self, folder: &Path) -> bool {
        ["PG_VERSION", "global/pg_control", "postgresql.conf"]
            .iter()
            .all(|name| folder.join("data").join(name).exists())
    }

    fn set_password(&self, site: &Site<'_>, password: &Password) -> Result<(), ServiceError> {
        let programs = programs_for(&site.folder)?;
        disown_pid(site)?;
        single_user(site, &programs, &site.folder, &password_command(password))
    }

    fn launch(&self, site: &Site<'_>, ports: Ports, _password: &Password) -> Result<Launch, ServiceError> {
        let programs = programs_for(&site.folder)?;
        disown_pid(site)?;
        let data = site.folder.join("data");
        let memory = shared_memory(site);
        let more = match site.purpose {
            Purpose::Project => "",
            Purpose::Tests => CONFIGURATION_TESTS,
            Purpose::Benches => "max_connections = 400\n",
        };
        for (name, text) in [
            ("postgresql.conf", format!("{CONFIGURATION}{more}{memory}port = {}\n", ports.main)),
            ("pg_hba.conf", ACCESS.to_owned()),
        ] {
            let path = data.join(name);
            state::write_private(&path, &text, &site.account)?;
        }
        Ok(Launch {
            program: programs.join("postgres"),
            args: vec!["-D".into(), data.clone().into()],
            environment: Some(vec![("PATH", "/usr/bin:/bin".into()), ("LANG", LOCALE.into())]),
            folder: data,
            account: site.account.clone(),
        })
    }

    fn is_ready(&self, site: &Site<'_>, process: &Identity, port: u16) -> bool {
        // The eighth line of the pid file is the postmaster's own word on its state.
        let written = fs::read_to_string(site.folder.join("data/postmaster.pid")).unwrap_or_default();
        let lines: Vec<&str> = written.lines().map(str::trim).collect();
        lines.first().is_some_and(|pid| *pid == process.pid.to_string())
            && lines.get(7) == Some(&"ready")
            && self.answers(port)
    }

    fn answers(&self, port: u16) -> bool {
        greet(port) == Some(b'R')
    }

    fn is_passing(&self, last_words: &str) -> bool {
        // Backends of a killed postmaster take a moment to notice.
        last_words.contains("pre-existing shared memory block")
    }

    fn stop_signal(&self) -> Signal {
        // "Fast": roll back what is open, write everything, end.
        Signal::SIGINT
    }

    fn url(&self, port: u16, password: &Password) -> ServiceUrl {
        ServiceUrl::new(format!("postgres://sluice:{}@127.0.0.1:{port}/sluice", password.expose()))
    }
}

fn missing() -> ServiceError {
    ServiceError::Missing { service: Service::Postgres, program: "postgres", install: Service::Postgres.install() }
}

/// The programs of the major version that wrote the data.
fn programs_for(folder: &Path) -> Result<std::path::PathBuf, ServiceError> {
    let path = folder.join("data");
    let version = fs::read_to_string(path.join("PG_VERSION")).map_err(ServiceError::io("read", &path))?;
    let installed = programs::postgres();
    if installed.is_empty() {
        return Err(missing());
    }
    installed
        .into_iter()
        .find_map(|(major, programs)| (version.trim() == major.to_string()).then_some(programs))
        .ok_or_else(|| ServiceError::Version { service: Service::Postgres, data: version.trim().to_owned(), path })
}

/// Where `/dev/shm` is closed to the server's user (some containers), shared memory is had the older way.
fn shared_memory(site: &Site<'_>) -> &'static str {
    let folder = Path::new("/dev/shm");
    if !folder.is_dir() || site.account.can_write(folder) {
        return "";
    }
    site.mended("its user cannot write to /dev/shm; it takes System V shared memory");
    "dynamic_shared_memory_type = sysv\n"
}

fn password_command(password: &Password) -> String {
    PASSWORD.replace("{password}", password.expose())
}

fn single_user(site: &Site<'_>, programs: &Path, folder: &Path, commands: &str) -> Result<(), ServiceError> {
    let mut postgres = Command::new(programs.join("postgres"));
    postgres.args(["--single", "-j", "-c", "exit_on_error=on", "-D"]).arg(folder.join("data")).arg("postgres");
    run(site, postgres, folder, commands, "set up its roles")
}

/// Runs a tool as the server's user; what it says goes to the error, not to the log: it may repeat a password.
fn run(
    site: &Site<'_>,
    mut command: Command,
    folder: &Path,
    input: &str,
    action: &'static str,
) -> Result<(), ServiceError> {
    site.account.apply(&mut command);
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").env("LANG", LOCALE);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.get_program().to_owned();
    let mut child = command.spawn().map_err(ServiceError::io("start", &program))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(ServiceError::io("write to", &program))?;
    }
    let output = child.wait_with_output().map_err(ServiceError::io("run", &program))?;
    if output.status.success() {
        return Ok(());
    }
    Err(site.failed(action, process::summary(&String::from_utf8_lossy(&output.stderr))))
}

/// A `postmaster.pid` whose id is not that of this Postgres keeps the server from starting: another process may have it now,
/// or nobody has collected the one that was killed. The file itself stays (it names the shared memory that a killed server
/// may have left); only the id goes.
fn disown_pid(site: &Site<'_>) -> Result<(), ServiceError> {
    let path = site.folder.join("data/postmaster.pid");
    let Ok(written) = fs::read_to_string(&path) else { return Ok(()) };
    let Some((first, rest)) = written.split_once('\n') else { return Ok(()) };
    let Ok(pid) = first.trim().parse() else { return Ok(()) };
    if let Some(found) = Identity::of(pid) {
        let data = site.folder.join("data").display().to_string();
        if process::command_line(pid).is_some_and(|line| line.contains(&data)) {
            site.mended(format!("process {pid} has run on from before; starting it anew"));
            site.stop(&found)?;
            return Ok(());
        }
        site.mended(format!("its pid file names process {pid}, which is another program now"));
    } else if !process::is_taken(pid) {
        return Ok(());
    }
    state::write_private(&path, &format!("{}\n{rest}", process::unused_pid()), &site.account)
}

/// The first byte of what a Postgres answers to a client: `R` (who are you?) when it takes clients, `E` before.
fn greet(port: u16) -> Option<u8> {
    let mut stream = TcpStream::connect_timeout(&port::address(port).into(), Duration::from_millis(500)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let parameters = b"user\0sluice\0database\0sluice\0\0";
    let length = u32::try_from(8 + parameters.len()).ok()?;
    let mut message = length.to_be_bytes().to_vec();
    message.extend(196_608_u32.to_be_bytes());
    message.extend(parameters);
    stream.write_all(&message).ok()?;
    let mut first = [0];
    stream.read_exact(&mut first).ok()?;
    Some(first[0])
}
