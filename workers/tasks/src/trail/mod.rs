//! Tells others what runs do: `OpenLineage` events and OTLP traces, made from the rows that runs leave.
//!
//! One process leads for each of them, by a lease. It reads a step of the trail, tells it, and notes that it did. So what is
//! told is told at least once, under ids that stay the same, and in order for each run. Whoever does not answer is asked
//! again, with longer and longer waits, and nobody else waits for it. An event that a place will never take is counted, and
//! left behind.

mod ids;
mod openlineage;
mod otlp;
mod places;

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use reqwest::{
    Client, StatusCode,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use warehouse::{
    runs::{self, RunError},
    trail::{self, Event, Fence, Place, Sink},
};
use workflow::{kind::Registry, plan::Plan};

pub use self::places::Places;
use self::{
    ids::Ids,
    openlineage::{Known, OpenLineage},
    otlp::Otlp,
};

/// New attempts, and as many that ended, of one step at most.
const STEP: i64 = 100;
/// Runs whose events are under way at once.
const AT_ONCE: usize = 8;
/// Spans of one request.
const SPANS: usize = 500;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the telling of a step may take.
const TELLING: Duration = Duration::from_secs(15);
/// How long the lead holds: longer than a step takes.
const LEASE: Duration = Duration::from_secs(25);
/// How often somebody looks for something to tell.
const LOOK: Duration = Duration::from_secs(1);
/// How often somebody looks whether a fence has been passed.
const FENCE: Duration = Duration::from_millis(50);
/// How long somebody who is told to stop goes on.
const LAST: Duration = Duration::from_secs(3);
/// Waits for a place that does not answer, from and to.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];
/// Plans that are kept at hand.
const PLANS: usize = 128;

/// Who is told, and where.
#[derive(Debug, Clone)]
pub enum Told {
    /// `OpenLineage` events, each in a request of its own.
    Lineage {
        /// The address that takes events.
        url: String,
        /// Namespace of the jobs.
        namespace: String,
        /// Sent as `Authorization: Bearer …`.
        token: Option<SecretString>,
        /// Where datasets are.
        places: Box<Places>,
    },
    /// OTLP spans.
    Traces {
        /// The address that takes spans.
        url: String,
        /// `service.name`.
        service: String,
        /// Sent with each request.
        headers: BTreeMap<String, SecretString>,
    },
}

impl Told {
    /// `lineage` or `traces`.
    pub fn name(&self) -> &'static str {
        self.sink().as_str()
    }

    fn sink(&self) -> Sink {
        match self {
            Self::Lineage { .. } => Sink::Lineage,
            Self::Traces { .. } => Sink::Traces,
        }
    }
}

