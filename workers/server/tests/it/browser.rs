//! Every page in a real browser: its script runs, and nothing is written to the console.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

use crate::{TestServer, page::addresses};

/// What the browser is called, by distribution.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

fn browser() -> &'static str {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    NAMES
        .into_iter()
        .find(|name| std::env::split_paths(&folders).any(|folder| folder.join(name).is_file()))
        .expect("Chromium is not installed; `make test` installs it, or: apt-get install chromium")
}

/// The document after its script has run for a while, and what the console got.
async fn load(url: &str, profile: &Path) -> (String, String) {
    let output = Command::new(browser())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"])
        .args(["--no-first-run", "--disable-extensions", "--disable-background-networking", "--timeout=4000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--dump-dom", url])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(90), output).await.expect("in time").expect("runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    let console = errors.lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>().join("\n");
    (String::from_utf8_lossy(&output.stdout).into_owned(), console)
}

#[tokio::test]
async fn every_page_loads_without_a_word_on_the_console() {
    let server = TestServer::seeded().await;
    let profile = tempfile::tempdir().expect("a folder");
    for address in addresses(&server).await {
        let (document, console) = load(&format!("{}{address}", server.url), profile.path()).await;
        assert!(document.contains("</html>") && document.contains("id=\"content\""), "{address}: {document}");
        assert_eq!(console, "", "{address}");
    }
}

#[tokio::test]
async fn the_board_says_that_it_is_live() {
    let server = TestServer::seeded().await;
    let profile = tempfile::tempdir().expect("a folder");
    let (document, _) = load(&format!("{}/", server.url), profile.path()).await;
    assert!(document.contains("data-live=\"on\""), "the page's script has opened the event stream");
}
