//! Ids of what is told: made from what it is, so that telling it again says the same.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};
use warehouse::trail::{AttemptFacts, RunFacts};

/// Makes ids for one database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids(pub(super) Uuid);

impl Ids {
    fn hash(self, what: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.0.as_bytes()).chain_update(what).finalize().into()
    }

    /// A UUID of version 7, as `OpenLineage` wants them: the time is when the run was made, and what is random elsewhere is a
    /// hash.
    fn uuid(self, made: DateTime<Utc>, what: &str) -> Uuid {
        let hash = self.hash(what);
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&hash[..10]);
        Builder::from_unix_timestamp_millis(u64::try_from(made.timestamp_millis()).unwrap_or_default(), &bytes)
            .into_uuid()
    }

    /// Of a life of a run.
    pub(super) fn run(self, run: &RunFacts) -> Uuid {
        match run.life {
            0 => self.whole(run.run_id, run.created_at),
            life => self.uuid(run.created_at, &format!("run {}, life {life}", run.run_id)),
        }
    }

    /// Of a run with all its lives, and of its trace.
    pub(super) fn whole(self, run_id: i64, created_at: DateTime<Utc>) -> Uuid {
        self.uuid(created_at, &format!("run {run_id}"))
    }

    /// Of an attempt.
    pub(super) fn attempt(self, run: &RunFacts, attempt: &AttemptFacts) -> Uuid {
        self.uuid(run.created_at, &format!("task {}, attempt {}", attempt.task_run_id, attempt.attempt))
    }

    /// Of the span of a life of a run.
    pub(super) fn run_span(self, run_id: i64, life: i32) -> String {
        self.span(&format!("span of run {run_id}, life {life}"))
    }

    /// Of the span of an attempt.
    pub(super) fn attempt_span(self, attempt: &AttemptFacts) -> String {
        self.span(&format!("span of task {}, attempt {}", attempt.task_run_id, attempt.attempt))
    }

    fn span(self, what: &str) -> String {
        workflow::hex::encode(&self.hash(what)[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_from_what_it_names() {
        let (here, there) = (Ids(Uuid::from_u128(1)), Ids(Uuid::from_u128(2)));
        let made: DateTime<Utc> = "2026-03-01T02:00:00.123Z".parse().expect("a time");
        let id = here.whole(7, made);
        assert_eq!(id, here.whole(7, made));
        assert_ne!(id, here.whole(8, made));
        assert_ne!(id, there.whole(7, made));
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        let (seconds, nanos) = id.get_timestamp().expect("a time").to_unix();
        assert_eq!((seconds, nanos / 1_000_000), (1_772_330_400, 123));
    }
}
