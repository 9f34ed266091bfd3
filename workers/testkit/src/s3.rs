//! A real S3 server over a folder, which checks signatures: what a lake in a bucket is tested on.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use warehouse::lake::Lake;
use workflow::project::S3;

/// The bucket that there is.
pub const BUCKET: &str = "lake";
const ACCESS_KEY: &str = "tester";
const SECRET_KEY: &str = "never-told";

/// A server of its own with one empty bucket, stopped when dropped.
pub struct S3Server {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl S3Server {
    /// Starts it on a port of its own; it answers when this returns.
    ///
    /// # Panics
    /// Where it does not answer within half a minute.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for buckets");
        fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let mut server = Self { folder, port: free.expect("a free port").port(), process: None };
        server.resume();
        server
    }

    /// Starts it again where it was, after [`S3Server::kill`].
    ///
    /// # Panics
    /// As [`S3Server::start`].
    pub fn resume(&mut self) {
        let process = Command::new(program())
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.expect("start the S3 server"));
        let patience = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(patience.elapsed() < Duration::from_secs(30), "the S3 server does not answer");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it with SIGKILL.
    ///
    /// # Panics
    /// Where it has ended by itself.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the server runs");
            process.wait().expect("the server ends");
        }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it is reached by.
    pub fn settings(&self) -> S3 {
        S3 {
            endpoint: Some(self.endpoint()),
            access_key: Some(ACCESS_KEY.into()),
            secret_key: Some(SECRET_KEY.into()),
            allow_http: true,
            ..S3::default()
        }
    }

    /// A lake below a prefix of the bucket.
    ///
    /// # Panics
    /// Never: nothing is connected.
    pub fn lake(&self) -> Lake {
        Lake::open_with(&format!("s3://{BUCKET}/shop"), &self.settings(), []).expect("a lake")
    }

    /// The folder that it serves: one below it for each bucket, and files of its own beside those.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Built on first use, outside of the workspace.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/s3-server");
        let said = Command::new(script).stderr(Stdio::inherit()).output().expect("run .ci/s3-server");
        assert!(said.status.success(), "the S3 server cannot be built");
        PathBuf::from(String::from_utf8(said.stdout).expect("a path").trim())
    })
}
