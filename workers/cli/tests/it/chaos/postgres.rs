//! A Postgres of the test's own, as `sluice up` makes it: it waits for the disk, so that a crash loses nothing.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use services::{Condition, Service, ServiceStatus, Services};
use sqlx::{Connection, PgConnection};
use url::Url;

pub(crate) struct Postgres {
    services: Arc<Services>,
    url: Url,
}

impl Postgres {
    pub(crate) async fn start(home: &Path) -> Self {
        let services = Arc::new(Services::at(home));
        let url = up(&services).await;
        Self { services, url }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.url.port().expect("a port")))
    }

    /// The URL by way of a proxy.
    pub(crate) fn by_way_of(&self, port: u16) -> String {
        let mut url = self.url.clone();
        url.set_port(Some(port)).expect("a URL with a host");
        url.into()
    }

    /// Past the proxy.
    pub(crate) async fn connect(&self) -> PgConnection {
        self.try_connect().await.expect("connect")
    }

    /// As [`Postgres::connect`], where somebody may have stopped it.
    pub(crate) async fn try_connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(self.url.as_str()).await
    }

    pub(crate) fn process(&self) -> i32 {
        self.status().pid.expect("Postgres runs")
    }

    /// Waits until it is gone, starts it again, and gives where it is now.
    pub(crate) async fn again(&mut self) -> SocketAddr {
        while self.status().state != Condition::Died {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.url = up(&self.services).await;
        self.address()
    }

    fn status(&self) -> ServiceStatus {
        let all = self.services.status().expect("a status");
        all.into_iter().find(|service| service.name == "postgres").expect("Postgres is one of them")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A test that fails has its own message; what cannot be stopped here shows in the process list.
        let _ = self.services.down();
    }
}

async fn up(services: &Arc<Services>) -> Url {
    let services = Arc::clone(services);
    let up = move || services.up(&[Service::Postgres]).expect("start Postgres");
    let endpoints = tokio::task::spawn_blocking(up).await.expect("no panic");
    Url::parse(endpoints.get(Service::Postgres).expect("a URL").expose()).expect("a URL")
}
