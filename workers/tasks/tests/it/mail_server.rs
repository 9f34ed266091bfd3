//! A real SMTP server, and a reader of what it took.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use testkit::tls::Authority;

/// User and password of a server under TLS, as a URL has them.
pub(crate) const LOGIN: &str = "sluice:open%20sesame";

/// aiosmtpd, which keeps each mail as a file.
pub(crate) struct MailServer {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl MailServer {
    /// Starts it on a port of its own; it answers when this returns.
    pub(crate) fn start() -> Self {
        Self::run(|python, port, folder| {
            python.args(["-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{port}")]);
            python.args(["-c", "aiosmtpd.handlers.Mailbox"]).arg(folder);
        })
    }

    /// Starts one that takes mail under TLS alone (`mode` is `smtps` or `starttls`), after a login with [`LOGIN`].
    pub(crate) fn start_tls(mode: &str, authority: &Authority) -> Self {
        Self::run(|python, port, folder| {
            python.args(["-c", include_str!("mail_server.py"), &port.to_string()]).arg(folder).arg(mode);
            python.args([authority.certificate(), authority.key()]);
            // It tells at length of every client that does not trust it.
            python.stderr(Stdio::null());
        })
    }

    fn run(arguments: impl FnOnce(&mut Command, u16, PathBuf)) -> Self {
        let folder = tempfile::tempdir().expect("a folder for mails");
        let port = free_port();
        let mut python = Command::new(python());
        arguments(&mut python, port, folder.path().join("box"));
        let child = python.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("start aiosmtpd");
        let server = Self { child, folder, port };
        let patience = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(patience.elapsed() < Duration::from_secs(30), "the mail server does not answer");
            thread::yield_now();
        }
        server
    }

    /// `127.0.0.1:port` of it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `smtp://` URL of it.
    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Every mail that arrived, as text, in no order.
    pub(crate) fn mails(&self) -> Vec<String> {
        let folder: PathBuf = self.folder.path().join("box/new");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        entries.map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("a mail")).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.child.kill().expect("stop the mail server");
        self.child.wait().expect("the mail server ends");
    }
}

/// A port that nothing listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a free port").port()
}

/// The first Python that has aiosmtpd; the system's own has it from its package.
fn python() -> &'static str {
    let has_it = |python: &str| {
        let mut check = Command::new(python);
        check.args(["-c", "import aiosmtpd"]).stderr(Stdio::null());
        check.status().is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|python| has_it(python))
        .expect("aiosmtpd: `compose/local/install.sh test` installs it")
}
