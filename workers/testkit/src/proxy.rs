//! The network between a program and its Postgres, which may be cut, go dead or be away.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{self, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

/// How long the server holds on to a client that a dead connection has left, as its keep-alive would have it.
const KEPT_ALIVE: Duration = Duration::from_secs(3);

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    /// Both ends are told.
    Cut,
    /// The client is never told; the server finds out by itself.
    Dead,
}

/// A TCP proxy on a port of its own.
pub struct Proxy {
    /// Where it listens, on loopback.
    pub port: u16,
    network: Arc<Network>,
}

struct Network {
    to: Mutex<SocketAddr>,
    away: AtomicBool,
    number: AtomicU64,
    connections: Mutex<BTreeMap<u64, watch::Sender<Fate>>>,
}

impl Proxy {
    /// Starts one that leads to `to`.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (away, number) = (AtomicBool::new(false), AtomicU64::new(0));
        let network = Arc::new(Network { to: Mutex::new(to), away, number, connections: Mutex::default() });
        let shared = Arc::clone(&network);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !shared.away.load(Ordering::SeqCst) {
                    tokio::spawn(Arc::clone(&shared).carry(client));
                }
            }
        });
        Self { port, network }
    }

    /// As [`Proxy::start`], to the server of `url`; gives the URL by way of it, too.
    ///
    /// # Panics
    /// Where the URL has no port of loopback, or none is free.
    pub async fn before(url: &str) -> (Self, String) {
        let mut url = Url::parse(url).expect("a URL");
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, url.port().expect("a port")));
        let proxy = Self::start(to).await;
        url.set_port(Some(proxy.port)).expect("a URL with a host");
        (proxy, url.into())
    }

    /// The server is elsewhere now.
    ///
    /// # Panics
    /// Never: nothing panics under its lock.
    pub fn redirect(&self, to: SocketAddr) {
        *self.network.to.lock().expect("no panic") = to;
    }

    /// Cuts the connections that `chosen` says yes to.
    pub fn cut(&self, chosen: impl FnMut() -> bool) {
        self.network.decide(Fate::Cut, chosen);
    }

    /// Lets them go dead: nothing is carried any more, and the client hears nothing of it.
    pub fn deaden(&self, chosen: impl FnMut() -> bool) {
        self.network.decide(Fate::Dead, chosen);
    }

    /// Whether new connections are refused.
    pub fn set_away(&self, away: bool) {
        self.network.away.store(away, Ordering::SeqCst);
    }
}

impl Network {
    fn decide(&self, fate: Fate, mut chosen: impl FnMut() -> bool) {
        for connection in self.connections.lock().expect("no panic").values() {
            if chosen() {
                connection.send_replace(fate);
            }
        }
    }

    async fn carry(self: Arc<Self>, client: TcpStream) {
        let to = *self.to.lock().expect("no panic");
        let Ok(server) = TcpStream::connect(to).await else { return };
        let number = self.number.fetch_add(1, Ordering::SeqCst);
        let (sender, mut fate) = watch::channel(Fate::Open);
        self.connections.lock().expect("no panic").insert(number, sender);
        // Small messages go at once, as without a proxy.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let ended = {
            let there = async {
                let _ = io::copy(&mut from_client, &mut to_server).await;
                let _ = to_server.shutdown().await;
            };
            let back = async {
                let _ = io::copy(&mut from_server, &mut to_client).await;
                let _ = to_client.shutdown().await;
            };
            tokio::select! {
                () = async { tokio::join!(there, back); } => Fate::Cut,
                decided = fate.wait_for(|fate| *fate != Fate::Open) => decided.map_or(Fate::Cut, |fate| *fate),
            }
        };
        self.connections.lock().expect("no panic").remove(&number);
        if ended == Fate::Dead {
            tokio::time::sleep(KEPT_ALIVE).await;
            drop((from_server, to_server));
            // Held open for as long as the test runs.
            let _client = (from_client, to_client);
            std::future::pending::<()>().await;
        }
    }
}
