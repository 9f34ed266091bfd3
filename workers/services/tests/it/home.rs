//! A home that is stopped and removed when its test ends, and what was said about it.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use services::{Level, Service, Services};
use tempfile::TempDir;

/// A home of one test.
pub(crate) struct Home {
    folder: TempDir,
    path: PathBuf,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Home {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self::below("home")
    }

    /// An empty one whose path ends so.
    pub(crate) fn below(end: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("sluice-").tempdir().expect("a temporary folder");
        // Other users have to pass through it.
        #[cfg(unix)]
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let path = folder.path().join(end);
        Self { folder, path, notes: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The temporary folder that holds the home.
    pub(crate) fn around(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn services(&self) -> Services {
        let notes = Arc::clone(&self.notes);
        Services::at(&self.path).saying(move |note| {
            let mark = if note.level == Level::Mended { "! " } else { "" };
            notes.lock().expect("notes").push(format!("{mark}{note}"));
        })
    }

    /// Starts one and returns its URL.
    pub(crate) fn up(&self, service: Service) -> String {
        let endpoints = self.services().up(&[service]).expect("it starts");
        endpoints.get(service).expect("it was asked for").expose().to_owned()
    }

    /// The process of one, as `status` shows it.
    pub(crate) fn pid(&self, service: Service) -> i32 {
        self.status(service).pid.expect("it runs")
    }

    pub(crate) fn status(&self, service: Service) -> services::ServiceStatus {
        let all = self.services().status().expect("status");
        all.into_iter().find(|status| status.name == service.name()).expect("every service has a line")
    }

    /// Everything said since the last call.
    pub(crate) fn said(&self) -> String {
        std::mem::take(&mut *self.notes.lock().expect("notes")).join("\n")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.services().down();
    }
}

/// The port in a URL, or in `host:port`.
pub(crate) fn port(url: &str) -> u16 {
    let after = url.rsplit_once(':').expect("a port").1;
    after.split('/').next().and_then(|digits| digits.parse().ok()).expect("digits")
}

/// Sends bytes and reads what comes back at first.
pub(crate) fn talk(port: u16, message: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
    stream.write_all(message).expect("write");
    let mut answer = vec![0; 1024];
    let length = stream.read(&mut answer).expect("an answer");
    answer.truncate(length);
    answer
}
