//! What stops a stream. What merely delays it is retried inside and never comes here.

use rdkafka::error::KafkaError;
use warehouse::WarehouseError;

use crate::core::UnknownSnapshot;

/// Why a stream cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Kafka refused what no retry mends: settings, rights, a broken client.
    #[error("Kafka refuses the stream `{stream}`: {source}")]
    Kafka {
        /// The stream.
        stream: String,
        /// What librdkafka said.
        source: KafkaError,
    },
    /// The stream has offsets in another topic.
    #[error("the stream `{stream}` has read another topic than `{topic}`; give it a new name to begin anew")]
    OtherTopic {
        /// The stream.
        stream: String,
        /// The topic that its file names.
        topic: String,
    },
    /// The topic ends before the committed offset: it is not the topic that was read.
    #[error(
        "partition {partition} of `{topic}` ends at {end}, before the {committed} that `{stream}` has committed: the topic \
         was made anew; give the stream a new name to begin anew"
    )]
    Shrunk {
        /// The stream.
        stream: String,
        /// Its topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Its end.
        end: i64,
        /// What the stream has committed.
        committed: i64,
    },
    /// The state was kept by a version of sluice that this one does not know.
    #[error(
        "the state of partition {partition} of `{stream}` cannot be read: {source}; run the version that wrote it, or a newer one"
    )]
    Snapshot {
        /// The stream.
        stream: String,
        /// The partition.
        partition: i32,
        /// Which part.
        source: UnknownSnapshot,
    },
    /// A reference table's query does not work.
    #[error("the reference `{reference}` of the stream `{stream}` cannot be read: {problem}")]
    Reference {
        /// The stream.
        stream: String,
        /// The table.
        reference: String,
        /// Why.
        problem: String,
    },
    /// The state cannot be read or written, and not because Postgres is away.
    #[error("Postgres refuses what the stream does")]
    Store(#[from] sqlx::Error),
    /// As [`StreamError::Store`], from the tables of alerts and the outbox.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// A thread could not be started, or ended by a panic.
    #[error("a thread of the stream failed: {0}")]
    Thread(String),
}

impl StreamError {
    /// Whether trying again later may help: Postgres is away, or chose us to end a deadlock.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) | Self::Warehouse(WarehouseError::Database(error)) => transient(error),
            Self::Warehouse(WarehouseError::Unreachable { .. }) => true,
            _ => false,
        }
    }
}

/// Classes of SQLSTATE that another try may not meet: connection exceptions, transactions ended from outside,
/// conflicts, shortage of resources, databases and objects not available now, operator intervention, I/O.
const TRANSIENT: [&str; 7] = ["08", "25", "40", "53", "55", "57", "58"];

fn transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| TRANSIENT.iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}
