//! What a browser could be made to send by another site's page is refused, wherever the server listens.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::Method;
use server::ServerOptions;

use crate::{TestServer, answer, options};

impl TestServer {
    async fn status(&self, method: Method, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        let request = headers.iter().fold(self.request(method, path), |to, (name, value)| to.header(*name, *value));
        answer(request).await.status
    }
}

#[tokio::test]
async fn a_rebound_name_is_refused_on_every_address() {
    for ip in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
        let database = testkit::database().await;
        let with = ServerOptions {
            hosts: vec!["server".to_owned(), "sluice.shop.example".to_owned()],
            ..options(SocketAddr::from((ip, 0)), database.pool.clone())
        };
        let server = TestServer::with(with, database).await;
        for host in ["localhost:8180", "127.0.0.1", "[::1]:8180", "server:8180", "Sluice.Shop.example"] {
            assert_eq!(server.status(Method::GET, "/healthz", &[("host", host)]).await, 200, "{host} on {ip}");
        }
        for host in ["evil.example:8180", "127.0.0.1.evil.example", "server.evil.example", "10.0.0.5", "server:x"] {
            assert_eq!(server.status(Method::GET, "/healthz", &[("host", host)]).await, 403, "{host} on {ip}");
        }
    }
}

#[tokio::test]
async fn only_our_own_page_and_programs_may_write() {
    let server = TestServer::empty().await;
    let own = server.url.as_str();
    // There is no such run, which only those learn who may ask.
    let may = async |headers: &[(&'static str, &str)]| {
        server.status(Method::POST, "/api/v1/runs/1/cancel", headers).await == 404
    };
    assert!(may(&[]).await);
    assert!(may(&[("sec-fetch-site", "same-origin")]).await);
    assert!(may(&[("origin", own)]).await);
    assert!(!may(&[("sec-fetch-site", "cross-site")]).await);
    assert!(!may(&[("sec-fetch-site", "same-site")]).await);
    assert!(!may(&[("origin", "http://evil.example")]).await);
    assert!(!may(&[("origin", "null")]).await);
    assert_eq!(server.status(Method::GET, "/healthz", &[("sec-fetch-site", "cross-site")]).await, 200);
}