/// Settings that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum TellerError {
    /// A header that HTTP does not allow.
    #[error("`{0}` in sluice.yaml cannot be sent as a header")]
    Header(&'static str),
    /// The HTTP client could not be made.
    #[error("no HTTP client can be made")]
    Http(#[source] reqwest::Error),
}

/// Why a step was not told.
#[derive(Debug, thiserror::Error)]
enum Untold {
    #[error("{message}")]
    Later { message: String, after: Option<Duration> },
    #[error(transparent)]
    Store(#[from] RunError),
}

/// What an answer says of what was sent.
enum Answer {
    /// It has so many of it refused for good, 0 mostly.
    Taken(u32),
    /// It is to be sent again.
    Later(Untold),
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// There was nothing to tell, or another one leads.
    Idle,
    /// Something was told, and there may be more.
    More,
    /// There is something that cannot be read yet.
    Soon,
}

/// Tells one of those who want to know.
pub struct Teller {
    pool: PgPool,
    registry: Registry,
    told: Told,
    name: String,
    client: Client,
    state: Mutex<State>,
}

/// What is kept between passes; all of it can be lost.
#[derive(Default)]
struct State {
    ids: Option<Ids>,
    fence: Option<Fence>,
    plans: HashMap<(String, String), Arc<Plan>>,
    /// Failures in a row.
    failures: u32,
}

impl Teller {
    /// Reads the settings; connects to nobody.
    pub fn new(pool: PgPool, registry: Registry, told: Told) -> Result<Self, TellerError> {
        let mut headers = HeaderMap::new();
        let mut add = |key: &'static str, name: HeaderName, value: &str| {
            let mut value = HeaderValue::from_str(value).map_err(|_| TellerError::Header(key))?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Ok(())
        };
        match &told {
            Told::Lineage { token: Some(token), .. } => {
                add("lineage.token", AUTHORIZATION, &format!("Bearer {}", token.expose_secret()))?;
            }
            Told::Lineage { .. } => {}
            Told::Traces { headers, .. } => {
                for (name, value) in headers {
                    let name = name.parse().map_err(|_| TellerError::Header("traces.headers"))?;
                    add("traces.headers", name, value.expose_secret())?;
                }
            }
        }
        // A redirect turns a POST into a GET, and hands the token to whoever it names.
        let client = Client::builder().timeout(ANSWER).default_headers(headers).redirect(redirect::Policy::none());
        let client = client.build().map_err(TellerError::Http)?;
        let name = format!("teller-{}", Uuid::now_v7().simple());
        Ok(Self { pool, registry, told, name, client, state: Mutex::default() })
    }

    /// Sets the mark from which on it tells, where there is none yet.
    pub async fn open(&self) -> Result<(), RunError> {
        trail::open(&self.pool, self.told.sink()).await?;
        Ok(())
    }

    /// Tells until `cancel`, and then what there is to tell at that moment, as far as that can be told at once. A database that
    /// goes away is waited for.
    pub async fn run(&self, cancel: &CancellationToken) {
        // What is dropped halfway is told again by the next one.
        let given_up = async {
            cancel.cancelled().await;
            tokio::time::sleep(LAST).await;
        };
        tokio::select! {
            () = self.tell_until(cancel) => {}
            () = given_up => tracing::debug!(sink = self.told.name(), "the rest is told by the next one"),
        }
        if let Err(error) = runs::release_lead(&self.pool, self.told.name(), &self.name).await {
            tracing::debug!(%error, sink = self.told.name(), "the lead ends with its lease");
        }
    }

    async fn tell_until(&self, cancel: &CancellationToken) {
        while !cancel.is_cancelled() {
            let wait = match self.pass().await {
                Ok(Pass::More) => continue,
                Ok(Pass::Soon) => FENCE,
                Ok(Pass::Idle) => LOOK,
                Err(wait) => wait,
            };
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        // A fence is set at what there was a moment ago; so nothing is to be left twice in a row.
        let mut still = 0;
        while still < 2 {
            match self.pass().await {
                Ok(Pass::More) => still = 0,
                Ok(Pass::Idle) => still += 1,
                Ok(Pass::Soon) => tokio::time::sleep(FENCE).await,
                Err(_) => return,
            }
        }
    }

    /// Tells a step, if this one leads; where that fails, how long to wait until the next.
    pub async fn pass(&self) -> Result<Pass, Duration> {
        let sink = self.told.sink();
        let mut state = self.state.lock().await;
        match self.tell(&mut state, sink).await {
            Ok(pass) => {
                if pass == Pass::More {
                    state.failures = 0;
                }
                Ok(pass)
            }
            Err(error) => {
                state.failures += 1;
                let [from, to] = WAITS;
                let doubled = from.saturating_mul(2_u32.saturating_pow(state.failures.min(20) - 1)).min(to);
                let wait = match &error {
                    Untold::Later { after, .. } => after.unwrap_or_default().min(to).max(doubled),
                    Untold::Store(_) => doubled,
                };
                tracing::warn!(sink = sink.as_str(), %error, ?wait, "not told yet");
                if let Untold::Later { message, .. } = &error
                    && let Err(error) = trail::failed(&self.pool, sink, message).await
                {
                    tracing::debug!(%error, "cannot note it either");
                }
                Err(wait)
            }
        }
    }

    async fn tell(&self, state: &mut State, sink: Sink) -> Result<Pass, Untold> {
        if runs::lead(&self.pool, sink.as_str(), &self.name, LEASE).await?.is_none() {
            state.fence = None;
            return Ok(Pass::Idle);
        }
        let ids = match state.ids {
            Some(ids) => ids,
            None => *state.ids.insert(Ids(trail::installation(&self.pool).await?)),
        };
        let from = trail::open(&self.pool, sink).await?;
        if state.fence.is_none() {
            state.fence = Fence::set(&self.pool, from).await?;
        }
        let passed = match &mut state.fence {
            Some(fence) => fence.passed(&self.pool).await?,
            None => None,
        };
        let waits = state.fence.is_some() && passed.is_none();
        // What was read before may have ended, whatever is held back.
        let up_to = passed.map_or(from, |passed| Place {
            last_run: passed.last_run.max(from.last_run),
            last_attempt: passed.last_attempt.max(from.last_attempt),
        });
        // A place that is slow gets less at once.
        let most = (STEP >> state.failures.min(6)).max(1);
        let step = trail::step(&self.pool, sink, from, up_to, most).await?;
        if passed.is_some() && !step.is_short_of(up_to) {
            state.fence = None;
        }
        if step.is_empty() {
            return Ok(if waits { Pass::Soon } else { Pass::Idle });
        }
        let telling = self.send(state, ids, &step.events);
        let refused = tokio::time::timeout(TELLING, telling).await.unwrap_or_else(|_| {
            Err(Untold::Later { message: "it did not take what it was sent in time".to_owned(), after: None })
        })?;
        let told = step.events.len();
        if step.told(&self.pool, i64::from(refused)).await? && told > 0 {
            tracing::debug!(sink = sink.as_str(), events = told, refused, "told");
        }
        Ok(Pass::More)
    }

    /// Sends what belongs to events; how much of it was refused for good.
    async fn send(&self, state: &mut State, ids: Ids, events: &[Event]) -> Result<u32, Untold> {
        match &self.told {
            Told::Lineage { url, namespace, places, .. } => {
                let encoder = OpenLineage {
                    ids,
                    namespace: namespace.clone(),
                    places: (**places).clone(),
                    registry: self.registry.clone(),
                    pool: self.pool.clone(),
                };
                let known = self.known(state, &encoder, events).await?;
                // In order for each run; runs beside each other.
                let mut by_run: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
                for event in events {
                    by_run.entry(event.run().run_id).or_default().push(encoder.event(event, &known));
                }
                let batches = by_run.into_values().map(|batch| self.post_all(url, batch));
                let results: Vec<_> = stream::iter(batches).buffer_unordered(AT_ONCE).collect().await;
                results.into_iter().try_fold(0, |sum, refused| Ok(sum + refused?))
            }
            Told::Traces { url, service, .. } => {
                let encoder = Otlp { ids, service: service.clone() };
                let spans: Vec<Value> = events.iter().filter_map(|event| encoder.span(event)).collect();
                self.post_all(url, spans.chunks(SPANS).map(|spans| encoder.request(spans)).collect()).await
            }
        }
    }

    /// What events need beyond the walk.
    async fn known(&self, state: &mut State, encoder: &OpenLineage, events: &[Event]) -> Result<Known, Untold> {
        let attempts = |ended: bool| -> Vec<i64> {
            let of = events.iter().filter_map(|event| match event {
                Event::AttemptBegan(_, attempt) if !ended => attempt.attempt_id,
                Event::AttemptEnded(_, attempt, _) => attempt.attempt_id,
                _ => None,
            });
            of.collect()
        };
        if state.plans.len() > PLANS {
            state.plans.clear();
        }
        for run in events.iter().map(Event::run) {
            let key = (run.dag.clone(), run.version.clone());
            if let Entry::Vacant(vacant) = state.plans.entry(key) {
                // A plan that this build cannot read does not hold back what is known without it.
                match runs::plan(&self.pool, &run.dag, &run.version).await {
                    Ok(plan) => {
                        vacant.insert(Arc::new(plan));
                    }
                    Err(error @ (RunError::Json { .. } | RunError::NoVersion { .. })) => {
                        tracing::warn!(%error, dag = run.dag, "its datasets are not told");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let ended = attempts(true);
        let mut known = Known {
            plans: state.plans.clone(),
            loads: trail::loads(&self.pool, &ended).await?,
            checks: trail::checks(&self.pool, &ended).await?,
            inputs: trail::inputs(&self.pool, &attempts(false)).await?,
            columns: Vec::new(),
        };
        known.columns = trail::columns(&self.pool, &encoder.tables(events, &known)).await?;
        Ok(known)
    }

    async fn post_all(&self, url: &str, bodies: Vec<Value>) -> Result<u32, Untold> {
        let mut refused = 0;
        for body in bodies {
            match self.post(url, &body).await {
                Answer::Taken(less) => refused += less,
                Answer::Later(error) => return Err(error),
            }
        }
        Ok(refused)
    }

    async fn post(&self, url: &str, body: &Value) -> Answer {
        let later = |message: String, after| Answer::Later(Untold::Later { message, after });
        // A query may hold a key.
        let place = url.split('?').next().unwrap_or_default();
        let answer = match self.client.post(url).json(body).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => return later(format!("{place} did not answer in time"), None),
            Err(error) => return later(format!("{place} cannot be reached: {}", cause(&error.without_url())), None),
        };
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let after = after.map(Duration::from_secs);
        let said = answer.text().await.unwrap_or_default();
        if status.is_success() {
            return Answer::Taken(rejected_spans(&said));
        }
        let short: String = said.chars().take(200).collect();
        let message = format!("{place} answered {status} {}", short.trim()).trim_end().to_owned();
        // What is wrong with this one event, and with no other.
        let faulty = [
            StatusCode::BAD_REQUEST,
            StatusCode::CONFLICT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        if faulty.contains(&status) {
            tracing::error!(sink = self.told.sink().as_str(), message, "refused");
            return Answer::Taken(1);
        }
        later(message, after)
    }
}

/// How many spans an OTLP receiver that took a request left out of it.
fn rejected_spans(said: &str) -> u32 {
    let rejected = serde_json::from_str::<Value>(said).ok().and_then(|said| {
        let rejected = &said["partialSuccess"]["rejectedSpans"];
        rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok())
    });
    rejected.and_then(|rejected| u32::try_from(rejected).ok()).unwrap_or_default()
}

/// The last of the causes says what happened.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_how_many_spans_it_left_out() {
        assert_eq!(rejected_spans(""), 0);
        assert_eq!(rejected_spans("{}"), 0);
        assert_eq!(rejected_spans(r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"old"}}"#), 3);
        assert_eq!(rejected_spans(r#"{"partialSuccess":{"rejectedSpans":2}}"#), 2);
    }
}
