//! Every page in a real browser: its script runs, and nothing is written to the console.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::Notify,
};

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
    let (_, console) = load("data:text/html,<script>console.error('heard')</script>", profile.path()).await;
    assert!(console.contains("heard"), "this test hears what is written to the console");
    for address in addresses(&server).await {
        let (document, console) = load(&format!("{}{address}", server.url), profile.path()).await;
        assert!(document.contains("</html>") && document.contains("id=\"content\""), "{address}: {document}");
        assert_eq!(console, "", "{address}");
    }
}

/// Stands between the browser and the server, and writes down what the browser asks for.
struct Relay {
    url: String,
    asked: Arc<Mutex<Vec<u8>>>,
    cut: Arc<Notify>,
}

impl Relay {
    async fn to(server: &TestServer) -> Self {
        let target = server.url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (asked, cut) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::new(Notify::new()));
        let relay = Self { url, asked: asked.clone(), cut: cut.clone() };
        tokio::spawn(async move {
            while let Ok((browser, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.expect("the server answers");
                tokio::spawn(carry(browser, server, asked.clone(), cut.clone()));
            }
        });
        relay
    }

    /// What the browser has asked for so far, from `from` on.
    fn asked(&self, from: usize) -> String {
        let bytes = self.asked.lock().expect("no panic while locked");
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }

    async fn wait_for(&self, from: usize, what: &str) -> String {
        self.wait_for_times(from, what, 1).await
    }

    /// Waits until the browser has asked for something so many times since `from`.
    async fn wait_for_times(&self, from: usize, what: &str, times: usize) -> String {
        for _ in 0..600 {
            let asked = self.asked(from);
            if asked.matches(what).count() >= times {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the browser did not ask for {what:?} {times} times: {}", self.asked(from));
    }
}

async fn carry(mut browser: TcpStream, mut server: TcpStream, asked: Arc<Mutex<Vec<u8>>>, cut: Arc<Notify>) {
    let (mut from_browser, mut from_server) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            read = browser.read(&mut from_browser) => match read {
                Ok(count @ 1..) => {
                    asked.lock().expect("no panic while locked").extend_from_slice(&from_browser[..count]);
                    if server.write_all(&from_browser[..count]).await.is_err() { return }
                }
                _ => return,
            },
            read = server.read(&mut from_server) => match read {
                Ok(count @ 1..) => if browser.write_all(&from_server[..count]).await.is_err() { return },
                _ => return,
            },
            () = cut.notified() => return,
        }
    }
}

#[tokio::test]
async fn the_board_moves_without_a_reload_and_goes_on_after_a_lost_connection() {
    let server = TestServer::seeded().await;
    let relay = Relay::to(&server).await;
    let profile = tempfile::tempdir().expect("a folder");
    let mut page = Command::new(browser())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("{}/", relay.url))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the browser starts");
    // The board's first event makes the page fetch itself: it is alive.
    relay.wait_for(0, "GET /api/v1/board/stream").await;
    relay.wait_for_times(0, "GET / HTTP", 2).await;
    let before = relay.asked(0).len();
    relay.cut.notify_waiters();
    relay.wait_for(before, "GET /api/v1/board/stream").await;
    relay.wait_for(before, "Last-Event-ID: ").await;
    page.kill().await.expect("stopped");
}
