//! The lake in a folder and in a bucket: the same files, the same manners.

use std::time::Duration;

use polars::prelude::{Column, DataFrame, DataType, NamedFrom, Series};
use tempfile::TempDir;
use testkit::s3::{BUCKET, S3Server};
use warehouse::{WarehouseError, lake::Lake};
use workflow::{
    error::{ErrorDomain, TaskError},
    project::S3,
};

use crate::support::{frame, lake};

/// More than one part of an upload.
const LONG: usize = 20 << 20;

/// A lake in a folder, and one in a bucket, with what they live on.
fn lakes() -> ([(&'static str, Lake); 2], TempDir, S3Server) {
    let (folder, local) = lake();
    let server = S3Server::start();
    let bucket = server.lake();
    ([("folder", local), ("bucket", bucket)], folder, server)
}

fn numbers(range: std::ops::Range<i64>) -> DataFrame {
    let names: Vec<String> = range.clone().map(|n| format!("number {n}")).collect();
    frame(vec![Column::new("n".into(), range.collect::<Vec<_>>()), Column::new("name".into(), names)])
}

/// Rows that no compression makes short.
fn noise(rows: usize) -> DataFrame {
    let mut state = 1_u64;
    let values = (0..rows).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 1
    });
    frame(vec![Series::new("x".into(), values.collect::<Vec<_>>()).into()])
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

async fn paths(lake: &Lake, folder: &str) -> Vec<String> {
    lake.list(folder).await.unwrap_or_default().into_iter().map(|(path, _)| path).collect()
}

#[tokio::test]
async fn a_file_is_read_as_it_was_written() {
    let (lakes, _folder, _server) = lakes();
    for (place, lake) in lakes {
        let made = lake.clone();
        let file = blocking(move || {
            let mut writer = made.parquet_writer("raw/a/one.parquet", numbers(0..0).schema().clone())?;
            writer.write(&numbers(0..1000))?;
            writer.write(&numbers(1000..1500))?;
            assert_eq!(writer.rows(), 1500);
            writer.finish()
        })
        .await
        .expect(place);
        assert_eq!((file.path.as_str(), file.rows), ("raw/a/one.parquet", 1500), "{place}");
        assert_eq!(lake.list("raw").await.expect(place), [(file.path.clone(), file.bytes)], "{place}");
        assert_eq!(lake.read_parquet(&file.path).await.expect(place), numbers(0..1500), "{place}");

        let schema = lake.clone();
        let schema = blocking(move || schema.parquet_schema("raw/a/one.parquet")).await.expect(place);
        assert_eq!(schema.get("n"), Some(&DataType::Int64), "{place}");
        assert_eq!(schema.get("name"), Some(&DataType::String), "{place}");
        blocking(move || {
            let file = lake.open_parquet("raw/a/one.parquet").expect(place);
            assert_eq!(file.row_group_sizes().expect(place), [1000, 500], "{place}");
            assert_eq!(file.rows(Some((990, 20))).expect(place), numbers(990..1010), "{place}");
            assert_eq!(file.rows(Some((1000, 500))).expect(place), numbers(1000..1500), "{place}");
        })
        .await;
    }
}

/// A footer longer than what is fetched at first.
#[tokio::test]
async fn the_schema_of_a_wide_file_is_read_from_its_end() {
    let (lakes, _folder, _server) = lakes();
    for (place, lake) in lakes {
        let columns = (0..1500).map(|i| Column::new(format!("column {i} {}", "x".repeat(60)).into(), [i]));
        let mut wide = frame(columns.collect());
        lake.write_parquet("wide.parquet", &mut wide).await.expect(place);
        let schema = blocking(move || lake.parquet_schema("wide.parquet")).await.expect(place);
        assert_eq!(&schema, wide.schema().as_ref(), "{place}");
    }
}

#[tokio::test]
async fn a_long_file_arrives_whole_and_only_when_it_is_placed() {
    let (lakes, _folder, _server) = lakes();
    for (place, lake) in lakes {
        let text: Vec<u8> = (0..LONG).map(|i| u8::try_from(i % 251).expect("small")).collect();
        let mut writer = lake.text_writer("exports/long.csv").await.expect(place);
        for piece in text.chunks(777_777) {
            writer.write(piece).await.expect(place);
        }
        let sealed = writer.seal(7).await.expect(place);
        assert!(lake.get("exports/long.csv").await.is_err(), "{place}: it has no name before it is placed");
        let file = sealed.place().await.expect(place);
        assert_eq!((file.rows, file.bytes), (7, text.len() as u64), "{place}");
        assert!(lake.get("exports/long.csv").await.expect(place) == text, "{place}: the bytes as they were written");

        let rows = noise(3 << 20);
        let file = lake.write_parquet("long.parquet", &mut rows.clone()).await.expect(place);
        assert!(file.bytes > 16 << 20, "{place}: {} bytes are one part", file.bytes);
        assert!(lake.read_parquet("long.parquet").await.expect(place) == rows, "{place}");
    }
}

#[tokio::test]
async fn what_is_dropped_before_it_is_placed_leaves_nothing() {
    let (lakes, _folder, server) = lakes();
    for (place, lake) in lakes {
        for length in [10, LONG] {
            let mut unfinished = lake.text_writer("a/b.csv").await.expect(place);
            unfinished.write(&vec![b'x'; length]).await.expect(place);
            drop(unfinished);
            let mut sealed = lake.text_writer("a/b.csv").await.expect(place);
            sealed.write(&vec![b'x'; length]).await.expect(place);
            drop(sealed.seal(1).await.expect(place));
        }
        assert_eq!(paths(&lake, "a").await, [""; 0], "{place}");
    }
    // The parts are taken back by a request that nobody waits for.
    let parts = || {
        let entries = std::fs::read_dir(server.folder()).expect("the server's folder");
        entries.filter(|entry| entry.as_ref().expect("an entry").file_name() != BUCKET).count()
    };
    for _ in 0..1000 {
        if parts() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} parts were left", parts());
}

#[tokio::test]
async fn of_two_writers_of_one_path_the_later_wins_whole() {
    let (lakes, _folder, _server) = lakes();
    for (place, lake) in lakes {
        for length in [10, LONG] {
            let mut first = lake.text_writer("one.csv").await.expect(place);
            let mut second = lake.text_writer("one.csv").await.expect(place);
            for _ in 0..2 {
                first.write(&vec![b'1'; length / 2]).await.expect(place);
                second.write(&vec![b'2'; length / 2]).await.expect(place);
            }
            let (first, second) = (first.seal(1).await.expect(place), second.seal(2).await.expect(place));
            second.place().await.expect(place);
            assert!(lake.get("one.csv").await.expect(place) == vec![b'2'; length], "{place}: {length}");
            first.place().await.expect(place);
            assert!(lake.get("one.csv").await.expect(place) == vec![b'1'; length], "{place}: {length}");
        }
        assert_eq!(paths(&lake, "").await, ["one.csv"], "{place}: nothing lies beside it");
    }
}

/// What a task that met this fault says, its causes aside.
fn said(error: WarehouseError) -> String {
    let error = TaskError::from(error);
    assert_eq!(error.domain, ErrorDomain::External, "{}: {}", error, error.chain());
    error.to_string()
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_says_which_where_and_what_to_do() {
    let mut server = S3Server::start();
    let at = server.endpoint();
    let open = |place: &str, s3: &S3| Lake::open_with(place, s3, []).expect("settings that may be right");
    let rows = || numbers(0..3);

    let absent = open("s3://nowhere/shop", &server.settings());
    let no_bucket = format!(
        "s3://nowhere/shop at {at} cannot be used: there is no such bucket; make the bucket, or name another one in `lake`"
    );
    // The server of these tests makes a bucket for whoever writes to one; a reader is told.
    assert_eq!(said(absent.list("raw").await.expect_err("no bucket")), no_bucket);

    let hint = "set `s3.access_key` and `s3.secret_key` in sluice.yaml, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in \
                the environment";
    let wrong = open("s3://lake", &S3 { secret_key: Some("guessed".into()), ..server.settings() });
    let message = said(wrong.write_parquet("a.parquet", &mut rows()).await.expect_err("a wrong secret"));
    assert_eq!(
        message,
        format!("s3://lake at {at} cannot be used: the key was refused (SignatureDoesNotMatch); {hint}")
    );
    assert!(!message.contains("guessed"), "{message}");

    let mut long = server.lake().text_writer("long.csv").await.expect("a writer");
    long.write(&vec![b'x'; LONG]).await.expect("it is there");
    server.kill();
    let no_server = format!(
        "S3 cannot be reached at {at} for s3://lake/shop; start it, or set `s3.endpoint` in sluice.yaml to where it is"
    );
    // One of the next requests meets nobody.
    let sealed = long.seal(1).await.map(|_| ());
    assert_eq!(said(sealed.expect_err("no server")), no_server);
    let lake = server.lake();
    let error = TaskError::from(lake.write_parquet("a.parquet", &mut rows()).await.expect_err("no server"));
    assert_eq!((error.to_string(), error.service), (no_server, Some("S3")));
    assert!(matches!(lake.list("").await, Err(WarehouseError::Unreachable { .. })));

    server.resume();
    lake.write_parquet("a.parquet", &mut rows()).await.expect("it is there again");
    let missing = lake.read_parquet("b.parquet").await.expect_err("no such file");
    assert!(matches!(&missing, WarehouseError::Missing(path) if path == "b.parquet"), "{missing:?}");
}
