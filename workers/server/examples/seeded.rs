//! The web page over a database of made-up rows, to work on its looks: `cargo run -p server --example seeded`.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

#[path = "../tests/it/seed.rs"]
mod seed;

#[tokio::main]
async fn main() {
    let bind = SocketAddr::from(([127, 0, 0, 1], 8190));
    let options = server::ServerOptions {
        bind,
        hosts: Vec::new(),
        pool: seed::database().await.pool,
        folder: ".".into(),
        project: "SimMart".to_owned(),
        currency: "EUR".to_owned(),
        timezone: chrono_tz::Tz::Europe__Berlin,
        https: false,
        webhooks: std::collections::BTreeMap::new(),
        demo: true,
        closed_metrics: false,
    };
    server::serve(options, CancellationToken::new()).await.expect("serve");
}
