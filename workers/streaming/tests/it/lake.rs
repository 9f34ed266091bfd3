//! Raw events in the lake: every offset in exactly one file, through restarts.

use std::collections::BTreeMap;

use streaming::runtime::Options;
use testkit::s3::S3Server;
use warehouse::lake::Lake;

use crate::harness::{Bench, PARTITIONS, ends, read};

async fn files(lake: &Lake, topic: &str) -> BTreeMap<i32, Vec<(i64, i64, String)>> {
    let mut found: BTreeMap<i32, Vec<_>> = BTreeMap::new();
    for (path, _) in lake.list(&format!("events/{topic}")).await.unwrap_or_default() {
        let parts: Vec<_> = path.rsplit('/').collect();
        let (from, to) = parts[0].trim_end_matches(".parquet").split_once('-').expect("from-to");
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let partition = parts[1].parse().expect("a partition");
        found.entry(partition).or_default().push((number(from), number(to), path.clone()));
    }
    for ranges in found.values_mut() {
        ranges.sort();
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_in_exactly_one_file_named_by_its_offsets() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(&folder.path().display().to_string()).expect("a lake");
    every_record_once(&Bench::new(7).await, &lake, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_in_exactly_one_file_of_a_bucket_that_was_away() {
    let server = S3Server::start();
    let lake = server.lake();
    every_record_once(&Bench::new(8).await, &lake, Some(server)).await;
}

/// Through a restart, and with a bucket through the absence of its server.
async fn every_record_once(bench: &Bench, lake: &Lake, mut server: Option<S3Server>) {
    let with_lake = || Options { lake: Some(lake.clone()), ..bench.options("a") };
    let (stop, task) = bench.start(with_lake());
    let mut events = bench.events(6_000);
    let rest = events.split_off(3_000);
    bench.send(events, None).await;
    bench.caught_up().await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    // A crash after a file was planned and before it was counted: the next process writes the same file again.
    for (partition, ranges) in files(lake, &bench.topic).await {
        let (from, to, _) = ranges.last().expect("a file").clone();
        sqlx::query("update sluice.stream_lake set next_offset = $2, pending_to = $3 where partition = $1")
            .bind(partition)
            .bind(from)
            .bind(to)
            .execute(&bench.pool)
            .await
            .expect("pretend");
    }
    if let Some(server) = &mut server {
        server.kill();
    }
    let (stop, task) = bench.start(with_lake());
    bench.send(rest, None).await;
    // The windows do not wait for the lake.
    bench.caught_up().await;
    if let Some(server) = &mut server {
        server.resume();
    }
    let ends: i64 = ends(&bench.brokers, &bench.topic).iter().sum();
    bench
        .until("the lake has caught up", async || {
            let next: i64 = sqlx::query_scalar("select sum(next_offset)::bigint from sluice.stream_lake")
                .fetch_one(&bench.pool)
                .await
                .expect("lake offsets");
            next >= ends
        })
        .await;
    stop.cancel();
    task.await.expect("no panic").expect("a clean end");
    let log = read(&bench.brokers, &bench.topic);
    let files = files(lake, &bench.topic).await;
    for partition in 0..PARTITIONS {
        let mut offsets: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        let mut expected = 0;
        for (from, to, path) in &files[&partition] {
            assert_eq!(*from, expected, "{path} begins where the file before it ends");
            expected = *to;
            let frame = lake.read_parquet(path).await.expect("a readable file");
            let names: Vec<_> = frame.get_column_names().into_iter().map(ToString::to_string).collect();
            assert_eq!(names, ["partition", "offset", "produced_at", "key", "value", "headers"]);
            let offset = frame.column("offset").expect("offset").i64().expect("bigint").clone();
            let value = frame.column("value").expect("value").binary().expect("bytes").clone();
            for (offset, value) in offset.iter().zip(value.iter()) {
                let offset = offset.expect("never null");
                assert!((*from..*to).contains(&offset), "{offset} in {path}");
                offsets.insert(offset, value.expect("a value").to_vec());
            }
        }
        let records = &log[usize::try_from(partition).expect("few")];
        assert_eq!(offsets.len(), records.len(), "partition {partition}");
        assert!(records.iter().all(|(offset, _, value)| offsets.get(offset) == Some(value)), "bytes as they came");
    }
}
