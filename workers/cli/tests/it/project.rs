//! A project folder of its own for each test, and the program run in it.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// A project in a temporary folder. What it started is stopped when it goes.
pub(crate) struct Project {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Project {
    /// A copy of the shop that this repository holds, without what it has run.
    pub(crate) fn shop() -> Self {
        Self::copy_of("../..")
    }

    /// A copy of the project that runs the Online Retail file, without the file.
    pub(crate) fn online_retail() -> Self {
        Self::copy_of("../../examples/online_retail")
    }

    fn copy_of(folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let project = Self { folder: TempDir::new().expect("a temporary folder"), environment: Vec::new() };
        for part in ["dags", "quality", "sql", "sluice.yaml"] {
            copy(&root.join(part), &project.path(part));
        }
        project
    }

    /// What `sluice init` makes.
    pub(crate) fn example() -> Self {
        let project = Self { folder: TempDir::new().expect("a temporary folder"), environment: Vec::new() };
        let made = Command::new(env!("CARGO_BIN_EXE_sluice")).arg("init").arg(project.folder.path()).output();
        let made = made.expect("run sluice");
        assert!(made.status.success(), "{}", text(&made));
        project
    }

    /// Sets a variable for every command.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A path in the project.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, below: &str, content: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("make the folder");
        fs::write(path, content).expect("write the file");
    }

    /// Runs `sluice` in the project.
    pub(crate) fn sluice<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        for name in ["SLUICE_POSTGRES_URL", "SLUICE_MYSQL_URL", "SLUICE_KAFKA_BROKERS", "SLUICE_LAKE"] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.arg("--project").arg(self.folder.path()).args(args).output().expect("run sluice")
    }

    /// A connection to the project's Postgres, which must run.
    pub(crate) async fn postgres(&self) -> PgConnection {
        let status = self.json(["status", "--json"]);
        let services = status["services"].as_array().expect("services");
        let postgres = services.iter().find(|service| service["name"] == "postgres").expect("Postgres");
        PgConnection::connect(postgres["url"].as_str().expect("a URL")).await.expect("connect")
    }

    /// Runs `sluice`, which must succeed, and reads the JSON that it prints.
    pub(crate) fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Value {
        let output = self.sluice(args);
        assert!(output.status.success(), "{}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output)))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if self.path(".sluice").exists() {
            // A test that fails has its own message; what cannot be stopped here shows in the process list.
            let _ = self.sluice(["down"]);
        }
    }
}

/// Both outputs, for messages of failed assertions.
pub(crate) fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}\n{err}", output.status)
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("make a folder");
        for entry in fs::read_dir(from).expect("list a folder") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).expect("copy a file");
    }
}
