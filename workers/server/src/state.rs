//! What every handler shares.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use chrono_tz::Tz;
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{error::StoreError, store::board::Board};

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Host names that it answers as, besides loopback ones and the address that it listens on.
    pub hosts: Vec<String>,
    /// Sluice's tables and the warehouse.
    pub pool: PgPool,
    /// The project's folder; its suites judge rows that are replayed.
    pub folder: PathBuf,
    /// The project's name, shown on every page.
    pub project: String,
    /// ISO 4217 code of the money that the board shows.
    pub currency: String,
    /// The shop's time zone: where its day begins, and how pages write times.
    pub timezone: Tz,
    /// Whether `/metrics` asks for a token where the rest does.
    pub closed_metrics: bool,
    /// The secrets of webhooks, by name.
    pub webhooks: BTreeMap<String, SecretString>,
    /// Whether people reach the page by https, so that a log-in's cookie goes no other way.
    pub https: bool,
    /// Whether to serve `/demo/ratings`, the small service that the demo extracts from.
    pub demo: bool,
}

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Shared>);

struct Shared {
    options: ServerOptions,
    cancel: CancellationToken,
    board: Cached<Board>,
    metrics: Cached<String>,
}

impl State {
    /// A server's state. `cancel` ends its event streams.
    pub fn new(options: ServerOptions, cancel: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            options,
            cancel,
            board: Cached::new(Duration::from_millis(900)),
            metrics: Cached::new(Duration::from_secs(10)),
        }))
    }

    pub(crate) fn options(&self) -> &ServerOptions {
        &self.0.options
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.0.options.pool
    }

    pub(crate) fn timezone(&self) -> Tz {
        self.0.options.timezone
    }

    pub(crate) fn cancel(&self) -> &CancellationToken {
        &self.0.cancel
    }

    /// The board, read at most about once a second however many pages are open.
    pub(crate) async fn board(&self) -> Result<Arc<Board>, StoreError> {
        self.0.board.get(|| Board::read(self.pool(), self.timezone())).await
    }

    /// The text of `/metrics`, computed at most once in ten seconds however many ask.
    pub(crate) async fn metrics(&self) -> Result<Arc<String>, StoreError> {
        self.0.metrics.get(|| crate::metrics::render(self.pool())).await
    }
}

/// A value that is computed again once it is older than `age`. Callers that come meanwhile wait for one
/// computation instead of starting their own. An error is not kept.
struct Cached<T> {
    age: Duration,
    slot: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Cached<T> {
    fn new(age: Duration) -> Self {
        Self { age, slot: Mutex::new(None) }
    }

    async fn get<F, E>(&self, compute: impl FnOnce() -> F) -> Result<Arc<T>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut slot = self.slot.lock().await;
        if let Some((at, value)) = &*slot
            && at.elapsed() < self.age
        {
            return Ok(value.clone());
        }
        let value = Arc::new(compute().await?);
        *slot = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_is_kept_until_it_is_old_and_an_error_is_not_kept() {
        async fn read(cached: &Cached<u32>, value: u32) -> u32 {
            *cached.get(|| async move { Ok::<_, ()>(value) }).await.expect("a value")
        }
        let kept = Cached::new(Duration::from_hours(1));
        assert!(kept.get(|| async { Err::<u32, _>(()) }).await.is_err());
        assert_eq!((read(&kept, 1).await, read(&kept, 2).await), (1, 1));
        let old = Cached::new(Duration::ZERO);
        assert_eq!((read(&old, 1).await, read(&old, 2).await), (1, 2));
    }
}
