//! Certificates for servers of tests, and a Postgres that shows one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use services::{Service, Services, testing};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

const REQUEST: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/// An authority that nobody knows yet, and a certificate of it for this machine.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// Where openssl is not installed.
    pub fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::write(authority.folder.path().join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").expect("names");
        let subject =
            ["-subj", "/CN=authority of a test", "-days", "2", "-x509", "-keyout", "ca.key", "-out", "ca.pem"];
        authority.openssl(&[["req"].as_slice(), &REQUEST, &subject].concat());
        let subject = ["-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem"];
        authority.openssl(&[["req"].as_slice(), &REQUEST, &subject].concat());
        let sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"];
        authority.openssl(&[["x509", "-req", "-in", "request.pem", "-out", "cert.pem"].as_slice(), &sign].concat());
        authority
    }

    /// Its own certificate, which makes it known.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The certificate for this machine.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The key of that.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut openssl = Command::new("openssl");
        openssl.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        let said = openssl.output().expect("openssl: `compose/local/install.sh test` installs it");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A Postgres of its own that speaks TLS, stopped when dropped.
pub struct TlsPostgres {
    /// `postgres://` URL without a TLS mode.
    pub url: String,
    services: Services,
    _folder: TempDir,
}

impl TlsPostgres {
    /// Starts one that shows the authority's certificate.
    ///
    /// # Panics
    /// Where it cannot be started, or does not take the certificate.
    pub async fn start(authority: &Authority) -> Self {
        // Below target/, as the servers' user can enter that and not every folder for temporary files.
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
        let folder = tempfile::tempdir_in(target).expect("a folder");
        let services = testing::apart(&folder.path().join("home"));
        let endpoints = services.up(&[Service::Postgres]).expect("start Postgres");
        let url = endpoints.get(Service::Postgres).expect("a URL").expose().to_owned();
        let mut admin = PgConnection::connect(&url).await.expect("connect");
        for (file, name) in [(authority.certificate(), "server.crt"), (authority.key(), "server.key")] {
            let text = fs::read_to_string(file).expect("a PEM file");
            // The server writes it, so that it is its user's own; it takes no key that others can read.
            let write = format!(
                "copy (select line from unnest(string_to_array('{}', chr(10))) line) to program 'umask 077; cat > {name}'",
                text.trim_end()
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(write)).execute(&mut admin).await.expect("write a PEM file");
        }
        for statement in ["alter system set ssl = on", "select pg_reload_conf()"] {
            sqlx::raw_sql(statement).execute(&mut admin).await.expect(statement);
        }
        Self { url, services, _folder: folder }
    }
}

impl Drop for TlsPostgres {
    fn drop(&mut self) {
        self.services.down().expect("stop Postgres");
    }
}
