//! `wait_http`: lets the tasks behind it go on once an address answers with the right status.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, StatusCode, redirect};
use serde::Deserialize;
use serde_json::{Value, json};
use workflow::{
    diagnostic::Problem,
    error::TaskError,
    kind::{TaskContext, TaskKind},
    span::Span,
    template,
};

use crate::{
    extract_http::address,
    wait_file::{half_a_minute, too_often},
};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The kind.
pub struct WaitHttp {
    own: String,
}

impl WaitHttp {
    /// `own` is the address of the project's own web page.
    pub fn new(own: impl Into<String>) -> Self {
        Self { own: own.into() }
    }
}

/// The keys of a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is asked, `http` or `https`; one that begins with `/` is on the project's own web page.
    pub url: String,
    /// The status that it waits for.
    #[serde(default = "ok")]
    pub status: u16,
    /// How long until it asks again.
    #[serde(default = "half_a_minute")]
    pub every: Span,
}

fn ok() -> u16 {
    200
}

#[async_trait]
impl TaskKind for WaitHttp {
    const NAME: &'static str = "wait_http";
    const SUMMARY: &'static str = "Waits until an address answers with a status, without a worker's slot";
    const TIMEOUT: Duration = Duration::from_mins(1);
    const PATIENCE: Option<Duration> = Some(Duration::from_hours(24));

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems: Vec<_> = too_often(config.every).into_iter().collect();
        if !template::is_template(&config.url)
            && let Err(message) = address(&config.url, "http://localhost")
        {
            let hint = "write `https://host/path`, or `/path` for the project's own web page";
            problems.push(Problem::new("url", message).hint(hint));
        }
        if StatusCode::from_u16(config.status).is_err() {
            let problem = Problem::new("status", format!("{} is not a status of HTTP", config.status));
            problems.push(problem.hint("200 to 599"));
        }
        problems
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let url = address(&config.url, &self.own).map_err(TaskError::user)?;
        let client = Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| TaskError::internal("cannot make an HTTP client").because(error))?;
        let answer = tokio::select! {
            () = task.cancel.cancelled() => return Err(TaskError::external(format!("stopped before {url} answered"))),
            answer = client.get(url.clone()).send() => answer,
        };
        let said = match answer {
            Ok(answer) if answer.status().as_u16() == config.status => return Ok(json!({ "status": config.status })),
            Ok(answer) => format!("{url} answers {}, not {}", answer.status(), config.status),
            Err(error) if error.is_timeout() => format!("{url} does not answer within {} s", TIMEOUT.as_secs()),
            Err(_) => format!("{url} cannot be reached"),
        };
        Err(TaskError::not_yet(config.every.0, said))
    }
}
