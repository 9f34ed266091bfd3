//! Streams at work: consumer groups, the commit, dead letters, the lake.
//!
//! Any number of processes run the same stream; the group shares its partitions among them. Offsets live in
//! Postgres, under a generation that rises with each claim: a process that was paused or cut off cannot commit
//! what another has taken over.

mod archive;
mod commit;
mod consumer;
mod error;
mod forward;
mod presence;
mod prune;
mod record;
mod references;
mod store;
mod worker;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::sync::CancellationToken;
use warehouse::lake::Lake;

use crate::spec::Stream;

pub use error::StreamError;
pub use presence::announce;
pub use store::{DeadLetter, Progress, dead_letters, progress, stream_watermark};

/// Where a stream's services are, and how it paces itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port[,host:port…]`.
    pub brokers: String,
    /// Postgres with Sluice's tables.
    pub pool: PgPool,
    /// Raw events go here, if the stream asks for it.
    pub lake: Option<Lake>,
    /// The consumer group is `<prefix>.<stream>`: the project's name.
    pub group_prefix: String,
    /// A name for this process that outlives it: a restart under it gets its partitions back at once, instead of
    /// after the session's time-out. Two processes must not share one.
    pub instance: Option<String>,
    /// The group waits this long for a silent member.
    pub session_timeout: Duration,
    /// Longest time between commits while records come in.
    pub commit_every: Duration,
    /// Most records between commits.
    pub commit_records: usize,
    /// Most bytes between commits, give or take a record: Postgres takes no message beyond a gigabyte.
    pub commit_bytes: usize,
    /// How often open windows are shown.
    pub show_every: Duration,
    /// A share of the state that goes on changing is kept about so often: a restart reads again what came in since.
    pub keep_every: Duration,
    /// How often the process says that it is alive.
    pub seen_every: Duration,
    /// How long the last commit may take when the process is told to stop.
    pub finish_within: Duration,
}

impl Options {
    /// What suits a shop: alerts at once, everything else within a quarter of a second.
    pub fn new(brokers: impl Into<String>, pool: PgPool, group_prefix: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            pool,
            lake: None,
            group_prefix: group_prefix.into(),
            instance: None,
            session_timeout: Duration::from_secs(6),
            commit_every: Duration::from_millis(100),
            commit_records: 50_000,
            commit_bytes: 16 << 20,
            show_every: Duration::from_millis(250),
            keep_every: Duration::from_secs(5),
            seen_every: Duration::from_secs(5),
            finish_within: Duration::from_secs(10),
        }
    }
}

/// Runs a stream in this process until `stop`, or until it cannot go on.
pub async fn run(stream: Arc<Stream>, options: Options, stop: CancellationToken) -> Result<(), StreamError> {
    let tables = Arc::new(references::Tables::default());
    references::first(&stream, &options.pool, &tables, &stop).await?;
    // Ends the helpers when the loop ends by itself.
    let helpers = stop.child_token();
    let owned = Arc::new(Mutex::new(Vec::new()));
    let (answer, ended) = oneshot::channel();
    let spawn = |name: String, work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name).spawn(work).map_err(|e| StreamError::Thread(e.to_string()))
    };
    let thread = {
        let (stream, options, stop) = (Arc::clone(&stream), options.clone(), stop.clone());
        let (owned, tables, runtime) = (Arc::clone(&owned), Arc::clone(&tables), Handle::current());
        let publish = move |partitions| *owned.lock().unwrap_or_else(PoisonError::into_inner) = partitions;
        spawn(
            format!("stream {}", stream.name),
            Box::new(move || {
                // Nobody listens any more if `run` itself was dropped.
                let _ = answer.send(worker::run(&stream, &options, &tables, &runtime, &stop, publish));
            }),
        )?
    };
    let archive = async {
        if let (Some(lake), Some(_)) = (&options.lake, &stream.lake) {
            archive::run(&stream, &options, lake, &owned, &helpers).await;
        }
    };
    let work = async {
        let result = ended.await;
        helpers.cancel();
        result
    };
    let (result, (), (), (), ()) = tokio::join!(
        work,
        forward::run(&stream, &options.pool, &options.brokers, &helpers),
        prune::run(&stream, &options.pool, &helpers),
        references::refresh(&stream, &options.pool, &tables, &helpers),
        archive
    );
    let Ok(result) = result else {
        let message = thread.join().err().and_then(|panic| panic.downcast_ref::<&str>().map(|m| (*m).to_owned()));
        return Err(StreamError::Thread(message.unwrap_or_else(|| "it ended by a panic".to_owned())));
    };
    result
}
