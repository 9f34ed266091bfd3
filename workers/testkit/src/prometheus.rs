//! A real Prometheus that scrapes a server of ours every second, with the alert rules of `compose/`.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The folder of Prometheus' own files.
///
/// # Panics
/// Outside a checkout.
pub fn compose() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose").canonicalize().expect("compose/")
}

/// A running Prometheus, stopped when dropped.
pub struct Prometheus {
    url: String,
    client: reqwest::Client,
    _process: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one on the server at `url` with the rules of `compose/alerts.yml`, and waits until it has scraped twice.
    ///
    /// # Panics
    /// Where it is not installed, or does not get there within a minute.
    pub async fn watching(url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = serde_json::json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [compose().join("alerts.yml")],
            "scrape_configs": [{
                "job_name": "sluice",
                "static_configs": [{ "targets": [url.trim_start_matches("http://")] }],
            }],
        });
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).expect("written");
        let port = free_port().await;
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Prometheus is not installed; `make test` installs it, or: apt-get install prometheus");
        let url = format!("http://127.0.0.1:{port}");
        let this = Self { url, client: reqwest::Client::new(), _process: process, _folder: folder };
        // A rate needs two samples.
        this.until("two scrapes", async || {
            let counted = this.query("count_over_time(up{job=\"sluice\"}[1m]) >= 2").await;
            counted.as_array().is_some_and(|result| !result.is_empty())
        })
        .await;
        this
    }

    /// The result of an instant query; null while Prometheus does not answer.
    ///
    /// # Panics
    /// Where Prometheus refuses the expression.
    pub async fn query(&self, expression: &str) -> Value {
        let request = self.client.get(format!("{}/api/v1/query", self.url)).query(&[("query", expression)]);
        let Ok(response) = request.send().await else { return Value::Null };
        let text = response.text().await.unwrap_or_default();
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        match answer["status"].as_str() {
            Some("success") => answer["data"]["result"].clone(),
            Some(_) => panic!("{expression}: {text}"),
            None => Value::Null,
        }
    }

    /// The alerts that fire now, by name.
    ///
    /// # Panics
    /// Where it does not answer.
    pub async fn firing(&self) -> Vec<String> {
        let response = self.client.get(format!("{}/api/v1/alerts", self.url)).send().await.expect("an answer");
        let answer: Value = response.json().await.expect("JSON");
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.filter_map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until `done`.
    ///
    /// # Panics
    /// After a minute.
    pub async fn until(&self, what: &str, done: impl AsyncFn() -> bool) {
        for _ in 0..300 {
            if done().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("Prometheus: never {what}");
    }
}

async fn free_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("bound").port()
}
