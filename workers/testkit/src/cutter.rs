//! A connection to Postgres that is cut at a chosen step: between two messages of a client, or between a message and its
//! answer.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
};
use url::Url;

/// What a client asks first where it would rather have TLS.
const TLS_WANTED: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nowhere; steps are counted.
    Never,
    /// The server never hears of this step, counted from 0.
    Before(u64),
    /// The server does it, and the client never hears of that.
    After(u64),
}

/// A proxy that counts what clients ask of the server: each simple query, each end of a round of the extended protocol, and
/// each message of a COPY is a step. Only the connection on which the step comes is cut.
pub struct Cutter {
    /// The database by way of it.
    pub url: String,
    steps: Arc<AtomicU64>,
}

impl Cutter {
    /// Starts one before the server of `url`.
    ///
    /// # Panics
    /// Where the URL has no port of loopback, or none is free.
    pub async fn before(url: &str, cut: Cut) -> Self {
        let mut url = Url::parse(url).expect("a URL");
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, url.port().expect("a port")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a URL with a host");
        let steps = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&steps);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                // Whatever goes wrong ends the connection, which is what the client sees of it.
                tokio::spawn(async move { carry(client, to, cut, &counted).await });
            }
        });
        Self { url: url.into(), steps }
    }

    /// The steps so far.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }
}

async fn carry(client: TcpStream, to: SocketAddr, cut: Cut, steps: &AtomicU64) -> io::Result<()> {
    let server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let mut greeting = true;
        loop {
            let message = read(&mut from_client, greeting).await?;
            greeting = greeting && message.get(4..8) == Some(&TLS_WANTED[..]);
            let is_step = !greeting && matches!(message.first(), Some(b'Q' | b'S' | b'd' | b'c'));
            let step = if is_step { steps.fetch_add(1, Ordering::SeqCst) } else { u64::MAX };
            if cut == Cut::Before(step) {
                return Ok::<_, io::Error>(());
            }
            to_server.write_all(&message).await?;
            if cut == Cut::After(step) {
                // The server reads all of it, does it, and finds that nobody is there any more.
                return to_server.shutdown().await;
            }
        }
    };
    tokio::select! {
        ended = there => ended?,
        ended = io::copy(&mut from_server, &mut to_client) => return ended.map(drop),
    }
    // What it has to say now is heard by nobody.
    if matches!(cut, Cut::After(_)) {
        io::copy(&mut from_server, &mut io::sink()).await?;
    }
    Ok(())
}

/// One message: a type, which the first ones of a connection do not have, and a length that counts itself.
async fn read(from: &mut OwnedReadHalf, greeting: bool) -> io::Result<Vec<u8>> {
    let head = if greeting { 4 } else { 5 };
    let mut message = vec![0; head];
    from.read_exact(&mut message).await?;
    let length = u32::from_be_bytes([message[head - 4], message[head - 3], message[head - 2], message[head - 1]]);
    message.resize(head - 4 + usize::try_from(length).map_err(io::Error::other)?, 0);
    from.read_exact(&mut message[head..]).await?;
    Ok(message)
}
